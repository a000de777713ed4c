"""What to rate next: that whose rating would teach most, and nothing like what came before."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sqlalchemy import select

from connectors.base import Kind
from daemon.store.database import Database
from daemon.store.models import Item, Rating
from daemon.store.rate_queue import draw_unrated
from daemon.vectors.index import VectorIndex

Aim = Literal["both", "variety", "doubt"]
"""What is asked for: what is unlike the rated, what the model is unsure of, or both together."""
AIMS: tuple[Aim, ...] = get_args(Aim)

FIRST = 50
"""Ratings up to which only variety counts; then the model's own doubt counts too."""
MOST_KNOWN = 500
"""Of the ratings, the newest; others have long been learnt from."""


@dataclass(frozen=True, slots=True)
class Question:
    """An item to be rated, and why it is asked for."""

    item_id: int
    why: str


class RateNext:
    """Chooses among the unrated."""

    def __init__(self, database: Database, index: VectorIndex) -> None:
        self._database = database
        self._index = index

    async def suggest(
        self, profile_id: int, kind: Kind, *, count: int, left_out: Collection[int], seed: int,
        aim: Aim = "both",
    ) -> list[Question]:  # fmt: skip
        """Return the items whose ratings would teach most; none where nothing is embedded.

        Raises WorkerFailed or WorkerDied.
        """
        text = await self._index.refresh()
        if text is None:
            return []
        async with self._database.read() as session:
            drawn = await draw_unrated(session, profile_id, kind, left_out=left_out, seed=seed)
            rated = list(
                await session.scalars(
                    select(Rating.item_id)
                    .join(Item, Item.id == Rating.item_id)
                    .where(Rating.profile_id == profile_id, Item.kind == kind)
                    .order_by(Rating.rated_at.desc(), Rating.item_id)
                    .limit(MOST_KNOWN)
                )
            )
        if not drawn:
            return []
        doubts = {row.id: row.uncertainty for row in drawn}
        if aim == "doubt":
            return _least_sure(drawn)[:count]
        counts_doubt = aim == "both" and len(rated) >= FIRST and any(doubts.values())
        weights = [float(row.uncertainty or 0) if counts_doubt else 1.0 for row in drawn]
        media = [u.space for u in await self._index.media_spaces() if kind in u.kinds]
        spaces = [[space.name, space.dimensions] for space in (text, *media)]
        found: Sequence[int] = await self._index.call(
            "telling", spaces, list(doubts), weights, [*rated, *list(left_out)[-MOST_KNOWN:]], count
        )
        return [Question(item_id, _why(doubts[item_id], counts_doubt, rated)) for item_id in found]


def _least_sure(drawn: Sequence[Any]) -> list[Question]:
    """Return what has a prediction, the least sure of it first."""
    known = [row for row in drawn if row.uncertainty is not None]
    known.sort(key=lambda row: (-row.uncertainty, row.id))
    return [
        Question(row.id, f"what the model is least sure of (± {row.uncertainty:.1f})")
        for row in known
    ]


def _why(doubt: float | None, counts_doubt: bool, rated: Collection[int]) -> str:
    if not rated:
        return "a good one to begin with"
    if counts_doubt and doubt:
        return f"unlike what you rated, and the prediction is unsure (± {doubt:.1f})"
    return "unlike what you rated so far"
