"""Plex's notifications, by aiohttp: plexapi's listener neither connects again nor notices."""

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import aiohttp

from connectors.base import ConnectorUnavailable, SignInRefused
from connectors.server import ItemsChanged, LiveEvent, Played, PlayEvent, Resync

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 4 << 20
READY, DELETED = 5, 9
"""States of a timeline entry."""
MOST_SESSIONS = 200
STALE = 120.0
"""Seconds after which a session that says no more has ended without a word."""

Playing = dict[str, tuple[str, datetime, float, float]]
"""Session: item, start, furthest second, when it was last heard of."""


async def listen(
    session: aiohttp.ClientSession,
    name: str,
    url: str,
    token: str,
    user_of: Callable[[str], Awaitable[str]],
    reconnect: tuple[float, float],
) -> AsyncGenerator[LiveEvent, None]:
    """Yield events for ever. `user_of` tells whose a session is, while it plays."""
    pause = reconnect[0]
    headers = {"X-Plex-Token": token, "X-Plex-Client-Identifier": "anagnorisis"}
    address = f"{url}/:/websockets/notifications".replace("http", "ws", 1)
    owners: dict[str, str] = {}
    playing: Playing = {}
    while True:
        try:
            async with session.ws_connect(
                address, headers=headers, max_msg_size=LARGEST_MESSAGE, heartbeat=15
            ) as socket:
                yield Resync()
                pause = reconnect[0]
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        continue
                    changed, notes = _read(message.data)
                    if changed:
                        yield changed
                    for note in notes:
                        key = str(note.get("sessionKey", ""))
                        if key and key not in owners and len(owners) < MOST_SESSIONS:
                            owners[key] = await user_of(key)
                    for key, play in _follow(notes, playing):
                        yield Played(owners.pop(key, ""), play)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in (401, 403):
                raise SignInRefused(f"{name} does not take the token any more.") from error
            log.info("%s has no live events now (%s)", name, error.status)
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ConnectorUnavailable):
            log.info("%s: live events broke off", name)
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(2 * pause, reconnect[1])


def _read(message: str) -> tuple[ItemsChanged | None, list[dict[str, Any]]]:
    """Return changed items, and what is playing."""
    try:
        said = json.loads(message)["NotificationContainer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, []
    if not isinstance(said, dict):
        return None, []
    entries = [e for e in said.get("TimelineEntry") or () if isinstance(e, dict)]
    ready = [str(e.get("itemID")) for e in entries if _number(e.get("state")) == READY]
    deleted = [str(e.get("itemID")) for e in entries if _number(e.get("state")) == DELETED]
    changed = ItemsChanged(tuple(ready), tuple(deleted)) if ready or deleted else None
    notes = [n for n in said.get("PlaySessionStateNotification") or () if isinstance(n, dict)]
    return changed, notes


def _follow(notes: list[dict[str, Any]], playing: Playing) -> list[tuple[str, PlayEvent]]:
    """Return what has ended; `playing` is kept up to date."""
    ended = []
    heard = time.monotonic()
    for note in notes:
        key, item_id = str(note.get("sessionKey", "")), str(note.get("ratingKey", ""))
        seconds = (_number(note.get("viewOffset")) or 0) / 1000
        known = playing.get(key)
        if known and known[0] != item_id:
            ended.append((key, _play(key, *playing.pop(key))))
            known = None
        began = known[1] if known else datetime.now(UTC)
        furthest = max(seconds, known[2] if known else 0)
        playing[key] = item_id, began, furthest, heard
        if note.get("state") == "stopped":
            ended.append((key, _play(key, *playing.pop(key))))
    for key in [key for key, state in playing.items() if heard - state[3] > STALE]:
        ended.append((key, _play(key, *playing.pop(key))))
    return ended


def _play(key: str, item_id: str, began: datetime, seconds: float, _heard: float) -> PlayEvent:
    event_key = f"live:{key}:{item_id}:{int(began.timestamp())}"
    return PlayEvent(event_key, item_id, began, seconds or None)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
