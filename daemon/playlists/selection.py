"""Choose what should be on a smart playlist now."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.playlists.radio import Heard, draw, weigh
from daemon.settings import PlaylistSettings, Settings, parse_limit
from daemon.store.models import (
    Item,
    Location,
    Play,
    Prediction,
    PredictionState,
    Rating,
    Source,
)
from daemon.store.places import absolute
from daemon.store.profiles import find_profile

PAGE = 1000
"""Rows taken from the database at once, so that a large library does not hold the event loop."""


class Abstained(Exception):
    """There is nothing to put on the list that could be stood by; the message says why."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of the wanted list, with all that a playlist file says of it."""

    item_id: int
    title: str
    artist: str
    duration: float | None
    size: int
    path: bytes | None
    """Absolute; None where it is on a server only."""
    why: str


async def choose(
    session: AsyncSession, settings: Settings, playlist: PlaylistSettings, day: date
) -> list[Entry]:
    """Return the wanted list; the same day and catalogue give the same. Raises Abstained."""
    profile = await find_profile(session, settings, playlist.profile or None)
    state = await session.get(PredictionState, profile.id)
    rows = await _candidates(session, playlist, profile.id)
    if playlist.order == "predicted":
        if state is None:
            raise Abstained("There are no predictions yet; rate at least 10 items.")
        if not state.trusted and not playlist.untrusted:
            raise Abstained(
                "The predictions do not beat the mean rating yet. Rate more, or set "
                "`untrusted: true` to have the list all the same."
            )
        ordered = await asyncio.to_thread(_best_first, rows)
    else:
        trusted = bool(state and state.trusted)
        ordered = await _programme(session, rows, profile.id, f"{playlist.name} {day}", trusted)
    return _cut(map(_entry, ordered), playlist.limit)


async def _candidates(
    session: AsyncSession, playlist: PlaylistSettings, profile_id: int
) -> Sequence[Any]:
    """Return every present item of the kind, with rating and prediction."""
    ours = (Rating.item_id == Item.id) & (Rating.profile_id == profile_id)
    expected = (Prediction.item_id == Item.id) & (Prediction.profile_id == profile_id)
    first = _first_places()
    query = (
        select(
            Item.id, Item.title, Item.artist, Item.duration, Location.size, Location.path,
            Location.local_path, Source.root, Rating.value.label("rating"),
            Prediction.value.label("predicted"),
        )
        .join(Location, Location.item_id == Item.id)
        .join(first, first.c.id == Location.id)
        .join(Source, Source.id == Location.source_id)
        .join(Rating, ours, isouter=True)
        .join(Prediction, expected, isouter=True)
        .where(Item.kind == playlist.kind, Item.gone_at.is_(None))
        .order_by(Item.id)
    )  # fmt: skip
    if playlist.only_unrated:
        query = query.where(Rating.value.is_(None))
    result = await session.stream(query)
    return [row async for rows in result.partitions(PAGE) for row in rows]


def _first_places() -> Any:
    """Return one present location of each item: a file before what is on a server only."""
    is_remote = case((Source.root.is_(None) & Location.local_path.is_(None), 1), else_=0)
    rank = func.row_number().over(partition_by=Location.item_id, order_by=(is_remote, Location.id))
    ranked = (
        select(Location.id, rank.label("rank"))
        .join(Source, Source.id == Location.source_id)
        .where(Location.gone_at.is_(None), Source.in_settings)
        .subquery()
    )
    return select(ranked.c.id).where(ranked.c.rank == 1).subquery()


async def find_entries(session: AsyncSession, item_ids: Sequence[int], why: str) -> list[Entry]:
    """Return entries for the items that are present, in the order given."""
    first = _first_places()
    found: dict[int, Entry] = {}
    for start in range(0, len(item_ids), 500):
        rows = await session.execute(
            select(
                Item.id, Item.title, Item.artist, Item.duration, Location.size, Location.path,
                Location.local_path, Source.root,
            )
            .join(Location, Location.item_id == Item.id)
            .join(first, first.c.id == Location.id)
            .join(Source, Source.id == Location.source_id)
            .where(Item.id.in_(item_ids[start : start + 500]))
        )  # fmt: skip
        for row in rows:
            found[row.id] = _make_entry(row, why)
    return [found[item_id] for item_id in item_ids if item_id in found]


async def _programme(
    session: AsyncSession, rows: Sequence[Any], profile_id: int, seed: str, trusted: bool
) -> list[Any]:
    heard = await _find_heard(session, profile_id)
    given = await session.scalar(
        select(func.avg(Rating.value)).where(Rating.profile_id == profile_id)
    )
    mean = 5.0 if given is None else given

    def order() -> list[Any]:
        facts = []
        for row in rows:
            predicted = row.predicted if trusted else None
            rating = next(r for r in (row.rating, predicted, mean) if r is not None)
            facts.append(Heard(rating, *heard.get(row.id, (0, 0, None))))
        return [rows[n] for n in draw(weigh(facts), len(facts), seed=seed)]

    return await asyncio.to_thread(order)


async def _find_heard(session: AsyncSession, profile_id: int) -> dict[int, Any]:
    """Return (full plays, skips, last played) by item."""
    rows = await session.execute(
        select(
            Play.item_id,
            func.count().filter(Play.outcome == "finished"),
            func.count().filter(Play.outcome == "skipped"),
            func.max(Play.played_at, type_=Play.played_at.type),
        )
        .where(Play.profile_id == profile_id)
        .group_by(Play.item_id)
    )
    return {item_id: counts for item_id, *counts in rows}


def _entry(row: Any) -> Entry:
    why = (
        f"rated {row.rating:g}"
        if row.rating is not None
        else f"predicted {row.predicted:.1f}"
        if row.predicted is not None
        else "not rated yet"
    )
    return _make_entry(row, why)


def _make_entry(row: Any, why: str) -> Entry:
    path = row.local_path if row.root is None else absolute(row.root, row.path)
    return Entry(row.id, row.title, row.artist, row.duration, row.size, path, why)


def _best_first(rows: Sequence[Any]) -> list[Any]:
    return sorted(
        (row for row in rows if row.predicted is not None),
        key=lambda row: (-row.predicted, row.id),
    )


def _cut(entries: Iterable[Entry], limit: str) -> list[Entry]:
    """Return the longest beginning that keeps within the limit."""
    amount, unit = parse_limit(limit)
    if unit == "items":
        return list(islice(entries, int(amount)))
    kept, used = [], 0.0
    for entry in entries:
        used += (entry.duration or 0.0) if unit == "seconds" else entry.size
        if used > amount:
            break
        kept.append(entry)
    return kept
