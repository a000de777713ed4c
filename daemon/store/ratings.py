"""Give ratings, and put them back from the journal. The order is journal, database, reply."""

import math
import os
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.database import Database
from daemon.store.journal import Journal
from daemon.store.models import (
    Item,
    Location,
    Profile,
    Rating,
    RatingEvent,
    Source,
    now,
    parse_public_id,
    public_id,
)

PERSON, FILE = "person", "file"


class BadRating(ValueError):
    """The value is not a number from 0 to 10."""


class UnknownItem(LookupError):
    """There is no such item."""


@dataclass(frozen=True, slots=True)
class NewRating:
    """A rating on its way in; `value` None takes the present one back."""

    item_id: int
    value: float | None
    rated_at: datetime


def check_rating(value: object) -> float:
    """Return `value` as a rating. Raises BadRating."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise BadRating(f"A rating is a number from 0 to 10, not {value!r}.") from None
    if isinstance(value, bool) or not math.isfinite(number) or not 0 <= number <= 10:
        raise BadRating(f"A rating is a number from 0 to 10, not {value}.")
    return number


async def rate(
    database: Database,
    journal: Journal,
    profile_id: int,
    item_id: int,
    value: float | None,
    *,
    origin: str = PERSON,
) -> str:
    """Keep one rating, or take it back with None; return its event id when it is on disk.

    Raises BadRating, UnknownItem, or JournalError: then nothing has changed.
    """
    value = None if value is None else check_rating(value)
    rating = NewRating(item_id, value, now())
    return (await rate_many(database, journal, profile_id, [rating], origin=origin))[0]


async def rate_many(
    database: Database,
    journal: Journal,
    profile_id: int,
    ratings: Sequence[NewRating],
    *,
    origin: str = PERSON,
) -> list[str]:
    """Keep ratings whose values were checked; return their event ids when all are on disk."""
    async with database.read() as session:
        profile = await session.get_one(Profile, profile_id)
        evidence = await find_evidence(session, [rating.item_id for rating in ratings])
    entries = []
    for rating in ratings:
        if rating.item_id not in evidence:
            raise UnknownItem(f"There is no item {public_id(rating.item_id)}.")
        entries.append(
            {
                "event": uuid.uuid4().hex,
                "profile": profile.name,
                "value": rating.value,
                "at": rating.rated_at.isoformat(),
                "origin": origin,
                "item": evidence[rating.item_id],
            }
        )
    await journal.append(entries)
    async with database.write(durable=True) as session:
        for entry, rating in zip(entries, ratings, strict=True):
            await _keep(session, entry["event"], profile_id, rating, origin)
    return [entry["event"] for entry in entries]


async def find_evidence(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, Any]:
    """Return for each item what names it for ever: hashes, paths, provider ids."""
    evidence: dict[int, Any] = {}
    for start in range(0, len(item_ids), 500):
        batch = item_ids[start : start + 500]
        for item in await session.scalars(select(Item).where(Item.id.in_(batch))):
            evidence[item.id] = {
                "id": public_id(item.id), "kind": item.kind, "title": item.title,
                "artist": item.artist, "album": item.album, "duration": item.duration,
                "locations": [],
            }  # fmt: skip
        rows = await session.execute(
            select(Location, Source.name)
            .join(Source, Source.id == Location.source_id)
            .where(Location.item_id.in_(batch))
        )
        for location, source in rows:
            evidence[location.item_id]["locations"].append(
                {
                    "source": source,
                    "path": os.fsdecode(location.path),
                    "size": location.size,
                    "soft_hash": location.soft_hash,
                    "content_hash": location.content_hash,
                    "provider_ids": location.provider_ids,
                }
            )
    return evidence


async def rating_map(session: AsyncSession, profile_id: int) -> dict[int, float]:
    """Return the profile's ratings by item id."""
    rows = await session.execute(
        select(Rating.item_id, Rating.value).where(Rating.profile_id == profile_id)
    )
    return {row.item_id: row.value for row in rows}


async def file_words(
    session: AsyncSession, profile_id: int, item_ids: Sequence[int]
) -> dict[int, float | str | None]:
    """Return the last rating that an item's file gave; PERSON where a person ever spoke."""
    words: dict[int, float | str | None] = {}
    rows = await session.execute(
        select(RatingEvent.item_id, RatingEvent.origin, RatingEvent.value)
        .where(RatingEvent.profile_id == profile_id, RatingEvent.item_id.in_(item_ids))
        .order_by(RatingEvent.rated_at)
    )
    for row in rows:
        if words.get(row.item_id) != PERSON:
            words[row.item_id] = PERSON if row.origin == PERSON else row.value
    return words


