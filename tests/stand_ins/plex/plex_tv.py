"""plex.tv, as far as signing in needs it: PINs, who one is, and which servers one has.

    MyPlexPinLogin.PINS = f"{plex.plex_tv.url}/api/v2/pins"

Answers are XML, or JSON where the request accepts that.
"""

import itertools
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.stand_ins.faults import Faults, Handler
from tests.stand_ins.plex.answers import element
from tests.stand_ins.plex.records import User

if TYPE_CHECKING:
    from tests.stand_ins.plex.server import FakePlex

LIFE = 1800
"""Seconds that a PIN is good for."""


@dataclass
class Pin:
    """A sign-in that waits to be approved."""

    id: int
    code: str
    client: str
    """X-Plex-Client-Identifier of who asked; nobody else may see it."""
    expires_at: float
    token: str = ""


class PlexTv:
    """The part of plex.tv that the stand-in needs, on a port of its own."""

    def __init__(self, plex: "FakePlex") -> None:
        self._plex = plex
        self._ids = itertools.count(1001)
        self.pins: dict[int, Pin] = {}
        self.faults = Faults()
        self.requests: list[tuple[str, str]] = []
        self.port = 0
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Stands for https://plex.tv."""
        return f"http://127.0.0.1:{self.port}"

    async def start_serving(self) -> None:
        """Listen."""
        middlewares: list[Any] = [self._note_request, self.faults.middleware]
        app = web.Application(middlewares=middlewares)
        app.router.add_post("/api/v2/pins", self._create)
        app.router.add_get("/api/v2/pins/{id}", self._show)
        app.router.add_get("/api/v2/user", self._user)
        app.router.add_get("/api/v2/resources", self._resources)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop_serving(self) -> None:
        """Refuse connections from now on."""
        if self._runner is not None:
            await self._runner.cleanup()

    def approve(self, code: str, user: User) -> None:
        """Let a user enter the code (or follow its link) and agree."""
        self._pin(code).token = user.account_token

    def expire(self, code: str) -> None:
        """Let the time of a code run out."""
        self._pin(code).expires_at = 0

    def _pin(self, code: str) -> Pin:
        return next(pin for pin in self.pins.values() if pin.code.lower() == code.lower())

    # Requests

    @property
    def _note_request(self) -> Any:
        @web.middleware
        async def note(request: web.Request, handler: Handler) -> web.StreamResponse:
            self.requests.append((request.method, request.path))
            if not _named(request, "X-Plex-Client-Identifier"):
                return _refusal(request, 400, 1000, "X-Plex-Client-Identifier is missing")
            return await handler(request)

        return note

    async def _create(self, request: web.Request) -> web.StreamResponse:
        strong = request.query.get("strong") or (await request.post()).get("strong")
        is_strong = str(strong).lower() in ("1", "true")
        code = uuid.uuid4().hex[: 24 if is_strong else 4]
        client = _named(request, "X-Plex-Client-Identifier")
        pin = Pin(next(self._ids), code, client, time.time() + LIFE)
        self.pins[pin.id] = pin
        return _answer(request, 201, "pin", self._fields(pin))

    async def _show(self, request: web.Request) -> web.StreamResponse:
        number = request.match_info["id"]
        pin = self.pins.get(int(number)) if number.isdigit() else None
        client = _named(request, "X-Plex-Client-Identifier")
        if pin is None or pin.client != client or pin.expires_at < time.time():
            return _refusal(request, 404, 1020, "Code not found or expired")
        return _answer(request, 200, "pin", self._fields(pin))

    def _fields(self, pin: Pin) -> dict[str, Any]:
        return {
            "id": pin.id, "code": pin.code, "product": "Anagnorisis", "trusted": False,
            "clientIdentifier": pin.client, "expiresIn": max(0, int(pin.expires_at - time.time())),
            "authToken": pin.token or None, "newRegistration": None,
        }  # fmt: skip

    async def _user(self, request: web.Request) -> web.StreamResponse:
        user = self._asking(request)
        if user is None:
            return _refusal(request, 401, 1001, "User could not be authenticated")
        fields = {
            "id": 70000 + user.id, "uuid": f"{user.id:016x}", "username": user.name,
            "title": user.name, "friendlyName": user.name, "email": f"{user.name}@example.org",
            "authToken": user.account_token, "scrobbleTypes": "", "confirmed": True, "home": False,
        }  # fmt: skip
        inside = [element("subscription", {"active": False, "status": "Inactive"})]
        inside.append(element("profile", {"autoSelectAudio": True}))
        return _answer(request, 200, "user", fields, inside)

    async def _resources(self, request: web.Request) -> web.StreamResponse:
        """Answer with this server and the user's own token for it."""
        user = self._asking(request)
        if user is None:
            return _refusal(request, 401, 1001, "User could not be authenticated")
        plex = self._plex
        connection = {
            "protocol": "http", "address": "127.0.0.1", "port": plex.port, "uri": plex.url,
            "local": True, "relay": False, "IPv6": False,
        }  # fmt: skip
        fields = {
            "name": plex.name, "product": "Plex Media Server", "productVersion": plex.version,
            "clientIdentifier": plex.machine_identifier, "provides": "server",
            "createdAt": "2026-01-01T00:00:00Z", "lastSeenAt": "2026-01-01T00:00:00Z",
            "owned": user.is_owner, "home": False, "httpsRequired": False, "presence": True,
            "relay": False, "synced": False, "publicAddressMatches": True,
            "accessToken": user.token, "sourceTitle": None if user.is_owner else plex.owner.name,
        }  # fmt: skip
        if _wants_json(request):
            return web.json_response([fields | {"connections": [connection]}])
        inner = element("connections", {}, [element("connection", connection)])
        text = element("resources", {}, [element("resource", fields, [inner])])
        return web.Response(text=text, content_type="application/xml")

    def _asking(self, request: web.Request) -> User | None:
        token = _named(request, "X-Plex-Token")
        users = self._plex.users
        return next((u for u in users if token and u.account_token == token), None)


def _named(request: web.Request, name: str) -> str:
    return request.headers.get(name) or request.query.get(name) or ""


def _wants_json(request: web.Request) -> bool:
    return "json" in request.headers.get("Accept", "")


def _answer(
    request: web.Request,
    status: int,
    tag: str,
    fields: dict[str, Any],
    inside: list[str] | None = None,
) -> web.Response:
    if _wants_json(request):
        return web.json_response(fields, status=status)
    shown = {name: "" if value is None else value for name, value in fields.items()}
    text = element(tag, shown, inside or [])
    return web.Response(status=status, text=text, content_type="application/xml")


def _refusal(request: web.Request, status: int, code: int, message: str) -> web.Response:
    error = {"code": code, "message": message, "status": status}
    if _wants_json(request):
        return web.json_response({"errors": [error]}, status=status)
    text = element("errors", {}, [element("error", error)])
    return web.Response(status=status, text=text, content_type="application/xml")
