"""Playlists. They belong to the account of the token, and nobody else sees them."""

import re

from aiohttp import web

from tests.stand_ins.plex import answers
from tests.stand_ins.plex.calls import LESS, RELOAD, Call, Failed, nothing, route
from tests.stand_ins.plex.records import PLAYLIST_TYPES, Entry, Item, Playlist

FIELDS = "title summary title.value title.locked summary.value summary.locked"


@route("GET", "/playlists", f"playlistType smart title sort sectionID type {LESS}")
async def list_playlists(call: Call) -> web.StreamResponse:
    found = call.server.playlists_of(call.user)
    kind, smart = call.text("playlistType"), call.text("smart")
    title = (call.text("title") or "").lower()
    if kind is not None:
        found = [playlist for playlist in found if playlist.type == kind]
    if smart is not None:
        found = [playlist for playlist in found if playlist.is_smart == (smart in ("1", "true"))]
    found = [playlist for playlist in found if title in playlist.title.lower()]
    return call.page(sorted(found, key=_title), answers.playlist)


@route("POST", "/playlists", "uri type title smart")
async def create_playlist(call: Call) -> web.StreamResponse:
    kind, title, uri = call.text("type"), call.text("title"), call.text("uri")
    if kind not in ("audio", "video", "photo") or not title or call.text("smart") == "1":
        raise Failed(400)
    if not uri and not call.server.quirks.blank_playlists:
        raise Failed(400, "uri")
    items = _wanted(call, uri, kind) if uri else []
    playlist = call.server.create_playlist(call.user, title, _kept(call, items), type=kind)
    return call.page([playlist], answers.playlist)


@route("GET", "/playlists/{id}", RELOAD)
async def show_playlist(call: Call) -> web.StreamResponse:
    return call.page([_playlist(call)], answers.playlist)


@route("PUT", "/playlists/{id}", FIELDS)
async def edit_playlist(call: Call) -> web.StreamResponse:
    playlist = _playlist(call)
    title = call.text("title") or call.text("title.value")
    summary = call.text("summary")
    summary = call.text("summary.value") if summary is None else summary
    if title:
        call.server.rename_playlist(playlist, title)
    if summary is not None:
        playlist.summary, playlist.updated_at = summary, call.server.now
    return nothing()


@route("DELETE", "/playlists/{id}")
async def delete_playlist(call: Call) -> web.StreamResponse:
    call.server.delete_playlist(_playlist(call))
    return web.Response(status=204)


@route("GET", "/playlists/{id}/items", f"type includeGuids {LESS}")
async def list_entries(call: Call) -> web.StreamResponse:
    playlist = _playlist(call)
    writer = call.writer(is_listing=True, guids=call.text("includeGuids") == "1")
    writer.names_section = True

    def write(entry: Entry) -> str:
        return writer.item(entry.item, playlistItemID=entry.id)

    entries = [entry for entry in playlist.entries if call.server.sees(call.user, entry.item)]
    attributes = {
        "ratingKey": playlist.rating_key,
        "title": playlist.title,
        "playlistType": playlist.type,
        "smart": playlist.is_smart,
        "leafCount": len(playlist.entries),
    }
    return call.page(entries, write, attributes)


@route("PUT", "/playlists/{id}/items", "uri")
async def append(call: Call) -> web.StreamResponse:
    playlist = _plain(call)
    uri = call.text("uri")
    if not uri:
        raise Failed(400, "uri")
    items = _wanted(call, uri, playlist.type)
    call.server.append(playlist, _kept(call, items))
    counts = {"leafCountAdded": len(items), "leafCountRequested": len(items)}
    return call.page([playlist], answers.playlist, counts)


@route("DELETE", "/playlists/{id}/items")
async def clear(call: Call) -> web.StreamResponse:
    playlist = _plain(call)
    call.server.empty_playlist(playlist)
    return call.page([playlist], answers.playlist)


@route("DELETE", "/playlists/{id}/items/{entry}")
async def remove_entry(call: Call) -> web.StreamResponse:
    playlist = _plain(call)
    place = playlist.entries.index(_entry(playlist, call.id("entry")))
    call.server.remove_entry(playlist, place)
    return call.page([playlist], answers.playlist)


@route("PUT", "/playlists/{id}/items/{entry}/move", "after")
async def move_entry(call: Call) -> web.StreamResponse:
    playlist = _plain(call)
    entry, number = _entry(playlist, call.id("entry")), call.number("after")
    after = _entry(playlist, number) if number else None
    call.server.move_entry(playlist, entry, after)
    return call.page([playlist], answers.playlist)


def _title(playlist: Playlist) -> str:
    return playlist.title.lower()


def _playlist(call: Call) -> Playlist:
    playlist = call.server.playlists.get(call.id("id"))
    if playlist is None or playlist.user is not call.user:
        raise Failed(404)
    return playlist


def _plain(call: Call) -> Playlist:
    playlist = _playlist(call)
    if playlist.is_smart:
        raise Failed(400, "smart")
    return playlist


def _entry(playlist: Playlist, number: int) -> Entry:
    found = next((entry for entry in playlist.entries if entry.id == number), None)
    if found is None:
        raise Failed(404)
    return found


def _wanted(call: Call, uri: str, kind: str) -> list[Item]:
    """Return what the address names: unknown keys are left out, albums give their tracks."""
    server = call.server
    root = f"server://{server.machine_identifier}/com.plexapp.plugins.library"
    found = re.fullmatch(rf"{root}/library/metadata/([0-9,]+)", uri)
    if found is None:
        raise Failed(400, uri)
    keys = [int(key) for key in found[1].split(",") if key]
    named = [server.items[key] for key in keys if key in server.items]
    items = [leaf for item in named if server.sees(call.user, item) for leaf in item.leaves()]
    if any(PLAYLIST_TYPES.get(item.type) != kind for item in items):
        raise Failed(400, f"a playlist of {kind} takes nothing else")
    return items


def _kept(call: Call, items: list[Item]) -> list[Item]:
    return items[::2] if call.server.quirks.drops_half_of_batch and len(items) > 1 else items
