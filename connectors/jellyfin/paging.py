"""Long listings in pages that stay true while the listing changes.

Jellyfin pages by number. What is removed in front of a page moves the rest up, and a number then
skips items; what is added there moves it down. So each page begins with the last few items of the
one before, and only what comes behind them is new.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from connectors.base import BadAnswer

T = TypeVar("T")

SHARED = 8
"""Items that two pages have in common."""
STEPS_BACK = 3
"""Pages to go back where none of them is met again; then the reading begins anew."""
PATIENCE = 3
"""Times that a reading may begin anew, or full pages say nothing new, before it is given up."""


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """One answer."""

    keys: Sequence[str]
    """Of all its rows, in order."""
    entries: Sequence[T]
    """What became of each row."""
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
    """Yield all entries of a listing; after it was begun anew, some of them twice.

    `ask` takes the number of the first row and how many are wanted; keys must be unique. Raises
    BadAnswer where there is no end to it.
    """
    offset, tail = _read_place(start)
    anew = fruitless = back = 0
    while anew <= PATIENCE and fruitless <= PATIENCE:
        first = max(0, offset - len(tail) - back * size)
        limit = size + min(offset - first, len(tail))
        listed = await ask(first, limit)
        met = [n for n, key in enumerate(listed.keys) if key and key in tail]
        if tail and not met:
            if first and back < STEPS_BACK:
                back += 1
            else:
                offset, tail, back, anew = 0, (), 0, anew + 1
            continue
        fresh = listed.entries[met[-1] + 1 :] if met else listed.entries
        offset, back = first + len(listed.keys), 0
        fruitless = 0 if fresh else fruitless + 1
        is_short = len(listed.keys) < limit
        is_last = is_short and (not fresh or listed.total is None or offset >= listed.total)
        if fresh:
            tail = tuple(dict.fromkeys((*tail, *listed.keys)))[-min(SHARED, size) :]
            place = None if is_last else f"{offset} {','.join(tail)}"
            yield Part(fresh, place, listed.total)
        if is_last:
            return
    raise BadAnswer("The listing changes too much to be read now.")


def _read_place(start: str | None) -> tuple[int, tuple[str, ...]]:
    number, _, keys = (start or "").partition(" ")
    tail = tuple(key for key in keys.split(",") if key)[-SHARED:]
    return int(number) if number.isdecimal() else 0, tail
