"""Hear from the servers as things happen: a play is kept at once, new items are synced."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from sqlalchemy import select

from connectors.base import ConnectorError, Refused
from connectors.server import (
    Account,
    Capability,
    ItemsChanged,
    LiveEvent,
    Played,
    Resync,
    StatesChanged,
)
from daemon.jobs.queue import TAKE_IN, enqueue_files
from daemon.jobs.runner import Runner
from daemon.services import Services
from daemon.steps.account_sync import ensure_account, take_events, take_states
from daemon.store.models import Source
from daemon.store.server_models import Account as Row

log = logging.getLogger(__name__)

PAUSE = 60.0
LONGEST_PAUSE = 900.0
"""Seconds until a server that cannot be watched is tried again."""


@asynccontextmanager
async def listening(services: Services, runner: Runner) -> AsyncIterator[None]:
    """Listen to all servers while the context is open, where the settings want it."""
    names = services.servers.names() if services.settings.schedule.watch else []
    tasks = [
        asyncio.create_task(_Listener(services, runner, name).listen(), name=f"events of {name}")
        for name in names
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


class _Listener:
    def __init__(self, services: Services, runner: Runner, name: str) -> None:
        self._services = services
        self._runner = runner
        self._name = name
        self._connected = False

    async def listen(self) -> None:
        pause = PAUSE
        while True:
            try:
                accounts = await asyncio.to_thread(self._services.servers.accounts, self._name)
                server = await self._services.servers.open(self._name)
                if accounts and Capability.LIVE in server.info.capabilities:
                    async with aclosing(server.watch(accounts)) as events:
                        async for event in events:
                            pause = PAUSE
                            await self._take(event, accounts)
            except Refused as error:
                log.info("%s has no live events: %s", self._name, error)
                return
            except ConnectorError as error:
                log.info("%s cannot be watched now: %s", self._name, error)
            except Exception:
                log.exception("Listening to %s failed", self._name)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _take(self, event: LiveEvent, accounts: list[Account]) -> None:
        match event:
            case Resync():
                if self._connected:  # the first sync is queued at the start
                    await self._sync()
                self._connected = True
            case ItemsChanged():
                await self._sync()
            case StatesChanged(user_id, states):
                for account in accounts:
                    if account.user_id == user_id:
                        row, source_id = await self._row(account)
                        await take_states(self._services, source_id, self._name, row, states)
            case Played(user_id, play):
                for account in accounts:
                    if account.user_id == user_id:
                        row, source_id = await self._row(account)
                        await take_events(self._services, source_id, self._name, row, [play])

    async def _row(self, account: Account) -> tuple[Row, int]:
        async with self._services.database.read() as session:
            source_id = await session.scalar(select(Source.id).where(Source.name == self._name))
        assert source_id is not None
        return await ensure_account(self._services, source_id, account), source_id

    async def _sync(self) -> None:
        await enqueue_files(self._services.database, TAKE_IN, {self._name: []})
        self._runner.wake()
