"""Make a stand-in fail: one middleware for all of them.

    faults = Faults()
    app = web.Application(middlewares=[faults.middleware])
    faults.add("POST", r"/Playlists/", Status(503), times=1)

Refusing connections is done by stopping the server.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Status:
    """Answer with a status, instead of doing it or (`after`) having done it."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b"told to fail"
    after: bool = False


@dataclass(frozen=True)
class Hang:
    """Do not answer for so many seconds; `after`: having done it."""

    seconds: float
    after: bool = False


@dataclass(frozen=True)
class Cut:
    """Close the connection after a share of the body; 0: before the first byte of the answer."""

    share: float = 0.5
    after: bool = True


@dataclass(frozen=True)
class Body:
    """Answer 200 with this body: invalid JSON, another type, an empty one."""

    body: bytes
    content_type: str = "application/json"


@dataclass(frozen=True)
class Drip:
    """Send the answer one byte at a time."""

    seconds: float = 1.0


Fault = Status | Hang | Cut | Body | Drip


@dataclass
class _Rule:
    method: str
    path: re.Pattern[str]
    fault: Fault
    times: int | None
    skip: int


class Faults:
    """Rules, tried in order; the first that fits a request decides what becomes of it."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self.met: list[str] = []
        """"METHOD path" of the requests that met a fault."""

    def add(
        self, method: str, path: str, fault: Fault, *, times: int | None = None, skip: int = 0
    ) -> None:
        """Let requests of `method` ("*": any) whose path matches the pattern meet the fault.

        `times`: only so many; `skip`: after so many that go well.
        """
        self._rules.append(_Rule(method, re.compile(path), fault, times, skip))

    def clear(self) -> None:
        """Work well from now on."""
        self._rules.clear()

    def _find(self, request: web.Request) -> Fault | None:
        for rule in self._rules:
            if rule.method not in ("*", request.method) or not rule.path.search(request.path):
                continue
            if rule.times == 0:
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.times is not None:
                rule.times -= 1
            self.met.append(f"{request.method} {request.path}")
            return rule.fault
        return None

    @property
    def middleware(self) -> Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]:
        """Put it first among the application's middlewares."""

        @web.middleware
        async def fail(request: web.Request, handler: Handler) -> web.StreamResponse:
            fault = self._find(request)
            return await handler(request) if fault is None else await _meet(fault, request, handler)

        return fail


async def _meet(fault: Fault, request: web.Request, handler: Handler) -> web.StreamResponse:
    match fault:
        case Status():
            if fault.after:
                await handler(request)
            return web.Response(status=fault.status, headers=dict(fault.headers), body=fault.body)
        case Hang():
            answer = await handler(request) if fault.after else None
            await asyncio.sleep(fault.seconds)
            return answer or await handler(request)
        case Body():
            return web.Response(body=fault.body, content_type=fault.content_type)
        case Cut():
            return await _send_part(fault, request, handler)
        case Drip():
            return await _drip(fault, request, await handler(request))


async def _send_part(fault: Cut, request: web.Request, handler: Handler) -> web.StreamResponse:
    answer = await handler(request) if fault.after else web.Response()
    body = _body(answer)
    assert request.transport is not None
    if fault.share:
        cut = web.StreamResponse(status=answer.status)
        cut.content_type = answer.content_type
        cut.content_length = len(body)
        await cut.prepare(request)
        await cut.write(body[: int(len(body) * fault.share)])
    request.transport.close()
    return web.Response()


async def _drip(
    fault: Drip, request: web.Request, answer: web.StreamResponse
) -> web.StreamResponse:
    body = _body(answer)
    slow = web.StreamResponse(status=answer.status)
    slow.content_type = answer.content_type
    slow.content_length = len(body)
    await slow.prepare(request)
    for n in range(len(body)):
        await slow.write(body[n : n + 1])
        await asyncio.sleep(fault.seconds)
    return slow


def _body(answer: web.StreamResponse) -> bytes:
    body = answer.body if isinstance(answer, web.Response) else b""
    assert body is None or isinstance(body, bytes)
    return body or b""
