"""run: steps now, in the foreground, or in the running daemon."""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

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
    steps = arguments.steps or list(STEPS)
    options = {"accept_loss": arguments.accept_loss} if arguments.accept_loss else {}
    async with opened(settings) as services:
        try:
            with hold(settings.data_dir / DAEMON):
                runner = Runner(services, on_progress=_Printer())
                group = await enqueue(services.database, steps, options=options)
                async with running(runner):
                    return await _follow(services, group, say_progress=False)
        except Taken:
            tell("The daemon is running; it carries out the steps.")
            group = await enqueue(services.database, steps, options=options)
            return await _follow(services, group, say_progress=True)


async def _follow(services: Services, group: str, *, say_progress: bool) -> int:
    """Wait for the group's end; return the exit status."""
    printer, told = _Printer(), set[int]()
    try:
        while True:
            async with services.database.read() as session:
                runs = await group_runs(session, group)
            for run in runs:
                if run.state == "running" and say_progress:
                    printer(run, Progress(run.done, run.total, run.message))
                if run.state not in ACTIVE and run.id not in told:
                    told.add(run.id)
                    _tell_end(run)
            if len(told) == len(runs):
                return _status(runs)
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
