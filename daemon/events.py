"""Tell whoever is looking at a page that something changed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Events:
    """Topics, not messages: a slow listener misses nothing, it just looks once for several."""

    def __init__(self) -> None:
        self._listeners: set[asyncio.Queue[str]] = set()

    def publish(self, topic: str) -> None:
        """Wake everyone who listens; never blocks."""
        for queue in self._listeners:
            if queue.qsize() < 16:
                queue.put_nowait(topic)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[str]]:
        """Yield a queue of the topics published from now on."""
        queue: asyncio.Queue[str] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)
