"""Queue a sync of the sub-folders in which files change."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from connectors.folder.watch import watch_folders
from daemon.jobs.queue import TAKE_IN, enqueue_files
from daemon.jobs.runner import Runner
from daemon.services import Services

log = logging.getLogger(__name__)


@asynccontextmanager
async def watching(services: Services, runner: Runner) -> AsyncIterator[None]:
    """Watch the mounted folders while the context is open, where the settings want it."""
    folders = {folder.name: bytes(folder.path) for folder in services.settings.folders}
    if not services.settings.schedule.watch or not folders:
        yield
        return
    stop = asyncio.Event()

    async def watch() -> None:
        async with aclosing(watch_folders(folders, stop)) as changes:
            async for changed in changes:
                under = {name: [path.hex() for path in paths] for name, paths in changed.items()}
                await enqueue_files(services.database, TAKE_IN, under)
                runner.wake()

    task = asyncio.create_task(watch(), name="file events")
    try:
        yield
    finally:
        stop.set()
        task.cancel()
        await asyncio.wait([task])
