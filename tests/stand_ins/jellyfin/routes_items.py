"""Items, what users did with them, and their media."""

import asyncio
import base64
from datetime import datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.stand_ins.jellyfin import listing
from tests.stand_ins.jellyfin.answers import image_tag
from tests.stand_ins.jellyfin.calls import Call, Level, missing, route
from tests.stand_ins.jellyfin.records import Item, Playlist, User, now
from tests.stand_ins.jellyfin.routes_system import result

QUERY = (
    "userId parentId recursive includeItemTypes excludeItemTypes ids excludeItemIds startIndex "
    "limit sortBy sortOrder fields filters isFavorite isPlayed minDateLastSaved "
    "minDateLastSavedForUser enableTotalRecordCount enableUserData enableImages searchTerm "
    "mediaTypes albumIds imageTypeLimit enableImageTypes collapseBoxSetItems"
)


@route("GET", "/Items", QUERY)
@route("GET", "/Users/{userId}/Items", QUERY, is_legacy=True)
async def items(call: Call) -> web.Response:
    server, user = call.server, call.user()
    things = listing.find(call, user)
    start, limit = call.number("startIndex") or 0, call.number("limit")
    page = things[start : None if limit is None else start + limit]
    total = len(things) if call.truth("enableTotalRecordCount") is not False else len(page)
    if server.quirks.total_shifts:
        server.listings += 1
        total += server.listings % 3 - 1
    fields = set(call.many("fields"))
    written = [listing.write(call, thing, user, fields) for thing in page]
    return web.json_response(result(written, total, start))


@route("GET", "/Items/{itemId}", "userId", since=(10, 9))
@route("GET", "/Users/{userId}/Items/{itemId}", is_legacy=True)
async def item(call: Call) -> web.Response:
    user = call.user()
    thing = listing.lookup(call, user, call.ids["itemId"])
    if thing is None:
        raise missing()
    return web.json_response(listing.write(call, thing, user, None))


@route("POST", "/Items/{itemId}", level=Level.ADMIN)
async def update_item(call: Call) -> web.Response:
    """The whole object is written: what the body lacks is cleared, as the server does."""
    server, item_id = call.server, call.ids["itemId"]
    body: dict[str, Any] = call.body
    if item_id in server.playlists:
        playlist = server.playlists[item_id]
        playlist.name = body.get("Name") or playlist.name
        playlist.overview, playlist.tags = body.get("Overview"), tuple(body.get("Tags") or ())
        playlist.saved = now()
    elif item_id in server.items:
        names = ("Overview", "Tags", "Genres", "ProviderIds", "CommunityRating", "CriticRating")
        values = {name: body.get(name) for name in names}
        server.change_item(item_id, name=body.get("Name"), **values)
    else:
        raise missing()
    return web.Response(status=204)


@route("DELETE", "/Items/{itemId}")
async def delete_item(call: Call) -> web.Response:
    server, item_id, me = call.server, call.ids["itemId"], call.me
    thing = listing.lookup(call, me, item_id)
    if thing is None:
        raise missing()
    owner = thing.owner_id if isinstance(thing, Playlist) else None
    if me is not None and not me.is_admin and me.id != owner:
        raise web.HTTPUnauthorized(text="Unauthorized access")  # not 403, not a dead token
    if isinstance(thing, Playlist):
        server.delete_playlist(item_id)
    else:
        server.remove_item(item_id)
    return web.Response(status=204)


# User data


def _known(call: Call, user: User | None) -> Item:
    thing = listing.lookup(call, user, call.ids["itemId"])
    if not isinstance(thing, Item):
        raise missing()
    return thing


@route("GET", "/UserItems/{itemId}/UserData", "userId", since=(10, 9))
async def user_data(call: Call) -> web.Response:
    user = call.person()
    item = _known(call, user)
    return web.json_response(call.server.data_json(item, call.server.peek(user, item)))


@route("POST", "/UserItems/{itemId}/UserData", "userId", since=(10, 9))
async def update_user_data(call: Call) -> web.Response:
    names = {
        "Rating": "rating", "PlaybackPositionTicks": "position", "PlayCount": "plays",
        "IsFavorite": "favourite", "Played": "played",
    }  # fmt: skip
    body: dict[str, Any] = call.body
    values = {ours: body[name] for name, ours in names.items() if body.get(name) is not None}
    if body.get("LastPlayedDate") is not None:
        values["last_played"] = datetime.fromisoformat(body["LastPlayedDate"])
    if body.get("Likes") is not None:
        values["rating"] = 10.0 if body["Likes"] else 1.0
    return _change(call, **values)


@route("POST", "/UserItems/{itemId}/Rating", "userId likes", since=(10, 9))
@route("POST", "/Users/{userId}/Items/{itemId}/Rating", "likes", is_legacy=True)
async def like(call: Call) -> web.Response:
    likes = call.truth("likes")
    return _change(call, rating=None if likes is None else 10.0 if likes else 1.0)


@route("DELETE", "/UserItems/{itemId}/Rating", "userId", since=(10, 9))
@route("DELETE", "/Users/{userId}/Items/{itemId}/Rating", is_legacy=True)
async def unrate(call: Call) -> web.Response:
    return _change(call, rating=None)


