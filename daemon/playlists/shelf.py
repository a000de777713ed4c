"""All smart playlists: of the settings file, made in the pages, and ready to switch on."""

import logging
from typing import Any

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.playlist_settings import PlaylistSettings
from daemon.services import Services
from daemon.store.smart_playlists import (
    SmartPlaylist,
    find_smart_playlists,
    remove_smart_playlist,
    save_smart_playlist,
    switch_smart_playlist_off,
)

log = logging.getLogger(__name__)

READY: tuple[dict[str, Any], ...] = (
    {
        "name": "Probably a nine", "where": "predicted >= 7", "order": "predicted",
        "limit": "60 tracks", "variety": {"per_artist": 3, "fresh": 0.3},
        "about": "What you have not rated and would probably like most.",
    },
    {
        "name": "Radio", "order": "radio", "limit": "3 h", "variety": {"per_artist": 4},
        "about": "What you like, by chance; what was heard lately comes later.",
    },
    {
        "name": "Daily mix 1", "order": "daily mix 1", "limit": "50 tracks",
        "variety": {"per_artist": 4}, "about": "The first sort of what you like, and more like it.",
    },
    {
        "name": "Daily mix 2", "order": "daily mix 2", "limit": "50 tracks",
        "variety": {"per_artist": 4}, "about": "Another sort of what you like, and more like it.",
    },
    {
        "name": "Rediscover", "order": "rediscover", "limit": "50 tracks",
        "variety": {"per_artist": 3}, "about": "What you loved and have long not heard.",
    },
    {
        "name": "Never heard", "where": "unplayed and added > 30 days ago", "order": "random",
        "limit": "50 tracks", "about": "It has been here for a month and was never played.",
    },
    {
        "name": "Newly added", "where": "added < 30 days ago", "order": "newest",
        "limit": "100 tracks", "about": "What came in the last month.",
    },
    {
        "name": "Off the beaten track", "where": "predicted >= 5", "order": "predicted",
        "limit": "40 tracks",
        "variety": {"unsure": 1.0, "per_artist": 1, "distance": 0.2},
        "about": "What you may love, though nobody can be sure.",
    },
    {
        "name": "Rate these next", "order": "unsure", "limit": "30 tracks",
        "variety": {"per_artist": 1, "distance": 0.2},
        "about": "Items whose ratings would teach most.",
    },
    {
        "name": "Go on watching", "kind": "videos", "order": "next episode", "limit": "20 items",
        "about": "The next episodes, and what was left before its end.",
    },
    {
        "name": "Films for tonight", "kind": "videos",
        "where": "unplayed and duration > 1 h and predicted >= 6", "order": "predicted",
        "limit": "20 items", "about": "Unseen films that you would probably like most.",
    },
)  # fmt: skip
"""Rules that work for everyone; none is on until somebody switches it on."""


class PlaylistProblem(ValueError):
    """The playlist cannot be kept; the message says why."""


def is_of_settings(services: Services, name: str) -> bool:
    """Tell whether the settings file has a playlist of that name; it is changed there only."""
    return any(playlist.name == name for playlist in services.settings.playlists)


async def find_playlists(services: Services) -> list[PlaylistSettings]:
    """Return all that are on: first those of the settings file, then those of the pages."""
    async with services.database.read() as session:
        return list(services.settings.playlists) + await _find(session, services, is_off=False)


async def off_playlists(services: Services) -> list[PlaylistSettings]:
    """Return those of the pages that were switched off, as they were."""
    async with services.database.read() as session:
        return await _find(session, services, is_off=True)


async def find_playlist(services: Services, name: str) -> PlaylistSettings | None:
    """Return the playlist of that name."""
    return next((p for p in await find_playlists(services) if p.name == name), None)


async def find_kept(services: Services, name: str) -> PlaylistSettings | None:
    """Return the playlist of that name, on or off; not a ready-made one that nobody switched on."""
    kept = [*await find_playlists(services), *await off_playlists(services)]
    return next((playlist for playlist in kept if playlist.name == name), None)


