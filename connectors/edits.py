"""The fewest changes that turn one ordered list into another."""

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edits:
    """What must happen to a list of entries, told by their places."""

    removed: tuple[int, ...]
    """Places in the present list whose entry is not wanted (or wanted less often)."""
    moved: tuple[tuple[int, int], ...]
    """(place in the present list, place in the wanted list) of entries that stay but must move."""
    added: tuple[int, ...]
    """Places in the wanted list that no present entry fills."""
    kept: tuple[tuple[int, int], ...]
    """(place now, place wanted) of entries that are not touched: the most there can be."""

    def __len__(self) -> int:
        return len(self.removed) + len(self.moved) + len(self.added)


def plan_edits(present: Sequence[str], wanted: Sequence[str]) -> Edits:
    """Return the edits; what stays in order is a longest increasing subsequence (patience)."""
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for place, entry in enumerate(present):
        waiting[entry].append(place)
    pairs: list[tuple[int, int]] = []
    added: list[int] = []
    for place, entry in enumerate(wanted):
        if waiting[entry]:
            pairs.append((waiting[entry].popleft(), place))
        else:
            added.append(place)
    removed = sorted(place for places in waiting.values() for place in places)
    kept = _longest_increasing(pairs)
    untouched = set(kept)
    moved = [pair for pair in pairs if pair not in untouched]
    return Edits(tuple(removed), tuple(moved), tuple(added), tuple(kept))


def _longest_increasing(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the longest run of pairs, given by rising second, whose firsts rise too."""
    tails: list[int] = []  # the smallest end of a run of each length
    ends: list[int] = []
    before: list[int | None] = []
    for n, (place, _) in enumerate(pairs):
        length = bisect_left(tails, place)
        before.append(ends[length - 1] if length else None)
        if length == len(tails):
            tails.append(place)
            ends.append(n)
        else:
            tails[length], ends[length] = place, n
    run: list[tuple[int, int]] = []
    at = ends[-1] if ends else None
    while at is not None:
        run.append(pairs[at])
        at = before[at]
    return run[::-1]
