"""Who the server is, its libraries and items, and their files."""

import io
from pathlib import Path
from urllib.parse import urlsplit

from aiohttp import web
from PIL import Image

from tests.stand_ins.plex import answers, queries
from tests.stand_ins.plex.calls import LESS, RELOAD, XML, Call, Failed, route
from tests.stand_ins.plex.records import TYPES_OF_SECTION, Item, Part, Section

DETAILS = f"""{RELOAD} asyncCheckFiles asyncRefreshLocalMediaAgent asyncRefreshAnalysis
checkFileAvailability asyncAugmentMetadata augmentCount"""


@route("GET", "/")
async def show_server(call: Call) -> web.StreamResponse:
    server = call.server
    attributes = {
        "size": 0, "friendlyName": server.name, "machineIdentifier": server.machine_identifier,
        "version": server.version, "platform": "Linux", "platformVersion": "6.1", "myPlex": True,
        "myPlexUsername": call.server.owner.name, "allowMediaDeletion": call.user.is_owner,
        "multiuser": True, "transcoderActiveVideoSessions": 0, "updatedAt": server.now,
    }  # fmt: skip
    return web.Response(text=answers.container([], attributes), content_type=XML)


@route("GET", "/identity", is_open=True)
async def show_identity(call: Call) -> web.StreamResponse:
    server = call.server
    attributes = {
        "size": 0, "claimed": True, "machineIdentifier": server.machine_identifier,
        "version": server.version,
    }  # fmt: skip
    return web.Response(text=answers.container([], attributes), content_type=XML)


@route("GET", "/library")
async def show_library(call: Call) -> web.StreamResponse:
    call.must_be_owner()
    return call.page([], str, {"title1": "Plex Library", "content": "plugins"})


@route("GET", "/library/sections")
async def list_sections(call: Call) -> web.StreamResponse:
    shared = call.user.sections
    sections = [s for s in call.server.sections.values() if shared is None or s.key in shared]
    return call.page(sections, answers.section, {"title1": "Plex Library"})


ALL = f"""type sort limit includeGuids includeMeta includeAdvanced includeCollections
includeExternalMedia {LESS}"""


@route("GET", "/library/sections/{section}/all", ALL, takes_filters=True)
async def list_items(call: Call) -> web.StreamResponse:
    section, server = _section(call), call.server
    default = TYPES_OF_SECTION[section.type][0]
    try:
        query = queries.parse(call.request.query.items(), default, server.now)
        states, revision = server.states[call.user.id], (call.user.id, call.user.state_revision)
        found = server.listings.find(section, query, states, revision)
    except queries.BadQuery as error:
        raise Failed(400, str(error)) from error
    writer = call.writer(is_listing=True, guids=call.text("includeGuids") == "1")
    server.pages_listed += 1
    return call.page(
        found,
        writer.item,
        {
            "librarySectionUUID": section.uuid,
            "title1": section.title,
            "viewGroup": query.type,
            **answers.section_attributes(section),
        },
        drift=server.pages_listed if server.quirks.total_drifts else 0,
        before=answers.meta(section) if call.text("includeMeta") == "1" else "",
    )


@route("GET", "/library/sections/{section}/collections", ALL, takes_filters=True)
async def list_collections(call: Call) -> web.StreamResponse:
    section = _section(call)
    return call.page([], str, answers.section_attributes(section))


@route("GET", "/library/metadata/{ids}", DETAILS)
async def show_items(call: Call) -> web.StreamResponse:
    """Answer with those that exist; an error only if there is none."""
    server = call.server
    keys = [int(key) for key in call.ids["ids"].split(",") if key.isdigit()]
    known = [server.items[key] for key in keys if key in server.items]
    items = [item for item in known if server.sees(call.user, item)]
    if not items:
        raise Failed(404)
    return call.page(items, call.writer(is_listing=False).item)


@route("GET", "/library/metadata/{id}/children", f"{LESS} includeGuids excludeAllLeaves")
async def list_children(call: Call) -> web.StreamResponse:
    item = call.item(call.ids["id"])
    return _below(call, item, item.children or [])


@route("GET", "/library/metadata/{id}/allLeaves", f"{LESS} includeGuids")
async def list_leaves(call: Call) -> web.StreamResponse:
    item = call.item(call.ids["id"])
    return _below(call, item, list(item.leaves()) if item.children is not None else [])


def _below(call: Call, item: Item, items: list[Item]) -> web.StreamResponse:
    write = call.writer(is_listing=True, guids=call.text("includeGuids") == "1").item
    above: dict[str, object] = {"key": item.rating_key, "parentTitle": item.title}
    return call.page(items, write, above | answers.section_attributes(item.section))


def _section(call: Call) -> Section:
    section = call.server.sections.get(call.id("section"))
    shared = call.user.sections
    if section is None or (shared is not None and section.key not in shared):
        raise Failed(404)
    return section


# Files


@route("GET", "/library/parts/{part}/{stamp}/{name}", "download", is_file=True)
async def serve_part(call: Call) -> web.StreamResponse:
    """Answer with a file; ranges work."""
    part = _part(call, call.id("part"))
    if part is None or part.content is None:
        raise Failed(404)
    if isinstance(part.content, Path):
        return web.FileResponse(part.content)
    return _bytes(call.request, part.content)


def _part(call: Call, number: int) -> Part | None:
    for item in call.server.items.values():
        for media in item.media:
            for part in media.parts:
                if part.id == number and call.server.sees(call.user, item):
                    return part
    return None


def _bytes(request: web.Request, content: bytes) -> web.StreamResponse:
    try:
        wanted = request.http_range
    except ValueError:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    start, end, _ = slice(wanted.start, wanted.stop).indices(len(content))
    headers = {"Accept-Ranges": "bytes"}
    if wanted.start is None and wanted.stop is None:
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)
    if start >= end:
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(content)}"
    kind = "application/octet-stream"
    return web.Response(status=206, body=content[start:end], content_type=kind, headers=headers)


@route("GET", "/library/metadata/{id}/{element}/{stamp}", is_file=True)
async def serve_image(call: Call) -> web.StreamResponse:
    return web.Response(
        body=_image(call, call.ids["id"], call.ids["element"]), content_type="image/jpeg"
    )


TRANSCODE = """url format width height quality background upscale minSize rotate blur saturation
opacity chromaSubsampling blendColor"""


@route("GET", "/photo/:/transcode", TRANSCODE, is_file=True)
async def scale_image(call: Call) -> web.StreamResponse:
    """Answer with one of the server's images as JPEG, within (minSize: over) width and height."""
    parts = urlsplit(call.text("url") or "").path.split("/")
    if len(parts) < 5 or parts[1:3] != ["library", "metadata"]:
        raise Failed(404)
    width, height = call.number("width"), call.number("height")
    if not width or not height:
        raise Failed(400, "width and height")
    target = io.BytesIO()
    try:
        image: Image.Image = Image.open(io.BytesIO(_image(call, parts[3], parts[4])))
        shares = width / image.width, height / image.height
        share = max(shares) if call.text("minSize") == "1" else min(shares)
        share = share if call.text("upscale") == "1" else min(share, 1)
        image = image.resize((round(image.width * share), round(image.height * share)))
        image.convert("RGB").save(target, "JPEG")
    except OSError as error:
        raise Failed(400, "no image") from error
    return web.Response(body=target.getvalue(), content_type="image/jpeg")


def _image(call: Call, key: str, element: str) -> bytes:
    item = call.item(key)
    image = {"thumb": item.thumb, "art": item.art}.get(element)
    if image is None:
        raise Failed(404)
    return image
