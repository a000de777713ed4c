"""All that the page of one item shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.browse import Card, find_cards
from daemon.store.descriptions import order_of
from daemon.store.models import (
    Description,
    Item,
    Join,
    Location,
    Play,
    Rating,
    RatingEvent,
    Source,
)
from daemon.store.places import absolute
from daemon.store.server_models import Favourite

LONGEST_HISTORY = 50


@dataclass(frozen=True)
class Place:
    """Where a present file of the item is."""

    location_id: int
    source: str
    root: bytes
    path: bytes
    size: int

    @property
    def absolute(self) -> bytes:
        """The path on this machine."""
        return absolute(self.root, self.path)

    @property
    def shown(self) -> str:
        """The path inside its source, fit to be shown."""
        return self.path.decode(errors="replace")


@dataclass(frozen=True)
class Joined:
    """Why a file was taken for this item."""

    id: int
    at: datetime
    evidence: str
    path: str


@dataclass(frozen=True)
class Detail:
    """One item, to one profile."""

    card: Card
    facts: dict[str, Any]
    added_at: datetime
    gone_at: datetime | None
    origin: str
    """Of the rating: `person`, `file` or `server`; "" without a rating."""
    is_favourite: bool
    descriptions: list[tuple[str, str]]
    """(producer, text), in the order in which they are put together."""
    places: list[Place]
    joins: list[Joined]
    plays: Sequence[Play]
    ratings: Sequence[RatingEvent]


async def find_detail(session: AsyncSession, profile_id: int, item_id: int) -> Detail | None:
    """Return all about an item, present or gone; None for an unknown one."""
    item = await session.get(Item, item_id)
    cards = await find_cards(session, profile_id, [item_id])
    if item is None or not cards:
        return None
    rating = await session.get(Rating, (profile_id, item_id))
    heart = await session.get(Favourite, (profile_id, item_id))
    return Detail(
        card=cards[0],
        facts=item.facts,
        added_at=item.added_at,
        gone_at=item.gone_at,
        origin=rating.origin if rating else "",
        is_favourite=bool(heart and heart.is_favourite),
        descriptions=await _descriptions(session, item_id),
        places=await _places(session, item_id),
        joins=await _joins(session, item_id),
        plays=await _newest(session, Play, Play.played_at, profile_id, item_id),
        ratings=await _newest(session, RatingEvent, RatingEvent.rated_at, profile_id, item_id),
    )


async def _descriptions(session: AsyncSession, item_id: int) -> list[tuple[str, str]]:
    rows = await session.execute(
        select(Description.producer, Description.text).where(Description.item_id == item_id)
    )
    parts = [(row.producer, row.text) for row in rows]
    return sorted(parts, key=lambda part: (order_of(part[0]), part[0]))


async def _places(session: AsyncSession, item_id: int) -> list[Place]:
    rows = await session.execute(
        select(
            Location.id,
            Source.name,
            Source.root,
            Location.path,
            Location.size,
            Location.server_path,
        )
        .join(Source, Source.id == Location.source_id)
        .where(Location.item_id == item_id, Location.gone_at.is_(None), Source.in_settings)
        .order_by(Location.id)
    )
    return [Place(row.id, row.name, row.root or b"", _shown_path(row), row.size) for row in rows]


def _shown_path(row: Any) -> bytes:
    return row.server_path.encode(errors="replace") if row.server_path else bytes(row.path)


async def _joins(session: AsyncSession, item_id: int) -> list[Joined]:
    rows = await session.execute(
        select(Join.id, Join.at, Join.evidence, Location.path)
        .join(Location, Location.id == Join.location_id)
        .where(Join.item_id == item_id, Join.undone_at.is_(None))
        .order_by(Join.id)
    )
    return [Joined(row.id, row.at, row.evidence, row.path.decode(errors="replace")) for row in rows]


async def _newest(
    session: AsyncSession, table: Any, moment: Any, profile_id: int, item_id: int
) -> Sequence[Any]:
    rows = await session.scalars(
        select(table)
        .where(table.profile_id == profile_id, table.item_id == item_id)
        .order_by(moment.desc())
        .limit(LONGEST_HISTORY)
    )
    return rows.all()
