"""Playlists with times of their own: which are due."""

from datetime import datetime

from daemon.playlist_settings import BY_HAND, PlaylistSettings, parse_refresh
from daemon.playlists.shelf import find_playlists
from daemon.services import Services
from daemon.store.facts import get_fact, set_fact
from daemon.store.models import now


async def find_due(services: Services, moment: datetime) -> list[str]:
    """Return the playlists whose time has come since they were last tried; a new one is due."""
    due = []
    for playlist in await find_playlists(services):
        if not playlist.refresh or playlist.refresh == BY_HAND:
            continue
        async with services.database.read() as session:
            last = await get_fact(session, refreshed_fact(playlist.name))
        if last is None or last["refresh"] != playlist.refresh:
            due.append(playlist.name)
            continue
        at = datetime.fromisoformat(last["at"]).astimezone()
        next_time = parse_refresh(playlist.refresh).get_next_fire_time(at, at)
        if next_time is not None and next_time <= moment:
            due.append(playlist.name)
    return due


async def note_refreshed(services: Services, playlist: PlaylistSettings) -> None:
    """Remember that a playlist with times of its own was tried now."""
    if playlist.refresh:
        async with services.database.write() as session:
            value = {"at": now().isoformat(), "refresh": playlist.refresh}
            await set_fact(session, refreshed_fact(playlist.name), value)


def refreshed_fact(playlist: str) -> str:
    """Return the name of the fact that says when a playlist was last tried."""
    return f"refreshed:{playlist}"
