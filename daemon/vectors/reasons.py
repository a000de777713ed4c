"""Says in words what moved a prediction."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Item
from daemon.vectors.predictions import Reason, Reasons

PAGE = 500
MOST_SHARED = 3
LEAST_SHIFT = 0.05
"""Points that are told; less would be written as 0.0."""
WORDS = ("genres", "keywords", "artists", "people")
"""Facts of which what is shared with the reasons is told."""


async def tell_reasons(
    session: AsyncSession, item_ids: Sequence[int], reasons: Sequence[Reasons]
) -> list[str]:
    """Return one line an item, "" where there is no prediction."""
    wanted = {*item_ids, *(reason.item_id for each in reasons for reason in each.moved)}
    known: dict[int, Any] = {}
    ordered = sorted(wanted)
    for start in range(0, len(ordered), PAGE):
        rows = await session.execute(
            select(Item.id, Item.title, Item.facts).where(
                Item.id.in_(ordered[start : start + PAGE])
            )
        )
        known |= {row.id: row for row in rows}
    return [_line(known, item_id, each) for item_id, each in zip(item_ids, reasons, strict=True)]


async def find_titles(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, str]:
    """Return the titles of items."""
    rows = await session.execute(select(Item.id, Item.title).where(Item.id.in_(item_ids)))
    return {row.id: row.title for row in rows}


def _line(known: dict[int, Any], item_id: int, reasons: Reasons) -> str:
    if reasons.mean is None:
        return ""
    parts = [f"your mean is {reasons.mean:.1f}"]
    moved = [
        reason
        for reason in reasons.moved
        if reason.item_id in known and abs(reason.points) >= LEAST_SHIFT
    ]
    if moved:
        parts.append("like " + ", ".join(_reason(known, item_id, reason) for reason in moved))
    if shared := _shared(known, item_id, moved):
        parts.append("in common: " + ", ".join(shared))
    if abs(reasons.shift) >= LEAST_SHIFT:
        parts.append(f"what others think ({reasons.shift:+.1f})")
    if abs(reasons.rest) >= LEAST_SHIFT:
        parts.append(f"all else you rated ({reasons.rest:+.1f})")
    if abs(reasons.transformer) >= LEAST_SHIFT:
        parts.append(f"the transformer ({reasons.transformer:+.1f})")
    return "; ".join(parts)


def _reason(known: dict[int, Any], item_id: int, reason: Reason) -> str:
    said = f"rated {reason.value:g}" if reason.is_rated else "by its plays"
    title = "itself" if reason.item_id == item_id else known[reason.item_id].title
    return f"{title} ({said}, {reason.points:+.1f})"


def _shared(known: dict[int, Any], item_id: int, moved: Sequence[Reason]) -> list[str]:
    """Return the words that the item shares with what moved it, the commonest first."""
    mine = _words(known[item_id].facts) if item_id in known else {}
    counts = Counter[str]()
    for reason in moved:
        if reason.item_id != item_id:
            counts.update(mine.keys() & _words(known[reason.item_id].facts).keys())
    return [mine[word] for word, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))][
        :MOST_SHARED
    ]


def _words(facts: dict[str, Any]) -> dict[str, str]:
    return {word.casefold(): word for name in WORDS for word in facts.get(name, ())}
