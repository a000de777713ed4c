"""What the program remembers about itself: a few named values."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Fact


async def get_fact(session: AsyncSession, name: str) -> dict[str, Any] | None:
    """Return a value; None where there is none."""
    value: dict[str, Any] | None = await session.scalar(select(Fact.value).where(Fact.name == name))
    return value


async def set_fact(session: AsyncSession, name: str, value: dict[str, Any]) -> None:
    """Remember a value."""
    await session.execute(
        insert(Fact)
        .values(name=name, value=value)
        .on_conflict_do_update(index_elements=["name"], set_={"value": value})
    )
