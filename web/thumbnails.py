"""Small pictures of items: made once, in a worker, kept in the data folder."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web
from sqlalchemy import select

from connectors.base import ConnectorError, NotFound, Refused
from daemon.services import Services
from daemon.store.models import Item, public_id
from daemon.store.places import absolute, file_places, server_places
from daemon.workers.worker import WorkerDied, WorkerFailed
from web.keys import SERVICES
from web.lookup import find_item_id

log = logging.getLogger(__name__)

routes = web.RouteTableDef()

SIZES = {"256": 256, "512": 512}
TIMEOUT = 60.0
LARGEST_PICTURE = 20_000_000
RETRY_AFTER = 300.0
"""Seconds until one that could not be made is tried again: a mount may be back, a disk free."""
MOST_FAILURES = 10_000
FOR_EVER = "private, max-age=31536000, immutable"
FOR_NOW = "private, no-cache"
A_WHILE = "private, max-age=600"


class Thumbnails:
    """Makes each one once, however many ask at the same time."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._folder = services.settings.data_dir / "thumbnails"
        self._making: dict[Path, asyncio.Task[None]] = {}
        self._failed: dict[Path, float] = {}

    async def find(self, item_id: int, size: int) -> Path | None:
        """Return the thumbnail's file, made now if need be; None where there is none to be had."""
        async with self._services.database.read() as session:
            row = (
                await session.execute(
                    select(Item.input_hash, Item.kind, Item.gone_at).where(Item.id == item_id)
                )
            ).one_or_none()
            places = (await file_places(session, [item_id])).get(item_id, [])
            remote = await server_places(session, item_id)
        if row is None or not (places or remote):
            return None
        name = f"{public_id(item_id)}-{row.input_hash[:12]}-{size}.webp"
        target = self._folder / name[-24:-22] / name
        if self._failed.get(target, 0) > time.monotonic():
            return None
        folder = os.path.dirname(absolute(*places[0])) if places else b"/"  # noqa: PTH120
        if not await asyncio.to_thread(_is_made, target, folder):
            if target not in self._making:
                work = (
                    self._make(target, *places[0], row.kind, size)
                    if places
                    else self._fetch(target, remote, size)
                )
                self._making[target] = asyncio.create_task(work)
                self._making[target].add_done_callback(lambda _: self._making.pop(target))
            await asyncio.shield(self._making[target])
        found = await asyncio.to_thread(_size, target)
        return target if found else None

    async def _make(self, target: Path, root: bytes, path: bytes, kind: str, size: int) -> None:
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            made = await self._services.workers.pages.call(
                "make_thumbnail", root, path, kind, size, str(target), timeout=TIMEOUT
            )
            if not made:  # nothing to show: an empty file says so from now on
                await asyncio.to_thread(target.touch)
        except (WorkerFailed, WorkerDied, OSError) as error:
            log.warning("No thumbnail of %r: %s", path, error)
            self._give_up(target)

    def _give_up(self, target: Path) -> None:
        if len(self._failed) >= MOST_FAILURES:
            self._failed.clear()
        self._failed[target] = time.monotonic() + RETRY_AFTER

    async def _fetch(self, target: Path, places: list[tuple[str, str]], size: int) -> None:
        """Make it from a server's picture, decoded in a worker as any other file."""
        source, external_id = places[0]
        picture = target.with_suffix(".original")
        try:
            await asyncio.to_thread(target.parent.mkdir, parents=True, exist_ok=True)
            server = await self._services.servers.open(source)
            async with await server.open_artwork(external_id, size) as stream:
                content = b"".join([chunk async for chunk in _bounded(stream.chunks())])
            await asyncio.to_thread(picture.write_bytes, content)
            root, path = os.path.split(os.fsencode(picture))
            await self._services.workers.pages.call(
                "make_thumbnail", root, path, "images", size, str(target), timeout=TIMEOUT
            )
        except NotFound:
            await asyncio.to_thread(target.touch)
        except (ConnectorError, WorkerFailed, WorkerDied, OSError) as error:
            log.warning("No thumbnail from %s: %s", source, error)
            self._give_up(target)
        finally:
            await asyncio.to_thread(picture.unlink, missing_ok=True)


async def _bounded(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > LARGEST_PICTURE:
            raise Refused("The picture is larger than any cover.")
        yield chunk


@routes.get("/thumbnail/{id}", name="thumbnail")
async def thumbnail(request: web.Request) -> web.StreamResponse:
    """Send a small picture; with `v`, which changes when the file does, it is kept for ever.

    Where there is none the answer has no content, which is no error: browsers would report it.
    """
    size = SIZES.get(request.query.get("size", "256"))
    if size is None:
        raise web.HTTPBadRequest(text=f"size is one of {', '.join(SIZES)}.")
    async with request.app[SERVICES].database.read() as session:
        item_id = await find_item_id(request, session)
    path = await request.app[THUMBNAILS].find(item_id, size)
    caching = FOR_EVER if "v" in request.query else FOR_NOW
    if path is None:
        return web.Response(status=204, headers={"Cache-Control": A_WHILE})
    headers = {"Content-Type": "image/webp", "Cache-Control": caching}
    return web.FileResponse(path, headers=headers)


THUMBNAILS = web.AppKey("THUMBNAILS", Thumbnails)


def _is_made(target: Path, folder: bytes) -> bool:
    """Tell whether there is one, or there is none since `folder` changed: a cover may have come."""
    try:
        made = target.stat()
        # within one tick of the file system's clock nobody knows which came first: look again
        return made.st_size > 0 or os.stat(folder).st_mtime_ns < made.st_mtime_ns  # noqa: PTH116
    except OSError:
        return False


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
