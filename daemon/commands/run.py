"""run: steps now, in the foreground, or in the running daemon."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack

from daemon.commands.command import (
    DONE,
    FAILED,
    IN_PART,
    BadUsage,
    Verbs,
    add_common,
    tell,
)
from daemon.jobs.queue import ACTIVE, enqueue, group_runs, request_cancel
from daemon.jobs.runner import Runner, running
from daemon.lock import DAEMON, Taken, hold
from daemon.opening import opened
from daemon.services import Services
from daemon.settings import Settings
from daemon.steps import STEPS
from daemon.steps.step import Progress
from daemon.store.models import JobRun

CACHE_PATIENCE = 5
FOLLOW_SECONDS = 0.25
PROGRESS_SECONDS = 2.0


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = verbs.add_parser(
        "run",
        help="run steps now, with progress; without a step: the nightly pipeline",
        description=f"The steps, in the order of the pipeline: {', '.join(STEPS)}.",
    )
    add_common(parser, default=argparse.SUPPRESS)
    parser.add_argument("steps", nargs="*", metavar="STEP")
    parser.add_argument(
        "--accept-loss", action="append", default=[], metavar="SOURCE",
        help="take it as real that most files of this source are gone",
    )  # fmt: skip
    parser.set_defaults(handler=run_steps)


async def run_steps(settings: Settings, arguments: argparse.Namespace) -> int:
    """Queue the steps and follow them to their end."""
    unknown = [step for step in arguments.steps if step not in STEPS]
    if unknown:
        raise BadUsage(f"There is no step {unknown[0]}; there are {', '.join(STEPS)}.")
    names = [folder.name for folder in settings.folders]
    strange = [name for name in arguments.accept_loss if name not in names]
    if strange:
        raise BadUsage(f"There is no source {strange[0]}; there are {', '.join(names) or 'none'}.")
    options = {"accept_loss": arguments.accept_loss} if arguments.accept_loss else {}
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        is_alone = _is_free(stack, settings)
        patience = CACHE_PATIENCE if is_alone else 0
        services = await stack.enter_async_context(opened(settings, patience=patience))
        group = await enqueue(services.database, arguments.steps or list(STEPS), options=options)
        if is_alone:
            await stack.enter_async_context(running(Runner(services, on_progress=_Printer())))
        else:
            tell("The daemon is running; it carries out the steps.")
        return await _follow(services, group, stack, is_alone=is_alone)


def _is_free(stack: AsyncExitStack, settings: Settings) -> bool:
    """Take the daemon's place if no one has it."""
    try:
        stack.enter_context(hold(settings.data_dir / DAEMON))
    except Taken:
        return False
    return True


async def _follow(services: Services, group: str, stack: AsyncExitStack, *, is_alone: bool) -> int:
    """Wait for the group's end; return the exit status. If the daemon ends first, take over."""
    printer, told = _Printer(), set[int]()
    runs: Sequence[JobRun] = ()
    me = asyncio.current_task()
    try:
        while True:
            if me and me.cancelling():  # swallowed on its way here
                raise asyncio.CancelledError
            async with services.database.read() as session:
                runs = await group_runs(session, group)
            for run in runs:
                if run.state == "running" and not is_alone:
                    printer(run, Progress(run.done, run.total, run.message))
                if run.state not in ACTIVE and run.id not in told:
                    told.add(run.id)
                    _tell_end(run)
            if len(told) == len(runs):
                return _status(runs)
            if not is_alone and _is_free(stack, services.settings):
                is_alone = True
                tell("The daemon has ended; the steps go on here.")
                await stack.enter_async_context(running(Runner(services, on_progress=_Printer())))
            await asyncio.sleep(FOLLOW_SECONDS)
    except asyncio.CancelledError:  # Ctrl-C
        for run in runs:
            await request_cancel(services.database, run.id)
        raise


def _tell_end(run: JobRun) -> None:
    tell(f"{run.step}: {run.state}" + (f": {run.message}" if run.message else ""))
    if run.error:
        tell(f"{run.step}: {run.error}")


def _status(runs: Sequence[JobRun]) -> int:
    if any(run.state in ("failed", "cancelled") for run in runs):
        return FAILED
    return IN_PART if any(run.error for run in runs) else DONE


class _Printer:
    """Prints progress now and then; on a terminal, over the same line."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, run: JobRun, progress: Progress) -> None:
        if time.monotonic() - self._last < PROGRESS_SECONDS:
            return
        self._last = time.monotonic()
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{run.step}: {progress}", end=end, file=sys.stderr, flush=True)
