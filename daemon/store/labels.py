"""What a taste model learns from: ratings, and what plays and hearts let guess."""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Play, Rating
from daemon.store.server_models import Favourite

MOST_WEAK = 1000
"""Hearts first, then the newest plays; a model needs no more, and each costs time."""
LIKELY, UNLIKELY = 2.0, 3.0
"""Noise of a weak label, in standard deviations of a rating's own: 4 or 9 times the variance."""


@dataclass(frozen=True)
class Labels:
    """Ratings in the order they were given, then weak labels."""

    items: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    ratings: int = 0
    """How many are ratings."""

    def as_dict(self) -> dict[str, list[Any]]:
        """Return what the vector worker takes."""
        return {"items": self.items, "values": self.values, "scales": self.scales}


async def find_labels(session: AsyncSession, profile_id: int) -> Labels:
    """Return a profile's labels; a rating overrides whatever plays say."""
    rows = await session.execute(
        select(Rating.item_id, Rating.value)
        .where(Rating.profile_id == profile_id)
        .order_by(Rating.rated_at, Rating.item_id)
    )
    rated = {row.item_id: float(row.value) for row in rows}
    labels = Labels(list(rated), list(rated.values()), [1.0] * len(rated), len(rated))
    if not rated:
        return labels
    mean = sum(rated.values()) / len(rated)
    for item_id, (value, scale) in (await _guesses(session, profile_id, mean)).items():
        if item_id not in rated:
            labels.items.append(item_id)
            labels.values.append(value)
            labels.scales.append(scale)
    return labels


async def _guesses(
    session: AsyncSession, profile_id: int, mean: float
) -> dict[int, tuple[float, float]]:
    """Return (rating, noise) of what was played or is a favourite."""
    outcomes: dict[int, dict[str, int]] = defaultdict(dict)
    newest = (
        select(Play.item_id)
        .where(Play.profile_id == profile_id)
        .group_by(Play.item_id)
        .order_by(func.max(Play.played_at).desc(), Play.item_id)
        .limit(MOST_WEAK)
    )
    played = (await session.scalars(newest)).all()
    rows = await session.execute(
        select(Play.item_id, Play.outcome, func.count().label("times"))
        .where(Play.profile_id == profile_id, Play.item_id.in_(newest))
        .group_by(Play.item_id, Play.outcome)
    )
    for row in rows:
        outcomes[row.item_id][row.outcome] = row.times
    hearts = await session.scalars(
        select(Favourite.item_id)
        .where(Favourite.profile_id == profile_id, Favourite.is_favourite)
        .order_by(Favourite.changed_at.desc(), Favourite.item_id)
        .limit(MOST_WEAK)
    )
    favourites = dict.fromkeys(hearts)
    guessed = {
        item_id: found
        for item_id in favourites | dict.fromkeys(played)
        if (found := guess(outcomes.get(item_id, {}), mean, is_favourite=item_id in favourites))
    }
    return dict(list(guessed.items())[:MOST_WEAK])


def guess(
    outcomes: dict[str, int], mean: float, *, is_favourite: bool
) -> tuple[float, float] | None:
    """Return the rating that plays speak for, and how noisy it is; None where they say nothing.

    A heart is 2.5 above the person's mean. Each doubling of finished plays is worth .75, so that
    once is little and often is much; what was skipped or left more often than finished lies 1.5
    below.
    """
    if is_favourite:
        return min(10.0, mean + 2.5), LIKELY
    finished = outcomes.get("finished", 0)
    left = outcomes.get("skipped", 0) + outcomes.get("abandoned", 0)
    if left > finished:
        return max(0.0, mean - 1.5), UNLIKELY if left == 1 else LIKELY
    if finished > left:
        more = 0.75 * math.log2(1 + finished - left)
        return min(10.0, mean + min(more, 2.5)), UNLIKELY if finished < 3 else LIKELY
    return None
