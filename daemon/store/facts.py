"""What the program remembers about itself: a few named values."""

from typing import Any

from sqlalchemy import delete, select, update
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


async def rename_fact(session: AsyncSession, name: str, to: str) -> None:
    """Remember a value by another name, in place of what had that."""
    await session.execute(delete(Fact).where(Fact.name == to))
    await session.execute(update(Fact).where(Fact.name == name).values(name=to))
