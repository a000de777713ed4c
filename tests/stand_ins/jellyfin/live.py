"""The WebSocket: who listens, and what they are told."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from tests.stand_ins.jellyfin.answers import Answers
from tests.stand_ins.jellyfin.quirks import Quirks
from tests.stand_ins.jellyfin.records import Item, Token, User


@dataclass(eq=False)
class Listener:
    """One open socket."""

    request: web.Request
    socket: web.WebSocketResponse
    token: Token
    interval: float | None = None
    """Seconds between messages about sessions; None: not asked for."""
    alive: float = 0
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def user(self) -> User | None:
        """Whose socket it is; None: an API key's, which hears nothing of users or libraries."""
        return self.token.user


class Live(Answers):
    """Tells sockets what happens. Its methods may be called from any thread."""

    def __init__(self, version: str, name: str, quirks: Quirks) -> None:
        super().__init__(version, name, quirks)
        self.listeners: list[Listener] = []
        self.heard: list[dict[str, Any]] = []
        """What clients said on their sockets."""
        self.loop: asyncio.AbstractEventLoop | None = None
        self._running: set[asyncio.Task[Any]] = set()
        self._told: dict[str, dict[str, Item]] = {}
        self._library: dict[str, dict[str, Item]] = {}
        self.tell_user_data = self._gather_user_data
        self.tell_library = self._gather_library

    # What tests push

    def push(self, kind: str, data: Any = None, user: str | None = None) -> None:
        """Send a message of any kind to all sockets, or to a user's."""
        person = self.user(user) if user else None
        self._soon(lambda: self._send_all(kind, data, person))

    def drop_connections(self) -> None:
        """Cut all sockets off, without a word."""
        self._soon(self._abort)

    def shut_down(self) -> None:
        """Tell all sockets that the server ends, and close them."""
        self.push("ServerShuttingDown")
        self._soon(self._close)

    def tell_sessions(self) -> None:
        """Tell those that asked what is being played."""
        self._soon(self._send_sessions)

    # The socket

    async def listen(self, request: web.Request, token: Token) -> web.WebSocketResponse:
        """Serve one socket until it closes."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert self.loop is not None
        listener = Listener(request, socket, token, alive=self.loop.time())
        self.listeners.append(listener)
        watchdog = asyncio.create_task(self._watch(listener))
        try:
            await self._say(listener, "ForceKeepAlive", self._seconds())
            async for message in socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    await self._hear(listener, json.loads(message.data))
        finally:
            self.listeners.remove(listener)
            for task in (watchdog, *listener.tasks):
                task.cancel()
        return socket

    def _seconds(self) -> float:
        seconds = self.quirks.keep_alive
        return int(seconds) if seconds == int(seconds) else seconds

    async def _hear(self, listener: Listener, message: dict[str, Any]) -> None:
        self.heard.append(message)
        assert self.loop is not None
        match message.get("MessageType"):
            case "KeepAlive":
                listener.alive = self.loop.time()
                await self._say(listener, "KeepAlive")
            case "SessionsStart":
                user = listener.user
                if user is not None and not user.is_admin and self.quirks.sessions_need_admin:
                    return  # the server logs an error and says nothing
                wait, interval = (int(part) / 1000 for part in message["Data"].split(","))
                listener.interval = interval
                listener.tasks.append(asyncio.create_task(self._repeat(listener, wait)))
            case "SessionsStop":
                listener.interval = None

    async def _repeat(self, listener: Listener, wait: float) -> None:
        await asyncio.sleep(wait)
        while listener.interval is not None and not listener.socket.closed:
            await self._say(listener, "Sessions", self._sessions(listener))
            await asyncio.sleep(listener.interval)

    async def _watch(self, listener: Listener) -> None:
        assert self.loop is not None
        while self.loop.time() - listener.alive <= self.quirks.keep_alive:
            await asyncio.sleep(min(self.quirks.keep_alive / 4, 1))
        await listener.socket.close()

    def _sessions(self, listener: Listener) -> list[dict[str, Any]]:
        user = listener.user
        everything = user is None or user.is_admin
        playing = list(self.playing.values())
        return [self.session_json(p) for p in playing if everything or p.user is user]

    async def _say(self, listener: Listener, kind: str, data: Any = None) -> None:
        message = {"MessageType": kind, "MessageId": str(uuid.uuid4())}
        with contextlib.suppress(ConnectionError, RuntimeError):
            await listener.socket.send_json(message | ({} if data is None else {"Data": data}))

    # Gathering

    def _gather_user_data(self, user: User, item: Item) -> None:
        def keep() -> None:
            waiting = self._told.setdefault(user.id, {})
            if not waiting and self.loop is not None:
                self.loop.call_later(self.quirks.user_data_delay, self._send_user_data, user)
            waiting[item.id] = item
            parent = self.items.get(item.parent_id)
            if parent is not None:
                waiting[parent.id] = parent

        self._soon(keep)

    def _gather_library(self, **changes: Sequence[Item]) -> None:
        def keep() -> None:
            if not self._library and self.loop is not None:
                self.loop.call_later(self.quirks.library_delay, self._send_library)
            for kind, items in changes.items():
                self._library.setdefault(kind, {}).update({item.id: item for item in items})

        if self.listeners:
            self._soon(keep)

    def _send_user_data(self, user: User) -> None:
        items = self._told.pop(user.id, {}).values()
        told = [self.data_json(item, self.peek(user, item), live=True) for item in items]
        self._send_all("UserDataChanged", {"UserId": user.id, "UserDataList": told}, user)

    def _send_library(self) -> None:
        changes, self._library = self._library, {}
        for listener in self.listeners:
            if listener.user is None:
                continue
            seen = {
                kind: [item for item in items.values() if self.sees(listener.user, item)]
                for kind, items in changes.items()
            }
            added, removed = seen.get("added", []), seen.get("removed", [])
            data: dict[str, Any] = {
                f"Items{kind.title()}": [item.id for item in seen[kind]] for kind in seen
            }
            data["FoldersAddedTo"] = list({item.parent_id for item in added})
            data["FoldersRemovedFrom"] = list({item.parent_id for item in removed})
            data["CollectionFolders"] = list(
                {i.library_id for items in seen.values() for i in items}
            )
            data["IsEmpty"] = not any(seen.values())
            self._task(self._say(listener, "LibraryChanged", data))

    def _send_all(self, kind: str, data: Any, user: User | None) -> None:
        for listener in self.listeners:
            if listener.user is user or (user is None and listener.user is not None):
                self._task(self._say(listener, kind, data))

    def _send_sessions(self) -> None:
        for listener in self.listeners:
            if listener.interval is not None:
                self._task(self._say(listener, "Sessions", self._sessions(listener)))

    def _close(self) -> None:
        for listener in self.listeners:
            self._task(listener.socket.close())

    def _abort(self) -> None:
        for listener in list(self.listeners):
            if listener.request.transport is not None:
                listener.request.transport.abort()

    def _task(self, coroutine: Any) -> None:
        assert self.loop is not None
        task = self.loop.create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    def _soon(self, call: Callable[[], object]) -> None:
        if self.loop is not None and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(call)
