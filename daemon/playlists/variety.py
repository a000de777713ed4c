"""Keeps a list from being more of the same."""

import json
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
    recordings: set[str] = set()
    for pick in picks:
        row = pick.row
        if row.recording and row.recording in recordings:
            continue
        key = (row.title.casefold(), row.artist.casefold())
        lengths = seen.setdefault(key, [])
        if row.duration is not None and row.kind == "music" and row.artist:
            if any(abs(row.duration - length) <= SAME_SECONDS for length in lengths):
                continue
            lengths.append(row.duration)
        recordings.add(row.recording)
        yield pick


def not_too_many(picks: Iterable[Pick], variety: VarietySettings) -> Iterator[Pick]:
    """Leave out what would be one too many of an artist, an album or a genre."""
    limits = (variety.per_artist, variety.per_album, variety.per_genre)
    counts: tuple[Counter[str], ...] = (Counter(), Counter(), Counter())
    for pick in picks:
        told = _names(pick.row)
        if any(
            limit and any(count[name] >= limit for name in names)
            for names, limit, count in zip(told, limits, counts, strict=True)
        ):
            continue
        for names, count in zip(told, counts, strict=True):
            count.update(names)
        yield pick


def _names(row: Any) -> tuple[set[str], set[str], set[str]]:
    """Return whose it is, of which album and of which genre; albums of two bands may be namesakes.

    Of several artists each counts.
    """
    artists = json.loads(row.artists or "[]") or ([row.artist] if row.artist else [])
    album = row.album or row.series or ""
    return (
        {artist.casefold() for artist in artists},
        {f"{album}\n{row.album_artist or ''}".casefold()} if album else set(),
        {row.genre.casefold()} if row.genre else set(),
    )


def let_fresh_in(
    picks: Sequence[Pick], editions: Sequence[Collection[int]], fresh: float, length: int
) -> list[Pick]:
    """Return the first `length` picks of which at least the share `fresh` is on no last edition.

    The order stays. Where too few are fresh, fewer editions count; then the list gets shorter
    rather than staler; and where half of it would be gone, so much newness cannot be had.
    """
    whole = list(picks[:length])
    kept: list[Pick] = []
    for count in range(len(editions), 0, -1):
        heard = {item_id for edition in editions[:count] for item_id in edition}
        kept = _with_share(picks, heard, fresh, length)
        if len(kept) >= len(whole):
            return kept
    return kept if 2 * len(kept) >= len(whole) and kept else whole


def _with_share(
    picks: Sequence[Pick], heard: Collection[int], fresh: float, length: int
) -> list[Pick]:
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
