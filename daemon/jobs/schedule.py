"""Decide when something is queued: by the clock, and when files change."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy import func, select

from daemon.jobs.queue import TAKE_IN, enqueue_unless_waiting
from daemon.jobs.runner import Runner
from daemon.playlists.refreshing import find_due
from daemon.services import Services
from daemon.steps import STEPS
from daemon.store.models import JobRun

LOOK_SECONDS = 60
"""How often playlists with times of their own are looked at."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def scheduling(services: Services, runner: Runner) -> AsyncIterator[None]:
    """Keep the schedule while the context is open."""
    schedule = services.settings.schedule

    async def queue(steps: tuple[str, ...], origin: str) -> None:
        if await enqueue_unless_waiting(services.database, steps, origin=origin):
            runner.wake()

    async def refresh_due() -> None:
        """Queue the playlists whose own times have come."""
        if due := await find_due(services, datetime.now().astimezone()):
            options = {"only": due}
            if await enqueue_unless_waiting(
                services.database, ("playlists",), origin="schedule", options=options
            ):
                runner.wake()

    scheduler = AsyncIOScheduler(job_defaults={"coalesce": True, "misfire_grace_time": None})
    nightly = CronTrigger.from_crontab(schedule.nightly)
    scheduler.add_job(queue, nightly, [tuple(STEPS), "schedule"], id="nightly")
    scheduler.add_job(
        queue, CronTrigger.from_crontab(schedule.refresh_playlists),
        [("playlists",), "schedule"], id="playlists",
    )  # fmt: skip
    scheduler.add_job(
        queue, IntervalTrigger(seconds=int(schedule.sync.total_seconds())),
        [TAKE_IN, "clock"], id="sync",
    )  # fmt: skip
    scheduler.add_job(refresh_due, IntervalTrigger(seconds=LOOK_SECONDS), id="refresh")
    scheduler.start()
    try:
        await queue(TAKE_IN, "start")
        if await _missed_a_night(services, nightly):
            log.info("The last nightly run was missed; it runs now")
            await queue(tuple(STEPS), "schedule")
        yield
    finally:
        scheduler.shutdown(wait=False)


async def _missed_a_night(services: Services, nightly: CronTrigger) -> bool:
    """Tell whether a nightly run fell due since the last one while nothing was running."""
    async with services.database.read() as session:
        last = await session.scalar(
            select(func.max(JobRun.queued_at, type_=JobRun.queued_at.type)).where(
                JobRun.origin == "schedule", JobRun.step == "backup"
            )
        )
    if last is None:
        return False
    due = nightly.get_next_fire_time(None, last.astimezone())
    return due is not None and due < datetime.now().astimezone()
