"""The words about an item: kept apart by producer, put together in this one place.

The same text is embedded, searched and trained on; it never contains a rating.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import delete, text
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Description

PRODUCERS = ("sidecar", "tags", "server", "text")
"""In the order in which the parts are put together: what a person wrote comes first."""

MAXIMUM_LENGTH = 96_000
"""Characters of a composed description; bounds what is embedded and indexed of one item."""


def compose(parts: Mapping[str, str]) -> str:
    """Return the full description made of the parts that there are."""
    texts = [parts[producer].strip() for producer in PRODUCERS if parts.get(producer, "").strip()]
    return "\n\n".join(texts)[:MAXIMUM_LENGTH]


async def save_parts(
    session: AsyncSession, item_ids: Sequence[int], parts: Sequence[tuple[int, str, str]]
) -> None:
    """Replace all descriptions of the items with (item id, producer, text)."""
    await session.execute(delete(Description).where(Description.item_id.in_(item_ids)))
    rows = [{"item_id": i, "producer": producer, "text": t} for i, producer, t in parts if t]
    if rows:
        await session.execute(insert(Description), rows)


async def index_words(session: AsyncSession, rows: Sequence[tuple[int, str, str, str]]) -> None:
    """Make (item id, title, names, body) findable by words."""
    await session.execute(
        text("DELETE FROM item_text WHERE rowid = :id"), [{"id": row[0]} for row in rows]
    )
    await session.execute(
        text(
            "INSERT INTO item_text (rowid, title, names, body) VALUES (:id, :title, :names, :body)"
        ),
        [dict(zip(("id", "title", "names", "body"), row, strict=True)) for row in rows],
    )
