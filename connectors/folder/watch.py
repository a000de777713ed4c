"""Notices changes in mounted folders as they happen.

Events are hints: they say where to look, not what is there, and some never come (network mounts,
names that are no UTF-8, an overflowing queue). The scheduled sync of everything finds the rest.
"""

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from connectors.folder.watch_client import Watcher, WatcherEnded, open_watcher

log = logging.getLogger(__name__)

DEBOUNCE_MS = 1600
"""How long changes are gathered: a copy is many."""

LOOK_AGAIN_SECONDS = 10.0
"""How often an absent folder is looked for, and a watched one looked at: a mount may come and go
without an event."""

LONGEST_PAUSE = 60.0
"""Seconds between attempts where names that are no UTF-8 break the watch again and again."""

POLL_DELAY_MS = 60_000

Changed = dict[str, set[bytes]]


async def watch_folders(
    folders: Mapping[str, bytes],
    stop: asyncio.Event,
    *,
    force_polling: bool | None = None,
    debounce: int = DEBOUNCE_MS,
    poll_delay: int = POLL_DELAY_MS,
    look_again: float = LOOK_AGAIN_SECONDS,
) -> AsyncGenerator[Changed]:
    """Yield the sub-folders in which something changed, by the names of `folders`, until `stop`.

    A sub-folder is relative to its root; b"" means the whole folder, said when it comes back
    after an absence and when events were lost. Times in milliseconds, `look_again` in seconds.
    """
    queue: asyncio.Queue[tuple[str, set[bytes]]] = asyncio.Queue()
    async with open_watcher() as watcher:
        tasks: list[asyncio.Task[object]] = [asyncio.create_task(stop.wait())]
        for name, root in folders.items():
            watch = _Watch(watcher, name, root, queue, debounce, poll_delay, look_again)
            tasks.append(asyncio.create_task(watch.run(bool(force_polling)), name=f"watch {name}"))
        async with aclosing(_pass_on(queue, tasks)) as changes:
            async for changed in changes:
                yield changed


async def _pass_on(
    queue: asyncio.Queue[tuple[str, set[bytes]]], tasks: list[asyncio.Task[object]]
) -> AsyncGenerator[Changed]:
    """Yield what comes until one of the tasks ends; then end the others."""
    try:
        while True:
            getting = asyncio.create_task(queue.get())
            tasks.append(getting)
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                break
            tasks.remove(getting)
            yield _gather(queue, *getting.result())
        for task in tasks:
            if task.done():
                task.result()  # raises what ended a watch
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _gather(queue: asyncio.Queue[tuple[str, set[bytes]]], name: str, first: set[bytes]) -> Changed:
    """Return what is in the queue now as one change."""
    changed = {name: set(first)}
    while not queue.empty():
        name, folders = queue.get_nowait()
        changed.setdefault(name, set()).update(folders)
    return {name: {b""} if b"" in found else found for name, found in changed.items()}


class _Watch:
    """The watch over one folder, through its absences."""

    def __init__(
        self, watcher: Watcher, name: str, root: bytes,
        queue: asyncio.Queue[tuple[str, set[bytes]]], debounce: int, poll_delay: int,
        look_again: float,
    ) -> None:  # fmt: skip
        self._watcher, self._name, self._root, self._queue = watcher, name, root, queue
        self._debounce, self._poll_delay, self._look_again = debounce, poll_delay, look_again
        self._pause = 0.0
        self._must_poll = False
        self._may_not_see_all = False  # where set, running out of watches goes unnoticed too

    async def run(self, force_polling: bool) -> None:
        """Watch until cancelled."""
        was_absent = False
        while True:
            identity = await asyncio.to_thread(_identity, self._root)
            if identity is None:
                if not was_absent:
                    log.warning("%s is not there; its changes are noticed when it is", self._name)
                was_absent = True
                await asyncio.sleep(self._look_again)
                continue
            if was_absent:
                log.info("%s is there again", self._name)
                await self._queue.put((self._name, {b""}))
            was_absent = not await self._watch_one(identity, force_polling or self._must_poll)

    async def _watch_one(self, identity: tuple[int, int], polling: bool) -> bool:
        """Watch until the watch breaks; tell whether the folder stayed."""
        options = {
            "debounce": self._debounce, "force_polling": polling or None,
            "poll_delay_ms": self._poll_delay, "rust_timeout": int(self._look_again * 1000),
            "ignore_permission_denied": self._may_not_see_all,
        }  # fmt: skip
        try:
            async with aclosing(self._watcher.events(self._root, options)) as events:
                await anext(events)
                log.info("%s is watched", self._name)
                async for found in events:
                    if found:
                        self._pause = 0.0
                        await self._queue.put((self._name, found))
                    if await asyncio.to_thread(_identity, self._root) != identity:
                        return False
        except (OSError, RuntimeError) as error:
            await self._recover(error)
        return True

    async def _recover(self, error: Exception) -> None:
        """Make the best of a broken watch: its events are lost, so the whole has changed."""
        if "decode path" in str(error):
            log.info("%s has names that are no UTF-8; looking at all of it", self._name)
            await self._queue.put((self._name, {b""}))
            self._pause = min(max(self._debounce / 1000, self._pause * 2), LONGEST_PAUSE)
        elif isinstance(error, WatcherEnded):
            log.warning("%s: %s; beginning anew", self._name, error)
            await self._queue.put((self._name, {b""}))
            self._pause = min(max(self._look_again, self._pause * 2), LONGEST_PAUSE)
        elif isinstance(error, FileNotFoundError):
            self._pause = self._look_again
        elif isinstance(error, PermissionError) and not self._may_not_see_all:
            log.info("Parts of %s may not be looked into, so they are not watched", self._name)
            self._may_not_see_all = True
        else:
            log.warning(
                "%s cannot be watched by events, so it is looked through every %.0f s (%s). If the "
                "machine ran out of watches, raise fs.inotify.max_user_watches and "
                "fs.inotify.max_user_instances with sysctl.",
                self._name, self._poll_delay / 1000, error,
            )  # fmt: skip
            self._must_poll = True
            self._pause = max(self._debounce / 1000, self._pause * 2)
        await asyncio.sleep(self._pause)


def _identity(root: bytes) -> tuple[int, int] | None:
    """Return device and inode of a folder, which change when a mount comes or goes."""
    try:
        status = os.stat(root)
    except OSError:
        return None
    return status.st_dev, status.st_ino
