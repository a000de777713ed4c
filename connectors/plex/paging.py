"""Long listings in pages that stay true while the listing changes.

Plex pages by number. What is removed in front of a page moves the rest up, and a number then skips
entries. So each page begins with the last few of the one before: while one of them is there,
nothing was skipped; where none is, the reading goes back until it finds something that it knows.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from connectors.base import BadAnswer
from connectors.plex.parsing import whole

T = TypeVar("T")

SHARED = 8
"""Entries that two pages have in common."""
FRUITLESS = 4
"""Full pages in a row without anything new, after which a server is no longer believed."""
BREAKS = 20
"""How often a listing may change so much that the place in it is lost."""


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One answer: keys and what became of each entry, in order."""

    keys: Sequence[str]
    entries: Sequence[T]
    total: int | None


@dataclass(frozen=True, slots=True)
class Part(Generic[T]):
    """What of an answer is new."""

    entries: Sequence[T]
    next: str | None
    """Where to go on, also after a restart; None: that was all."""
    total: int | None


async def walk(
    ask: Callable[[int, int], Awaitable[Listed[T]]], size: int, start: str | None = None
) -> AsyncIterator[Part[T]]:
    """Yield all entries of a listing once (after much was removed, some of them twice).

    `ask` takes the first entry's number and how many are wanted (2 or more). Raises BadAnswer where
    the answers never come to an end.
    """
    shared = min(SHARED, size // 2)
    offset, tail = _read_place(start)
    known = set(tail)
    fruitless = breaks = 0
    while fruitless < FRUITLESS and breaks < BREAKS:
        first = max(0, offset - len(tail))
        listed = await ask(first, size)
        keys = listed.keys
        if known and first and known.isdisjoint(keys):
            breaks += bool(tail)
            offset, tail = max(0, first - size + shared), ()
            continue
        fresh = [n for n, key in enumerate(keys) if key not in known]
        offset = first + len(keys)
        is_last = len(keys) < size and (not fresh or listed.total is None or offset >= listed.total)
        fruitless = 0 if fresh else fruitless + 1
        if keys:
            tail = tuple(keys[len(keys) - min(shared, len(keys) // 2) :])
            known = set(keys)
        place = None if is_last else f"{offset} {','.join(tail)}"
        if fresh:
            yield Part([listed.entries[n] for n in fresh], place, listed.total)
        if is_last:
            return
    raise BadAnswer("The listing changes too much to be read now.")


def _read_place(start: str | None) -> tuple[int, tuple[str, ...]]:
    number, _, keys = (start or "").partition(" ")
    tail = tuple(key for key in keys.split(",") if key)[-SHARED:]
    return whole(number) or 0, tail
