"""Keep plays: what was heard, watched, looked at, and how far."""

from datetime import datetime

from sqlalchemy.dialects.sqlite import insert

from daemon.store.database import Database
from daemon.store.models import Play

OUTCOMES = ("finished", "skipped", "unknown")


async def record_play(
    database: Database,
    profile_id: int,
    item_id: int,
    *,
    source: str,
    event_key: str,
    played_at: datetime,
    position: float | None,
    duration: float | None,
    outcome: str,
) -> bool:
    """Keep one play when it is on disk; False if that event was known."""
    async with database.write(durable=True) as session:
        added = await session.execute(
            insert(Play)
            .values(
                profile_id=profile_id, item_id=item_id, source=source, event_key=event_key,
                played_at=played_at, position=position, duration=duration, outcome=outcome,
            )
            .on_conflict_do_nothing(index_elements=["source", "event_key"])
        )  # fmt: skip
    return bool(added.rowcount)  # type: ignore[attr-defined]
