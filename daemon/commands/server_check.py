"""What `doctor` says of media servers: are they there, who is signed in, are their files here."""

import asyncio
import os
import unicodedata
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from sqlalchemy import func, select

from connectors import ServerSettings
from connectors.base import ConnectorError
from connectors.paths import PathMap, guess_mapping
from connectors.server import Server
from daemon.commands.finding import Finding
from daemon.servers import missing_sign_ins
from daemon.services import Services
from daemon.store.models import Location, Source
from daemon.store.places import absolute

SAMPLE = 200
"""Paths of a server that are looked for."""
OURS = 200_000
"""Files of the folders that a mapping is guessed from."""


async def examine_servers(services: Services) -> AsyncIterator[Finding]:
    """Yield what is found of each server."""
    for settings in services.settings.servers:
        about = f"server {settings.name}"
        try:
            server = await services.servers.open(settings.name)
        except ConnectorError as error:
            yield Finding(about, False, str(error))
            continue
        info = server.info
        can = ", ".join(sorted(info.capabilities))
        yield Finding(about, True, f"{info.name} {info.version} at {settings.url}; {can}")
        async for finding in _examine_accounts(services, settings, server, about):
            yield finding
        yield await _examine_paths(services, settings, server, about)


async def _examine_accounts(
    services: Services, settings: ServerSettings, server: Server, about: str
) -> AsyncIterator[Finding]:
    accounts = await asyncio.to_thread(services.servers.accounts, settings.name)
    for profile, user in missing_sign_ins(settings, accounts).items():
        command = f"python -m daemon connect '{settings.name}' --profile '{profile}'"
        yield Finding(about, False, f"{user} has not signed in: {command}")
    for account in accounts:
        try:
            await server.check(account)
        except ConnectorError as error:
            yield Finding(about, False, f"{account.user_name}: {error}")
        else:
            message = f"{account.profile} is signed in as {account.user_name}"
            yield Finding(about, True, message)
    if not accounts and not settings.users:
        yield Finding(about, True, "nobody is named in `users`: no plays, ratings or playlists")


async def _examine_paths(
    services: Services, settings: ServerSettings, server: Server, about: str
) -> Finding:
    """Look for a sample of the server's files under the mount; guess the mapping otherwise."""
    try:
        theirs = await _sample(services, settings, server)
    except ConnectorError as error:
        return Finding(about, False, f"its paths cannot be read: {error}")
    if not theirs:
        return Finding(about, True, "it tells no real paths: its files are read over HTTP")
    paths = PathMap(settings.path_map)
    found = await asyncio.to_thread(_count_found, paths, theirs)
    if settings.path_map and found * 2 >= len(theirs):
        return Finding(about, True, f"{found} of {len(theirs)} sampled paths are found here")
    guess = guess_mapping(theirs, await _our_files(services))
    said = f"{found} of {len(theirs)} sampled paths are found here" if settings.path_map else (
        "no path_map: its files are read over HTTP"
    )  # fmt: skip
    if not guess:
        example = theirs[0]
        return Finding(about, not settings.path_map, f"{said}; it has, for example, {example}")
    agreeing = await asyncio.to_thread(_count_found, PathMap(guess), theirs)
    remote, local = next(iter(guess.items()))
    advice = f"with `path_map: {{{remote}: {local}}}` {agreeing} of {len(theirs)} would be"
    return Finding(about, not settings.path_map, f"{said}; {advice}")


async def _sample(services: Services, settings: ServerSettings, server: Server) -> list[str]:
    """Return paths that the last sync read, or else those of the first pages."""
    async with services.database.read() as session:
        known = await session.scalars(
            select(Location.server_path)
            .join(Source, Source.id == Location.source_id)
            .where(
                Source.name == settings.name, Location.gone_at.is_(None),
                Location.server_path.is_not(None),
            )
            .order_by(func.random())
            .limit(SAMPLE)
        )  # fmt: skip
        paths = [path for path in known if path]
    if not paths:
        for library in await server.libraries():
            async for page in server.items(library):
                paths += [i.path for i in page.entries if i.path and i.has_real_path]
                break
    return [path for path in paths if path.startswith("/") or "\\" in path or path[1:2] == ":"][
        :SAMPLE
    ]


async def _our_files(services: Services) -> list[str]:
    async with services.database.read() as session:
        rows = await session.execute(
            select(Source.root, Location.path)
            .join(Source, Source.id == Location.source_id)
            .where(Source.root.is_not(None), Location.gone_at.is_(None))
            .limit(OURS)
        )
        return [os.fsdecode(absolute(row.root, row.path)) for row in rows]


def _count_found(paths: PathMap, theirs: Sequence[str]) -> int:
    count = 0
    for path in theirs:
        local = paths.to_local(path)
        if local is not None:
            names = (local, unicodedata.normalize("NFD", local))
            count += any(Path(name).is_file() for name in names)
    return count
