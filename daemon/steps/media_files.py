"""The file of an item, for models: from a mounted folder, or else fetched from its server."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from connectors.base import ConnectorError
from daemon.services import Services
from daemon.store.models import Item
from daemon.store.places import file_places, server_places

LARGEST_FETCH = 2 << 30
"""Bytes. A film that only a server has is better read from the mount: `path_map`."""


@asynccontextmanager
async def find_media(
    services: Services, item: Item, scratch: Path
) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield (root, path) of the item's file; what was fetched is removed afterwards.

    Raises FileNotFoundError, which says why there is none.
    """
    async with services.database.read() as session:
        places = (await file_places(session, [item.id])).get(item.id, [])
        remote = await server_places(session, item.id)
    if places:
        yield places[0]
        return
    target = scratch / f"{uuid.uuid4().hex}.fetched"
    try:
        await _fetch(services, remote, target)
        yield bytes(scratch), target.name.encode()
    finally:
        with suppress(FileNotFoundError):
            target.unlink()


async def _fetch(services: Services, remote: list[tuple[str, str]], target: Path) -> None:
    problem = "its file is not there now"
    for source, external_id in remote:
        try:
            server = await services.servers.open(source)
            async with await server.open_media(external_id, None) as stream:
                size = int(stream.headers.get("Content-Length", 0))
                if size > LARGEST_FETCH:
                    problem = f"{size >> 20} MiB are too much to fetch; path_map lets it be read"
                    continue
                fetched = 0
                with target.open("wb") as file:
                    async for chunk in stream.chunks():
                        fetched += len(chunk)
                        if fetched > LARGEST_FETCH:
                            break
                        file.write(chunk)
                if fetched and (not size or fetched == size):
                    return
                problem = f"{source} sent {fetched} of {size} bytes"
        except ConnectorError as error:
            problem = str(error)
    raise FileNotFoundError(problem)
