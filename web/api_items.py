"""The JSON API of items: lists, search, ratings, plays."""

import json
import math
from datetime import UTC, datetime
from typing import Any, cast

from aiohttp import web

from connectors.base import KINDS, Kind
from daemon.identity.joins import UnknownJoin, undo_join
from daemon.store.answers import item_rows
from daemon.store.browse import SORTS, Rated, Selection, Sort, find_page
from daemon.store.favourites import set_favourite
from daemon.store.journal import JournalError
from daemon.store.models import now, parse_public_id, public_id
from daemon.store.plays import OUTCOMES, record_play
from daemon.store.ratings import BadRating, UnknownItem, check_rating, rate
from daemon.vectors.reasons import find_titles, tell_reasons
from daemon.vectors.search import Mode, SearchUnavailable
from daemon.workers.worker import WorkerDied, WorkerFailed
from web.keys import SERVICES
from web.lookup import choice, find_item_id, find_request_profile, number, row_number

routes = web.RouteTableDef()

MODES = ("meaning", "words", "name")


@routes.get("/api/items")
async def items(request: web.Request) -> web.Response:
    """Answer a page of a kind's items; `after` goes on where another page ended."""
    services = request.app[SERVICES]
    kind = cast(Kind, choice(request, "kind", KINDS, "music"))
    sort = cast(Sort, choice(request, "sort", SORTS, "newest"))
    rated = cast(Rated, choice(request, "filter", ("rated", "unrated")))
    limit = number(request, "limit", 50, least=1, most=200)
    after = parse_public_id(request.query["after"]) if "after" in request.query else None
    async with services.database.read() as session:
        profile = await find_request_profile(request, session)
    if sort == "predicted":
        await services.predictions.settle(profile.id)
    async with services.database.read() as session:
        page = await find_page(
            session, profile.id, Selection(kind, sort, rated), after=after, limit=limit
        )
        ids = [card.item_id for card in page.cards]
        rows = await item_rows(session, profile.id, ids)
    following = None if page.after is None else public_id(page.after)
    return web.json_response({"items": [rows[i] for i in ids], "after": following})


@routes.get("/api/items/{id}")
async def item(request: web.Request) -> web.Response:
    """Answer one item."""
    async with request.app[SERVICES].database.read() as session:
        item_id = await find_item_id(request, session)
        profile = await find_request_profile(request, session)
        rows = await item_rows(session, profile.id, [item_id])
    return web.json_response(rows[item_id])


@routes.put("/api/items/{id}/rating")
async def put_rating(request: web.Request) -> web.Response:
    """Keep a rating: {"value": 7.5}. It is on disk when this answers."""
    body = await read_object(request)
    try:
        value = check_rating(body.get("value"))
    except BadRating as error:
        raise web.HTTPUnprocessableEntity(text=str(error)) from error
    return await _rate(request, value)


@routes.delete("/api/items/{id}/rating")
async def delete_rating(request: web.Request) -> web.Response:
    """Take the rating back."""
    return await _rate(request, None)


async def _rate(request: web.Request, value: float | None) -> web.Response:
    services = request.app[SERVICES]
    async with services.database.read() as session:
        item_id = await find_item_id(request, session)
        profile = await find_request_profile(request, session)
    try:
        event = await rate(services.database, services.journal, profile.id, item_id, value)
    except UnknownItem as error:
        raise web.HTTPNotFound(text=str(error)) from error
    except JournalError as error:
        raise web.HTTPServiceUnavailable(text=f"{error.strerror}. Nothing was changed.") from error
    services.predictions.request(profile.id)
    return web.json_response({"id": public_id(item_id), "rating": value, "event": event})


@routes.put("/api/items/{id}/favourite")
async def put_favourite(request: web.Request) -> web.Response:
    """Make the item a favourite. It is on disk when this answers."""
    return await _favour(request, True)


@routes.delete("/api/items/{id}/favourite")
async def delete_favourite(request: web.Request) -> web.Response:
    """Make it no favourite any more."""
    return await _favour(request, False)


async def _favour(request: web.Request, is_favourite: bool) -> web.Response:
    services = request.app[SERVICES]
    async with services.database.read() as session:
        item_id = await find_item_id(request, session)
        profile = await find_request_profile(request, session)
    await set_favourite(services.database, profile.id, item_id, is_favourite)
    return web.json_response({"id": public_id(item_id), "favourite": is_favourite})


