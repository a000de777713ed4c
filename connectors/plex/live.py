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

from connectors.base import ConnectorError, Refused, SignInRefused
from connectors.server import ItemsChanged, LiveEvent, Played, PlayEvent, Resync

log = logging.getLogger(__name__)

LARGEST_MESSAGE = 4 << 20
READY, DELETED = 5, 9
"""States of a timeline entry."""
LEAVES = (None, 1, 4, 10, 12, 13)
"""Types of what can be played, in the numbers of the timeline."""
LIBRARY = "com.plexapp.plugins.library"
MOST_SESSIONS = 200
STALE = 120.0
"""Seconds after which a session that says no more has ended without a word."""

Playing = dict[str, tuple[str, datetime, float, float]]
"""Session: item, start, furthest second, when it was last heard of."""


async def listen(
    session: aiohttp.ClientSession,
    name: str,
    url: str,
    headers: dict[str, str],
    user_of: Callable[[str], Awaitable[str]],
    reconnect: tuple[float, float],
) -> AsyncGenerator[LiveEvent, None]:
    """Yield events for ever. `user_of` tells whose a session is, while it plays."""
    pause = reconnect[0]
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
                        if key and not owners.get(key) and len(playing) < MOST_SESSIONS:
                            owners[key] = await _ask(user_of, key)
                    for key, play in _follow(notes, playing):
                        if user := owners.get(key):
                            yield Played(user, play)
                    owners = {key: user for key, user in owners.items() if key in playing}
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                raise SignInRefused(f"{name} does not take the token any more.") from None
            if error.status == 403:
                raise Refused(f"{name} tells only its owner what happens.") from None
            log.info("%s has no live events now (%s)", name, error.status)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            log.info("%s: live events broke off", name)
        await asyncio.sleep(pause * random.uniform(0.75, 1.25))
        pause = min(2 * pause, reconnect[1])


async def _ask(user_of: Callable[[str], Awaitable[str]], key: str) -> str:
    try:
        return await user_of(key)
    except ConnectorError as error:
        log.info("whose session %s is cannot be told: %s", key, error)
        return ""


def _read(message: str) -> tuple[ItemsChanged | None, list[dict[str, Any]]]:
    """Return changed items, and what is playing."""
    try:
        said = json.loads(message)["NotificationContainer"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None, []
    if not isinstance(said, dict):
        return None, []
    entries = [
        entry
        for entry in _list(said, "TimelineEntry")
        if _number(entry.get("type")) in LEAVES and entry.get("identifier", LIBRARY) == LIBRARY
    ]
    ready = [str(e.get("itemID")) for e in entries if _number(e.get("state")) == READY]
    deleted = [str(e.get("itemID")) for e in entries if _number(e.get("state")) == DELETED]
    changed = ItemsChanged(tuple(ready), tuple(deleted)) if ready or deleted else None
    return changed, _list(said, "PlaySessionStateNotification")


def _list(said: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = said.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _follow(notes: list[dict[str, Any]], playing: Playing) -> list[tuple[str, PlayEvent]]:
    """Return what has ended; `playing` is kept up to date."""
    ended = []
    heard = time.monotonic()
    for note in notes:
        key, item_id = str(note.get("sessionKey", "")), str(note.get("ratingKey", ""))
        seconds = (_number(note.get("viewOffset")) or 0) / 1000
        known = playing.get(key)
        if not key or not item_id or (not known and len(playing) >= MOST_SESSIONS):
            continue
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
