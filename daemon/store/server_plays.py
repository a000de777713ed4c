"""Plays as servers tell of them: events where they have them, counts where they have not.

The same playing may be told three ways: seen live, as an event of the history, and as a count
that has grown. An event joins what is known of the same item at about the same time; counts only
top up what events have not explained.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind
from daemon.store.models import Play, public_id

NEAR = timedelta(minutes=5)
"""How far apart two tellings of one playing may be, beside its length."""
FINISHED = 0.9
"""Share of the length from which a playing counts as whole."""
SKIPPED = 0.5
"""Share of a track below which it was skipped."""
HARDLY_BEGUN = 0.05
"""Share of a film below which nothing can be told."""
LONGEST_PAST = 200
"""Plays that a first look at a count makes at most."""
UNDATED = datetime(2000, 1, 1, tzinfo=UTC)
"""When a play was that a server counts and does not date: long ago, so that it moves nothing."""
COUNT, LIVE, SKIP, PROGRESS = "count:", "live:", "skip:", "progress:"


@dataclass(frozen=True, slots=True)
class Heard:
    """One playing, told by a server."""

    key: str
    item_id: int
    kind: Kind
    at: datetime
    seconds: float | None
    duration: float | None
    is_finished: bool | None


def judge(
    kind: Kind, seconds: float | None, duration: float | None, is_finished: bool | None
) -> str:
    """Return finished, skipped (music), abandoned (the rest) or unknown."""
    if is_finished:
        return "finished"
    if seconds is None or not duration:
        return "unknown"
    share = seconds / duration
    if share >= FINISHED:
        return "finished"
    if kind == "music":
        return "skipped" if share < SKIPPED else "unknown"
    return "abandoned" if share >= HARDLY_BEGUN else "unknown"


async def take_events(
    session: AsyncSession, profile_id: int, source: str, heard: Sequence[Heard]
) -> int:
    """Keep plays that were not known; return how many. What was known less well is bettered."""
    added = 0
    for play in heard:
        same = await session.scalar(
            select(Play).where(Play.source == source, Play.event_key == play.key)
        )
        same = same or await _find_near(session, profile_id, source, play)
        if same is None:
            session.add(
                Play(
                    profile_id=profile_id, item_id=play.item_id, source=source,
                    event_key=play.key, played_at=play.at, position=play.seconds,
                    duration=play.duration,
                    outcome=judge(play.kind, play.seconds, play.duration, play.is_finished),
                )
            )  # fmt: skip
            await session.flush()
            added += 1
        elif same.event_key != play.key or (same.position is None and play.seconds is not None):
            _better(same, play)
    return added


async def _find_near(
    session: AsyncSession, profile_id: int, source: str, play: Heard
) -> Play | None:
    """Return a play of the item at about that time that was told in another way."""
    reach = NEAR + timedelta(seconds=play.duration or 0)
    told = play.key.split(":", 1)[0]
    rows = await session.scalars(
        select(Play)
        .where(
            Play.profile_id == profile_id, Play.item_id == play.item_id, Play.source == source,
            Play.played_at.between(play.at - reach, play.at + reach),
        )
        .order_by(Play.id)
    )  # fmt: skip
    return next((p for p in rows if p.event_key.split(":", 1)[0] != told), None)


def _better(known: Play, play: Heard) -> None:
    if not play.key.startswith((COUNT, LIVE)):
        known.event_key = play.key
    if play.seconds is not None:
        known.position = play.seconds
    known.duration = known.duration or play.duration
    outcome = judge(play.kind, known.position, known.duration, play.is_finished)
    if outcome != "unknown" and known.outcome != "finished":
        known.outcome = outcome


async def top_up(
    session: AsyncSession,
    profile_id: int,
    source: str,
    heard: Heard,
    count: int,
) -> int:
    """Add plays until there are as many as the server counts; return how many were added.

    Only the last is dated (`heard.at`); of the others nothing but that they were is known.
    """
    mine = (
        (Play.profile_id == profile_id)
        & (Play.item_id == heard.item_id)
        & (Play.source == source)
        & ~Play.event_key.startswith(SKIP)
        & ~Play.event_key.startswith(PROGRESS)
    )
    known = await session.scalar(select(func.count()).where(mine)) or 0
    missing = min(count - known, LONGEST_PAST)
    if missing <= 0:
        if heard.seconds is not None:
            await _place_last(session, mine, heard)
        return 0
    outcome = judge(heard.kind, heard.seconds, heard.duration, heard.is_finished)
    taken = set(
        await session.scalars(select(Play.event_key).where(mine, Play.event_key.startswith(COUNT)))
    )
    prefix = f"{COUNT}{profile_id}:{public_id(heard.item_id)}:"
    numbers = (n for n in range(1, count + len(taken) + 1) if f"{prefix}{n}" not in taken)
    rows = [
        {
            "profile_id": profile_id, "item_id": heard.item_id, "source": source,
            "event_key": f"{prefix}{next(numbers)}", "played_at": heard.at, "position": None,
            "duration": heard.duration, "outcome": "unknown",
        }
        for _ in range(missing)
    ]  # fmt: skip
    rows[-1] |= {"position": heard.seconds, "outcome": outcome}
    await session.execute(insert(Play), rows)
    return missing


async def _place_last(session: AsyncSession, mine: Any, heard: Heard) -> None:
    """Note how far the last playing got, where that is only known now."""
    outcome = judge(heard.kind, heard.seconds, heard.duration, heard.is_finished)
    last = select(Play.id).where(mine).order_by(Play.played_at.desc(), Play.id.desc()).limit(1)
    await session.execute(
        update(Play)
        .where(
            Play.id == last.scalar_subquery(),
            Play.event_key.startswith(COUNT),
            Play.outcome != "finished",
        )
        .values(position=heard.seconds, outcome=outcome)
    )


async def note_progress(
    session: AsyncSession, profile_id: int, source: str, heard: Heard | None, item_id: int
) -> None:
    """Keep where something stopped that was never counted; None: it was finished or taken back."""
    key = f"{PROGRESS}{profile_id}:{public_id(item_id)}"
    if heard is None:
        await session.execute(delete(Play).where(Play.source == source, Play.event_key == key))
        return
    outcome = judge(heard.kind, heard.seconds, heard.duration, None)
    values = {
        "played_at": heard.at, "position": heard.seconds, "duration": heard.duration,
        "outcome": outcome,
    }  # fmt: skip
    await session.execute(
        upsert(Play)
        .values(profile_id=profile_id, item_id=item_id, source=source, event_key=key, **values)
        .on_conflict_do_update(index_elements=["source", "event_key"], set_=values)
    )


async def add_skips(
    session: AsyncSession, profile_id: int, source: str, item_id: int, before: int, after: int,
    at: datetime,
) -> None:  # fmt: skip
    """Keep skips that a server counts."""
    for number in range(max(before, after - LONGEST_PAST) + 1, after + 1):
        await session.execute(
            upsert(Play)
            .values(
                profile_id=profile_id, item_id=item_id, source=source,
                event_key=f"{SKIP}{profile_id}:{public_id(item_id)}:{number}", played_at=at,
                outcome="skipped",
            )
            .on_conflict_do_nothing()
        )  # fmt: skip
