"""The page of one item: see or hear it, rate it, correct what is known of it."""

import asyncio
import os
from typing import Any

from aiohttp import web
from markdown_it import MarkdownIt
from sqlalchemy import func, select

from connectors.folder.sidecar_writer import NoteRefused, read_note, write_note
from daemon.identity.joins import UnknownJoin, undo_join
from daemon.jobs.queue import TAKE_IN, enqueue_files
from daemon.services import Services
from daemon.store.browse import Card, find_cards
from daemon.store.detail import Detail, Place, find_detail
from daemon.store.favourites import set_favourite
from daemon.store.journal import JournalError
from daemon.store.models import PredictionState, Rating, public_id
from daemon.store.ratings import BadRating, UnknownItem, check_rating, rate
from daemon.vectors.predictions import MINIMUM_RATINGS
from daemon.vectors.reasons import tell_reasons
from daemon.vectors.search import SearchUnavailable
from daemon.workers.worker import WorkerDied, WorkerFailed
from web.htmx import is_htmx
from web.keys import RUNNER, SERVICES
from web.lookup import find_item_id, read_form, row_number
from web.media import content_type_of, find_readable
from web.viewer import Viewer, find_viewer, show

routes = web.RouteTableDef()

SIMILAR = 12
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
FOR_BROWSERS = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/avif")
"""Pictures that browsers show as they are; of others they get the large thumbnail."""


@routes.get("/items/{id}")
async def item(request: web.Request) -> web.Response:
    """Show the item."""
    viewer = await find_viewer(request)
    return await _page(request, viewer, await _find(request, viewer))


@routes.get("/items/{id}/similar")
async def similar(request: web.Request) -> web.Response:
    """Show what is most like it: asked for by the page when it stands."""
    viewer = await find_viewer(request)
    detail = await _find(request, viewer)
    cards, problem = await _similar(request.app[SERVICES], viewer, detail)
    trusted = (await find_state(request, viewer))[0]
    return show(
        request, viewer, "similar.html", "_similar.html", detail=detail, cards=cards,
        problem=problem, is_trusted=trusted,
    )  # fmt: skip


@routes.get("/items/{id}/why")
async def why(request: web.Request) -> web.Response:
    """Show what moved the prediction: asked for by the page when it stands."""
    viewer, services = await find_viewer(request), request.app[SERVICES]
    detail = await _find(request, viewer)
    line, problem = "", ""
    try:
        reasons = await services.predictions.explain(viewer.profile.id, [detail.card.item_id])
        async with services.database.read() as session:
            (line,) = await tell_reasons(session, [detail.card.item_id], reasons)
    except (WorkerFailed, WorkerDied) as error:
        problem = f"It cannot be explained now: {error}"
    return show(
        request, viewer, "why.html", "_why.html", detail=detail, parts=line.split("; "),
        problem=problem,
    )  # fmt: skip


@routes.post("/items/{id}/rating")
async def rate_item(request: web.Request) -> web.Response:
    """Keep the form's rating, or take it back where the field is empty."""
    viewer = await find_viewer(request)
    async with request.app[SERVICES].database.read() as session:
        item_id = await find_item_id(request, session)
    await keep_rating(request, viewer, item_id, str((await read_form(request)).get("value", "")))
    if not is_htmx(request):
        raise web.HTTPSeeOther(f"/items/{public_id(item_id)}")
    await request.app[SERVICES].predictions.settle(viewer.profile.id, timeout=1.0)
    return await _page(request, viewer, await _find(request, viewer))


@routes.post("/items/{id}/favourite")
async def favour_item(request: web.Request) -> web.Response:
    """Make it a favourite, or, where it is one, not."""
    viewer = await find_viewer(request)
    services = request.app[SERVICES]
    async with services.database.read() as session:
        item_id = await find_item_id(request, session)
    is_favourite = bool((await read_form(request)).get("favourite"))
    await set_favourite(services.database, viewer.profile.id, item_id, is_favourite)
    raise web.HTTPSeeOther(f"/items/{public_id(item_id)}")


async def keep_rating(request: web.Request, viewer: Viewer, item_id: int, text: str) -> None:
    """Keep a rating on disk, or take it back. Raises the answer to what cannot be kept."""
    services = request.app[SERVICES]
    try:
        value = check_rating(text.replace(",", ".")) if text.strip() else None
        await rate(services.database, services.journal, viewer.profile.id, item_id, value)
    except BadRating as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error
    except UnknownItem as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except JournalError as error:
        text = f"The rating was not kept: {error.strerror}. Nothing was changed."
        raise web.HTTPServiceUnavailable(text=text) from error
    services.predictions.request(viewer.profile.id)


