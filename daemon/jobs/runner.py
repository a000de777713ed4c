"""Run what is queued: one run at a time in each lane.

The queue is looked at when `wake` is called, and every second, since another process may have
queued or cancelled something.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError

from daemon.jobs.queue import (
    TAKE_IN,
    claim,
    enqueue_next,
    enqueue_unless_waiting,
    find_cancelled,
    finish,
    release,
    requeue_interrupted,
)
from daemon.jobs.window import window_end
from daemon.services import Services
from daemon.steps import STEPS
from daemon.steps.step import Progress, StepFailed, StepIncomplete, StepRun
from daemon.store.models import JobRun, now

log = logging.getLogger(__name__)

T = TypeVar("T")

LANES = ("io", "gpu")
LOG_SECONDS = 10.0
"""How often the progress of a run goes to the log."""
POLL_SECONDS = 1.0
RETRY_SECONDS = 10
SHARES = {"describe": 0.8, "embed": 1.0}
"""How much of the quiet hours may be over when a step stops: what was described is embedded yet."""
TURN = timedelta(minutes=15)
"""After this long describing lets the next steps have their turn: what is there can be searched
while a large library is taken in."""
FOLLOWING = TAKE_IN[1:]
"""What is queued after a turn."""
STORE_SECONDS = 1.0
"""How often the progress of a run is written down."""


class Runner:
    """Claims runs and carries them out; cancelling one always wins."""

    def __init__(
        self, services: Services, *, on_progress: Callable[[JobRun, Progress], None] | None = None
    ) -> None:
        self._services = services
        self._on_progress = on_progress
        self._wake = asyncio.Event()
        self._tasks: dict[int, asyncio.Task[str]] = {}
        self.progress: dict[int, Progress] = {}
        """Of the runs that are under way, by run id."""

    def wake(self) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        left = await requeue_interrupted(self._services.database)
        if left:
            log.info("%d runs were interrupted; going on with them", left)
        async with asyncio.TaskGroup() as lanes:
            for lane in LANES:
                lanes.create_task(self._work_lane(lane))
            lanes.create_task(self._watch_cancellations())

    async def _work_lane(self, lane: str) -> None:
        while True:
            run = await _persist(lambda: claim(self._services.database, lane))
            if run is None:
                await self._pause()
                continue
            await self._carry_out(run)
            self.wake()  # another lane may wait for this one

    async def _pause(self) -> None:
        self._wake.clear()
        try:
            await asyncio.wait_for(self._wake.wait(), POLL_SECONDS)
        except TimeoutError:
            return

    async def _carry_out(self, run: JobRun) -> None:
        step_run = self._prepare(run)
        self.progress[run.id] = step_run.progress
        task = asyncio.create_task(STEPS[run.step].run(step_run), name=run.step)
        self._tasks[run.id] = task
        self._services.events.publish("jobs")
        log.info("%s begins", run.step)
        try:
            state, message, error = await self._outcome(task, run.step)
        except asyncio.CancelledError:  # the daemon ends: the run goes on at the next start
            task.cancel()
            await asyncio.wait([task])
            with suppress(SQLAlchemyError):  # then it counts as an attempt
                await release(self._services.database, run.id)
            raise
        finally:
            self._tasks.pop(run.id)
        log.info("%s is %s: %s", run.step, state, message or error)
        await _persist(lambda: self._store(run.id, step_run))
        await _persist(lambda: finish(self._services.database, run.id, state, message, error))
        self.progress.pop(run.id)
        if state != "cancelled" and run.origin != "person":
            has_more = step_run.is_over() and step_run.has_advanced
            is_left = state == "done" and run.origin != "schedule" and has_more
            await _persist(lambda: self._go_on(run, is_left))
        self._services.events.publish("jobs")

    async def _go_on(self, run: JobRun, is_left: bool) -> None:
        """Queue what comes after a run that the daemon began; where some is left, its next turn."""
        if is_left:
            await enqueue_unless_waiting(self._services.database, FOLLOWING, origin=run.origin)
        await enqueue_next(self._services.database, run.step, origin=run.origin)

    async def _outcome(self, task: asyncio.Task[str], name: str) -> tuple[str, str, str]:
        """Return the state, message and error that the run ended with."""
        await asyncio.wait([task])
        if task.cancelled():
            return "cancelled", "", ""
        error = task.exception()
        if error is None:
            return "done", task.result(), ""
        if isinstance(error, StepIncomplete):
            return "done", error.summary, error.problem
        if isinstance(error, StepFailed):
            return "failed", "", str(error)
        log.error("%s failed", name, exc_info=error)
        return "failed", "", f"{type(error).__name__}: {error}"

    def _prepare(self, run: JobRun) -> StepRun:
        last_stored, last_logged = 0.0, time.monotonic()

        async def on_progress(step_run: StepRun) -> None:
            nonlocal last_stored, last_logged
            if time.monotonic() - last_logged >= LOG_SECONDS:
                last_logged = time.monotonic()
                log.info("%s: %s", run.step, step_run.progress)
            if self._on_progress:
                self._on_progress(run, step_run.progress)
            if time.monotonic() - last_stored >= STORE_SECONDS:
                last_stored = time.monotonic()
                await self._store(run.id, step_run)
                self._services.events.publish("jobs")

        return StepRun(
            services=self._services,
            options=run.options,
            checkpoint=dict(run.checkpoint),
            deadline=self._deadline(run),
            on_progress=on_progress,
            origin=run.origin,
        )

    def _deadline(self, run: JobRun) -> datetime | None:
        """Return when a heavy step must stop; what a person asked for runs to its end."""
        if run.origin == "schedule" and run.step in SHARES:
            window = self._services.settings.schedule.window
            return window_end(window, run.queued_at, SHARES[run.step])
        return now() + TURN if run.step == "describe" and run.origin != "person" else None

    async def _store(self, run_id: int, step_run: StepRun) -> None:
        progress = step_run.progress
        async with self._services.database.write() as session:
            await session.execute(
                update(JobRun)
                .where(JobRun.id == run_id)
                .values(
                    done=progress.done, total=progress.total, message=progress.message,
                    checkpoint=step_run.checkpoint,
                )
            )  # fmt: skip

    async def _watch_cancellations(self) -> None:
        told: set[int] = set()
        while True:
            await asyncio.sleep(POLL_SECONDS / 4)
            if not self._tasks:
                continue
            for run_id in await _persist(self._find_cancelled) - told:
                if run_id in self._tasks:
                    self._tasks[run_id].cancel()
                    told.add(run_id)

    async def _find_cancelled(self) -> set[int]:
        async with self._services.database.read() as session:
            return await find_cancelled(session, list(self._tasks))


async def _persist(work: Callable[[], Awaitable[T]]) -> T:
    """Do it, and again until the database can be read and written: a disk may be full."""
    while True:
        try:
            return await work()
        except SQLAlchemyError:
            log.exception("The database cannot be used; trying again in %d s", RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


@asynccontextmanager
async def running(runner: Runner) -> AsyncIterator[asyncio.Task[None]]:
    """Keep the runner at work while the context is open; yield its task.

    The task ends only if something fails that should not; leaving the context raises that.
    """
    task = asyncio.create_task(runner.run(), name="runner")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()
