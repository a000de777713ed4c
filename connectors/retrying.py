"""Try again what may pass: a server that restarts, is busy, or asks to wait."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from connectors.base import ConnectorUnavailable

T = TypeVar("T")

ATTEMPTS = 3
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
"""Seconds; a server that asks for more is left alone until the next sync."""


async def retry(read: Callable[[], Awaitable[T]], *, first_pause: float = FIRST_PAUSE) -> T:
    """Await `read()` up to three times while it raises ConnectorUnavailable.

    Only for what changes nothing on the server. Pauses double, with jitter, and are at least what
    the server asked for.
    """
    for attempt in range(1, ATTEMPTS):
        try:
            return await read()
        except ConnectorUnavailable as error:
            pause = first_pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
            if error.retry_after is not None:
                if error.retry_after > LONGEST_PAUSE:
                    raise
                pause = max(pause, error.retry_after)
            await asyncio.sleep(pause)
    return await read()
