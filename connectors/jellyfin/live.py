"""Jellyfin's WebSocket, by aiohttp: the library's own connects again without a pause."""

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp

from connectors.base import ConnectorUnavailable, SignInRefused
from connectors.jellyfin.http import authorization
from connectors.jellyfin.parsing import TICKS, parse_state, real, text
from connectors.server import (
    Account,
    ItemsChanged,
    LiveEvent,
    Played,
    PlayEvent,
    Resync,
    StatesChanged,
)
from connectors.server_settings import JellyfinSettings

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 4 << 20
MOST_WAITING = 1000


async def listen(
    session: Callable[[], aiohttp.ClientSession],
    settings: JellyfinSettings,
    accounts: Sequence[Account],
    device_id: str,
    reconnect: tuple[float, float],
) -> AsyncGenerator[LiveEvent, None]:
    """Yield the events of all accounts; messages reach only sessions of their own user."""
    waiting: asyncio.Queue[LiveEvent | Exception] = asyncio.Queue(MOST_WAITING)

    async def follow(account: Account) -> None:
        pause = reconnect[0]
        while True:
            try:
                began = asyncio.get_running_loop().time()
                await _follow_once(session(), settings, account, device_id, waiting)
                if asyncio.get_running_loop().time() - began > reconnect[1]:
                    pause = reconnect[0]
            except SignInRefused as error:
                await waiting.put(error)
                return
            except ConnectorUnavailable as error:
                log.info("%s", error)
            except Exception as error:
                log.exception("Live events of %s failed", settings.name)
                await waiting.put(ConnectorUnavailable(str(error)))
                return
            await asyncio.sleep(pause * random.uniform(0.75, 1.25))
            pause = min(2 * pause, reconnect[1])

    tasks = [asyncio.create_task(follow(account)) for account in accounts]
    try:
        while True:
            event = await waiting.get()
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _follow_once(
    session: aiohttp.ClientSession, settings: JellyfinSettings, account: Account, device_id: str,
    waiting: "asyncio.Queue[LiveEvent | Exception]",
) -> None:  # fmt: skip
    token = account.secrets.get("token", "")
    device = f"{device_id}-{account.user_id}"
    headers = {"Authorization": authorization(device, token)}
    url = f"{settings.url}/socket".replace("http", "ws", 1)
    playing: dict[str, tuple[str, datetime, float]] = {}
    try:
        async with session.ws_connect(
            url, headers=headers, params={"deviceId": device}, max_msg_size=LARGEST_MESSAGE,
            heartbeat=30,
        ) as socket:  # fmt: skip
            await waiting.put(Resync())
            await socket.send_json({"MessageType": "SessionsStart", "Data": "0,1500"})
            alive: asyncio.Task[None] | None = None
            try:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    kind, data = _read(message.data)
                    if kind == "ForceKeepAlive":
                        if alive:
                            alive.cancel()
                        alive = asyncio.create_task(_keep_alive(socket, real(data) or 60))
                    for event in _events(kind, data, account, playing):
                        await waiting.put(event)
            finally:
                if alive:
                    alive.cancel()
    except aiohttp.WSServerHandshakeError as error:
        if error.status in (401, 403):
            raise SignInRefused(
                f"{settings.name} does not take the sign-in of {account.user_name} any more."
            ) from error
        raise ConnectorUnavailable(f"{settings.name} has no live events now.") from error
    except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
        raise ConnectorUnavailable(f"{settings.name}: live events broke off.") from error


async def _keep_alive(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> None:
    while not socket.closed:
        await asyncio.sleep(max(1.0, seconds / 2))
        await socket.send_json({"MessageType": "KeepAlive"})


def _read(message: str) -> tuple[str, Any]:
    try:
        said = json.loads(message)
        return text(said.get("MessageType")), said.get("Data")
    except (ValueError, AttributeError, RecursionError):
        return "", None


def _events(
    kind: str, data: Any, account: Account, playing: dict[str, tuple[str, datetime, float]]
) -> list[LiveEvent]:
    """Return what a message means; `playing` (session: item, start, seconds) is kept up to date."""
    if kind == "UserDataChanged" and isinstance(data, dict):
        if _plain(data.get("UserId")) != _plain(account.user_id):
            return []
        rows = [row for row in data.get("UserDataList") or () if isinstance(row, dict)]
        states = [parse_state(_plain(row.get("ItemId")), row, None) for row in rows]
        return [StatesChanged(account.user_id, tuple(states))]
    if kind == "LibraryChanged" and isinstance(data, dict):
        changed = [*_ids(data.get("ItemsAdded")), *_ids(data.get("ItemsUpdated"))]
        return [ItemsChanged(tuple(changed), tuple(_ids(data.get("ItemsRemoved"))))]
    if kind == "Sessions" and isinstance(data, list):
        return _follow_sessions(data, account, playing)
    return []


def _follow_sessions(
    sessions: list[Any], account: Account, playing: dict[str, tuple[str, datetime, float]]
) -> list[LiveEvent]:
    seen: dict[str, tuple[str, float]] = {}
    for session in sessions:
        if not isinstance(session, dict):
            continue
        if _plain(session.get("UserId")) != _plain(account.user_id):
            continue
        item = session.get("NowPlayingItem")
        if isinstance(item, dict) and text(item.get("Id")):
            state = session.get("PlayState")
            ticks = real(state.get("PositionTicks")) if isinstance(state, dict) else None
            seen[text(session.get("Id"))] = _plain(item.get("Id")), (ticks or 0) / TICKS
    ended: list[LiveEvent] = []
    for session_id, (item_id, began, seconds) in list(playing.items()):
        now_there = seen.get(session_id)
        if now_there is None or now_there[0] != item_id:
            del playing[session_id]
            key = f"live:{session_id}:{item_id}:{int(began.timestamp())}"
            play = PlayEvent(key, item_id, began, seconds or None)
            ended.append(Played(account.user_id, play))
    for session_id, (item_id, seconds) in seen.items():
        began = playing[session_id][1] if session_id in playing else datetime.now(UTC)
        furthest = max(seconds, playing[session_id][2] if session_id in playing else 0)
        playing[session_id] = item_id, began, furthest
    return ended


def _plain(value: Any) -> str:
    """Return an id without dashes, as listings have it."""
    return text(value).replace("-", "").lower()


def _ids(values: Any) -> list[str]:
    return [_plain(v) for v in values if isinstance(v, str)] if isinstance(values, list) else []
