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


MOST_PAIRS = 1_000_000
"""Pairs of equal entries that are weighed; beyond, doubles are paired first come, first served."""


def plan_edits(present: Sequence[str], wanted: Sequence[str]) -> Edits:
    """Return the edits; what stays in order is a longest common subsequence (Hunt, Szymanski)."""
    kept = _longest_increasing(_find_pairs(present, wanted))
    stays, filled = {now for now, _ in kept}, {place for _, place in kept}
    waiting: dict[str, deque[int]] = defaultdict(deque)
    for now, entry in enumerate(present):
        if now not in stays:
            waiting[entry].append(now)
    moved: list[tuple[int, int]] = []
    added: list[int] = []
    for place, entry in enumerate(wanted):
        if place in filled:
            continue
        if waiting[entry]:
            moved.append((waiting[entry].popleft(), place))
        else:
            added.append(place)
    removed = sorted(place for places in waiting.values() for place in places)
    return Edits(tuple(removed), tuple(moved), tuple(added), tuple(kept))


def _find_pairs(present: Sequence[str], wanted: Sequence[str]) -> list[tuple[int, int]]:
    """Return (place now, place wanted) of equal entries, by place wanted, the last place first.

    In that order no rising run holds a place wanted twice.
    """
    places: dict[str, deque[int]] = defaultdict(deque)
    for now, entry in enumerate(present):
        places[entry].appendleft(now)
    if sum(len(places[entry]) for entry in wanted) <= MOST_PAIRS:
        return [(now, place) for place, entry in enumerate(wanted) for now in places[entry]]
    return [(places[e].pop(), place) for place, e in enumerate(wanted) if places[e]]


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
