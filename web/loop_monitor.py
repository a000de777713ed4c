"""Measure how long the event loop is held: what one turn takes, everybody waits for."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

TICK = 0.02
"""Seconds between two looks."""
LONG = 0.05


class LoopMonitor:
    """A task that asks to be woken every tick, and notes how late it is."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._held = Histogram(
            "anagnorisis_event_loop_held_seconds", "How late a turn of the event loop came",
            buckets=(0.001, 0.005, 0.01, 0.025, LONG, 0.1, 0.25, 1), registry=registry,
        )  # fmt: skip
        self._long = Counter(
            "anagnorisis_event_loop_long_turns", "Turns that came over 50 ms late",
            registry=registry,
        )  # fmt: skip
        self._longest = Gauge(
            "anagnorisis_event_loop_longest_seconds", "The latest turn since the start",
            registry=registry,
        )  # fmt: skip
        self.longest = 0.0

    async def watch(self) -> None:
        """Measure until cancelled."""
        while True:
            due = time.perf_counter() + TICK
            await asyncio.sleep(TICK)
            late = max(0.0, time.perf_counter() - due)
            self._held.observe(late)
            if late > LONG:
                self._long.inc()
            if late > self.longest:
                self.longest = late
                self._longest.set(late)

    async def run_with(self, _app: web.Application) -> AsyncIterator[None]:
        """Measure while the application runs."""
        task = asyncio.create_task(self.watch(), name="loop monitor")
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
