"""Rate one thing after the other.

What was rated and skipped since the page was opened is the trail in the URL, so that undo works
without a session, and in each window by itself.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import date
from typing import Any, cast
from urllib.parse import quote

from aiohttp import web

from connectors.base import KINDS, Kind
from daemon.store.answers import item_rows
from daemon.store.browse import count_kinds
from daemon.store.detail import find_detail
from daemon.store.models import Rating, parse_public_id, public_id
from daemon.store.rate_queue import count_unrated, find_next
from daemon.vectors.rate_next import AIMS, Aim, Question
from daemon.workers.worker import WorkerDied, WorkerFailed
from web.item import find_state, keep_rating, viewing
from web.keys import SERVICES
from web.lookup import choice, find_request_profile, number, read_form
from web.viewer import Viewer, find_viewer, show

routes = web.RouteTableDef()
log = logging.getLogger(__name__)

PATIENCE = 3.0
"""Seconds that the page waits for the vectors before it does without."""

_asking: set[asyncio.Task[list[Question]]] = set()

LONGEST_TRAIL = 60
EXPLORE_EVERY = 3
"""Every so many items the next one comes by chance alone, so that nothing stays unseen."""


@dataclass(frozen=True)
class Visit:
    """One thing that was shown: skipped, or rated, with the rating that it had before."""

    item_id: int
    rated: bool
    former: float | None = None

    def __str__(self) -> str:
        former = "" if self.former is None else f"~{self.former}"
        return ("r" if self.rated else "s") + public_id(self.item_id) + former


Trail = list[Visit]


def read_trail(text: str) -> Trail:
    """Undo `write_trail`; what is not understood is left out."""
    trail = []
    for part in text.split(",")[-LONGEST_TRAIL:]:
        name, _, former = part[1:].partition("~")
        item_id = parse_public_id(name)
        if item_id is None or part[:1] not in "rs":
            continue
        trail.append(Visit(item_id, part[0] == "r", _former(former)))
    return trail


def _former(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 10 else None


def write_trail(trail: Trail) -> str:
    """Return the trail as it stands in the URL."""
    return ",".join(str(visit) for visit in trail[-LONGEST_TRAIL:])


@routes.get("/rate")
async def choose(request: web.Request) -> web.Response:
    """Let the person choose a kind, with what is left of each."""
    viewer = await find_viewer(request)
    async with request.app[SERVICES].database.read() as session:
        counts = await count_kinds(session)
        left = {kind: await count_unrated(session, viewer.profile.id, kind) for kind in KINDS}
    missing = (await find_state(request, viewer))[1]
    return show(
        request, viewer, "rate_kinds.html", "rate_kinds.html", counts=counts, left=left,
        missing=missing,
    )  # fmt: skip


@routes.get("/rate/{kind}")
async def show_next(request: web.Request) -> web.Response:
    """Show the item of the URL, or else the next one."""
    viewer, kind = await find_viewer(request), _kind(request)
    trail, aim = read_trail(request.query.get("trail", "")), _aim(request.query.get("by", ""))
    item_id = parse_public_id(request.query.get("item", ""))
    why = ""
    if item_id is None:
        item_id, why = await _choose_next(request, viewer, kind, trail, aim)
    async with request.app[SERVICES].database.read() as session:
        detail = await find_detail(session, viewer.profile.id, item_id) if item_id else None
        left = await count_unrated(session, viewer.profile.id, kind)
    context: dict[str, Any] = {
        "kind": kind, "left": left, "trail": write_trail(trail), "why": why, "aim": aim,
        "aims": {each: _address(kind, trail, each) for each in AIMS},
    }  # fmt: skip
    if detail is None:
        response = show(request, viewer, "rate.html", "_rate.html", card=None, **context)
    else:
        skipped = [*trail, Visit(detail.card.item_id, False)]
        context |= await viewing(request, viewer, detail)
        response = show(
            request, viewer, "rate.html", "_rate.html", skip=_address(kind, skipped, aim),
            action=f"/rate/{kind}", **context,
        )  # fmt: skip
    response.headers["HX-Push-Url"] = request.path_qs
    return response


async def _choose_next(
    request: web.Request, viewer: Viewer, kind: Kind, trail: Trail, aim: Aim
) -> tuple[int | None, str]:
    """Return what to rate next, and why; what is drawn by chance, now and then, has no reason."""
    services = request.app[SERVICES]
    seen = [visit.item_id for visit in trail]
    seed = date.today().toordinal() * 8191 + viewer.profile.id
    explores = len(trail) % EXPLORE_EVERY == EXPLORE_EVERY - 1
    if not explores:
        task = asyncio.create_task(
            services.rate_next.suggest(
                viewer.profile.id, kind, count=1, left_out=seen, seed=seed, aim=aim
            )
        )
        _asking.add(task)
        task.add_done_callback(_forget)
        # Left to its end when it takes too long: a call that is cancelled ends its process.
        done, _ = await asyncio.wait([task], timeout=PATIENCE)
        try:
            if done and (asked := task.result()):
                return asked[0].item_id, asked[0].why
        except (WorkerFailed, WorkerDied) as error:
            log.warning("What to rate next is chosen without the vectors: %s", error)
    async with services.database.read() as session:
        found = await find_next(
            session, viewer.profile.id, kind, left_out=seen, seed=seed, uncertain=not explores
        )
    return found, ""


def _forget(task: asyncio.Task[list[Question]]) -> None:
    _asking.discard(task)
    if not task.cancelled() and (error := task.exception()):
        log.debug("What to rate next could not be told: %s", error)


@routes.get("/api/rate-next")
async def suggest(request: web.Request) -> web.Response:
    """Answer what would teach most if it were rated."""
    services = request.app[SERVICES]
    kind = cast(Kind, choice(request, "kind", KINDS, "music"))
    limit = number(request, "limit", 20, least=1, most=100)
    aim = cast(Aim, choice(request, "by", AIMS, "both"))
    async with services.database.read() as session:
        profile = await find_request_profile(request, session)
    try:
        asked = await services.rate_next.suggest(
            profile.id, kind, count=limit, left_out=(), seed=date.today().toordinal(), aim=aim
        )
    except (WorkerFailed, WorkerDied) as error:
        raise web.HTTPServiceUnavailable(text=f"It cannot be answered now: {error}") from error
    async with services.database.read() as session:
        rows = await item_rows(session, profile.id, [question.item_id for question in asked])
    return web.json_response(
        {"items": [rows[question.item_id] | {"why": question.why} for question in asked]}
    )


@routes.post("/rate/{kind}")
async def keep(request: web.Request) -> web.Response:
    """Keep the rating on disk, then go on to the next item."""
    viewer, kind, form = await find_viewer(request), _kind(request), await read_form(request)
    item_id, value = parse_public_id(str(form.get("item", ""))), str(form.get("value", ""))
    if item_id is None or not value.strip():
        raise web.HTTPUnprocessableEntity(text="A rating is a number from 0 to 10.")
    former = await _rating(request, viewer, item_id)
    await keep_rating(request, viewer, item_id, value)
    trail = [*read_trail(str(form.get("trail", ""))), Visit(item_id, True, former)]
    raise web.HTTPSeeOther(_address(kind, trail, _aim(str(form.get("by", "")))))


@routes.post("/rate/{kind}/undo")
async def undo(request: web.Request) -> web.Response:
    """Go back to the last thing, and give it the rating back that it had, or none."""
    viewer, kind, form = await find_viewer(request), _kind(request), await read_form(request)
    trail, aim = read_trail(str(form.get("trail", ""))), _aim(str(form.get("by", "")))
    if not trail:
        raise web.HTTPSeeOther(_address(kind, trail, aim))
    last = trail.pop()
    if last.rated:
        former = "" if last.former is None else str(last.former)
        await keep_rating(request, viewer, last.item_id, former)
    raise web.HTTPSeeOther(_address(kind, trail, aim, last.item_id))


def _address(kind: Kind, trail: Trail, aim: Aim, item_id: int | None = None) -> str:
    """Return where an item is shown, or else the next one."""
    item = f"item={public_id(item_id)}&" if item_id else ""
    asked = "" if aim == "both" else f"&by={aim}"
    return f"/rate/{kind}?{item}trail={quote(write_trail(trail), safe=',~')}{asked}"


def _aim(text: str) -> Aim:
    return text if text in AIMS else "both"


def _kind(request: web.Request) -> Kind:
    kind = request.match_info["kind"]
    if kind not in KINDS:
        raise web.HTTPNotFound(text=f"There is no kind of media called {kind}.")
    return kind


async def _rating(request: web.Request, viewer: Viewer, item_id: int) -> float | None:
    async with request.app[SERVICES].database.read() as session:
        rating = await session.get(Rating, (viewer.profile.id, item_id))
    return rating.value if rating else None
