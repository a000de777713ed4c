"""Run a client library that blocks, in a few threads of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

THREADS = 4


class BlockingCalls:
    """A small bounded pool for one server, so that a slow one never takes another's threads.

    A thread cannot be stopped: a call that was cancelled runs out its own time-out. Its result,
    and its error, are dropped.
    """

    def __init__(self, name: str, threads: int = THREADS) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, call: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """Return `call(…)`, made in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, partial(call, *arguments, **options))

    def close(self) -> None:
        """Take no more calls, and wait for none."""
        self._threads.shutdown(wait=False, cancel_futures=True)
