"""Choose what should be on a smart playlist now."""

import asyncio
import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import islice
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.playlist_settings import PlaylistSettings, parse_limit
from daemon.playlists.candidates import find_candidates, first_places
from daemon.playlists.orders import Wish, put_in_order
from daemon.playlists.problems import Abstained
from daemon.playlists.rule_query import Scope
from daemon.playlists.terms import joined_spaces, resolve
from daemon.playlists.variety import Pick, let_fresh_in, not_too_many, without_doubles
from daemon.rules.tree import Plain
from daemon.services import Services
from daemon.store.models import Item, Location, PlaylistWrite, PredictionState, Source
from daemon.store.places import absolute
from daemon.store.profiles import find_profile
from daemon.vectors.reasons import find_titles
from daemon.vectors.search import SearchUnavailable
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

MOST_EXPLAINED = 200
PREDICTED = re.compile(r"predicted [\d.]+ ± [\d.]+$")
"""The end of a reason that the taste model can say more about."""
EDITIONS = 3
"""What was on one of them is not fresh."""
TYPICAL_SECONDS, TYPICAL_BYTES = 240.0, 8e6
ROOM = 4
"""How many times more than fit are looked at, so that variety has something to choose from."""


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


async def choose(services: Services, playlist: PlaylistSettings, day: date) -> list[Entry]:
    """Return the wanted list; the same day and catalogue give the same. Raises Abstained."""
    try:
        return await _choose(services, playlist, day)
    except (WorkerDied, WorkerFailed, SearchUnavailable) as error:
        raise Abstained(f"The vectors cannot be asked now: {error}") from error


async def _choose(services: Services, playlist: PlaylistSettings, day: date) -> list[Entry]:
    rule, order = playlist.rule, playlist.ordering
    async with services.database.read() as session:
        profile = await find_profile(session, services.settings, playlist.profile or None)
        state = await session.get(PredictionState, profile.id)
    trusted = bool(state and state.trusted)
    if _hangs_on_predictions(playlist):
        _check_predictions(state, playlist)
        trusted = True
    scope = Scope(profile.id, day, await resolve(services, rule, playlist.kind))
    async with services.database.read() as session:
        rows = await find_candidates(
            session, playlist.kind, rule, order, scope, only_unrated=playlist.only_unrated
        )
    wish = Wish(
        services, rows, profile.id, playlist.kind, day, f"{playlist.name} {day}", trusted,
        _about_how_many(playlist.limit, rows), playlist.variety.unsure,
        playlist.variety.temperature,
    )  # fmt: skip
    picks = await put_in_order(order, wish) if rows else []
    return await _finish(wish, playlist, picks)


def _hangs_on_predictions(playlist: PlaylistSettings) -> bool:
    order = playlist.ordering
    if isinstance(order, Plain) and order.name in ("predicted", "unsure"):
        return True
    names = ("predicted", "uncertainty")
    by_field = any(name in names for name, _ in getattr(order, "fields", ()))
    return by_field or playlist.asks(*names)


def _check_predictions(state: PredictionState | None, playlist: PlaylistSettings) -> None:
    if state is None:
        raise Abstained("There are no predictions yet; rate at least 10 items.")
    is_asking = playlist.ordering == Plain("unsure")  # to be rated, not to be believed
    if not (state.trusted or playlist.untrusted or is_asking):
        raise Abstained(
            "The predictions do not beat the mean rating yet. Rate more, or set "
            "`untrusted: true` to have the list all the same."
        )


async def _finish(wish: Wish, playlist: PlaylistSettings, picks: Sequence[Pick]) -> list[Entry]:
    """Let variety and the limit have their say."""
    services, variety = wish.services, playlist.variety
    kept = await asyncio.to_thread(
        lambda: list(islice(not_too_many(without_doubles(picks), variety), ROOM * wish.count + 100))
    )
    count = _about_how_many(playlist.limit, [pick.row for pick in kept])
    if variety.fresh:
        editions = await _last_editions(services, playlist.name, wish.day)
        kept = let_fresh_in(kept, editions, variety.fresh, count)
    if variety.distance and len(kept) > 2:
        kept = await _keep_apart(services, playlist, kept[: ROOM * count])
    entries = _cut((_make_entry(pick.row, pick.why) for pick in kept), playlist.limit)
    return await _with_reasons(wish, entries)


