"""Open a data folder: its database brought up to date, its people and sources known."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from daemon.lock import MIGRATION, VECTORS, Taken, hold
from daemon.services import Services, open_services
from daemon.settings import Settings
from daemon.steps.sync import register_sources
from daemon.store.journal_replay import replay_journal
from daemon.store.migrate import upgrade
from daemon.store.profiles import ensure_profiles

log = logging.getLogger(__name__)


def prepare(settings: Settings) -> None:
    """Make the data folder and bring its database up to date."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with hold(settings.data_dir / MIGRATION, wait=True):
        backup = upgrade(settings.database_path, settings.data_dir / "backups")
    if backup:
        log.info("The database was brought up to date; a copy from before is %s", backup)


@asynccontextmanager
async def opened(settings: Settings, *, patience: float = 0) -> AsyncIterator[Services]:
    """Yield the services over a data folder that is ready for use.

    `patience`: for how many seconds to wait for the right to write the vector cache, which a
    verb that is at work may have; without it, new vectors stay in memory.
    """
    await asyncio.to_thread(prepare, settings)
    with ExitStack() as locks:
        owns_cache = await _own_cache(settings, locks, time.monotonic() + patience)
        async with open_services(settings, owns_cache=owns_cache) as services:
            await register_sources(services, are_all=False)
            restored = await replay_journal(services.database, services.journal)
            if restored:
                log.info("%d ratings were put back from the journal", restored)
            async with services.database.write() as session:
                await ensure_profiles(session, settings)
            yield services


async def _own_cache(settings: Settings, locks: ExitStack, deadline: float) -> bool:
    while True:
        try:
            locks.enter_context(hold(settings.data_dir / VECTORS))
        except Taken:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.1)
        else:
            return True
