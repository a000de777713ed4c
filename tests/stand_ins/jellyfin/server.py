"""The stand-in as a server: guards every request, finds its handler, checks its answer."""

import asyncio
import contextlib
import json
import threading
import traceback
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.stand_ins import openapi
from tests.stand_ins.faults import Faults, Handler
from tests.stand_ins.jellyfin import calls, routes_items, routes_playlists, routes_system
from tests.stand_ins.jellyfin.calls import Call, Level, Route
from tests.stand_ins.jellyfin.lists import Crashed
from tests.stand_ins.jellyfin.live import Live
from tests.stand_ins.jellyfin.quirks import VERSIONS, Quirks
from tests.stand_ins.jellyfin.records import Item, Library, hashed_id

HANDLERS = (routes_items, routes_playlists, routes_system)
"""Importing them fills calls.ROUTES."""


class FakeJellyfin(Live):
    """A Jellyfin server on loopback that keeps state and speaks the protocol of its version.

        async with FakeJellyfin("10.11.11") as jellyfin:
            music = jellyfin.add_library("Music", "music", "/music")
            ... jellyfin.url ...

    `switches` are fields of Quirks. What the version's description does not allow is refused and
    noted in `violations`, which leaving the context raises, unless `expect_violations`. `checks`
    False: neither requests nor answers are held against the description (for benchmarks).
    """

    def __init__(
        self,
        version: str = "10.11.11",
        *,
        name: str = "Stand-in",
        expect_violations: bool = False,
        checks: bool = True,
        port: int = 0,
        **switches: Any,
    ) -> None:
        assert version in VERSIONS, VERSIONS
        super().__init__(version, name, Quirks.of(version, **switches))
        self.faults = Faults()
        self.requests: list[tuple[str, str, dict[str, list[str]]]] = []
        """Method, path and query of every request."""
        self.violations: list[str] = []
        self.expect_violations = expect_violations
        self.before: Callable[[web.Request], None] | None = None
        """Called before each request is handled: to change things between two pages."""
        self.listings = 0
        self.port = port
        self.description = openapi.load(f"jellyfin-openapi-{version}.json") if checks else None
        self.checks = checks
        self.playlists_view = Library(
            hashed_id("PlaylistsFolder", "/config/data/playlists"), "Playlists", "playlists", ()
        )
        self._listings: tuple[int, dict[object, list[Item]]] = (-1, {})
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it answers; no slash at the end."""
        return f"http://127.0.0.1:{self.port}"

    def count(self, method: str, path: str = "") -> int:
        """Return how many requests of a method came, to paths that begin so."""
        return sum(m == method and p.startswith(path) for m, p, _ in self.requests)

    def cached_listing(self, key: object, select: Callable[[], list[Item]]) -> list[Item]:
        """Return what `select` found for the key while no item has changed."""
        if self._listings[0] != self.revision:
            self._listings = (self.revision, {})
        if key not in self._listings[1]:
            self._listings[1][key] = select()
        return self._listings[1][key]

    # Starting and stopping

    async def __aenter__(self) -> Self:
        await self.start_serving()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self.stop_serving()
        self.reports.close()
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
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop_serving(self) -> None:
        """Refuse connections from now on."""
        self._abort()
        if self._runner is not None:
            await self._runner.cleanup()
        self.loop = None

    def raise_violations(self) -> None:
        """Raise AssertionError if anything was asked that the description does not allow."""
        if self.violations and not self.expect_violations:
            raise AssertionError("\n".join(dict.fromkeys(self.violations)))

    @contextlib.contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Serve from a thread of its own: for scripts, and tests that block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="jellyfin", daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self.start_serving(), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.stop_serving(), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
            self.reports.close()
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
        line = f"{request.method} {request.raw_path} HTTP/1.1\r\n"
        if len(line.encode()) > self.quirks.longest_request_line:
            return web.Response(status=414)
        if self.before is not None:
            self.before(request)
        if request.path == "/socket":
            token = self.tokens.get(self.authorization(request)["Token"])
            return await self.listen(request, token) if token else web.Response(status=401)
        body = calls.recase(await request.read())
        found = self._find(request)
        if found is None:
            return web.Response(status=404)
        route, ids = found
        reason = self._refuse(route, ids, request, body)
        if reason:
            self.violations.append(reason)
            problem = {"title": "One or more validation errors occurred.", "status": 400}
            return web.json_response(problem | {"errors": {"": [reason]}}, status=400)
        try:
            answer = await self._handle(route, ids, request, body)
        except web.HTTPException:
            raise
        except Crashed:
            return web.Response(status=500, text="Error processing request.")
        except Exception:  # noqa: BLE001 - what breaks here must fail the test, not hide in a 500
            self.violations.append(f"the stand-in broke\n{traceback.format_exc()}")
            return web.Response(status=500, text="Error processing request.")
        self._check_answer(route, request, answer)
        return answer

    def _find(self, request: web.Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route; what no version's description has is a violation."""
        for route, ids in calls.find(request.method, request.path):
            if route.is_plugin:
                return (route, ids) if self.quirks.has_playback_reporting else None
            if route.speaks(self.number) and (self.quirks.legacy_routes or not route.is_legacy):
                return route, ids
        self.violations.append(f"{request.method} {request.path} is not known to {self.version}")
        return None

    def _refuse(self, route: Route, ids: dict[str, str], request: web.Request, body: bytes) -> str:
        if not self.checks:
            return ""
        reason = calls.refuse(route, request, ids)
        is_outside = route.is_plugin or (route.is_legacy and self.number >= (10, 9))
        if reason or is_outside or self.description is None:
            return reason
        query = list(request.query.items())
        kind = request.headers.get("Content-Type", "")
        return self.description.refuse_request(request.method, request.path, query, kind, body)

    async def _handle(
        self, route: Route, ids: dict[str, str], request: web.Request, body: bytes
    ) -> web.StreamResponse:
        fields = self.authorization(request)
        token = self.tokens.get(fields["Token"])
        if token is None and route.level is not Level.ANYBODY:
            return web.Response(status=401)
        user = token.user if token else None
        if user is not None and user.is_disabled:
            return web.Response(status=401)
        if route.level is Level.ADMIN and user is not None and not user.is_admin:
            return web.Response(status=403)
        is_json = body and "json" in request.content_type
        call = Call(self, request, ids, token, fields, json.loads(body) if is_json else None)
        return await route.handler(call)

    def _check_answer(self, route: Route, request: web.Request, answer: web.StreamResponse) -> None:
        if self.description is None or not isinstance(answer, web.Response):
            return
        is_outside = route.is_plugin or (route.is_legacy and self.number >= (10, 9))
        if is_outside or answer.status != 200 or answer.content_type != "application/json":
            return
        assert isinstance(answer.body, bytes)
        kind = answer.headers["Content-Type"]
        reason = self.description.refuse_answer(
            request.method, request.path, answer.status, kind, answer.body
        )
        if reason:
            self.violations.append(f"the stand-in's own fault: {reason}")