async def _with_reasons(wish: Wish, entries: list[Entry]) -> list[Entry]:
    """Add to what is predicted the rated item that speaks for it most."""
    asked = [entry for entry in entries if PREDICTED.search(entry.why)][:MOST_EXPLAINED]
    if not asked or not wish.trusted:
        return entries
    ids = [entry.item_id for entry in asked]
    try:
        reasons = await wish.services.predictions.explain(wish.profile_id, ids)
    except (WorkerDied, WorkerFailed) as error:
        log.warning("The entries come without the model's reasons: %s", error)
        return entries
    best = {
        item_id: speaking[0]
        for item_id, each in zip(ids, reasons, strict=True)
        if (speaking := each.speaking)
    }
    async with wish.services.database.read() as session:
        titles = await find_titles(session, [reason.item_id for reason in best.values()])
    told = {
        item_id: f", as you {'rated' if reason.is_rated else 'play'} {titles[reason.item_id]}"
        + (f" {reason.value:g}" if reason.is_rated else "")
        for item_id, reason in best.items()
        if reason.item_id in titles
    }
    return [replace(entry, why=entry.why + told.get(entry.item_id, "")) for entry in entries]


async def _keep_apart(
    services: Services, playlist: PlaylistSettings, picks: Sequence[Pick]
) -> list[Pick]:
    spaces = [[s.name, s.dimensions] for s in await joined_spaces(services, playlist.kind)]
    by_id = {pick.row.id: pick for pick in picks}
    order = await services.index.call("keep_apart", spaces, list(by_id), playlist.variety.distance)
    return [by_id[item_id] for item_id in order]


async def _last_editions(services: Services, name: str, day: date) -> list[set[int]]:
    """Return what was on the last editions before the day, the newest first.

    Those of the day itself do not count, so that a second run is the same.
    """
    async with services.database.read() as session:
        editions = (
            await session.scalars(
                select(PlaylistWrite)
                .where(PlaylistWrite.playlist == name)
                .order_by(PlaylistWrite.id.desc())
                .limit(100)
            )
        ).all()
    kept: dict[str, list[PlaylistWrite]] = {}
    for edition in editions:
        if edition.at.astimezone().date() < day:
            kept.setdefault(edition.target, []).append(edition)
    return [
        {item_id for of_target in kept.values() for edition in of_target[n : n + 1]
         for item_id in edition.item_ids}
        for n in range(EDITIONS)
    ]  # fmt: skip


async def find_entries(session: AsyncSession, item_ids: Sequence[int], why: str) -> list[Entry]:
    """Return entries for the items that are present, in the order given."""
    first = first_places()
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


def _make_entry(row: Any, why: str) -> Entry:
    path = row.local_path if row.root is None else absolute(row.root, row.path)
    return Entry(row.id, row.title, row.artist, row.duration, row.size, path, why)


def _about_how_many(limit: str, rows: Sequence[Any]) -> int:
    """Return how many items a limit holds, about."""
    amount, unit = parse_limit(limit)
    if unit == "items":
        return int(amount)
    if unit == "seconds":
        known = [row.duration for row in rows if row.duration]
        typical = sum(known) / len(known) if known else TYPICAL_SECONDS
    else:
        sizes = [row.size for row in rows if row.size]
        typical = sum(sizes) / len(sizes) if sizes else TYPICAL_BYTES
    return max(1, int(amount / typical))


def _cut(entries: Iterable[Entry], limit: str) -> list[Entry]:
    """Return the longest beginning that keeps within the limit; what alone is longer is left out.

    What is of unknown length counts as a typical one: a list of such has an end, too.
    """
    amount, unit = parse_limit(limit)
    if unit == "items":
        return list(islice(entries, int(amount)))
    kept, used = [], 0.0
    for entry in entries:
        length = (
            entry.duration or TYPICAL_SECONDS if unit == "seconds" else entry.size or TYPICAL_BYTES
        )
        if length > amount:
            continue
        used += length
        if used > amount:
            break
        kept.append(entry)
    return kept
