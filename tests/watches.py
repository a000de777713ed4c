"""Tells when watches over folders stand: what happens before they do is not noticed."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager


class Watches(logging.Handler):
    """Counts watches that came to stand."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self._count += record.getMessage().endswith(" is watched")

    async def until(self, count: int) -> None:
        """Wait until so many have come to stand."""
        async with asyncio.timeout(20):
            while self._count < count:
                await asyncio.sleep(0.05)


@contextmanager
def counted() -> Iterator[Watches]:
    """Count while the context is open."""
    log, watches = logging.getLogger("connectors.folder.watch"), Watches()
    before = log.level
    log.addHandler(watches)
    log.setLevel(logging.INFO)
    try:
        yield watches
    finally:
        log.removeHandler(watches)
        log.setLevel(before)
