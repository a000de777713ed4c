"""The composition root: opens everything in order, closes it in reverse."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager

from aiohttp import web
from web.app import create_app
from web.password import ensure_password

from daemon.jobs.file_events import watching
from daemon.jobs.runner import Runner, running
from daemon.jobs.schedule import scheduling
from daemon.lock import DAEMON, VECTORS, Taken, hold
from daemon.services import Services, open_services
from daemon.settings import Settings
from daemon.steps.sync import register_sources
from daemon.store.journal_replay import replay_journal
from daemon.store.migrate import upgrade
from daemon.store.profiles import ensure_profiles

log = logging.getLogger(__name__)


class CannotServe(Exception):
    """The daemon cannot start; the message says what to do."""


def prepare(settings: Settings) -> None:
    """Make the data folder and bring its database up to date."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    backup = upgrade(settings.database_path, settings.data_dir / "backups")
    if backup:
        log.info("The database was brought up to date; a copy from before is %s", backup)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Yield the services over a data folder that is ready for use."""
    await asyncio.to_thread(prepare, settings)
    with ExitStack() as locks:
        try:
            locks.enter_context(hold(settings.data_dir / VECTORS))
            owns_cache = True
        except Taken:
            owns_cache = False
        async with open_services(settings, owns_cache=owns_cache) as services:
            async with services.database.write() as session:
                await ensure_profiles(session, settings)
            await register_sources(services)
            restored = await replay_journal(services.database, services.journal)
            if restored:
                log.info("%d ratings were put back from the journal", restored)
            yield services


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises CannotServe or Taken."""
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        stack.enter_context(hold(settings.data_dir / DAEMON))
        services = await stack.enter_async_context(opened(settings))
        runner = Runner(services)
        application = create_app(services, runner, password=ensure_password(settings))
        address = await _listen(stack, application, settings)
        await stack.enter_async_context(running(runner))
        await stack.enter_async_context(scheduling(services, runner))
        await stack.enter_async_context(watching(services, runner))
        log.info("Anagnorisis is at %s", address)
        await stopping.wait()
        log.info("Stopping")


async def _listen(stack: AsyncExitStack, application: web.Application, settings: Settings) -> str:
    server = web.AppRunner(application, shutdown_timeout=1)
    stack.push_async_callback(server.cleanup)
    await server.setup()
    host, port = settings.web.host, settings.web.port
    site = web.TCPSite(server, host, port)
    try:
        await site.start()
    except (OSError, socket.gaierror) as error:
        raise CannotServe(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Set web.host or web.port (ANAGNORISIS_WEB__PORT) to something else."
        ) from error
    bound = server.addresses[0][1] if server.addresses else port
    return f"http://{'[' + host + ']' if ':' in host else host}:{bound}"
