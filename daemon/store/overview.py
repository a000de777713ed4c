"""What the page of jobs shows: runs, and what was set aside."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Item, JobRun, Source, UnreadableLocation, Work, public_id
from daemon.store.work import MAXIMUM_ATTEMPTS

ACTIVE = ("queued", "running")
SHOWN = 100
"""How much of what was set aside is listed."""


@dataclass(frozen=True)
class SetAside:
    """A file that is no item, or an item that a worker could not do its part for."""

    name: str
    item: str
    """The public id, "" for a file."""
    place: str
    """The worker, or the source."""
    reason: str
    at: datetime
    attempts: int = MAXIMUM_ATTEMPTS

    @property
    def is_final(self) -> bool:
        """Whether it waits until the file changes, rather than for the next run."""
        return self.attempts >= MAXIMUM_ATTEMPTS


async def find_active(session: AsyncSession) -> Sequence[JobRun]:
    """Return the runs that wait or are under way, in order."""
    query = select(JobRun).where(JobRun.state.in_(ACTIVE)).order_by(JobRun.id)
    return (await session.scalars(query)).all()


async def find_history(session: AsyncSession, limit: int = 40) -> Sequence[JobRun]:
    """Return the runs that ended last, newest first."""
    query = select(JobRun).where(JobRun.state.not_in(ACTIVE)).order_by(JobRun.id.desc())
    return (await session.scalars(query.limit(limit))).all()


async def find_set_aside(
    session: AsyncSession, perceivers: Collection[str]
) -> tuple[list[SetAside], int]:
    """Return the newest of what was set aside, and how much there is.

    `perceivers` are the workers of the models that are chosen now: the others' failures, and
    those at items that are gone, are of no interest any more.
    """
    is_meant = and_(
        Work.error.is_not(None), Item.gone_at.is_(None),
        or_(Work.worker.in_(perceivers), ~Work.worker.startswith("perceive:")),
    )  # fmt: skip
    total = await session.scalar(select(func.count()).select_from(UnreadableLocation)) or 0
    failures = select(func.count()).select_from(Work).join(Item, Item.id == Work.item_id)
    total += await session.scalar(failures.where(is_meant)) or 0
    files = await session.execute(
        select(UnreadableLocation, Source.name)
        .join(Source, Source.id == UnreadableLocation.source_id)
        .order_by(UnreadableLocation.at.desc())
        .limit(SHOWN)
    )
    found = [
        SetAside(row.path.decode(errors="replace"), "", source, row.reason, row.at)
        for row, source in files
    ]
    items = await session.execute(
        select(Item.id, Item.title, Work.worker, Work.error, Work.at, Work.attempts)
        .join(Item, Item.id == Work.item_id)
        .where(is_meant)
        .order_by(Work.at.desc())
        .limit(SHOWN)
    )
    for row in items:
        failure = SetAside(
            row.title, public_id(row.id), _place(row.worker), row.error or "", row.at,
            row.attempts,
        )  # fmt: skip
        found.append(failure)
    return found[:SHOWN], total


def _place(worker: str) -> str:
    """Return the step of a worker, or the model that looked or listened."""
    step, _, rest = worker.partition(":")
    return rest.rpartition("@")[0] if step == "perceive" else step
