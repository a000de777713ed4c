"""Jellyfin's WebSocket, by aiohttp: the library's own connects again without a pause.

Each user's messages reach only that user's sockets, so there is one for every account. What
sessions play is told to administrators alone: the first of them among the accounts hears it for
all, and without one those who play are asked about now and then while they do.
"""

import asyncio
import contextlib
import json
import logging
import random
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp

from connectors.base import ConnectorError, ConnectorUnavailable, SignInRefused
from connectors.jellyfin.calls import Calls
from connectors.jellyfin.parsing import parse_state
from connectors.jellyfin.playing import Playing
from connectors.jellyfin.values import dicts, listing, plain_id, real, text
from connectors.server import Account, ItemsChanged, LiveEvent, Resync, StatesChanged

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 4 << 20
MOST_WAITING = 1000
HEARTBEAT = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds."""

    shortest: float = 1.0
    """Pause before connecting again; it doubles up to `longest`."""
    longest: float = 300.0
    asking: float = 10.0
    """Between two questions what a user plays, where sockets do not tell."""


async def listen(
    session: aiohttp.ClientSession, calls: Calls, accounts: Sequence[Account], pace: Pace
) -> AsyncGenerator[LiveEvent, None]:
    """Yield the events of all accounts. Raises SignInRefused when none of them is let in."""
    waiting: asyncio.Queue[LiveEvent] = asyncio.Queue(MOST_WAITING)
    followers = {
        asyncio.create_task(_Follower(session, calls, account, users, pace, waiting).follow())
        for account, users in share_out(accounts, calls.admins)
    }
    getter = asyncio.create_task(waiting.get())
    try:
        while True:
            await asyncio.wait({getter, *followers}, return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                yield getter.result()
                getter = asyncio.create_task(waiting.get())
                continue
            for ended in [task for task in followers if task.done()]:
                followers.discard(ended)
                _look_at(ended, is_last=not followers)
    finally:
        getter.cancel()
        for follower in followers:
            follower.cancel()
        await asyncio.gather(getter, *followers, return_exceptions=True)


def _look_at(task: "asyncio.Task[None]", *, is_last: bool) -> None:
    """Raise what ended a follower; a sign-in that is not taken ends only its own."""
    try:
        task.result()
    except SignInRefused as error:
        if is_last:
            raise
        log.warning("%s", error)


def share_out(
    accounts: Sequence[Account], admins: Collection[str]
) -> list[tuple[Account, frozenset[str]]]:
    """Return the accounts, each with the users whose playing its socket is to follow."""
    lead = next((account for account in accounts if account.user_id in admins), None)
    plain = frozenset(a.user_id for a in accounts if a.user_id not in admins)
    shared = []
    for account in accounts:
        users = frozenset({account.user_id})
        if account is lead:
            users |= plain
        elif lead and account.user_id in plain:
            users = frozenset()
        shared.append((account, users))
    return shared


class _Follower:
    """One account's socket, for ever."""

    def __init__(
        self, session: aiohttp.ClientSession, calls: Calls, account: Account,
        users: frozenset[str], pace: Pace, waiting: "asyncio.Queue[LiveEvent]",
    ) -> None:  # fmt: skip
        self._session = session
        self._calls = calls
        self._account = account
        self._is_told = account.user_id in calls.admins
        self._is_asking = bool(users) and not self._is_told
        self._playing = Playing(users)  # outlives the connection: what plays on goes on
        self._pace = pace
        self._waiting = waiting
        self._stirred = asyncio.Event()

    async def follow(self) -> None:
        """Connect, listen, and connect again. Raises SignInRefused."""
        loop = asyncio.get_running_loop()
        pause = self._pace.shortest
        while True:
            began = loop.time()
            try:
                await self._follow_once()
            except ConnectorUnavailable as error:
                log.info("%s", error)
            if loop.time() - began > max(pause, 10 * self._pace.shortest):
                pause = self._pace.shortest
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, self._pace.longest)

    async def _follow_once(self) -> None:
        name = self._calls.name
        url = f"{self._calls.settings.url}/socket".replace("http", "ws", 1)
        try:
            async with self._session.ws_connect(
                url, headers=self._calls.header(self._account), max_msg_size=LARGEST_MESSAGE,
                heartbeat=HEARTBEAT,
            ) as socket:  # fmt: skip
                await self._waiting.put(Resync())
                await self._hear_all(socket)
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                raise SignInRefused(
                    f"{name} does not take the sign-in of {self._account.user_name} any more; "
                    "connect again."
                ) from None
            raise ConnectorUnavailable(f"{name} has no live events now ({error.status}).") from None
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            kind = type(error).__name__
            raise ConnectorUnavailable(f"{name}: live events broke off ({kind}).") from None

    async def _hear_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        if self._is_told:
            await socket.send_json({"MessageType": "SessionsStart", "Data": "0,1500"})
        async with contextlib.AsyncExitStack() as stack:
            if self._is_asking:
                _start(stack, self._ask_while_playing())
            alive = await stack.enter_async_context(contextlib.AsyncExitStack())
            async for message in socket:
                if message.type is not aiohttp.WSMsgType.TEXT:
                    continue
                kind, data = read_message(message.data)
                if kind == "ForceKeepAlive":
                    await alive.aclose()
                    _start(alive, _keep_alive(socket, real(data) or 60))
                elif kind == "Sessions" and self._is_told:
                    await self._hear_sessions(data)
                elif event := to_event(kind, data, self._account):
                    self._stirred.set()
                    await self._waiting.put(event)

    async def _hear_sessions(self, sessions: Any) -> None:
        for played in self._playing.hear(sessions, datetime.now(UTC)):
            await self._waiting.put(played)

    async def _ask_while_playing(self) -> None:
        """Ask what plays: at first, when something changes, and again while something does."""
        while True:
            self._stirred.clear()
            try:
                await self._hear_sessions(
                    await self._calls.read(self._account, "Sessions", listing)
                )
            except ConnectorError as error:
                log.info("What plays cannot be told: %s", error)
            if self._playing:
                await asyncio.sleep(self._pace.asking)
            else:
                await self._stirred.wait()


