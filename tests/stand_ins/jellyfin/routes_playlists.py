"""Playlists, with the rights and the traps of each version."""

from typing import Any

from aiohttp import web

from tests.stand_ins.jellyfin.calls import Call, missing, no_guid, plain_id, route
from tests.stand_ins.jellyfin.records import MEDIA_TYPES, Playlist, User, now
from tests.stand_ins.jellyfin.routes_system import result


def _visible(call: Call, user: User | None) -> Playlist:
    playlist = call.server.playlists.get(call.ids["playlistId"])
    if playlist is None or not call.server.is_visible(playlist, user):
        raise missing()
    return playlist


def _mine(call: Call) -> tuple[Playlist, User]:
    """Return the playlist to change: an API key has no user, which the server falls over."""
    if call.me is None:
        raise no_guid()
    playlist = _visible(call, call.me)
    if not call.server.may_edit(playlist, call.me):
        raise web.HTTPForbidden
    return playlist, call.me


@route("POST", "/Playlists")
async def create(call: Call) -> web.Response:
    server = call.server
    body: dict[str, Any] = call.body or {}
    named = plain_id(body.get("UserId") or "")
    if named and call.me is not None and named != call.me.id and not call.me.is_admin:
        raise web.HTTPForbidden
    owner = server.users.get(named) if named else call.me
    if owner is None or not body.get("Name"):
        raise no_guid()
    ids = [plain_id(item_id) for item_id in body.get("Ids") or ()]
    media = body.get("MediaType")
    if media in (None, "Unknown"):
        unknown = [item_id for item_id in ids if item_id not in server.items]
        if unknown:
            raise web.HTTPBadRequest(text="No item exists with the supplied Id")
        kinds = [MEDIA_TYPES.get(leaf.type) for i in ids for leaf in server.leaves(i)]
        media = next((kind for kind in kinds if kind), "Audio")
    is_public = body.get("IsPublic", True)  # the trap: public unless said otherwise
    playlist_id = server.make_playlist(
        owner.id, body["Name"], media_type=media, is_public=is_public, shares=_shares(body)
    )
    server.append(server.playlists[playlist_id], ids, owner)
    return web.json_response({"Id": playlist_id})


@route("GET", "/Playlists/{playlistId}", since=(10, 10))
async def show(call: Call) -> web.Response:
    if call.me is None:
        raise no_guid()
    playlist = _visible(call, call.me)
    found = [item.id for _, item in call.server.resolve(playlist)]
    answer = {"OpenAccess": playlist.is_public, "Shares": _shown(playlist), "ItemIds": found}
    return web.json_response(answer)


@route("POST", "/Playlists/{playlistId}", since=(10, 9))
async def replace(call: Call) -> web.Response:
    playlist, user = _mine(call)
    body: dict[str, Any] = call.body
    if body.get("Ids") is not None:
        call.server.replace(playlist, [plain_id(item_id) for item_id in body["Ids"]], user)
    if body.get("Name") is not None:
        playlist.name = body["Name"]
    if body.get("IsPublic") is not None:
        playlist.is_public = body["IsPublic"]
    if body.get("Users") is not None:
        playlist.shares = _shares(body)
    playlist.saved = now()
    return web.Response(status=204)


def _shares(body: dict[str, Any]) -> dict[str, bool]:
    users = body.get("Users") or ()
    return {plain_id(user["UserId"]): bool(user.get("CanEdit")) for user in users}


def _shown(playlist: Playlist) -> list[dict[str, Any]]:
    return [{"UserId": user, "CanEdit": edit} for user, edit in playlist.shares.items()]


PAGE = "userId startIndex limit fields enableImages enableUserData imageTypeLimit"


@route("GET", "/Playlists/{playlistId}/Items", PAGE)
async def entries(call: Call) -> web.Response:
    server, user = call.server, call.person()
    found = server.resolve(_visible(call, user), user)
    start, limit = call.number("startIndex") or 0, call.number("limit")
    page = found[start : None if limit is None else start + limit]
    options: dict[str, Any] = {
        "fields": set(call.many("fields")),
        "images": call.truth("enableImages") is not False,
        "user_data": call.truth("enableUserData") is not False,
    }
    written = [server.entry_json(entry, item, user, **options) for entry, item in page]
    return web.json_response(result(written, len(found), start))


@route("POST", "/Playlists/{playlistId}/Items", "ids userId position")
async def append(call: Call) -> web.Response:
    user = call.person()
    playlist = _visible(call, user)
    if not call.server.may_edit(playlist, user):
        raise web.HTTPForbidden
    ids = [plain_id(item_id) for item_id in call.many("ids")]
    call.server.append(playlist, ids, user, call.number("position"))
    return web.Response(status=204)


@route("DELETE", "/Playlists/{playlistId}/Items", "entryIds")
async def remove(call: Call) -> web.Response:
    if call.is_key and call.server.quirks.key_removes_entries:
        playlist = _visible(call, None)
    else:
        playlist, _ = _mine(call)
    call.server.remove_entries(playlist, call.many("entryIds"))
    return web.Response(status=204)


@route("POST", "/Playlists/{playlistId}/Items/{itemId}/Move/{newIndex}")
async def move(call: Call) -> web.Response:
    playlist, _ = _mine(call)
    if not call.server.move_entry(playlist, call.ids["itemId"], int(call.ids["newIndex"])):
        raise web.HTTPBadRequest(text="Error processing request.")
    return web.Response(status=204)


# Who sees it


def _owned(call: Call) -> Playlist:
    playlist, user = _mine(call)
    if playlist.owner_id != user.id:
        raise web.HTTPForbidden
    return playlist


@route("GET", "/Playlists/{playlistId}/Users", since=(10, 9))
async def shares(call: Call) -> web.Response:
    return web.json_response(_shown(_owned(call)))


@route("GET", "/Playlists/{playlistId}/Users/{userId}", since=(10, 9))
async def share(call: Call) -> web.Response:
    playlist, user = _mine(call)
    named = call.ids["userId"]
    if named == playlist.owner_id:
        return web.json_response({"UserId": named, "CanEdit": True})
    if named not in playlist.shares or user.id not in (playlist.owner_id, named):
        raise missing()
    return web.json_response({"UserId": named, "CanEdit": playlist.shares[named]})


@route("POST", "/Playlists/{playlistId}/Users/{userId}", since=(10, 9))
async def set_share(call: Call) -> web.Response:
    _owned(call).shares[call.ids["userId"]] = bool((call.body or {}).get("CanEdit"))
    return web.Response(status=204)


@route("DELETE", "/Playlists/{playlistId}/Users/{userId}", since=(10, 9))
async def end_share(call: Call) -> web.Response:
    if _owned(call).shares.pop(call.ids["userId"], None) is None:
        raise missing()
    return web.Response(status=204)
