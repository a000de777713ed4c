"""The composition root: opens everything in order, closes it in reverse."""

import asyncio
import gc
import logging
import signal
import socket
from contextlib import AsyncExitStack

from aiohttp import web

from connectors.base import Misconfigured
from daemon.jobs.file_events import watching
from daemon.jobs.runner import Runner, running
from daemon.jobs.schedule import scheduling
from daemon.jobs.server_events import listening
from daemon.lock import DAEMON, hold
from daemon.opening import opened
from daemon.settings import Settings
from web.app import create_app
from web.password import ensure_password

log = logging.getLogger(__name__)


async def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM. Raises Misconfigured or Taken."""
    stopping = asyncio.Event()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(signal_number, stopping.set)
    async with AsyncExitStack() as stack:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        stack.enter_context(hold(settings.data_dir / DAEMON))
        services = await stack.enter_async_context(opened(settings, patience=5))
        runner = Runner(services)
        application = create_app(services, runner, password=ensure_password(settings))
        _spare_collections()
        address = await _listen(stack, application, settings)
        runs = await stack.enter_async_context(running(runner))
        runs.add_done_callback(lambda _: stopping.set())  # a daemon that runs nothing is none
        await stack.enter_async_context(scheduling(services, runner))
        await stack.enter_async_context(watching(services, runner))
        await stack.enter_async_context(listening(services, runner))
        log.info("Anagnorisis is at %s", address)
        await stopping.wait()
        log.info("Stopping")


def _spare_collections() -> None:
    """Leave out of all garbage collections what stays loaded for good.

    Without this each full collection goes through every library again and holds the event loop,
    for 300 ms on a busy machine.
    """
    gc.collect()
    gc.freeze()


async def _listen(stack: AsyncExitStack, application: web.Application, settings: Settings) -> str:
    server = web.AppRunner(application, shutdown_timeout=1)
    stack.push_async_callback(server.cleanup)
    await server.setup()
    host, port = settings.web.host, settings.web.port
    site = web.TCPSite(server, host, port)
    try:
        await site.start()
    except (OSError, socket.gaierror) as error:
        raise Misconfigured(
            f"Cannot listen on {host}:{port}: {error.strerror}. "
            "Set web.host or web.port (ANAGNORISIS_WEB__PORT) to something else."
        ) from error
    bound = server.addresses[0][1] if server.addresses else port
    return f"http://{'[' + host + ']' if ':' in host else host}:{bound}"