@route("POST", "/UserFavoriteItems/{itemId}", "userId", since=(10, 9))
@route("POST", "/Users/{userId}/FavoriteItems/{itemId}", is_legacy=True)
async def favourite(call: Call) -> web.Response:
    return _change(call, favourite=True)


@route("DELETE", "/UserFavoriteItems/{itemId}", "userId", since=(10, 9))
@route("DELETE", "/Users/{userId}/FavoriteItems/{itemId}", is_legacy=True)
async def unfavourite(call: Call) -> web.Response:
    return _change(call, favourite=False)


@route("POST", "/UserPlayedItems/{itemId}", "userId datePlayed", since=(10, 9))
@route("POST", "/Users/{userId}/PlayedItems/{itemId}", "datePlayed", is_legacy=True)
async def mark_played(call: Call) -> web.Response:
    user = call.person()
    data = call.server.peek(user, _known(call, user))
    date = call.moment("datePlayed")
    plays = data.plays + 1 if date else max(data.plays, 1)
    last = date or data.last_played or now()
    return _change(call, plays=plays, last_played=last, played=True, position=0)


@route("DELETE", "/UserPlayedItems/{itemId}", "userId", since=(10, 9))
@route("DELETE", "/Users/{userId}/PlayedItems/{itemId}", is_legacy=True)
async def mark_unplayed(call: Call) -> web.Response:
    return _change(call, plays=0, last_played=None, played=False, position=0)


def _change(call: Call, **values: Any) -> web.Response:
    user = call.person()
    item = _known(call, user)
    data = call.server.change_data(user, item, **values)
    return web.json_response(call.server.data_json(item, data))


# Media; pictures and streams are given to anybody, as the server does

STREAM = "static mediaSourceId container deviceId"


@route("GET", "/Audio/{itemId}/stream", STREAM, Level.ANYBODY)
@route("HEAD", "/Audio/{itemId}/stream", STREAM, Level.ANYBODY)
@route("GET", "/Videos/{itemId}/stream", STREAM, Level.ANYBODY)
@route("HEAD", "/Videos/{itemId}/stream", STREAM, Level.ANYBODY)
@route("GET", "/Items/{itemId}/Download")
@route("GET", "/Items/{itemId}/File")
async def stream(call: Call) -> web.StreamResponse:
    item = call.server.items.get(call.ids["itemId"])
    if item is None:
        raise missing()
    path = Path(item.path)
    if item.content is None and await asyncio.to_thread(path.is_file):
        return web.FileResponse(path)
    content = item.content if item.content is not None else item.name.encode() * 100
    kind = "video/mp4" if "Video" in call.request.path else "audio/mpeg"
    return _ranged(call.request, content, kind)


def _ranged(request: web.Request, content: bytes, kind: str) -> web.Response:
    part = request.http_range
    if part.start is None and part.stop is None:
        headers = {"Accept-Ranges": "bytes"}
        return web.Response(body=content, content_type=kind, headers=headers)
    start, stop, _ = part.indices(len(content))
    if start >= len(content):
        return web.Response(status=416, headers={"Content-Range": f"bytes */{len(content)}"})
    shown = f"bytes {start}-{stop - 1}/{len(content)}"
    headers = {"Accept-Ranges": "bytes", "Content-Range": shown}
    return web.Response(status=206, body=content[start:stop], content_type=kind, headers=headers)


PICTURE = "fillWidth fillHeight maxWidth maxHeight width height quality tag format"


@route("GET", "/Items/{itemId}/Images/{imageType}", PICTURE, Level.ANYBODY)
async def picture(call: Call) -> web.Response:
    item_id, server = call.ids["itemId"], call.server
    thing = server.items.get(item_id) or server.playlists.get(item_id)
    if thing is None or thing.image is None or call.ids["imageType"] != "Primary":
        raise missing()
    tag = f'"{image_tag(thing.image)}"'
    if call.request.headers.get("If-None-Match") == tag:
        return web.Response(status=304, headers={"ETag": tag})
    kind = "image/png" if thing.image.startswith(b"\x89PNG") else "image/jpeg"
    return web.Response(body=thing.image, content_type=kind, headers={"ETag": tag})


@route("POST", "/Items/{itemId}/Images/{imageType}", level=Level.ADMIN)
async def set_picture(call: Call) -> web.Response:
    """The body is base64, whatever its content type says."""
    item_id, server = call.ids["itemId"], call.server
    thing = server.items.get(item_id) or server.playlists.get(item_id)
    if thing is None:
        raise missing()
    thing.image = base64.b64decode(await call.request.read(), validate=True)
    return web.Response(status=204)


@route("GET", "/Audio/{itemId}/Lyrics", since=(10, 9))
async def lyrics(call: Call) -> web.Response:
    item = _known(call, call.me)
    if item.lyrics is None:
        raise missing()
    lines = [{"Text": line} for line in item.lyrics]
    return web.json_response({"Metadata": {}, "Lyrics": lines})
