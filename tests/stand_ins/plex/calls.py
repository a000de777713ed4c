"""Routes of the stand-in: which paths and query names it speaks."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from tests.stand_ins.plex import answers, queries
from tests.stand_ins.plex.records import Item, User

if TYPE_CHECKING:
    from tests.stand_ins.plex.server import FakePlex

T = TypeVar("T")

XML = "application/xml"

PLEX_HEADER = re.compile(r"X-Plex-[A-Za-z-]+")
"""Every header of Plex may stand in the query instead."""

LESS = "excludeElements excludeFields includeElements includeFields skipRefresh"
"""Names with which clients ask for smaller answers."""

RELOAD = f"""{LESS} includeGuids checkFiles includeAllConcerts includeBandwidths includeChapters
includeChildren includeConcerts includeExternalMedia includeExtras includeGeolocation
includeLoudnessRamps includeMarkers includeOnDeck includePopularLeaves includePreferences
includeRelated includeRelatedCount includeReviews includeStations"""
"""What plexapi asks for when it reloads anything."""


def failure(status: int, why: str = "") -> web.Response:
    """Return an error as the server words it."""
    name = web.Response(status=status).reason
    body = f"<html><head><title>{name}</title></head><body><h1>{status} {name}</h1>{why}</body>"
    return web.Response(status=status, text=body + "</html>", content_type="text/html")


class Failed(Exception):
    """Ends a call with an error."""

    def __init__(self, status: int, why: str = "") -> None:
        super().__init__(why)
        self.answer = failure(status, why)


@dataclass
class Call:
    """A request that was allowed."""

    server: "FakePlex"
    request: web.Request
    ids: dict[str, str]
    """The variable parts of the path."""
    user: User

    def text(self, name: str) -> str | None:
        """Return a value of the query."""
        return self.request.query.get(name)

    def number(self, name: str) -> int | None:
        """Return a number of the query."""
        value = self.text(name)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError as error:
            raise Failed(400, f"{name} is {value}") from error

    def id(self, name: str) -> int:
        """Return a number of the path; what is none (such as None) exists nowhere."""
        if not self.ids[name].isdigit():
            raise Failed(404)
        return int(self.ids[name])

    def must_be_owner(self) -> None:
        """End the call for shared users."""
        if not self.user.is_owner and not self.server.quirks.shared_users_may_see_library:
            raise Failed(403)

    def item(self, key: str | None) -> Item:
        """Return an item that the user sees."""
        item = self.server.items.get(int(key)) if key and key.isdigit() else None
        if item is None or not self.server.sees(self.user, item):
            raise Failed(404)
        return item

    def writer(self, *, is_listing: bool, guids: bool = True) -> answers.Writer:
        """Return what writes items for this call."""
        without = ",".join(self.text(n) or "" for n in ("excludeElements", "excludeFields"))
        return answers.Writer(
            self.server.states[self.user.id],
            tags=self.server.quirks.tags_in_listings if is_listing else None,
            guids=guids,
            names_section=not is_listing,
            without=set(without.split(",")),
        )

    def page(
        self,
        entries: Sequence[T],
        write: Callable[[T], str],
        attributes: Mapping[str, object] | None = None,
        *,
        drift: int = 0,
        before: str = "",
    ) -> web.Response:
        """Answer with those entries that the container's start and size ask for."""
        attributes = attributes or {}
        start, size = (self._container(name) for name in ("Start", "Size"))
        total = len(entries) + drift
        first = start or 0
        shown = entries[first:] if size is None else entries[first : first + size]
        if start is not None or size is not None:
            attributes = {"offset": first, "totalSize": total, **attributes}
        attributes = {"size": len(shown), "identifier": "com.plexapp.plugins.library", **attributes}
        text = answers.container([before, *map(write, shown)], attributes)
        answer = web.Response(text=text, content_type=XML)
        answer.headers["X-Plex-Container-Start"] = str(first)
        answer.headers["X-Plex-Container-Total-Size"] = str(total)
        return answer

    def _container(self, name: str) -> int | None:
        name = f"X-Plex-Container-{name}"
        value = self.request.query.get(name) or self.request.headers.get(name)
        if value is None:
            return None
        if not value.isdigit():
            raise Failed(400, f"{name} is {value}")
        return int(value)


def nothing() -> web.Response:
    """Return an empty success."""
    return web.Response(status=200, text="", content_type=XML)


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    template: str
    pattern: re.Pattern[str]
    names: frozenset[str]
    takes_filters: bool
    is_open: bool
    """Whether it is answered without a token."""
    is_file: bool
    """Whether it is asked for by players and pages, which send no headers."""
    handler: Handler

    def refuse(self, names: set[str]) -> str:
        """Return which names of the query it does not know; "": it knows all."""
        unknown = sorted(name for name in names if not self._knows(name))
        listed = ", ".join(unknown)
        return f"{self.method} {self.template} has no parameters {listed}" if unknown else ""

    def _knows(self, name: str) -> bool:
        if name in self.names or PLEX_HEADER.fullmatch(name):
            return True
        return self.takes_filters and queries.NAME.fullmatch(name) is not None


ROUTES: list[Route] = []


def route(
    method: str,
    template: str,
    names: str = "",
    *,
    takes_filters: bool = False,
    is_open: bool = False,
    is_file: bool = False,
) -> Callable[[Handler], Handler]:
    """Let a handler answer a path. `names`: of the query, all others are refused."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    def keep(handler: Handler) -> Handler:
        known = frozenset(names.split())
        ROUTES.append(
            Route(method, template, pattern, known, takes_filters, is_open, is_file, handler)
        )
        return handler

    return keep


def find(method: str, path: str) -> tuple[Route | None, dict[str, str], bool]:
    """Return the route, the variable parts of the path, and whether the path has any route."""
    path = path.rstrip("/") or "/"
    has_path = False
    for entry in ROUTES:
        found = entry.pattern.fullmatch(path)
        if found is not None:
            has_path = True
            if entry.method == method:
                return entry, found.groupdict(), True
    return None, {}, has_path
