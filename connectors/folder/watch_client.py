"""The daemon's side of `connectors.folder.watch_process`."""

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

LONGEST_LINE = 1 << 22
"""Bytes; 200 paths of the longest, escaped."""

_ERRORS = {"FileNotFoundError": FileNotFoundError, "PermissionError": PermissionError}


class WatcherEnded(RuntimeError):
    """The process is gone; what happened meanwhile is not known."""


class Watcher:
    """One process for all watches, started when first needed."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._news: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    async def events(self, root: bytes, options: dict[str, Any]) -> AsyncGenerator[set[bytes]]:
        """Yield sub-folders with changes; none when the watch stands, and when time is over.

        `options` are those of `watchfiles.watch`.

        Raises FileNotFoundError, PermissionError, WatcherEnded, or RuntimeError for the rest.
        """
        process, number = await self._running(), next(self._numbers)
        queue = self._news[number] = asyncio.Queue()
        try:
            await _order(process, number=number, root=os.fsdecode(root), options=options)
            while True:
                news = await queue.get()
                if "error" in news:
                    raise _ERRORS.get(news["error"], RuntimeError)(news["message"])
                if "ended" in news:
                    raise WatcherEnded("the process that watches ended")
                yield {os.fsencode(folder) for folder in news["folders"]}
        finally:
            del self._news[number]
            with suppress(WatcherEnded):
                await _order(process, number=number)

    async def close(self) -> None:
        """End the process."""
        if self._process and self._process.returncode is None:
            self._process.kill()
        if self._reading:
            await self._reading

    async def _running(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                await self.close()
                self._process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "connectors.folder.watch_process",
                    stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                    start_new_session=True, limit=LONGEST_LINE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                )  # fmt: skip
                self._reading = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        while line := await process.stdout.readline():
            news = json.loads(line)
            if queue := self._news.get(news["number"]):
                queue.put_nowait(news)
        await process.wait()
        for queue in self._news.values():
            queue.put_nowait({"ended": True})


async def _order(process: asyncio.subprocess.Process, **order: Any) -> None:
    assert process.stdin
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        await process.stdin.drain()
    except ConnectionError as error:
        raise WatcherEnded("the process that watches ended") from error


@asynccontextmanager
async def open_watcher() -> AsyncIterator[Watcher]:
    """Yield a watcher; its process ends on the way out."""
    watcher = Watcher()
    try:
        yield watcher
    finally:
        await watcher.close()