async def ready_playlists(services: Services) -> list[PlaylistSettings]:
    """Return the ready-made ones whose name is free."""
    async with services.database.read() as session:
        taken = {row.name for row in await find_smart_playlists(session)}
    taken |= {playlist.name for playlist in services.settings.playlists}
    return [PlaylistSettings(**each) for each in READY if each["name"] not in taken]


def is_ready_made(playlist: PlaylistSettings) -> bool:
    """Tell whether it is one of the ready-made ones, unchanged."""
    return any(PlaylistSettings(**each) == playlist for each in READY)


def understand(values: dict[str, Any]) -> PlaylistSettings:
    """Return a playlist as it was filled in. Raises PlaylistProblem."""
    try:
        return PlaylistSettings.model_validate(values)
    except ValidationError as error:
        (first, *_) = error.errors()
        option = ".".join(map(str, first["loc"]))
        message = str(first["msg"]).removeprefix("Value error, ")
        raise PlaylistProblem(f"{option}: {message}" if option else message) from error


async def keep_playlist(services: Services, playlist: PlaylistSettings) -> None:
    """Keep a playlist that was made in the pages. Raises PlaylistProblem."""
    check_keepable(services, playlist)
    values = playlist.model_dump(mode="json", exclude_defaults=True)
    async with services.database.write(durable=True) as session:
        await save_smart_playlist(session, playlist.name, values)


def check_keepable(services: Services, playlist: PlaylistSettings) -> None:
    """Refuse what the pages may not keep. Raises PlaylistProblem."""
    if is_of_settings(services, playlist.name):
        raise PlaylistProblem(f"{playlist.name} is in the settings file; change it there.")
    servers = {server.name for server in services.settings.servers}
    for target in playlist.write_to:
        if target not in servers:  # a page may not choose where files are written
            raise PlaylistProblem(f"There is no server {target}; folders are named in the settings")


async def switch_on(services: Services, name: str) -> PlaylistSettings | None:
    """Switch on what is off or ready-made; None where there is none. Raises PlaylistProblem."""
    for each in (*await off_playlists(services), *await ready_playlists(services)):
        if each.name == name:
            await keep_playlist(services, each)
            return each
    return None


async def switch_off(services: Services, name: str) -> bool:
    """Switch a playlist of the pages off; its rule is kept, what was written stays where it is.

    False if none of that name is on. Raises PlaylistProblem.
    """
    _check_not_of_settings(services, name)
    playlist = await find_playlist(services, name)
    async with services.database.write(durable=True) as session:
        row = await session.get(SmartPlaylist, name)
        if row is None or row.is_off:
            return False
        if playlist and is_ready_made(playlist):  # is offered as such again
            return await remove_smart_playlist(session, name)
        await switch_smart_playlist_off(session, row)
    return True


async def remove_playlist(services: Services, name: str) -> bool:
    """Delete for good the rule of a playlist that is off; what was written stays where it is.

    False if there is none of that name. Raises PlaylistProblem.
    """
    _check_not_of_settings(services, name)
    async with services.database.write(durable=True) as session:
        row = await session.get(SmartPlaylist, name)
        if row and not row.is_off:
            raise PlaylistProblem(f"{name} is on; switch it off first.")
        if row is None and any(each["name"] == name for each in READY):
            raise PlaylistProblem(
                f"{name} comes with the program and cannot be removed; it is off."
            )
        return await remove_smart_playlist(session, name)


def _check_not_of_settings(services: Services, name: str) -> None:
    if is_of_settings(services, name):
        raise PlaylistProblem(f"{name} is in the settings file; take it out there.")


async def _find(
    session: AsyncSession, services: Services, *, is_off: bool
) -> list[PlaylistSettings]:
    """Return those of the pages; the settings file's word on a name goes before theirs."""
    found = []
    names = {playlist.name for playlist in services.settings.playlists}
    for row in await find_smart_playlists(session):
        if row.name in names or row.is_off != is_off:
            continue
        try:
            found.append(PlaylistSettings.model_validate(row.options | {"name": row.name}))
        except ValidationError as error:  # of another version
            log.error("The playlist %s is not understood: %s", row.name, error)
    return found
