"""What to rate next: by chance, and among those what the taste model knows least about."""

import random
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind
from daemon.store.models import Item, Prediction, Rating

LOW_BITS = (1 << 21) - 1
"""The part of an item's id that is random (`daemon.store.models.new_id`)."""
SAMPLE = 200


async def find_next(
    session: AsyncSession,
    profile_id: int,
    kind: Kind,
    *,
    left_out: Collection[int],
    seed: int,
    uncertain: bool,
) -> int | None:
    """Return a present item of the kind that the profile has not rated; None if there is none.

    The same `seed` always gives the same order. `uncertain`: of the next ones in that order, the
    one with the widest prediction, if there are predictions.
    """
    limit = SAMPLE if uncertain else 1
    drawn = _drawn(profile_id, kind, left_out, seed).limit(limit).subquery()
    known = and_(Prediction.item_id == drawn.c.id, Prediction.profile_id == profile_id)
    found: int | None = await session.scalar(
        select(drawn.c.id)
        .outerjoin(Prediction, known)
        .order_by(func.round(Prediction.uncertainty, 3).desc(), drawn.c.place)
        .limit(1)
    )
    return found


async def draw_unrated(
    session: AsyncSession, profile_id: int, kind: Kind, *, left_out: Collection[int], seed: int
) -> Sequence[Any]:
    """Return some unrated items, (id, uncertainty or None), drawn by chance."""
    drawn = _drawn(profile_id, kind, left_out, seed).limit(SAMPLE).subquery()
    known = and_(Prediction.item_id == drawn.c.id, Prediction.profile_id == profile_id)
    rows = await session.execute(
        select(drawn.c.id, Prediction.uncertainty)
        .outerjoin(Prediction, known)
        .order_by(drawn.c.place)
    )
    return rows.all()


def _drawn(profile_id: int, kind: Kind, left_out: Collection[int], seed: int) -> Any:
    """Return unrated items in an order of chance that the seed gives."""
    chance = random.Random(seed)  # an odd factor and any offset only change the order
    factor, offset = 2 * chance.randrange(LOW_BITS // 2) + 1, chance.randrange(LOW_BITS)
    shuffled = (Item.id.op("&")(LOW_BITS) * factor + offset).op("&")(LOW_BITS)
    given = select(Rating.item_id).where(Rating.profile_id == profile_id, Rating.item_id == Item.id)
    return (
        select(Item.id, shuffled.label("place"))
        .where(Item.kind == kind, Item.gone_at.is_(None), ~given.exists())
        .where(Item.id.not_in(left_out))
        .order_by(shuffled, Item.id)
    )


async def count_unrated(session: AsyncSession, profile_id: int, kind: Kind) -> int:
    """Return how many present items of a kind the profile has not rated."""
    present = await session.scalar(
        select(func.count()).where(Item.kind == kind, Item.gone_at.is_(None))
    )
    rated = await session.scalar(
        select(func.count())
        .select_from(Rating)
        .join(Item, Item.id == Rating.item_id)
        .where(Rating.profile_id == profile_id, Item.kind == kind, Item.gone_at.is_(None))
    )
    return (present or 0) - (rated or 0)
