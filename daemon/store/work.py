"""What a worker still has to do: items whose input has changed since it did its part.

A failure counts up; after the third an item is set aside until its input changes.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import and_, delete, func, or_, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased
from sqlalchemy.sql.elements import ColumnElement

from connectors.base import KINDS
from daemon.store.models import Item, UnreadableLocation, Work, now

MAXIMUM_ATTEMPTS = 3


def _due(
    worker: str, input_hash: Any, started: datetime, work: Any = Work
) -> tuple[Any, ColumnElement[bool]]:
    join = and_(work.item_id == Item.id, work.worker == worker)
    may_retry = and_(
        work.error.is_not(None),
        work.attempts < MAXIMUM_ATTEMPTS,
        work.at < started,  # once a run is enough
    )
    changed = or_(work.input_hash.is_(None), work.input_hash != input_hash, may_retry)
    return join, and_(Item.gone_at.is_(None), input_hash.is_not(None), changed)


async def count_due(
    session: AsyncSession,
    worker: str,
    started: datetime,
    input_hash: Any = Item.input_hash,
    kinds: Collection[str] = KINDS,
) -> int:
    """Return for how many present items the worker has something to do in a run begun then."""
    join, due = _due(worker, input_hash, started)
    statement = select(func.count(Item.id)).join(Work, join, isouter=True)
    return await session.scalar(statement.where(due, Item.kind.in_(kinds))) or 0


async def find_due_for_any(
    session: AsyncSession,
    workers: Mapping[str, Collection[str]],
    started: datetime,
    *,
    after: tuple[bool, int],
    limit: int,
) -> list[tuple[Item, set[str], bool]]:
    """Return (item, workers that it waits for, was done before) by what is seen and heard of it.

    `workers` has the kinds of items of each. The order is that of `find_due`.
    """
    statement = select(Item)
    dues, seens = [], []
    for number, (worker, kinds) in enumerate(workers.items()):
        work = aliased(Work, name=f"work_{number}")
        join, due = _due(worker, Item.media_hash, started, work)
        statement = statement.join(work, join, isouter=True)
        dues.append(and_(due, Item.kind.in_(kinds)))
        seens.append(work.input_hash.is_not(None))
    seen = or_(*seens)
    was_seen, last_id = after
    later = and_(seen, Item.id > last_id) if was_seen else or_(seen, Item.id > last_id)
    rows = await session.execute(
        statement.add_columns(seen.label("seen"), *dues)
        .where(or_(*dues), later)
        .order_by(seen, Item.id)
        .limit(limit)
    )
    return [
        (row[0], {w for w, is_due in zip(workers, row[2:], strict=True) if is_due}, bool(row[1]))
        for row in rows
    ]


async def find_due(
    session: AsyncSession,
    worker: str,
    started: datetime,
    *,
    after: tuple[bool, int],
    limit: int,
    input_hash: Any = Item.input_hash,
) -> Sequence[Any]:
    """Return (item, was done before) rows: never-seen items before stale ones.

    `after` is the (was done before, item id) of the last row of the page before; begin with
    (False, 0).
    """
    join, due = _due(worker, input_hash, started)
    seen = Work.input_hash.is_not(None)
    was_seen, last_id = after
    later = and_(seen, Item.id > last_id) if was_seen else or_(seen, Item.id > last_id)
    rows = await session.execute(
        select(Item, seen.label("seen"))
        .join(Work, join, isouter=True)
        .where(due, later)
        .order_by(seen, Item.id)
        .limit(limit)
    )
    return rows.all()


async def mark_done(session: AsyncSession, worker: str, hashes: Mapping[int, str]) -> None:
    """Note that the worker has done its part for these items, given these inputs."""
    statement = insert(Work)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["item_id", "worker"],
            set_={
                "input_hash": statement.excluded.input_hash, "attempts": 0, "error": None,
                "at": now(),
            },
        ),
        [
            {"item_id": item_id, "worker": worker, "input_hash": h, "attempts": 0, "error": None}
            for item_id, h in hashes.items()
        ],
    )  # fmt: skip


def _named(workers: Collection[str]) -> ColumnElement[bool]:
    return or_(*(Work.worker.startswith(w.removesuffix("*"), autoescape=True) for w in workers))


async def find_worked(
    session: AsyncSession, workers: Collection[str], *, after: int, limit: int
) -> list[int]:
    """Return the next items, by id, that one of the workers had; "perceive:odd@*" names several."""
    rows = await session.scalars(
        select(Work.item_id)
        .where(Work.item_id > after, _named(workers))
        .distinct()
        .order_by(Work.item_id)
        .limit(limit)
    )
    return list(rows)


async def forget_work(
    session: AsyncSession,
    item_ids: Collection[int],
    workers: Collection[str],
    kept: Collection[str] = (),
) -> None:
    """Make the items due again for the workers, those in `kept` left out."""
    await session.execute(
        delete(Work).where(Work.item_id.in_(item_ids), _named(workers), Work.worker.not_in(kept))
    )


async def try_again(session: AsyncSession) -> None:
    """Make all that was set aside due again, files that could not be read among it."""
    await session.execute(update(Work).where(Work.error.is_not(None)).values(attempts=0))
    await session.execute(delete(UnreadableLocation))


async def mark_failed(
    session: AsyncSession, worker: str, item_id: int, input_hash: str, error: str
) -> None:
    """Count a failure of the worker at this item."""
    known = await session.get(Work, (item_id, worker))
    is_same = known is not None and known.input_hash == input_hash and known.error is not None
    attempts = known.attempts + 1 if known and is_same else 1
    values = {"input_hash": input_hash, "attempts": attempts, "error": error, "at": now()}
    await session.execute(
        insert(Work)
        .values(item_id=item_id, worker=worker, **values)
        .on_conflict_do_update(index_elements=["item_id", "worker"], set_=values)
    )
