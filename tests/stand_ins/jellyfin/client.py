"""Plain HTTP calls to the stand-in, for its own tests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.stand_ins.jellyfin.server import FakeJellyfin

HEADER = 'MediaBrowser Client="test", Device="d%C3%A9sk", DeviceId="one", Version="1"'


class Client:
    """Calls as one user, as an API key, or as nobody."""

    def __init__(self, session: aiohttp.ClientSession, token: str = "") -> None:
        self._session = session
        shown = f', Token="{token}"' if token else ""
        self.headers = {"Authorization": HEADER + shown}

    async def call(
        self, method: str, path: str, json: Any = None, expect: int = 200, **query: Any
    ) -> Any:
        """Return the answer's JSON, or its text; lists in the query are repeated."""
        pairs = [
            (name, str(value).lower() if isinstance(value, bool) else str(value))
            for name, values in query.items()
            for value in (values if isinstance(values, list) else [values])
        ]
        async with self._session.request(
            method, path, params=pairs, json=json, headers=self.headers
        ) as answer:
            text = await answer.text(errors="replace")
            assert answer.status == expect, f"{method} {path}: {answer.status} {text[:500]}"
            return await answer.json() if answer.content_type == "application/json" else text

    async def get(self, path: str, **query: Any) -> Any:
        """Call GET."""
        return await self.call("GET", path, **query)

    async def listing(self, **query: Any) -> list[str]:
        """Return the names of a listing of everything."""
        found = await self.get("/Items", recursive=True, **query)
        return [item["Name"] for item in found["Items"]]

    async def playlist(self, playlist_id: str) -> list[str]:
        """Return the ids in a playlist as the server tells them."""
        found = await self.get(f"/Playlists/{playlist_id}/Items")
        return [item["Id"] for item in found["Items"]]

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        """Open the WebSocket, past its first message."""
        async with self._session.ws_connect("/socket", headers=self.headers) as socket:
            assert (await socket.receive_json(timeout=5))["MessageType"] == "ForceKeepAlive"
            yield socket


@asynccontextmanager
async def client_of(server: FakeJellyfin, user: str | None = None) -> AsyncIterator[Client]:
    """Call as a user; None: with an API key; "": as nobody."""
    token = server.add_api_key() if user is None else server.sign_in(user) if user else ""
    async with aiohttp.ClientSession(server.url) as session:
        yield Client(session, token)
