"""Put ratings of the journal that the database lacks back into it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.database import Database
from daemon.store.evidence import find_by_evidence
from daemon.store.journal import Journal
from daemon.store.models import Fact, Profile, RatingEvent
from daemon.store.profiles import forget_profile
from daemon.store.ratings import NewRating, keep

_FACT = "journal"
BATCH = 200


async def replay_journal(database: Database, journal: Journal, *, force: bool = False) -> int:
    """Apply what the database has not seen; return how many ratings.

    Lines about items that the catalogue does not have yet are tried again each time; when all
    lines are in the database, the journal is not read again until it has grown past it.
    """
    size = journal.size()
    async with database.read() as session:
        fact = await session.get(Fact, _FACT)
    known = fact.value if fact else {"size": 0, "pending": 0}
    if not force and known == {"size": size, "pending": 0}:
        return 0
    applied, pending = await _replay(database, journal.read())
    if known != {"size": size, "pending": pending}:
        async with database.write() as session:
            await session.merge(Fact(name=_FACT, value={"size": size, "pending": pending}))
    return applied


async def count_waiting(database: Database) -> int:
    """Return how many ratings of the journal are about items that the catalogue lacks."""
    async with database.read() as session:
        fact = await session.get(Fact, _FACT)
    return int(fact.value["pending"]) if fact else 0


async def _replay(database: Database, entries: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    """Apply what the database has not seen; return how many, and how many lines must wait."""
    standing, withdrawn = _part_by_removals(entries)
    async with database.read() as session:
        seen = set(await session.scalars(select(RatingEvent.id)))
    for name, events in withdrawn.items():
        if not seen.isdisjoint(events):  # a database of before the removal
            seen -= await _forget(database, name)
    fresh = [entry for event, entry in standing.items() if event not in seen]
    applied = 0
    for start in range(0, len(fresh), BATCH):
        async with database.write(durable=True) as session:
            for entry in fresh[start : start + BATCH]:
                applied += await _apply(session, entry)
    return applied, len(fresh) - applied


async def _apply(session: AsyncSession, entry: Mapping[str, Any]) -> bool:
    """Keep one rating; False where its item is not there."""
    item_id = await find_by_evidence(session, entry["item"])
    if item_id is None:
        return False
    name = entry["profile"]
    await session.execute(insert(Profile).values(name=name).on_conflict_do_nothing())
    profile_id = (await session.scalars(select(Profile.id).where(Profile.name == name))).one()
    rating = NewRating(item_id, entry["value"], datetime.fromisoformat(entry["at"]))
    await keep(session, entry["event"], profile_id, rating, entry["origin"])
    return True


async def _forget(database: Database, name: str) -> set[str]:
    """Remove a profile anew; return the ids of its events."""
    async with database.write(durable=True) as session:
        profile_id = await session.scalar(select(Profile.id).where(Profile.name == name))
        if profile_id is None:
            return set()
        events = select(RatingEvent.id).where(RatingEvent.profile_id == profile_id)
        forgotten = set(await session.scalars(events))
        await forget_profile(session, profile_id)
    return forgotten


def _part_by_removals(
    entries: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Mapping[str, Any]], dict[str, set[str]]]:
    """Return the entries that stand, by event id, and the event ids that each removal withdrew."""
    standing: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    withdrawn: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        of_profile = standing[entry["profile"]]
        if entry.get("removed"):
            withdrawn[entry["profile"]] |= of_profile.keys()
            of_profile.clear()
        else:
            of_profile[entry["event"]] = entry
    return {event: e for of in standing.values() for event, e in of.items()}, withdrawn
