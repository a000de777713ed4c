"""Keeps a list from being more of the same."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from daemon.playlist_settings import VarietySettings

SAME_SECONDS = 3
"""Two recordings of one title by one artist, as long as one another to within this, are one."""


@dataclass(frozen=True, slots=True)
class Pick:
    """An item in its place, and why it is there."""

    row: Any
    """Of `daemon.playlists.candidates`."""
    why: str


def without_doubles(picks: Iterable[Pick]) -> Iterator[Pick]:
    """Leave out what is the same recording as an earlier one: another file, another album."""
    seen: dict[tuple[str, str], list[float]] = {}
    for pick in picks:
        row = pick.row
        key = (row.title.casefold(), row.artist.casefold())
        lengths = seen.setdefault(key, [])
        if row.duration is not None and row.kind == "music" and row.artist:
            if any(abs(row.duration - length) <= SAME_SECONDS for length in lengths):
                continue
            lengths.append(row.duration)
        yield pick


def not_too_many(picks: Iterable[Pick], variety: VarietySettings) -> Iterator[Pick]:
    """Leave out what would be one too many of an artist, an album or a genre."""
    limits = (variety.per_artist, variety.per_album, variety.per_genre)
    counts: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for pick in picks:
        row = pick.row
        names = (row.artist, row.album or row.series or "", row.genre or "")
        if any(
            limit and name and count[name.casefold()] >= limit
            for name, limit, count in zip(names, limits, counts, strict=True)
        ):
            continue
        for name, count in zip(names, counts, strict=True):
            count[name.casefold()] += 1
        yield pick


def let_fresh_in(
    picks: Sequence[Pick], heard: Collection[int], fresh: float, length: int
) -> list[Pick]:
    """Return the first `length` picks of which at least the share `fresh` is not in `heard`.

    The order stays. Where too few are fresh, the list gets shorter rather than staler.
    """
    most_stale = length - round(fresh * length + 0.499)
    kept: list[Pick] = []
    stale = 0
    for pick in picks:
        if len(kept) == length:
            break
        if pick.row.id in heard:
            if stale >= most_stale:
                continue
            stale += 1
        kept.append(pick)
    while kept and fresh and stale > (1 - fresh) * len(kept):
        last = next(n for n in range(len(kept) - 1, -1, -1) if kept[n].row.id in heard)
        kept.pop(last)
        stale -= 1
    return kept
