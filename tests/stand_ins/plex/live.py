"""Notifications over WebSockets."""

import asyncio
import json
from typing import Any

from aiohttp import web

from tests.stand_ins.plex.lists import Lists
from tests.stand_ins.plex.records import TYPE_NUMBERS, Item, Playing, User


class Live(Lists):
    """Adds the sockets that listen."""

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        """Where it serves; None while it does not."""
        self._sockets: dict[web.WebSocketResponse, tuple[User, web.Request]] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self.sockets_opened = 0
        super().__init__(name)

    @property
    def listeners(self) -> int:
        """How many sockets are open."""
        return len(self._sockets)

    async def listen(self, request: web.Request, user: User) -> web.StreamResponse:
        """Serve a WebSocket until it is closed."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self._sockets[socket] = (user, request)
        self.sockets_opened += 1
        try:
            async for _ in socket:
                pass  # clients say nothing
        finally:
            self._sockets.pop(socket, None)
        return socket

    def push(self, type: str, **content: Any) -> None:
        """Send a NotificationContainer to the owner's sockets: shared users are told nothing."""
        sizes = [len(value) for value in content.values() if isinstance(value, list)]
        container = {"type": type, "size": sizes[0] if sizes else 1, **content}
        self.push_text(json.dumps({"NotificationContainer": container}))

    def push_text(self, text: str) -> None:
        """Send anything, also what is no JSON."""
        if self.loop is not None and self._sockets:
            self.loop.call_soon_threadsafe(self._send, text)

    def _send(self, text: str) -> None:
        for socket, (user, _) in list(self._sockets.items()):
            if user.is_owner and not socket.closed:
                task = asyncio.ensure_future(socket.send_str(text))
                self._sending.add(task)
                task.add_done_callback(self._sent)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled():
            task.exception()  # a socket that closed meanwhile is no fault

    def push_timeline(self, item: Item, state: int) -> None:
        """Tell that an item was created (0), processed (5) or deleted (9)."""
        entry = {
            "identifier": "com.plexapp.plugins.library", "sectionID": str(item.section.key),
            "itemID": str(item.rating_key), "type": TYPE_NUMBERS[item.type], "title": item.title,
            "state": state, "updatedAt": self.now,
        }  # fmt: skip
        if state == 9:
            entry["metadataState"] = "deleted"
        self.push("timeline", TimelineEntry=[entry])

    def push_playing(self, session: Playing) -> None:
        """Tell where a session is. It does not say whose it is: that is in /status/sessions."""
        item = session.item
        notification = {
            "sessionKey": str(session.key), "clientIdentifier": f"player-{session.key}",
            "guid": "", "ratingKey": str(item.rating_key), "url": "",
            "key": f"/library/metadata/{item.rating_key}", "viewOffset": session.offset,
            "playQueueItemID": 1, "playQueueID": 1, "state": session.state,
        }  # fmt: skip
        self.push("playing", PlaySessionStateNotification=[notification])

    def drop_connections(self) -> None:
        """Cut all sockets off without a word."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for _, request in list(self._sockets.values()):
            if request.transport is not None:
                request.transport.abort()

    def _changed(self, item: Item, state: int) -> None:
        if self._sockets:
            self.push_timeline(item, state)

    def _told(self, session: Playing) -> None:
        self.push_playing(session)
