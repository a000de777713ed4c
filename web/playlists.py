"""Playlists: what they are, what writing would change, what was written, and yesterday's back."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web
from multidict import MultiDictProxy

from connectors.base import KINDS
from daemon.playlists.problems import Abstained
from daemon.playlists.receipt import Receipt, count_entries
from daemon.playlists.reconciler import UnknownEdition, preview, reconcile, restore_edition
from daemon.playlists.renaming import rename_playlist
from daemon.playlists.selection import Entry, choose
from daemon.playlists.shelf import (
    PlaylistProblem,
    find_kept,
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
from daemon.rules.fields import FIELDS
from daemon.store.editions import find_editions, find_targets
from daemon.store.models import public_id
from daemon.store.profiles import UnknownProfile
from web.api_playlists import find_named, today
from web.keys import SERVICES
from web.lookup import read_form
from web.viewer import find_viewer, show

routes = web.RouteTableDef()

EMPTY: dict[str, Any] = {
    "name": "", "kind": "music", "where": "", "order": "predicted", "limit": "60 tracks",
    "about": "", "refresh": "", "untrusted": False, "write_to": [], "variety": {},
}  # fmt: skip
VARIETY = {
    "per_artist": "at most so many by one artist",
    "per_album": "at most so many of one album or series",
    "per_genre": "at most so many of one genre",
    "distance": "neighbours at least so far apart (0 to 1)",
    "fresh": "so much of it new since the last editions (30%)",
    "unsure": "surprises: predictions higher by so many deviations (0 to 2)",
    "temperature": "how much chance a radio has (1; less for what is likely, more for all alike)",
}


@routes.get("/playlists")
async def playlists(request: web.Request) -> web.Response:
    """Show all smart playlists with their last writes."""
    services = request.app[SERVICES]
    rows = []
    wanted = await find_playlists(services)
    async with services.database.read() as session:
        for playlist in wanted:
            editions = await find_editions(session, playlist.name)
            latest = {edition.target: edition for edition in reversed(editions)}
            rows.append((playlist, sorted(latest.values(), key=lambda e: e.target)))
    return show(
        request, await find_viewer(request), "playlists.html", "playlists.html", playlists=rows,
        count_entries=count_entries, off=await off_playlists(services),
        ready=await ready_playlists(services),
        of_settings={playlist.name for playlist in services.settings.playlists},
    )  # fmt: skip


@routes.post("/playlists/{name}/on")
async def put_on(request: web.Request) -> web.Response:
    """Switch on a playlist that is off or ready-made."""
    name = request.match_info["name"]
    try:
        if await switch_on(request.app[SERVICES], name):
            raise web.HTTPSeeOther("/playlists")
    except PlaylistProblem as problem:
        raise web.HTTPConflict(text=str(problem)) from problem
    raise web.HTTPNotFound(text=f"There is no playlist {name} that is off.")


@routes.post("/playlists/{name}/off")
async def put_off(request: web.Request) -> web.Response:
    """Switch a playlist off that was made here; its rule is kept."""
    try:
        await switch_off(request.app[SERVICES], request.match_info["name"])
    except PlaylistProblem as problem:
        raise web.HTTPConflict(text=str(problem)) from problem
    raise web.HTTPSeeOther("/playlists")


@routes.post("/playlists/{name}/remove")
async def remove(request: web.Request) -> web.Response:
    """Delete the rule of a playlist that is off."""
    try:
        await remove_playlist(request.app[SERVICES], request.match_info["name"])
    except PlaylistProblem as problem:
        raise web.HTTPConflict(text=str(problem)) from problem
    raise web.HTTPSeeOther("/playlists")


@routes.get("/playlist-editor")
async def edit(request: web.Request) -> web.Response:
    """Show the form: empty, or filled with a playlist that is there."""
    name = request.query.get("name", "")
    found = await find_kept(request.app[SERVICES], name) if name else None
    if name and found is None:
        raise web.HTTPNotFound(text=f"There is no playlist {name}.")
    values = found.model_dump(mode="json") if found else EMPTY
    return await _editor(request, values, was=name)


@routes.post("/playlist-editor")
async def try_or_keep(request: web.Request) -> web.Response:
    """Show what the rule in the form would choose, or keep it; a wrong rule is told."""
    services, form = request.app[SERVICES], await read_form(request)
    viewer, was = await find_viewer(request), str(form.get("was", ""))
    before = await find_kept(services, was) if was else None
    values = _values(form)
    if before:  # the form knows not all options
        values = before.model_dump(include={"profile", "unrated", "public"}) | values
    elif len(viewer.profiles) > 1:
        values.setdefault("profile", viewer.profile.name)
    try:
        playlist = understand(values)
        if "keep" in form:
            if playlist.name != was and await find_kept(services, playlist.name):
                raise PlaylistProblem(f"There is a playlist {playlist.name}: take another name.")
            if before and playlist.name != was and not is_of_settings(services, was):
                await rename_playlist(services, before, playlist)
            else:
                await keep_playlist(services, playlist)
            raise web.HTTPSeeOther(f"/playlists/{quote(playlist.name, safe='')}")
        entries = await choose(services, playlist, today())
    except (PlaylistProblem, Abstained, UnknownProfile) as problem:
        return await _editor(request, values, was=was, problem=str(problem))
    return await _editor(request, values, was=was, entries=entries)


def _values(form: MultiDictProxy[Any]) -> dict[str, Any]:
    """Return the options that a form gives; what is left empty keeps its default."""
    values: dict[str, Any] = {
        name: str(form[name]).strip() for name in ("name", "kind", "where", "order", "limit",
                                                   "about", "refresh", "profile") if form.get(name)
    }  # fmt: skip
    values["untrusted"] = "untrusted" in form
    values["write_to"] = [str(name) for name in form.getall("write_to", [])]
    values["variety"] = {
        name: str(form[f"variety.{name}"]).strip()
        for name in VARIETY if form.get(f"variety.{name}")
    }  # fmt: skip
    return values


async def _editor(
    request: web.Request, values: dict[str, Any], *, was: str, problem: str = "",
    entries: Sequence[Entry] | None = None,
) -> web.Response:  # fmt: skip
    services = request.app[SERVICES]
    rows = None if entries is None else [(public_id(e.item_id), e) for e in entries]
    response = show(
        request, await find_viewer(request), "playlist_editor.html", "playlist_editor.html",
        values=EMPTY | values, was=was, problem=problem, entries=rows, kinds=KINDS,
        fields=FIELDS.values(),
        servers=[server.name for server in services.settings.servers], variety=VARIETY,
    )  # fmt: skip
    if problem:
        response.set_status(422)
    return response


@routes.get("/playlists/{name}")
async def playlist(request: web.Request) -> web.Response:
    """Show one: the list as it would be now, the difference at each target, the editions."""
    wanted = await find_named(request)
    receipts = await preview(request.app[SERVICES], wanted, today())
    return await _page(request, receipts, "preview")


@routes.get("/playlists/{name}/write")
@routes.get("/playlists/{name}/restore")
async def come_back(request: web.Request) -> web.Response:
    """Lead from the address that receipts stand at to the playlist: it was opened anew."""
    raise web.HTTPSeeOther(f"/playlists/{quote(request.match_info['name'], safe='')}")


@routes.post("/playlists/{name}/write")
async def write(request: web.Request) -> web.Response:
    """Write it now and show the receipts."""
    wanted = await find_named(request)
    receipts = await reconcile(request.app[SERVICES], wanted, today(), revive=True)
    return await _page(request, receipts, "written")


@routes.post("/playlists/{name}/restore")
async def restore(request: web.Request) -> web.Response:
    """Bring an edition back and show the receipts."""
    text = str((await read_form(request)).get("edition", ""))
    try:
        edition = int(text) if text else None
        receipts = await restore_edition(request.app[SERVICES], await find_named(request), edition)
    except ValueError:
        raise web.HTTPUnprocessableEntity(text="edition is a number.") from None
    except UnknownEdition as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return await _page(request, receipts, "restored")


async def _page(request: web.Request, receipts: Sequence[Receipt], did: str) -> web.Response:
    wanted = await find_named(request)
    async with request.app[SERVICES].database.read() as session:
        editions = await find_editions(session, wanted.name)
        targets = await find_targets(session, wanted.name)
    entries = [(public_id(e.item_id), e) for e in receipts[0].entries] if receipts else []
    return show(
        request, await find_viewer(request), "playlist.html", "playlist.html", playlist=wanted,
        is_of_settings=is_of_settings(request.app[SERVICES], wanted.name), receipts=receipts,
        did=did, entries=entries, editions=editions, targets=targets,
    )  # fmt: skip
