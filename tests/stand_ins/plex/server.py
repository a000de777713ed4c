"""The stand-in as a server: guards every request and finds its handler."""

import asyncio
import contextlib
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.stand_ins.faults import Faults, Handler
from tests.stand_ins.plex import (
    calls,
    description,
    queries,
    routes_library,
    routes_playlists,
    routes_plays,
)
from tests.stand_ins.plex.calls import Call, Failed, Route
from tests.stand_ins.plex.live import Live
from tests.stand_ins.plex.plex_tv import PlexTv
from tests.stand_ins.plex.quirks import Quirks

HANDLERS = (routes_library, routes_plays, routes_playlists)
"""Importing them fills calls.ROUTES."""

SOCKET = "/:/websockets/notifications"
"""The description spells it without the s; plexapi and the servers' own pages so."""


class FakePlex(Live):
    """A Plex Media Server on loopback that keeps state and speaks its protocol in XML.

        async with FakePlex() as plex:
            music = plex.add_section("Music", "artist", "/music")
            ... plex.url, plex.owner.token ...

    `switches` are fields of Quirks. What the stand-in does not know, or the description does not
    allow, is refused and noted in `violations`, which leaving the context raises, unless
    `expect_violations`. `checks` False: nothing is held against the description (for benchmarks).
    """

    def __init__(
        self,
        name: str = "Stand-in",
        *,
        expect_violations: bool = False,
        checks: bool = True,
        port: int = 0,
        **switches: Any,
    ) -> None:
        super().__init__(name)
        self.quirks = Quirks(**switches)
        self.faults = Faults()
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        """Method, path and query of every request."""
        self.violations: list[str] = []
        self.expect_violations = expect_violations
        self.before: Callable[[web.Request], None] | None = None
        """Called before each request is handled: to change things between two pages."""
        self.pages_listed = 0
        self.port = port
        self.plex_tv = PlexTv(self)
        self.listings = queries.Listings()
        self.description = description.load() if checks else None
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it answers; no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str, path: str = "") -> int:
        """Return how many requests of a method came, to paths that begin so."""
        return sum(m == method and p.startswith(path) for m, p, _ in self.requests)

    def forget_listings(self) -> None:
        """Let go of the orders of listings."""
        self.listings.forget()

    # Starting and stopping

    async def __aenter__(self) -> Self:
        await self.plex_tv.start_serving()
        await self.start_serving()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.stop_serving()
        await self.plex_tv.stop_serving()
        if kind is None:
            self.raise_violations()

    async def start_serving(self) -> None:
        """Listen; on the same port again after `stop_serving`."""
        self.loop = asyncio.get_running_loop()
        middlewares: list[Any] = [self._note_request, self.faults.middleware]
        app = web.Application(middlewares=middlewares)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # The server's own limit is looked after in _serve.
        self._runner = web.AppRunner(
            app, max_line_size=2**20, access_log=None, shutdown_timeout=0.1
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop_serving(self) -> None:
        """Refuse connections from now on."""
        self._abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self.loop = None

    def raise_violations(self) -> None:
        """Raise AssertionError if anything was asked that is not allowed."""
        if self.violations and not self.expect_violations:
            raise AssertionError("\n".join(dict.fromkeys(self.violations)))

    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Serve from a thread of its own: for scripts, and tests that block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="plex", daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self.plex_tv.start_serving(), loop).result(10)
        asyncio.run_coroutine_threadsafe(self.start_serving(), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.stop_serving(), loop).result(10)
            asyncio.run_coroutine_threadsafe(self.plex_tv.stop_serving(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
        self.raise_violations()

    # Requests

    @property
    def _note_request(self) -> Any:
        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            query = {name: request.query.getall(name) for name in request.query}
            self.requests.append((request.method, request.path, query))
            return await handler(request)

        return note

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if len(request.raw_path.encode()) > self.quirks.longest_url:
            return calls.failure(414)
        if self.before is not None:
            self.before(request)
        try:
            return await self._answer(request)
        except Failed as error:
            return error.answer
        except web.HTTPException:
            raise
        except Exception:  # noqa: BLE001 - what breaks here must fail the test, not hide in a 500
            self.violations.append(f"the stand-in broke\n{traceback.format_exc()}")
            return calls.failure(500)

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        token = _named(request, "X-Plex-Token")
        user = self.user_of(token)
        if request.path == SOCKET:
            return await self.listen(request, user) if user else calls.failure(401)
        route, ids, has_path = calls.find(request.method, request.path)
        if route is None:
            self.violations.append(f"{request.method} {request.path} is not known")
            return calls.failure(405 if has_path else 404)
        reason = self._refuse(route, request)
        if reason:
            self.violations.append(reason)
            return calls.failure(400, reason)
        identified = route.is_file or route.is_open or _named(request, "X-Plex-Client-Identifier")
        if self.quirks.needs_client_identifier and not identified:
            self.violations.append(f"{request.method} {request.path}: no X-Plex-Client-Identifier")
            return calls.failure(400, "X-Plex-Client-Identifier is missing")
        if user is None and not route.is_open:
            return calls.failure(401)
        return await route.handler(Call(self, request, ids, user or self.owner))

    def _refuse(self, route: Route, request: web.Request) -> str:
        names = set(request.query)
        reason = route.refuse(names)
        if reason or self.description is None:
            return reason
        return self.description.refuse(route, names)


def _named(request: web.Request, name: str) -> str:
    return request.headers.get(name) or request.query.get(name) or ""