async def replay(database: Database, entries: Iterable[Mapping[str, Any]]) -> tuple[int, list[Any]]:
    """Apply what the database has not seen; return how many, and the entries of unknown items."""
    entries = _without_removed_profiles(entries)
    async with database.read() as session:
        seen = set(await session.scalars(select(RatingEvent.id)))
    fresh = [entry for entry in entries if entry["event"] not in seen]
    applied, pending = 0, []
    for start in range(0, len(fresh), 200):
        async with database.write(durable=True) as session:
            for entry in fresh[start : start + 200]:
                item_id = await find_by_evidence(session, entry["item"])
                if item_id is None:
                    pending.append(entry)
                    continue
                profile_id = await _profile_id(session, entry["profile"])
                rating = NewRating(item_id, entry["value"], datetime.fromisoformat(entry["at"]))
                await _keep(session, entry["event"], profile_id, rating, entry["origin"])
                applied += 1
    return applied, pending


async def find_by_evidence(session: AsyncSession, evidence: Mapping[str, Any]) -> int | None:
    """Return the item that a journal line is about, if the catalogue has it."""
    item_id = parse_public_id(str(evidence.get("id")))
    if await session.scalar(select(Item.id).where(Item.id == (item_id or 0))):
        return item_id
    for place in evidence.get("locations", ()):
        proofs = [Location.soft_hash == place["soft_hash"]]
        if place.get("content_hash"):
            proofs.append(Location.content_hash == place["content_hash"])
        found = await session.scalar(
            select(Location.item_id)
            .join(Item, Item.id == Location.item_id)
            .where(or_(*proofs), Item.kind == evidence.get("kind"))
            .limit(1)
        )
        found = found or await session.scalar(
            select(Location.item_id)
            .join(Source, Source.id == Location.source_id)
            .where(
                Source.name == place["source"],
                Location.path == os.fsencode(place["path"]),
            )
        )
        if found:
            return found
    return None


async def _keep(
    session: AsyncSession, event: str, profile_id: int, rating: NewRating, origin: str
) -> None:
    """Add the event; make it the current rating unless a newer or a person's stands."""
    values = {"profile_id": profile_id, "item_id": rating.item_id, "rated_at": rating.rated_at}
    await session.execute(
        insert(RatingEvent)
        .values(id=event, value=rating.value, origin=origin, **values)
        .on_conflict_do_nothing()
    )
    current = await session.get(Rating, (profile_id, rating.item_id), populate_existing=True)
    if current and origin == FILE and current.origin == PERSON:
        return
    if await _has_newer(session, event, profile_id, rating, origin):
        return
    if rating.value is None:
        await session.execute(
            delete(Rating).where(Rating.profile_id == profile_id, Rating.item_id == rating.item_id)
        )
        return
    changed = {"value": rating.value, "origin": origin, "rated_at": rating.rated_at}
    await session.execute(
        insert(Rating)
        .values(**(values | changed))
        .on_conflict_do_update(index_elements=["profile_id", "item_id"], set_=changed)
    )


async def _has_newer(
    session: AsyncSession, event: str, profile_id: int, rating: NewRating, origin: str
) -> bool:
    """Tell whether a later event of as good an origin is known: a replay may be out of order."""
    newer = select(func.count()).where(
        RatingEvent.profile_id == profile_id,
        RatingEvent.item_id == rating.item_id,
        RatingEvent.rated_at > rating.rated_at,
        RatingEvent.id != event,
    )
    if origin == PERSON:
        newer = newer.where(RatingEvent.origin == PERSON)
    return bool(await session.scalar(newer))


async def _profile_id(session: AsyncSession, name: str) -> int:
    await session.execute(insert(Profile).values(name=name).on_conflict_do_nothing())
    return (await session.scalars(select(Profile.id).where(Profile.name == name))).one()


def _without_removed_profiles(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Leave out what was written before its profile was removed."""
    kept: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for entry in entries:
        if entry.get("removed"):
            kept[entry["profile"]].clear()
        else:
            kept[entry["profile"]].append(entry)
    return [entry for entries_ in kept.values() for entry in entries_]
