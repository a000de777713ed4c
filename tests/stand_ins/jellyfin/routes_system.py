"""Who the server is, signing in, users, views, the activity log, the reporting plugin."""

import sqlite3
from typing import Any

from aiohttp import web

from tests.stand_ins.jellyfin.calls import Call, Level, missing, route
from tests.stand_ins.jellyfin.people import QuickConnect
from tests.stand_ins.jellyfin.records import User, stamp

REPORTS = "/user_usage_stats"


@route("GET", "/System/Info/Public", level=Level.ANYBODY)
async def public_info(call: Call) -> web.Response:
    return web.json_response(_info(call))


@route("GET", "/System/Info")
async def info(call: Call) -> web.Response:
    more = {"HasPendingRestart": False, "IsShuttingDown": False, "SupportsLibraryMonitor": True}
    return web.json_response(_info(call) | more | {"WebSocketPortNumber": 8096})


def _info(call: Call) -> dict[str, Any]:
    server = call.server
    return {
        "LocalAddress": server.url, "ServerName": server.name, "Version": server.version,
        "ProductName": "Jellyfin Server", "OperatingSystem": "", "Id": server.server_id,
        "StartupWizardCompleted": True,
    }  # fmt: skip


@route("GET", "/System/Ping", level=Level.ANYBODY)
async def ping(call: Call) -> web.Response:
    return web.json_response("Jellyfin Server")


@route("POST", "/Users/AuthenticateByName", level=Level.ANYBODY)
async def authenticate_by_name(call: Call) -> web.Response:
    server = call.server
    if server.quirks.login_fails_with_500:
        raise web.HTTPInternalServerError(text="Error processing request.")
    if not call.fields.get("DeviceId"):
        raise web.HTTPBadRequest(text="Error processing request.")
    name, password = call.body.get("Username"), call.body.get("Pw") or ""
    for user in server.users.values():
        if user.name.casefold() == str(name).casefold() and user.password == password:
            return _signed_in(call, user)
    raise web.HTTPUnauthorized(text="Error processing request.")


@route("POST", "/Users/AuthenticateWithQuickConnect", level=Level.ANYBODY)
async def authenticate_with_quick_connect(call: Call) -> web.Response:
    waiting = call.server.quick_connects.get(call.body.get("Secret"))
    if waiting is None:
        raise web.HTTPBadRequest(text="Error processing request.")
    if waiting.user is None:
        raise web.HTTPUnauthorized(text="Error processing request.")
    del call.server.quick_connects[waiting.secret]
    return _signed_in(call, waiting.user)


def _signed_in(call: Call, user: User) -> web.Response:
    if user.is_disabled:
        raise web.HTTPForbidden(text="Error processing request.")
    server = call.server
    token = server.let_in(user, call.fields)
    answer = {"User": server.user_json(user), "AccessToken": token.value}
    return web.json_response(answer | {"ServerId": server.server_id})


@route("GET", "/QuickConnect/Enabled", level=Level.ANYBODY)
async def quick_connect_enabled(call: Call) -> web.Response:
    return web.json_response(call.server.quirks.quick_connect)


@route("GET", "/QuickConnect/Initiate", level=Level.ANYBODY, until=(10, 9))
@route("POST", "/QuickConnect/Initiate", level=Level.ANYBODY, since=(10, 9))
async def quick_connect_initiate(call: Call) -> web.Response:
    if not call.server.quirks.quick_connect:
        raise web.HTTPUnauthorized(text="Quick connect is disabled")
    return web.json_response(_quick_connect(call.server.begin_quick_connect(call.fields)))


@route("GET", "/QuickConnect/Connect", "secret", Level.ANYBODY)
async def quick_connect_state(call: Call) -> web.Response:
    waiting = call.server.quick_connects.get(call.text("secret") or "")
    if waiting is None:
        raise missing()
    return web.json_response(_quick_connect(waiting))


@route("POST", "/QuickConnect/Authorize", "code userId")
async def quick_connect_authorize(call: Call) -> web.Response:
    waiting = [q for q in call.server.quick_connects.values() if q.code == call.text("code")]
    if not waiting:
        raise missing()
    waiting[0].user = call.person()
    return web.json_response(True)


def _quick_connect(waiting: QuickConnect) -> dict[str, Any]:
    fields = waiting.fields
    return {
        "Authenticated": waiting.user is not None, "Secret": waiting.secret, "Code": waiting.code,
        "DeviceId": fields.get("DeviceId", ""), "DeviceName": fields.get("Device", ""),
        "AppName": fields.get("Client", ""), "AppVersion": fields.get("Version", ""),
        "DateAdded": stamp(waiting.created),
    }  # fmt: skip


