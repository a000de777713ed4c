"""Browse: what there is, by kind, searched, sorted and filtered; all of it in the URL."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from connectors.base import KINDS, Kind
from daemon.services import Services
from daemon.store.browse import (
    SORTS,
    Page,
    Rated,
    Selection,
    Sort,
    count_kinds,
    find_cards,
    find_in_source,
    find_page,
    find_sources,
)
from daemon.store.models import PredictionState, Source, parse_public_id
from daemon.vectors.search import MAXIMUM_QUERY, Mode, SearchUnavailable
from web.htmx import is_htmx
from web.keys import SERVICES
from web.viewer import Viewer, find_viewer, show

routes = web.RouteTableDef()

PAGE, SHELF, FOUND, LOOKED_AT = 48, 12, 60, 500
MODES: tuple[Mode, ...] = ("meaning", "words", "name")


@dataclass(frozen=True)
class Question:
    """What the URL asks for."""

    kind: Kind | None
    text: str
    mode: Mode
    sort: Sort | None
    rated: Rated
    source: str
    after: int | None

    def url(self, **changed: str) -> str:
        """Return the address of this question with some of its parts changed."""
        parts = {
            "q": self.text, "mode": self.mode if self.mode != "meaning" else "",
            "sort": self.sort or "", "rated": self.rated, "source": self.source,
        } | changed  # fmt: skip
        kind = parts.pop("kind", self.kind or "")
        query = urlencode({name: value for name, value in parts.items() if value})
        return (f"/browse/{kind}" if kind else "/") + (f"?{query}" if query else "")


@dataclass(frozen=True)
class Shelf:
    """Items of one kind, or of all kinds where they were searched."""

    kind: Kind | None
    page: Page
    more: str = ""


@routes.get("/")
@routes.get("/browse/{kind}")
async def browse(request: web.Request) -> web.Response:
    """Show the items that the URL asks for: a page of one kind, or a shelf of each."""
    question, viewer = _read(request), await find_viewer(request)
    services = request.app[SERVICES]
    if question.sort == "predicted":
        await services.predictions.settle(viewer.profile.id, timeout=1.0)
    async with services.database.read() as session:
        counts = await count_kinds(session)
        sources = await find_sources(session)
        state = await session.get(PredictionState, viewer.profile.id)
    problem, shelves = "", []
    sort = question.sort or ("predicted" if state and state.trusted else "newest")
    try:
        shelves = await _fill(services, viewer, question, sort, counts, sources)
    except SearchUnavailable as error:
        problem = str(error)
    response = show(
        request, viewer, "browse.html", "_items.html", question=question, sort=sort,
        counts=counts, sources=sources, shelves=shelves, problem=problem,
        is_trusted=bool(state and state.trusted), has_predictions=state is not None,
        modes=MODES, sorts=SORTS,
    )  # fmt: skip
    if is_htmx(request) and question.after is None:
        response.headers["HX-Push-Url"] = question.url()
    return response


def _read(request: web.Request) -> Question:
    kind, query = request.match_info.get("kind"), request.query
    if kind is not None and kind not in KINDS:
        raise web.HTTPNotFound(text=f"There is no kind of media called {kind}.")
    choice = {
        "mode": (MODES, "meaning"), "sort": (SORTS, None), "rated": (("rated", "unrated"), ""),
    }  # fmt: skip
    read: dict[str, Any] = {
        name: query[name] if query.get(name) in known else default
        for name, (known, default) in choice.items()
    }
    return Question(
        kind=kind,
        text=query.get("q", "").strip()[:MAXIMUM_QUERY],
        source=query.get("source", ""),
        after=parse_public_id(query.get("after", "")),
        **read,
    )


async def _fill(
    services: Services,
    viewer: Viewer,
    question: Question,
    sort: Sort,
    counts: dict[Kind, int],
    sources: Sequence[Source],
) -> list[Shelf]:
    """Return the shelves. Raises SearchUnavailable."""
    source = next((s for s in sources if s.name == question.source), None)
    if question.text:
        return [await _search(services, viewer, question, source)]
    kinds = [question.kind] if question.kind else [kind for kind in KINDS if counts[kind]]
    shelves = []
    async with services.database.read() as session:
        for kind in kinds:
            if not question.kind and source and source.media not in (None, kind):
                continue
            selection = Selection(kind, sort, question.rated, source.id if source else None)
            page = await find_page(
                session, viewer.profile.id, selection, after=question.after,
                limit=PAGE if question.kind else SHELF,
            )  # fmt: skip
            more = question.url(kind=kind)
            if question.kind and page.after:
                more = question.url(after=format(page.after, "x"))
            shelves.append(Shelf(kind, page, more if page.after else ""))
    return shelves


async def _search(
    services: Services, viewer: Viewer, question: Question, source: Source | None
) -> Shelf:
    limit = LOOKED_AT if source or question.rated else FOUND  # a filter should leave something
    hits = await services.search.find(
        question.text, mode=question.mode, kind=question.kind, limit=limit
    )
    async with services.database.read() as session:
        found = [hit.item_id for hit in hits]
        if source:
            inside = await find_in_source(session, source.id, found)
            found = [item_id for item_id in found if item_id in inside]
        reasons = {hit.item_id: hit.why for hit in hits}
        cards = await find_cards(session, viewer.profile.id, found, reasons)
    if question.rated:
        wanted = question.rated == "rated"
        cards = [card for card in cards if (card.rating is not None) == wanted]
    return Shelf(question.kind, Page(cards[:FOUND]))
