"""A map of the library: what is alike lies together, coloured by what is expected of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from daemon.store.database import Database
from daemon.store.models import Item, Prediction
from daemon.store.rate_queue import LOW_BITS
from daemon.vectors.index import VectorIndex

MOST_DOTS = 800
"""Drawn by chance, the same each time; more make the page slow and the map no clearer."""
SHADES = 5


@dataclass(frozen=True, slots=True)
class Dot:
    """An item on the map."""

    item_id: int
    title: str
    kind: str
    predicted: float
    shade: int
    """0 for the fifth of the dots that is expected to please least, to SHADES - 1."""
    x: float
    y: float


async def draw_map(database: Database, index: VectorIndex, profile_id: int) -> list[Dot]:
    """Return the dots of a profile's map; none without predictions.

    Raises WorkerFailed or WorkerDied.
    """
    text = await index.refresh()
    if text is None:
        return []
    async with database.read() as session:
        rows = await session.execute(
            select(Item.id, Item.title, Item.kind, Prediction.value)
            .join(Prediction, Prediction.item_id == Item.id)
            .where(Prediction.profile_id == profile_id, Item.gone_at.is_(None))
            .order_by(Item.id.op("&")(LOW_BITS), Item.id)
            .limit(MOST_DOTS)
        )
        drawn = {row.id: row for row in rows}
    if not drawn:
        return []
    spaces = [[text.name, text.dimensions]]
    placed: Sequence[Any] = await index.call("flatten", spaces, list(drawn), 0)
    ranked = sorted(placed, key=lambda place: (drawn[place[0]].value, place[0]))
    dots = []
    for rank, (item_id, x, y) in enumerate(ranked):
        row, shade = drawn[item_id], rank * SHADES // len(ranked)
        dots.append(Dot(item_id, row.title, row.kind, row.value, shade, x, y))
    return dots
