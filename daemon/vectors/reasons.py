"""Says in words what moved a prediction."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.item_words import words_of
from daemon.store.models import Item
from daemon.vectors.predictions import Reason, Reasons

PAGE = 500
MOST_SHARED = 3
LEAST_SHIFT = 0.05
"""Points that are told; less would be written as 0.0."""
WORDS = ("genres", "keywords", "artists", "people")
"""Facts of which what is shared with the reasons is told, and what models heard and saw."""


async def tell_reasons(
    session: AsyncSession, item_ids: Sequence[int], reasons: Sequence[Reasons]
) -> list[str]:
    """Return one line an item, "" where there is no prediction."""
    wanted = sorted({*item_ids, *(reason.item_id for each in reasons for reason in each.moved)})
    titles: dict[int, str] = {}
    for start in range(0, len(wanted), PAGE):
        titles |= await find_titles(session, wanted[start : start + PAGE])
    known = _Known(titles, await words_of(session, wanted, WORDS))
    return [_line(known, item_id, each) for item_id, each in zip(item_ids, reasons, strict=True)]


async def find_titles(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, str]:
    """Return the titles of items."""
    rows = await session.execute(select(Item.id, Item.title).where(Item.id.in_(item_ids)))
    return {row.id: row.title for row in rows}


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of items: titles, and words by their casefolded form."""

    titles: dict[int, str]
    words: dict[int, dict[str, str]]


def _line(known: _Known, item_id: int, reasons: Reasons) -> str:
    if reasons.mean is None:
        return ""
    parts = [f"your mean is {reasons.mean:.1f}"]
    moved = [
        reason
        for reason in reasons.moved
        if reason.item_id in known.titles and abs(reason.points) >= LEAST_SHIFT
    ]
    if moved:
        parts.append("moved by " + ", ".join(_reason(known, item_id, reason) for reason in moved))
    if shared := _shared(known, item_id, moved):
        parts.append("in common: " + ", ".join(shared))
    if abs(reasons.shift) >= LEAST_SHIFT:
        parts.append(f"what others think ({reasons.shift:+.1f})")
    rest = reasons.rest + sum(each.points for each in reasons.moved if each not in moved)
    if abs(rest) >= LEAST_SHIFT:
        parts.append(f"all else you rated ({rest:+.1f})")
    if abs(reasons.transformer) >= LEAST_SHIFT:
        parts.append(f"the transformer ({reasons.transformer:+.1f})")
    return "; ".join(parts)


def _reason(known: _Known, item_id: int, reason: Reason) -> str:
    said = f"rated {reason.value:g}" if reason.is_rated else "by its plays"
    title = "itself" if reason.item_id == item_id else known.titles[reason.item_id]
    return f"{title} ({said}, {reason.points:+.1f})"


def _shared(known: _Known, item_id: int, moved: Sequence[Reason]) -> list[str]:
    """Return the words that the item shares with what moved it, the commonest first."""
    mine = known.words.get(item_id, {})
    counts = Counter[str]()
    for reason in moved:
        if reason.item_id != item_id:
            counts.update(mine.keys() & known.words[reason.item_id].keys())
    return [mine[word] for word, _ in sorted(counts.items(), key=lambda c: (-c[1], c[0]))][
        :MOST_SHARED
    ]