def _start(stack: contextlib.AsyncExitStack, work: Any) -> None:
    """Let something run until the stack is closed."""
    task = asyncio.create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)


async def _keep_alive(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
    pause = min(max(seconds / 2, 0.05), 60.0)
    with contextlib.suppress(ConnectionError):
        while not socket.closed:
            await asyncio.sleep(pause)
            await socket.send_json({"MessageType": "KeepAlive"})


def read_message(message: str) -> tuple[str, Any]:
    """Return the type and the data of a message; "" for what is none."""
    try:
        said = json.loads(message)
    except (ValueError, RecursionError):
        return "", None
    return (text(said.get("MessageType")), said.get("Data")) if isinstance(said, dict) else ("", 0)


def to_event(kind: str, data: Any, account: Account) -> LiveEvent | None:
    """Return what a message to an account's socket means; None for nothing of ours."""
    if not isinstance(data, dict):
        return None
    if kind == "UserDataChanged" and plain_id(data.get("UserId")) == account.user_id:
        rows = dicts(data.get("UserDataList"))
        states = [
            parse_state(item_id, row, None)
            for row in rows
            if (item_id := plain_id(row.get("ItemId")))
        ]
        return StatesChanged(account.user_id, tuple(states)) if states else None
    if kind == "LibraryChanged":
        changed = (*_ids(data.get("ItemsAdded")), *_ids(data.get("ItemsUpdated")))
        removed = _ids(data.get("ItemsRemoved"))
        return ItemsChanged(changed, removed) if changed or removed else None
    return None


def _ids(values: Any) -> tuple[str, ...]:
    found = (plain_id(value) for value in values) if isinstance(values, list) else ()
    return tuple(item_id for item_id in found if item_id)
