"""Keep what a server says that a user did: plays, ratings, favourites.

What the server said last is remembered, so that only what is new in it counts: a rating that was
rounded by the server does not come back as another one, and reading it again adds nothing.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind
from connectors.server import ItemState, PlayEvent
from daemon.store.database import Database
from daemon.store.journal import Journal
from daemon.store.models import Item, Location, Rating, now
from daemon.store.ratings import PERSON, SERVER, NewRating, last_spoken, rate_many
from daemon.store.server_models import Account, Favourite, ServerState
from daemon.store.server_plays import (
    UNDATED,
    Heard,
    add_skips,
    note_progress,
    take_events,
    top_up,
)


@dataclass(frozen=True, slots=True)
class _Place:
    id: int
    item_id: int
    kind: Kind
    duration: float | None


async def keep_events(
    database: Database, source_id: int, source: str, account: Account, events: Sequence[PlayEvent]
) -> int:
    """Keep plays; return how many were not known. Plays of unknown items are left out."""
    async with database.write(durable=True) as session:
        places = await _find_places(session, source_id, [event.item_id for event in events])
        heard = [
            Heard(
                event.key if ":" in event.key else f"event:{event.key}", place.item_id, place.kind,
                event.at, event.seconds, place.duration, event.is_finished,
            )
            for event in events
            if (place := places.get(event.item_id))
        ]  # fmt: skip
        return await take_events(session, account.profile_id, source, heard)


async def keep_states(
    database: Database,
    journal: Journal,
    source_id: int,
    source: str,
    account: Account,
    states: Sequence[ItemState],
) -> list[int]:
    """Keep what is new in the states; return the ids of their locations."""
    async with database.read() as session:
        places = await _find_places(session, source_id, [state.item_id for state in states])
        before = await _find_states(session, account.id, [place.id for place in places.values()])
        ratings = await _new_ratings(session, account.profile_id, states, places, before)
    if ratings:
        await rate_many(database, journal, account.profile_id, ratings, origin=SERVER)
    async with database.write(durable=True) as session:
        for state in states:
            if place := places.get(state.item_id):
                known = before.get(place.id)
                await _keep_favourite(session, account.profile_id, place, state, known)
                await _keep_plays(session, source, account, place, state, known)
                await save_state(session, account.id, place.id, state)
    return [place.id for place in places.values()]


async def save_state(
    session: AsyncSession, account_id: int, location_id: int, state: ItemState, **more: float | None
) -> None:
    """Remember what the server said."""
    values = {
        "plays": state.plays, "skips": state.skips, "last_played": state.last_played,
        "position": state.position, "is_favourite": state.is_favourite, "rating": state.rating,
        **more,
    }  # fmt: skip
    await session.execute(
        insert(ServerState)
        .values(account_id=account_id, location_id=location_id, **values)
        .on_conflict_do_update(index_elements=["account_id", "location_id"], set_=values)
    )


async def find_words(
    session: AsyncSession, account: Account, *, without: Collection[int]
) -> list[str]:
    """Return the server's ids of what it once had a rating or favourite for, but some."""
    rows = await session.execute(
        select(Location.id, Location.path)
        .join(ServerState, ServerState.location_id == Location.id)
        .where(
            ServerState.account_id == account.id, Location.gone_at.is_(None),
            or_(ServerState.rating.is_not(None), ServerState.is_favourite),
        )
    )  # fmt: skip
    return [row.path.decode() for row in rows if row.id not in without and row.path[:1] != b"\0"]