@route("POST", "/Sessions/Logout")
async def logout(call: Call) -> web.Response:
    assert call.token is not None
    call.server.tokens.pop(call.token.value, None)
    return web.Response(status=204)


@route("GET", "/Users/Me")
async def me(call: Call) -> web.Response:
    if call.me is None:
        raise web.HTTPBadRequest
    return web.json_response(call.server.user_json(call.me))


@route("GET", "/Users", "isHidden isDisabled")
async def users(call: Call) -> web.Response:
    people = call.server.users.values()
    disabled = call.truth("isDisabled")
    chosen = [user for user in people if disabled is None or user.is_disabled is disabled]
    return web.json_response([call.server.user_json(user) for user in chosen])


@route("GET", "/Users/{userId}")
async def user(call: Call) -> web.Response:
    if call.ids["userId"] not in call.server.users:
        raise missing()
    return web.json_response(call.server.user_json(call.server.users[call.ids["userId"]]))


@route("GET", "/UserViews", "userId includeExternalContent includeHidden", since=(10, 9))
@route("GET", "/Users/{userId}/Views", "includeExternalContent includeHidden", is_legacy=True)
async def views(call: Call) -> web.Response:
    server, user = call.server, call.person()
    libraries = [
        library
        for library in server.libraries.values()
        if user.libraries is None or library.id in user.libraries
    ]
    found = [server.library_json(library, user=user) for library in libraries]
    if any(server.is_visible(playlist, user) for playlist in server.playlists.values()):
        found.append(server.library_json(server.playlists_view))
    return web.json_response(result(found, len(found)))


@route("GET", "/Library/MediaFolders", "isHidden", Level.ADMIN)
async def media_folders(call: Call) -> web.Response:
    found = [call.server.library_json(library) for library in call.server.libraries.values()]
    return web.json_response(result(found, len(found)))


@route("GET", "/Library/VirtualFolders", level=Level.ADMIN)
async def virtual_folders(call: Call) -> web.Response:
    folders = []
    for library in call.server.libraries.values():
        folder = {
            "Name": library.name, "Locations": list(library.paths), "ItemId": library.id,
            "RefreshStatus": "Idle",
        }  # fmt: skip
        if library.collection_type:
            kind = library.collection_type
            old = {"tvshows": "TvShows", "homevideos": "HomeVideos", "musicvideos": "MusicVideos"}
            is_old = call.server.number < (10, 9)
            folder["CollectionType"] = old.get(kind, kind.title()) if is_old else kind
        folders.append(folder)
    return web.json_response(folders)


@route("GET", "/System/ActivityLog/Entries", "startIndex limit minDate hasUserId", Level.ADMIN)
async def activity_log(call: Call) -> web.Response:
    since = call.moment("minDate")
    entries = [e for e in reversed(call.server.log) if since is None or e.date >= since]
    start, limit = call.number("startIndex") or 0, call.number("limit")
    page = entries[start : None if limit is None else start + limit]
    written = [
        {
            "Id": entry.id, "Name": entry.name, "Type": entry.type, "Date": stamp(entry.date),
            "UserId": entry.user_id, "Severity": "Information",
        } | ({"ItemId": entry.item_id} if entry.item_id else {})
        for entry in page
    ]  # fmt: skip
    return web.json_response(result(written, len(entries), start))


@route("GET", "/Sessions", "controllableByUserId deviceId activeWithinSeconds")
async def sessions(call: Call) -> web.Response:
    admin = call.is_key or (call.me is not None and call.me.is_admin)
    playing = [p for p in call.server.playing.values() if admin or p.user is call.me]
    return web.json_response([call.server.session_json(p) for p in playing])


@route("GET", f"{REPORTS}/type_filter_list", level=Level.ADMIN, is_plugin=True)
async def report_types(call: Call) -> web.Response:
    return web.json_response(["Audio", "Episode", "Movie"])


@route("POST", f"{REPORTS}/submit_custom_query", "stamp", Level.ADMIN, is_plugin=True)
async def report_query(call: Call) -> web.Response:
    try:
        found = call.server.reports.execute(call.body["CustomQueryString"])
    except sqlite3.Error as error:
        answer = {"colums": [], "results": [], "message": f"Error Running Query : {error}"}
        return web.json_response(answer)
    rows = [["" if value is None else str(value) for value in row] for row in found]
    names = [column[0] for column in found.description or ()]
    if call.body.get("ReplaceUserId") and "UserId" in names:
        place = names.index("UserId")
        for row in rows:
            row[place] = call.server.users[row[place]].name
    return web.json_response({"colums": names, "results": rows, "message": ""})  # sic


def result(found: list[Any], total: int, start: int = 0) -> dict[str, Any]:
    """Write a page of a listing."""
    return {"Items": found, "TotalRecordCount": total, "StartIndex": start}
