"""Give ratings. The order is journal, database, reply."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.database import Database
from daemon.store.evidence import find_evidence
from daemon.store.journal import Journal
from daemon.store.models import Profile, Rating, RatingEvent, now, public_id

PERSON, FILE, SERVER = "person", "file", "server"


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
    """Return `value`, a number or the text of one, as a rating. Raises BadRating."""
    problem = "A rating is a number from 0 to 10"
    if isinstance(value, str):
        problem += f", not {value[:40]!r}"
        value = value.replace("_", "?")  # only Python takes 1_0 for 10
    try:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = float(value)
    except (ValueError, OverflowError):
        raise BadRating(f"{problem}.") from None
    if not 0 <= number <= 10:
        raise BadRating(f"{problem}.")
    return number + 0.0  # no -0


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
    async with database.read() as session:
        moments = await last_spoken(session, profile_id, [item_id])
    rating = NewRating(item_id, value, moment_after(moments.get(item_id)))
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
            await keep(session, entry["event"], profile_id, rating, origin)
    return [entry["event"] for entry in entries]


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
            words[row.item_id] = row.value if row.origin == FILE else PERSON
    return words


async def last_spoken(
    session: AsyncSession, profile_id: int, item_ids: Sequence[int]
) -> dict[int, datetime]:
    """Return when the person last rated each item, or took a rating back."""
    moments: dict[int, datetime] = {}
    for start in range(0, len(item_ids), 500):
        rows = await session.execute(
            select(RatingEvent.item_id, RatingEvent.rated_at)
            .where(
                RatingEvent.profile_id == profile_id,
                RatingEvent.item_id.in_(item_ids[start : start + 500]),
                RatingEvent.origin.in_((PERSON, SERVER)),
            )
            .order_by(RatingEvent.rated_at)
        )
        moments |= {row.item_id: row.rated_at for row in rows}
    return moments


def moment_after(last: datetime | None) -> datetime:
    """Return this moment, or one just after `last` where the clock was ahead of itself then."""
    return max(now(), last + timedelta(microseconds=1)) if last else now()


async def keep(
    session: AsyncSession, event: str, profile_id: int, rating: NewRating, origin: str
) -> None:
    """Add the event; make it the current rating unless it is overruled."""
    values = {"profile_id": profile_id, "item_id": rating.item_id, "rated_at": rating.rated_at}
    await session.execute(
        insert(RatingEvent)
        .values(id=event, value=rating.value, origin=origin, **values)
        .on_conflict_do_nothing()
    )
    if await _is_overruled(session, event, profile_id, rating, origin):
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


async def _is_overruled(
    session: AsyncSession, event: str, profile_id: int, rating: NewRating, origin: str
) -> bool:
    """Tell whether a later word is known (a replay may be out of order), or the person's own.

    What a person said, here or on a server, even that there is no rating, stands above every word
    of the file; of what a person said here and there, the newer counts.
    """
    by_person = RatingEvent.origin.in_((PERSON, SERVER))
    is_later = RatingEvent.rated_at > rating.rated_at
    others = select(func.count()).where(
        RatingEvent.profile_id == profile_id,
        RatingEvent.item_id == rating.item_id,
        RatingEvent.id != event,
        or_(by_person, is_later) if origin == FILE else by_person & is_later,
    )
    return bool(await session.scalar(others))