async def _new_ratings(
    session: AsyncSession,
    profile_id: int,
    states: Sequence[ItemState],
    places: dict[str, _Place],
    before: dict[int, ServerState],
) -> list[NewRating]:
    changed = []
    for state in states:
        place = places.get(state.item_id)
        if place is None:
            continue
        known = before.get(place.id)
        if state.rating != (known.rating if known else None):
            changed.append((place, state, known))
    items = [place.item_id for place, *_ in changed]
    given = {
        row.item_id: row
        for row in await session.scalars(
            select(Rating).where(Rating.profile_id == profile_id, Rating.item_id.in_(items))
        )
    }
    spoken = await last_spoken(session, profile_id, items)
    ratings = []
    for place, state, known in changed:
        now_given = given.get(place.item_id)
        if state.rating is None:  # taken back there: only what came from there
            if now_given and now_given.origin == SERVER:
                ratings.append(NewRating(place.item_id, None, now()))
            continue
        at = _moment(state, known)
        is_news = now_given is None or now_given.value != state.rating
        if is_news and at >= spoken.get(place.item_id, UNDATED):
            ratings.append(NewRating(place.item_id, state.rating, at))
    return ratings


def _moment(state: ItemState, known: ServerState | None) -> datetime:
    """Return when the server's word was given: told, or seen to change, or long ago."""
    if state.rated_at is not None:
        return min(state.rated_at, now())
    return UNDATED if known is None else now()


async def _keep_favourite(
    session: AsyncSession,
    profile_id: int,
    place: _Place,
    state: ItemState,
    known: ServerState | None,
) -> None:
    if state.is_favourite == bool(known and known.is_favourite):
        return
    at = _moment(state, known)
    present = await session.get(Favourite, (profile_id, place.item_id))
    if present and present.origin == PERSON and present.changed_at > at:
        return
    values = {"is_favourite": state.is_favourite, "origin": SERVER, "changed_at": at}
    await session.execute(
        insert(Favourite)
        .values(profile_id=profile_id, item_id=place.item_id, **values)
        .on_conflict_do_update(index_elements=["profile_id", "item_id"], set_=values)
    )


async def _keep_plays(
    session: AsyncSession,
    source: str,
    account: Account,
    place: _Place,
    state: ItemState,
    known: ServerState | None,
) -> None:
    seconds = state.position
    if seconds is None and state.is_finished:
        seconds = place.duration
    has_grown = known is not None and (known.plays or 0) < (state.plays or 0)
    at = state.last_played or (now() if has_grown else UNDATED)
    heard = Heard("", place.item_id, place.kind, at, seconds, place.duration, state.is_finished)
    if state.plays:
        total = state.plays + await _plays_elsewhere(session, account.id, place)
        await top_up(session, account.profile_id, source, heard, total)
        await note_progress(session, account.profile_id, source, None, place.item_id)
    elif state.position:
        await note_progress(session, account.profile_id, source, heard, place.item_id)
    elif known and known.position:
        await note_progress(session, account.profile_id, source, None, place.item_id)
    if state.skips:
        before = (known.skips or 0) if known else 0
        await add_skips(session, account.profile_id, source, place.item_id, before, state.skips, at)


async def _plays_elsewhere(session: AsyncSession, account_id: int, place: _Place) -> int:
    """Return how often the account played other copies of the item."""
    total = await session.scalar(
        select(func.sum(ServerState.plays))
        .join(Location, Location.id == ServerState.location_id)
        .where(
            ServerState.account_id == account_id, Location.item_id == place.item_id,
            Location.id != place.id,
        )
    )  # fmt: skip
    return int(total or 0)


async def _find_places(
    session: AsyncSession, source_id: int, ids: Sequence[str]
) -> dict[str, _Place]:
    rows: Any = await session.execute(
        select(Location.path, Location.id, Location.item_id, Item.kind, Item.duration)
        .join(Item, Item.id == Location.item_id)
        .where(Location.source_id == source_id, Location.path.in_([i.encode() for i in ids]))
    )
    return {path.decode(): _Place(*place) for path, *place in rows}


async def _find_states(
    session: AsyncSession, account_id: int, location_ids: Sequence[int]
) -> dict[int, ServerState]:
    rows = await session.scalars(
        select(ServerState).where(
            ServerState.account_id == account_id, ServerState.location_id.in_(location_ids)
        )
    )
    return {row.location_id: row for row in rows}
