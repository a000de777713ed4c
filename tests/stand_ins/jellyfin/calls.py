"""Routes of the stand-in: which paths and query names it speaks, and who may use them."""

import functools
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.stand_ins.jellyfin.records import Token, User

if TYPE_CHECKING:
    from tests.stand_ins.jellyfin.server import FakeJellyfin


class Level(Enum):
    """Who may."""

    ANYBODY = 0
    USER = 1
    ADMIN = 2


@dataclass
class Call:
    """A request that was allowed."""

    server: "FakeJellyfin"
    request: web.Request
    ids: dict[str, str]
    """The variable parts of the path."""
    token: Token | None
    fields: dict[str, str]
    """Of the Authorization header."""
    body: Any

    def text(self, name: str) -> str | None:
        """Return a value of the query."""
        return self.request.query.get(name)

    def number(self, name: str) -> int | None:
        """Return a number of the query."""
        value = self.text(name)
        return None if value is None else int(value)

    def truth(self, name: str) -> bool | None:
        """Return a yes or no of the query."""
        value = self.text(name)
        return None if value is None else value.lower() == "true"

    def moment(self, name: str) -> datetime | None:
        """Return a moment of the query."""
        value = self.text(name)
        return None if value is None else datetime.fromisoformat(value)

    def many(self, name: str) -> list[str]:
        """Return the values of the query, repeated or with commas."""
        return [part for value in self.request.query.getall(name, []) for part in value.split(",")]

    @property
    def me(self) -> User | None:
        """Who asks; None: an API key, or nobody."""
        return self.token.user if self.token else None

    @property
    def is_key(self) -> bool:
        """Whether an API key asks."""
        return self.token is not None and self.token.user is None

    def user(self) -> User | None:
        """Return whom it is asked for: userId, or who asks. None: an API key for nobody."""
        named = self.ids.get("userId") or plain_id(self.text("userId") or "")
        if not named:
            return self.me
        if self.me is not None and self.me.id != named and not self.me.is_admin:
            raise web.HTTPForbidden
        if named not in self.server.users:
            raise web.HTTPNotFound
        return self.server.users[named]

    def person(self) -> User:
        """Return whom it is asked for; an API key must say."""
        user = self.user()
        if user is None:
            raise no_guid()
        return user


Handler = Callable[[Call], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One operation."""

    method: str
    template: str
    pattern: re.Pattern[str]
    names: frozenset[str]
    level: Level
    since: tuple[int, int]
    until: tuple[int, int]
    is_legacy: bool
    is_plugin: bool
    handler: Handler

    def speaks(self, version: tuple[int, ...]) -> bool:
        """Say whether a version has it."""
        return self.since <= version < self.until


ROUTES: list[Route] = []


def route(
    method: str,
    template: str,
    names: str = "",
    level: Level = Level.USER,
    *,
    since: tuple[int, int] = (0, 0),
    until: tuple[int, int] = (99, 0),
    is_legacy: bool = False,
    is_plugin: bool = False,
) -> Callable[[Handler], Handler]:
    """Let a handler answer a path. `names`: of the query, all others are refused."""
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)

    def keep(handler: Handler) -> Handler:
        known = frozenset(names.split())
        ROUTES.append(
            Route(
                method, template, re.compile(pattern, re.IGNORECASE), known, level,
                since, until, is_legacy, is_plugin, handler,
            )
        )  # fmt: skip
        return handler

    return keep


@functools.cache
def _sorted_routes() -> list[Route]:
    return sorted(ROUTES, key=lambda known: known.template.count("{"))


def find(method: str, path: str) -> Iterator[tuple[Route, dict[str, str]]]:
    """Yield the operations that fit, the most particular first."""
    for known in _sorted_routes():
        found = known.pattern.fullmatch(path) if known.method == method else None
        if found:
            yield known, {k: plain_id(v) for k, v in found.groupdict().items()}


_PATTERNS = {
    r"[0-9a-fA-F-]{32,36}": "userId parentId ids excludeItemIds albumIds",
    r"-?\d+": "startIndex limit imageTypeLimit position quality fillWidth fillHeight "
    "maxWidth maxHeight",
    r"(?i)true|false": "recursive isFavorite isPlayed enableUserData enableImages likes "
    "enableTotalRecordCount hasUserId static",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)": "minDateLastSavedForUser "
    "minDateLastSaved minDate datePlayed",
    r"[A-Za-z0-9]+": "fields filters includeItemTypes excludeItemTypes sortBy sortOrder mediaTypes",
}
_KINDS = {name: pattern for pattern, names in _PATTERNS.items() for name in names.split()}


def refuse(route: Route, request: web.Request, ids: dict[str, str]) -> str:
    """Return what the stand-in's own list has against a request; "" if nothing."""
    name = f"{route.method} {route.template}"
    unknown = sorted(set(request.query) - route.names)
    if unknown:
        return f"{name}: the stand-in knows no parameters {', '.join(unknown)}"
    for key, value in request.query.items():
        if key in _KINDS and not re.fullmatch(_KINDS[key], value):
            return f"{name}: {key}={value!r}"
    for key, value in ids.items():
        if key in ("userId", "playlistId", "itemId") and not re.fullmatch(_KINDS["ids"], value):
            return f"{name}: {key} {value!r} is no id"
    return ""


_BODY_NAMES = {name.lower(): name for name in ("Username", "Pw", "Secret", "Name", "Ids")}


def recase(body: bytes) -> bytes:
    """Write the names in a body as they are described: servers do not mind their case.

    The client library signs in with "username".
    """
    try:
        found = json.loads(body)
    except ValueError:
        return body
    if not isinstance(found, dict) or not any(_BODY_NAMES.get(k.lower(), k) != k for k in found):
        return body
    return json.dumps({_BODY_NAMES.get(k.lower(), k): v for k, v in found.items()}).encode()


def plain_id(value: str) -> str:
    """Write an id as the server does: no dashes, lower case."""
    is_id = re.fullmatch(
        r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|[0-9a-fA-F]{32}", value
    )
    return value.replace("-", "").lower() if is_id else value


def no_guid() -> web.HTTPException:
    """What the server says to an API key where it needs a user."""
    return web.HTTPBadRequest(text="Guid can't be empty (Parameter 'id')")


def missing() -> web.HTTPException:
    """404 in JSON."""
    return web.HTTPNotFound(
        text='{"type":"https://tools.ietf.org/html/rfc9110#section-15.5.5",'
        '"title":"Not Found","status":404}',
        content_type="application/json",
    )
