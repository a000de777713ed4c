"""The JSON API of the smart playlists."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from aiohttp import web

from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.receipt import Receipt
from daemon.playlists.reconciler import (
    UnknownEdition,
    preview,
    reconcile,
    restore_edition,
)
from daemon.playlists.shelf import (
    PlaylistProblem,
    find_playlist,
    find_playlists,
    is_of_settings,
    keep_playlist,
    off_playlists,
    ready_playlists,
    remove_playlist,
    switch_off,
    switch_on,
    understand,
)
from daemon.store.editions import find_editions
from daemon.store.models import PlaylistWrite, public_id
from web.api_items import read_object
from web.keys import SERVICES

routes = web.RouteTableDef()


async def find_named(request: web.Request) -> PlaylistSettings:
    """Return the playlist that the path names. Raises 404."""
    name = request.match_info["name"]
    playlist = await find_playlist(request.app[SERVICES], name)
    if playlist is None:
        raise web.HTTPNotFound(text=f"There is no playlist {name}.")
    return playlist


@routes.get("/api/playlists")
async def playlists(request: web.Request) -> web.Response:
    """Answer every smart playlist with its editions."""
    services, rows = request.app[SERVICES], []
    wanted = await find_playlists(services)
    async with services.database.read() as session:
        for playlist in wanted:
            editions = await find_editions(session, playlist.name)
            rows.append(
                {
                    "name": playlist.name, "kind": playlist.kind, "order": playlist.order,
                    "where": playlist.where, "limit": playlist.limit,
                    "variety": playlist.variety.model_dump(),
                    "of_settings": is_of_settings(services, playlist.name),
                    "profile": playlist.profile or None, "write_to": list(playlist.write_to),
                    "editions": [_edition(edition) for edition in editions],
                }
            )  # fmt: skip
    off = [_rule(each) for each in await off_playlists(services)]
    ready = [_rule(each) for each in await ready_playlists(services)]
    return web.json_response({"playlists": rows, "off": off, "ready": ready})


@routes.post("/api/playlists")
async def keep(request: web.Request) -> web.Response:
    """Keep a smart playlist, in place of what had its name; options as in the settings."""
    try:
        playlist = understand(await read_object(request))
        await keep_playlist(request.app[SERVICES], playlist)
    except PlaylistProblem as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error
    return web.json_response(playlist.model_dump(mode="json"), status=201)


@routes.post("/api/playlists/{name}/on")
async def put_on(request: web.Request) -> web.Response:
    """Switch on a playlist that is off or ready-made; answer it."""
    name = request.match_info["name"]
    try:
        playlist = await switch_on(request.app[SERVICES], name)
    except PlaylistProblem as error:
        raise web.HTTPConflict(text=str(error)) from error
    if playlist is None:
        raise web.HTTPNotFound(text=f"There is no playlist {name} that is off.")
    return web.json_response(playlist.model_dump(mode="json"))


@routes.post("/api/playlists/{name}/off")
async def put_off(request: web.Request) -> web.Response:
    """Switch a playlist off that was made here; its rule is kept."""
    name = request.match_info["name"]
    try:
        if await switch_off(request.app[SERVICES], name):
            return web.Response(status=204)
    except PlaylistProblem as error:
        raise web.HTTPConflict(text=str(error)) from error
    raise web.HTTPNotFound(text=f"There is no playlist {name} that is on.")


@routes.delete("/api/playlists/{name}")
async def remove(request: web.Request) -> web.Response:
    """Delete the rule of a playlist that is off; what was written of it stays."""
    name = request.match_info["name"]
    try:
        if await remove_playlist(request.app[SERVICES], name):
            return web.Response(status=204)
    except PlaylistProblem as error:
        raise web.HTTPConflict(text=str(error)) from error
    raise web.HTTPNotFound(text=f"There is no playlist {name} that is off.")


@routes.post("/api/playlists/{name}/preview")
async def preview_playlist(request: web.Request) -> web.Response:
    """Answer the wanted list and what writing it would change."""
    playlist = await find_named(request)
    return _answer(await preview(request.app[SERVICES], playlist, today()))


@routes.post("/api/playlists/{name}/write")
async def write_playlist(request: web.Request) -> web.Response:
    """Write it now, also where it was deleted; answer what was read back."""
    playlist = await find_named(request)
    return _answer(await reconcile(request.app[SERVICES], playlist, today(), revive=True))


@routes.post("/api/playlists/{name}/restore")
async def restore_playlist(request: web.Request) -> web.Response:
    """Bring an edition back (`?edition=`); without one, the one before the present."""
    text = request.query.get("edition", "")
    if text and not text.isdecimal():
        raise web.HTTPUnprocessableEntity(text="edition is a number.")
    try:
        receipts = await restore_edition(
            request.app[SERVICES], await find_named(request), int(text) if text else None
        )
    except UnknownEdition as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return _answer(receipts)


def today() -> Any:
    """Return the day here, which a radio's draw hangs on."""
    return datetime.now().astimezone().date()


def _rule(playlist: PlaylistSettings) -> dict[str, Any]:
    return {
        "name": playlist.name, "kind": playlist.kind, "where": playlist.where,
        "order": playlist.order, "limit": playlist.limit, "about": playlist.about,
    }  # fmt: skip


def _answer(receipts: Sequence[Receipt]) -> web.Response:
    return web.json_response({"receipts": [_row(receipt) for receipt in receipts]})


def _row(receipt: Receipt) -> dict[str, Any]:
    read_back = receipt.read_back
    return {
        "playlist": receipt.playlist, "target": receipt.target, "state": receipt.state,
        "message": receipt.message, "added": receipt.added, "removed": receipt.removed,
        "moved": receipt.moved, "missing": list(receipt.missing),
        "read_back": None if read_back is None else [public_id(item) for item in read_back],
        "entries": [
            {"id": public_id(entry.item_id), "title": entry.title, "artist": entry.artist,
             "why": entry.why}
            for entry in receipt.entries
        ],
    }  # fmt: skip


def _edition(edition: PlaylistWrite) -> dict[str, Any]:
    return {
        "edition": edition.id, "target": edition.target, "at": edition.at.isoformat(),
        "length": len(edition.item_ids), "verified": edition.verified,
        "message": edition.message,
    }  # fmt: skip