@routes.post("/items/{id}/note")
async def write(request: web.Request) -> web.Response:
    """Write the note beside the file, and have the folder looked at again."""
    viewer = await find_viewer(request)
    detail = await _find(request, viewer)
    form = await read_form(request)
    text = str(form.get("note", ""))
    place = await _readable(request, detail)
    if place is None:
        raise web.HTTPNotFound(text="Its file is not there now, so no note can lie beside it.")
    try:
        await asyncio.to_thread(write_note, place.absolute, text, str(form.get("before", "")))
    except NoteRefused as error:
        response = await _page(request, viewer, detail, draft=text, problem=str(error))
        response.set_status(422)
        return response
    under = {place.source: [os.path.dirname(place.path).hex()]}  # noqa: PTH120  # bytes
    await enqueue_files(request.app[SERVICES].database, TAKE_IN, under)
    request.app[RUNNER].wake()
    raise web.HTTPSeeOther(f"/items/{detail.card.id}?noted=1#note")


@routes.post("/items/{id}/joins/{join}/undo")
async def undo(request: web.Request) -> web.Response:
    """Make a joined file an item of its own again, and show that."""
    try:
        async with request.app[SERVICES].database.write(durable=True) as session:
            alone = await undo_join(session, row_number(request, "join"))
    except UnknownJoin as error:
        raise web.HTTPNotFound(text=str(error)) from error
    raise web.HTTPSeeOther(f"/items/{public_id(alone)}")


async def _find(request: web.Request, viewer: Viewer) -> Detail:
    async with request.app[SERVICES].database.read() as session:
        item_id = await find_item_id(request, session)
        detail = await find_detail(session, viewer.profile.id, item_id)
    if detail is None:
        raise web.HTTPNotFound(text="There is no such item.")
    return detail


async def _readable(request: web.Request, detail: Detail) -> Place | None:
    roots = [bytes(folder.path) for folder in request.app[SERVICES].settings.folders]
    places = {place.absolute: place for place in detail.places if place.root}
    for path, place in places.items():
        if await asyncio.to_thread(find_readable, [(place.root, place.path)], roots):
            return places[path]
    return None


async def find_state(request: web.Request, viewer: Viewer) -> tuple[bool, int]:
    """Return whether the predictions are trusted, and how many ratings they still need."""
    async with request.app[SERVICES].database.read() as session:
        state = await session.get(PredictionState, viewer.profile.id)
        given = await session.scalar(
            select(func.count()).where(Rating.profile_id == viewer.profile.id)
        )
    return bool(state and state.trusted), max(0, MINIMUM_RATINGS - (given or 0))


async def viewing(request: web.Request, viewer: Viewer, detail: Detail) -> dict[str, Any]:
    """Return what the templates need to show the item itself, and what is expected of it."""
    place = await _readable(request, detail)
    trusted, missing = await find_state(request, viewer)
    text, html = await _text(detail, place.path if place else b"")
    return {
        "detail": detail, "card": detail.card, "is_trusted": trusted, "missing": missing,
        "media_type": _media_type(detail, place),
        "for_browsers": FOR_BROWSERS, "text": text, "html": html, "place": place,
    }  # fmt: skip


def _media_type(detail: Detail, place: Place | None) -> str:
    """Return the type of its file, or of what a server has of it; "" where nothing is there."""
    shown = place or next((p for p in detail.places if not p.root), None)
    return content_type_of(shown.path) if shown else ""


async def _page(
    request: web.Request,
    viewer: Viewer,
    detail: Detail,
    *,
    draft: str | None = None,
    problem: str = "",
) -> web.Response:
    context = await viewing(request, viewer, detail)
    place: Place | None = context["place"]
    note, unreadable = "", "" if place else "Its file is not there now."
    if place:
        try:
            note = await asyncio.to_thread(read_note, place.absolute)
        except NoteRefused as error:
            unreadable = str(error)
    return show(
        request, viewer, "item.html", "_rating.html", action=f"/items/{detail.card.id}/rating",
        note=note, draft=note if draft is None else draft, problem=problem,
        unreadable=unreadable, is_noted="noted" in request.query, **context,
    )  # fmt: skip


async def _text(detail: Detail, path: bytes) -> tuple[str, str]:
    """Return the text of a text item as it is, or where it is Markdown as safe HTML."""
    text = dict(detail.descriptions).get("text", "") if detail.card.kind == "text" else ""
    if not path.lower().endswith((b".md", b".markdown")):
        return text, ""
    html = await asyncio.to_thread(MARKDOWN.render, text)  # a second, for the worst of 64 KiB
    return "", str(html)


async def _similar(services: Services, viewer: Viewer, detail: Detail) -> tuple[list[Card], str]:
    try:
        hits = await services.search.similar(
            detail.card.item_id, kind=detail.card.kind, limit=SIMILAR
        )
    except SearchUnavailable as error:
        return [], str(error)
    async with services.database.read() as session:
        ids = [hit.item_id for hit in hits]
        return await find_cards(session, viewer.profile.id, ids), ""
