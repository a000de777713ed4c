"""The files themselves, by item only: no path comes from a client."""

import asyncio
import logging
import mimetypes
import os
import stat
from urllib.parse import quote

from aiohttp import hdrs, web
from aiohttp.abc import AbstractStreamWriter
from multidict import CIMultiDict

from connectors.base import ConnectorError
from daemon.store.places import absolute, file_places, server_places
from web.keys import SERVICES
from web.lookup import find_item_id

log = logging.getLogger(__name__)

routes = web.RouteTableDef()

PLAYABLE = ("audio/", "video/", "image/")
SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
"""For anything of the library that could carry a script: it may not run in our name."""

TYPES = {
    ".flac": "audio/flac", ".opus": "audio/ogg", ".ogg": "audio/ogg", ".oga": "audio/ogg",
    ".m4a": "audio/mp4", ".m4b": "audio/mp4", ".mka": "audio/x-matroska", ".wma": "audio/x-ms-wma",
    ".ape": "audio/x-ape", ".wv": "audio/x-wavpack", ".aac": "audio/aac",
    ".mkv": "video/x-matroska", ".m4v": "video/mp4", ".ts": "video/mp2t", ".m2ts": "video/mp2t",
    ".ogv": "video/ogg", ".heic": "image/heic", ".heif": "image/heif", ".avif": "image/avif",
    ".webp": "image/webp", ".md": "text/plain", ".markdown": "text/plain",
}  # fmt: skip
"""What the standard library's table lacks, or names differently on different machines."""


class WholeFile(web.FileResponse):
    """The file itself: aiohttp would send the file NAME.gz beside it to who takes gzip."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it as it is, whatever encodings the browser takes."""
        headers = CIMultiDict(request.headers)
        headers.popall(hdrs.ACCEPT_ENCODING, None)
        return await super().prepare(request.clone(headers=headers))


@routes.get("/media/{id}", name="media")
async def media(request: web.Request) -> web.StreamResponse:
    """Send an item's file; ranges are answered."""
    async with request.app[SERVICES].database.read() as session:
        item_id = await find_item_id(request, session)
        places = (await file_places(session, [item_id])).get(item_id, [])
        remote = await server_places(session, item_id)
    settings = request.app[SERVICES].settings
    roots = [bytes(folder.path) for folder in settings.folders]
    roots += [os.fsencode(r) for server in settings.servers for r in server.path_map.values()]
    path = await asyncio.to_thread(find_readable, places, roots)
    if path is None:
        return await _send_from_server(request, remote)
    content_type = content_type_of(path)
    name = quote(os.path.basename(path), safe="")  # noqa: PTH119  # bytes
    headers = {
        "Content-Type": content_type,
        "Content-Disposition": f"inline; filename*=UTF-8''{name}",
        "Cache-Control": "private, no-cache",  # asked for again by its ETag: files are replaced
    }
    if not content_type.startswith(PLAYABLE) or "svg" in content_type:
        headers["Content-Security-Policy"] = SANDBOX
    return WholeFile(os.fsdecode(path), headers=headers)


async def _send_from_server(
    request: web.Request, places: list[tuple[str, str]]
) -> web.StreamResponse:
    """Pass on what a server has, so that no token of it ever reaches the browser."""
    problem = "Its file is not there now."
    for source, external_id in places:
        try:
            server = await request.app[SERVICES].servers.open(source)
            stream = await server.open_media(external_id, request.headers.get("Range"))
        except ConnectorError as error:
            problem = str(error)
            continue
        async with stream:
            headers = {**stream.headers, "Cache-Control": "private, no-cache"}
            if not headers.get("Content-Type", "").startswith(PLAYABLE):
                headers["Content-Security-Policy"] = SANDBOX
            answer = web.StreamResponse(status=stream.status, headers=headers)
            await answer.prepare(request)
            try:
                async for chunk in stream.chunks():
                    await answer.write(chunk)
            except ConnectorError as error:
                log.warning("%s: %s", source, error)
                request.protocol.force_close()  # cut short, and the browser must know
            return answer
    raise web.HTTPNotFound(text=problem)


def find_readable(places: list[tuple[bytes, bytes]], roots: list[bytes]) -> bytes | None:
    """Return the first place that is a regular file inside a mounted folder.

    A link in a library may lead to another mounted folder, but nowhere else.
    """
    real_roots = [os.path.realpath(root).rstrip(b"/") + b"/" for root in roots]
    for root, path in places:
        real = os.path.realpath(absolute(root, path))
        try:
            is_file = stat.S_ISREG(os.stat(real).st_mode)  # noqa: PTH116  # bytes
        except OSError:
            continue
        if is_file and any(real.startswith(root) for root in real_roots):
            return real
    return None


def content_type_of(path: bytes) -> str:
    """Return the type that browsers are told."""
    extension = os.path.splitext(os.fsdecode(path))[1].lower()  # noqa: PTH122  # bytes
    kind = TYPES.get(extension) or mimetypes.types_map.get(extension) or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
