"""What programs are told about items: the rows of the command line and of the JSON API."""

import os
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Item, Prediction, PredictionState, Rating, public_id
from daemon.store.places import find_paths


async def item_rows(
    session: AsyncSession, profile_id: int, item_ids: Sequence[int]
) -> dict[int, dict[str, Any]]:
    """Return for each item its row; what is not known is None."""
    state = await session.get(PredictionState, profile_id)
    expected = (Prediction.item_id == Item.id) & (Prediction.profile_id == profile_id)
    given = (Rating.item_id == Item.id) & (Rating.profile_id == profile_id)
    rows: dict[int, dict[str, Any]] = {}
    paths = await find_paths(session, item_ids)
    for start in range(0, len(item_ids), 500):
        found = await session.execute(
            select(
                Item.id, Item.kind, Item.title, Item.artist, Item.gone_at,
                Prediction.value.label("predicted"), Prediction.uncertainty,
                Rating.value.label("rating"),
            )
            .join(Prediction, expected, isouter=True)
            .join(Rating, given, isouter=True)
            .where(Item.id.in_(item_ids[start : start + 500]))
        )  # fmt: skip
        for row in found:
            path = paths.get(row.id)
            has_prediction = row.predicted is not None
            rows[row.id] = {
                "id": public_id(row.id), "kind": row.kind, "title": row.title,
                "artist": row.artist, "path": path and os.fsdecode(path), "score": row.predicted,
                "predicted": row.predicted, "uncertainty": row.uncertainty,
                "trusted": bool(state and state.trusted) if has_prediction else None,
                "rating": row.rating, "gone": row.gone_at is not None,
            }  # fmt: skip
    return rows
