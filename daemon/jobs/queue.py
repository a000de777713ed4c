"""The queue of runs: rows of the database, so that nothing is lost when the process is killed."""

import uuid
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from daemon.steps import STEPS
from daemon.store.database import Database
from daemon.store.models import JobRun, now

ACTIVE = ("queued", "running")
TAKE_IN = ("sync", "describe", "embed", "score")
"""What follows when something may have changed: the small models need no quiet hours."""
AFTER = dict(pairwise(TAKE_IN))
"""What must come after a step, at some time: it finds what the step has brought."""
KEEP_RUNS = 2000
"""How many ended runs the history keeps."""


async def enqueue(
    database: Database,
    steps: Sequence[str],
    *,
    origin: str = "person",
    options: Mapping[str, Any] | None = None,
) -> str:
    """Queue the steps as one group, to be run in this order; return the group's id.

    Raises KeyError for an unknown step.
    """
    group = uuid.uuid4().hex
    async with database.write(durable=True) as session:
        for name in steps:
            step = STEPS[name]
            session.add(
                JobRun(
                    group=group, step=name, lane=step.lane, origin=origin,
                    options=dict(options or {}),
                )
            )  # fmt: skip
            await session.flush()  # ids in order
    return group


async def enqueue_unless_waiting(
    database: Database,
    steps: Sequence[str],
    *,
    origin: str,
    options: Mapping[str, Any] | None = None,
) -> str | None:
    """Queue the steps, unless such a group waits or, with options, is running.

    Of what must come after the first those are left out that wait already; see `enqueue_next`.
    """
    states = ("queued",) if not options else ACTIVE
    async with database.read() as session:
        waiting = await session.scalar(
            select(JobRun.id)
            .where(JobRun.state.in_(states), JobRun.origin == origin, JobRun.step == steps[0])
            .where(JobRun.options == dict(options or {}))
            .limit(1)
        )
    if waiting:
        return None
    if not options:
        steps = await _without_waiting(database, steps, origin)
    return await enqueue(database, steps, origin=origin, options=options)


async def _without_waiting(database: Database, steps: Sequence[str], origin: str) -> list[str]:
    """Leave out what waits already; else each sync adds to what a long run holds up.

    What waits may come before the steps that it should follow: `enqueue_next` puts that right.
    """
    async with database.read() as session:
        waiting = set(
            await session.scalars(
                select(JobRun.step).where(JobRun.state == "queued", JobRun.origin == origin)
            )
        )
    waiting &= set(AFTER.values())
    return [steps[0], *(step for step in steps[1:] if step not in waiting)]


async def enqueue_next(database: Database, step: str, *, origin: str) -> None:
    """Queue what must come after a step that has ended, unless a run of it waits: that will do."""
    steps = []
    while step := AFTER.get(step, ""):
        steps.append(step)
    if not steps:
        return
    async with database.read() as session:
        queued = select(JobRun.id).where(JobRun.state == "queued", JobRun.step == steps[0])
        waits = await session.scalar(queued.limit(1))
    if waits is None:
        await enqueue(database, await _without_waiting(database, steps, origin), origin=origin)


async def enqueue_files(
    database: Database, steps: Sequence[str], under: Mapping[str, Sequence[str]]
) -> None:
    """Queue a sync of sub-folders; while one waits, add them to that one instead."""
    async with database.write() as session:
        waiting: JobRun | None = await session.scalar(
            select(JobRun)
            .where(JobRun.state == "queued", JobRun.origin == "files", JobRun.step == steps[0])
            .limit(1)
        )
        if waiting:
            known = waiting.options["under"]
            merged = {
                source: sorted({*known.get(source, ()), *under.get(source, ())})
                for source in {*known, *under}
            }
            waiting.options = {"under": merged}
            return
    steps = await _without_waiting(database, steps, "files")
    await enqueue(database, steps, origin="files", options={"under": dict(under)})


async def claim(database: Database, lane: str) -> JobRun | None:
    """Take the next run of a lane: the oldest of which all before it in its group have ended."""
    earlier = aliased(JobRun)
    is_held_up = exists().where(
        earlier.group == JobRun.group, earlier.id < JobRun.id, earlier.state.in_(ACTIVE)
    )
    following = (
        select(JobRun)
        .where(JobRun.state == "queued", JobRun.lane == lane, ~is_held_up)
        .order_by(JobRun.origin != "person", JobRun.id)
        .limit(1)
    )
    async with database.read() as session:
        if await session.scalar(following) is None:
            return None  # an idle queue takes no write lock
    async with database.write() as session:
        run: JobRun | None = await session.scalar(following)
        if run:
            run.state, run.started_at = "running", now()
            run.attempts += 1
    return run


async def finish(database: Database, run_id: int, state: str, message: str, error: str) -> None:
    """Note how a run ended, and forget the oldest."""
    values = {"state": state, "message": message, "error": error, "finished_at": now()}
    async with database.write() as session:
        await session.execute(update(JobRun).where(JobRun.id == run_id).values(**values))
        await session.execute(
            delete(JobRun).where(JobRun.id < run_id - KEEP_RUNS, JobRun.state.not_in(ACTIVE))
        )


async def release(database: Database, run_id: int) -> None:
    """Put a run back whose process ends in good order: that is no attempt that failed."""
    async with database.write() as session:
        await session.execute(
            update(JobRun)
            .where(JobRun.id == run_id, JobRun.state == "running")
            .values(state="queued", attempts=JobRun.attempts - 1)
        )


async def requeue_interrupted(database: Database) -> int:
    """Queue again what a dead process left running; return how many. Only the runner asks this."""
    async with database.write() as session:
        left = (await session.scalars(select(JobRun).where(JobRun.state == "running"))).all()
        for run in left:
            if run.cancel_requested:
                run.state, run.finished_at = "cancelled", now()
            elif run.attempts >= 3:
                run.state, run.finished_at = "failed", now()
                run.error = "The process ended three times in the middle of this run."
            else:
                run.state = "queued"
    return len(left)


async def request_cancel(database: Database, run_id: int) -> bool:
    """Ask that a run be cancelled; False if it has ended or is unknown."""
    async with database.write(durable=True) as session:
        run = await session.get(JobRun, run_id)
        if run is None or run.state not in ACTIVE:
            return False
        run.cancel_requested = True
        if run.state == "queued":
            run.state, run.finished_at = "cancelled", now()
    return True


async def find_cancelled(session: AsyncSession, run_ids: Sequence[int]) -> set[int]:
    """Return which of these runs are to be cancelled."""
    rows = await session.scalars(
        select(JobRun.id).where(JobRun.id.in_(run_ids), JobRun.cancel_requested)
    )
    return set(rows)


async def group_runs(session: AsyncSession, group: str) -> Sequence[JobRun]:
    """Return the runs of a group, in order."""
    rows = await session.scalars(select(JobRun).where(JobRun.group == group).order_by(JobRun.id))
    return rows.all()
