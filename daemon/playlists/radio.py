"""Draw a radio programme: liked, seldom skipped, not heard lately; and never impossible.

The weights are those of the original Anagnorisis, mended: ties in recency share their rank, and
what was just played weighs little instead of nothing.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

RECENCY_FLOOR = 0.05
"""What was heard last keeps this much of its weight."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is known of an item's place in a person's listening."""

    rating: float
    """The person's, else the predicted, else the person's mean."""
    full_plays: int
    skips: int
    last_played: datetime | None


def weigh(items: Sequence[Heard]) -> list[float]:
    """Return (max(0.1, R)/10)² · sigmoid((5 + full plays - skips)/5) · recency for each item."""
    recency = _recency([item.last_played for item in items])
    return [
        (max(0.1, item.rating) / 10) ** 2 * _sigmoid((5 + item.full_plays - item.skips) / 5) * fresh
        for item, fresh in zip(items, recency, strict=True)
    ]


def draw(weights: Sequence[float], count: int, *, seed: str, temperature: float = 1.0) -> list[int]:
    """Draw `count` indices without replacement, likelier by weight, the luckiest first.

    Gumbel top-k: sorting by log(w)/T + Gumbel noise draws one after the other in proportion to
    w^(1/T) (Kool, van Hoof, Welling 2019, "Stochastic Beams and Where to Find Them").
    """
    chance = random.Random(seed)
    keys = [
        math.log(weight) / temperature - math.log(-math.log(chance.random() or 1e-300))
        for weight in weights
    ]
    return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[:count]


def _recency(times: Sequence[datetime | None]) -> list[float]:
    """Return ranks as fractions: never played or longest ago 1, just played the floor; ties share.

    A tie's members get the mean of the ranks that they take up together.
    """
    count = len(times)
    order = sorted(range(count), key=lambda n: -times[n].timestamp() if times[n] else math.inf)  # type: ignore[union-attr]
    ranks = [0.0] * count
    start = 0
    while start < count:
        end = start
        while end < count and times[order[end]] == times[order[start]]:
            end += 1
        shared = (start + end - 1) / 2 / max(1, count - 1)
        for position in range(start, end):
            ranks[order[position]] = max(RECENCY_FLOOR, shared)
        start = end
    return ranks


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(min(-x, 300.0)))  # thousands of skips are no overflow
