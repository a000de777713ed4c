"""Playlists: what they are, what writing would change, what was written, and yesterday's back."""

from collections.abc import Sequence

from aiohttp import web

from daemon.playlists.receipt import Receipt
from daemon.playlists.reconciler import UnknownEdition, preview, reconcile, restore_edition
from daemon.store.editions import find_editions, find_targets
from daemon.store.models import public_id
from web.api_playlists import find_playlist, today
from web.keys import SERVICES
from web.lookup import read_form
from web.viewer import find_viewer, show

routes = web.RouteTableDef()


@routes.get("/playlists")
async def playlists(request: web.Request) -> web.Response:
    """Show all smart playlists with their last writes."""
    services = request.app[SERVICES]
    rows = []
    async with services.database.read() as session:
        for playlist in services.settings.playlists:
            editions = await find_editions(session, playlist.name)
            latest = {edition.target: edition for edition in reversed(editions)}
            rows.append((playlist, sorted(latest.values(), key=lambda e: e.target)))
    return show(
        request, await find_viewer(request), "playlists.html", "playlists.html", playlists=rows
    )


@routes.get("/playlists/{name}")
async def playlist(request: web.Request) -> web.Response:
    """Show one: the list as it would be now, the difference at each target, the editions."""
    wanted = find_playlist(request)
    receipts = await preview(request.app[SERVICES], wanted, today())
    return await _page(request, receipts, "preview")


@routes.post("/playlists/{name}/write")
async def write(request: web.Request) -> web.Response:
    """Write it now and show the receipts."""
    wanted = find_playlist(request)
    receipts = await reconcile(request.app[SERVICES], wanted, today(), revive=True)
    return await _page(request, receipts, "written")


@routes.post("/playlists/{name}/restore")
async def restore(request: web.Request) -> web.Response:
    """Bring an edition back and show the receipts."""
    text = str((await read_form(request)).get("edition", ""))
    try:
        edition = int(text) if text else None
        receipts = await restore_edition(request.app[SERVICES], find_playlist(request), edition)
    except ValueError:
        raise web.HTTPUnprocessableEntity(text="edition is a number.") from None
    except UnknownEdition as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return await _page(request, receipts, "restored")


async def _page(request: web.Request, receipts: Sequence[Receipt], did: str) -> web.Response:
    wanted = find_playlist(request)
    async with request.app[SERVICES].database.read() as session:
        editions = await find_editions(session, wanted.name)
        targets = await find_targets(session, wanted.name)
    entries = [(public_id(e.item_id), e) for e in receipts[0].entries] if receipts else []
    return show(
        request, await find_viewer(request), "playlist.html", "playlist.html", playlist=wanted,
        receipts=receipts, did=did, entries=entries, editions=editions, targets=targets,
    )  # fmt: skip
