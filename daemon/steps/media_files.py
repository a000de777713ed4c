"""The file of an item, for models: from a mounted folder, or else fetched from its server."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from connectors.base import ConnectorError, ConnectorUnavailable
from daemon.services import Services
from daemon.store.models import Item
from daemon.store.places import file_places, server_places

REFUSALS = 3
"""After so many in a row a server is left alone by whoever counts them: others may be well."""
LARGEST_FETCH = 2 << 30
"""Bytes. A film that only a server has is better read from the mount: `path_map`."""


@asynccontextmanager
async def find_media(
    services: Services, item: Item, scratch: Path, refusals: dict[str, int] | None = None
) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield (root, path) of the item's file; what was fetched is removed afterwards.

    `refusals` counts, by server, how often in a row it could not be reached. Raises
    FileNotFoundError, which says why there is none to be had, and ConnectorUnavailable where
    there may be one later.
    """
    async with services.database.read() as session:
        places = (await file_places(session, [item.id])).get(item.id, [])
        remote = await server_places(session, item.id)
    if places:
        yield places[0]
        return
    target = scratch / f"{uuid.uuid4().hex}.fetched"
    try:
        await _fetch(services, remote, target, {} if refusals is None else refusals)
        yield bytes(scratch), target.name.encode()
    finally:
        with suppress(FileNotFoundError):
            target.unlink()


async def _fetch(
    services: Services, remote: list[tuple[str, str]], target: Path, refusals: dict[str, int]
) -> None:
    away, problem = "its file is not there now", ""
    for source, external_id in remote:
        if refusals.get(source, 0) >= REFUSALS:
            away = f"{source} cannot be reached"
            continue
        try:
            problem = await _fetch_from(services, source, external_id, target)
        except ConnectorError as error:
            refusals[source] = refusals.get(source, 0) + 1
            away = str(error)
            continue
        refusals.pop(source, None)
        if not problem:
            return
    if problem:
        raise FileNotFoundError(problem)
    raise ConnectorUnavailable(away)


async def _fetch_from(services: Services, source: str, external_id: str, target: Path) -> str:
    """Fetch a file; return why it is none to be had, "" where it was. Raises ConnectorError."""
    server = await services.servers.open(source)
    async with await server.open_media(external_id, None) as stream:
        size = int(stream.headers.get("Content-Length", 0))
        if size > LARGEST_FETCH:
            return f"{size >> 20} MiB are too much to fetch; path_map lets it be read"
        fetched = 0
        with target.open("wb") as file:
            async for chunk in stream.chunks():
                fetched += len(chunk)
                if fetched > LARGEST_FETCH:
                    break
                file.write(chunk)
    return (
        ""
        if fetched and (not size or fetched == size)
        else f"{source} sent {fetched} of {size} bytes"
    )