@routes.get("/api/items/{id}/why")
async def why(request: web.Request) -> web.Response:
    """Answer what the prediction is made of: points that add up to it."""
    services = request.app[SERVICES]
    async with services.database.read() as session:
        item_id = await find_item_id(request, session)
        profile = await find_request_profile(request, session)
    try:
        (reasons,) = await services.predictions.explain(profile.id, [item_id])
    except (WorkerFailed, WorkerDied) as error:
        raise web.HTTPServiceUnavailable(text=f"It cannot be explained now: {error}") from error
    async with services.database.read() as session:
        (line,) = await tell_reasons(session, [item_id], [reasons])
        titles = await find_titles(session, [reason.item_id for reason in reasons.moved])
    moved = [
        {"id": public_id(r.item_id), "title": titles.get(r.item_id, ""), "points": r.points,
         "value": r.value, "rated": r.is_rated}
        for r in reasons.moved
    ]  # fmt: skip
    return web.json_response(
        {"id": public_id(item_id), "mean": reasons.mean, "others": reasons.shift, "moved": moved,
         "rest": reasons.rest, "transformer": reasons.transformer, "why": line}
    )  # fmt: skip


@routes.get("/api/items/{id}/similar")
async def similar(request: web.Request) -> web.Response:
    """Answer the items most like this one."""
    services = request.app[SERVICES]
    limit = number(request, "limit", 20, least=1, most=200)
    kind = cast(Kind | None, choice(request, "kind", KINDS) or None)
    async with services.database.read() as session:
        item_id = await find_item_id(request, session)
    try:
        hits = await services.search.similar(item_id, kind=kind, limit=limit)
    except SearchUnavailable as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error
    return await _answer_hits(request, hits)


@routes.get("/api/search")
async def search(request: web.Request) -> web.Response:
    """Answer a search: `q`, and `mode` meaning, words or name."""
    mode = cast(Mode, choice(request, "mode", MODES, "meaning"))
    kind = cast(Kind | None, choice(request, "kind", KINDS) or None)
    limit = number(request, "limit", 20, least=1, most=200)
    try:
        hits = await request.app[SERVICES].search.find(
            request.query.get("q", ""), mode=mode, kind=kind, limit=limit
        )
    except SearchUnavailable as error:
        raise web.HTTPServiceUnavailable(text=str(error)) from error
    return await _answer_hits(request, hits)


async def _answer_hits(request: web.Request, hits: list[Any]) -> web.Response:
    async with request.app[SERVICES].database.read() as session:
        profile = await find_request_profile(request, session)
        rows = await item_rows(session, profile.id, [hit.item_id for hit in hits])
    found = [rows[hit.item_id] | {"score": hit.score, "why": hit.why} for hit in hits]
    return web.json_response({"items": found})


@routes.post("/api/plays")
async def post_play(request: web.Request) -> web.Response:
    """Keep a play; one with an `event` that is known is not kept twice."""
    services, body = request.app[SERVICES], await read_object(request)
    item_id, event = parse_public_id(str(body.get("item"))), body.get("event")
    outcome = body.get("outcome")
    if item_id is None or not isinstance(event, str) or not 8 <= len(event) <= 64:
        raise web.HTTPUnprocessableEntity(
            text="A play has an item, and an event of 8 to 64 letters."
        )
    if outcome not in OUTCOMES:
        raise web.HTTPUnprocessableEntity(text=f"outcome is one of {', '.join(OUTCOMES)}.")
    async with services.database.read() as session:
        profile = await find_request_profile(request, session)
        if item_id not in await item_rows(session, profile.id, [item_id]):
            raise web.HTTPNotFound(text="There is no such item.")
    is_new = await record_play(
        services.database, profile.id, item_id, source="web", event_key=event,
        played_at=_moment(body.get("played_at")), position=_seconds(body.get("position")),
        duration=_seconds(body.get("duration")), outcome=str(outcome),
    )  # fmt: skip
    return web.json_response({"new": is_new}, status=201 if is_new else 200)


@routes.post("/api/joins/{join}/undo")
async def post_undo_join(request: web.Request) -> web.Response:
    """Make a joined file an item of its own again."""
    try:
        async with request.app[SERVICES].database.write(durable=True) as session:
            alone = await undo_join(session, row_number(request, "join"))
    except UnknownJoin as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return web.json_response({"id": public_id(alone)})


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object of the body. Raises HTTPUnprocessableEntity."""
    try:
        body = json.loads(await request.text())
    except (ValueError, LookupError, RecursionError):  # no JSON, no charset, endless brackets
        body = None
    if not isinstance(body, dict):
        raise web.HTTPUnprocessableEntity(text="The body should be a JSON object.")
    return body


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value < 1e7 else None


def _moment(value: object) -> datetime:
    """Return when it was played; now where that is not said or lies in the future."""
    if not isinstance(value, str):
        return now()
    try:
        moment = datetime.fromisoformat(value)
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise web.HTTPUnprocessableEntity(
            text="played_at is a time such as 2026-01-31T20:15:00+00:00."
        ) from None
    return min(moment, now())
