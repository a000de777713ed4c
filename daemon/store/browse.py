"""Pages of items: the columns that a card shows, at a cost that does not grow with the library.

A page goes on after the last item of the page before (keyset paging), so it is found by an index
and neither doubles nor leaves out what stays in place while others come and go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import Select, and_, exists, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.elements import ColumnElement

from connectors.base import KINDS, Kind
from daemon.store.models import Item, Location, Prediction, Rating, Source, public_id

Sort = Literal["predicted", "newest", "title", "year", "rating", "longest"]
SORTS: tuple[Sort, ...] = get_args(Sort)
Rated = Literal["", "rated", "unrated"]

_COLUMNS: dict[Sort, InstrumentedAttribute[Any]] = {
    "predicted": Prediction.value,
    "newest": Item.added_at,
    "title": Item.title,
    "year": Item.year,
    "rating": Rating.value,
    "longest": Item.duration,
}


@dataclass(frozen=True, slots=True)
class Card:
    """What a list shows of an item, to one profile."""

    item_id: int
    kind: Kind
    title: str
    artist: str
    album: str
    year: int | None
    duration: float | None
    version: str
    """Changes when the file does; part of its thumbnail's address."""
    rating: float | None
    predicted: float | None
    uncertainty: float | None
    why: str = ""
    """Why a search found it."""

    @property
    def id(self) -> str:
        """The public id."""
        return public_id(self.item_id)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which items, and in which order. `rating` and `predicted` leave out items without one."""

    kind: Kind
    sort: Sort = "newest"
    rated: Rated = ""
    source_id: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some items in order; `after` is where the next page begins, None at the end."""

    cards: list[Card] = field(default_factory=list)
    after: int | None = None


async def count_kinds(session: AsyncSession) -> dict[Kind, int]:
    """Return how many present items there are of every kind."""
    counts = dict.fromkeys(KINDS, 0)
    for kind in KINDS:
        query = select(func.count()).where(Item.kind == kind, Item.gone_at.is_(None))
        counts[kind] = await session.scalar(query) or 0
    return counts


async def find_page(
    session: AsyncSession,
    profile_id: int,
    selection: Selection,
    *,
    after: int | None = None,
    limit: int = 48,
) -> Page:
    """Return the next `limit` items after the item `after`, or the first ones."""
    ids = await _find_ids(session, profile_id, selection, after, limit + 1)
    cards = await find_cards(session, profile_id, ids[:limit])
    return Page(cards, ids[limit - 1] if len(ids) > limit else None)


async def find_cards(
    session: AsyncSession,
    profile_id: int,
    item_ids: Sequence[int],
    reasons: Mapping[int, str] | None = None,
) -> list[Card]:
    """Return the cards of items, in the order of their ids; unknown ones are left out."""
    query = (
        select(
            Item.id.label("item_id"), Item.kind, Item.title, Item.artist, Item.album, Item.year,
            Item.duration, Item.input_hash.label("version"), Rating.value.label("rating"),
            Prediction.value.label("predicted"), Prediction.uncertainty,
        )
        .outerjoin(Rating, _of(Rating, profile_id))
        .outerjoin(Prediction, _of(Prediction, profile_id))
        .where(Item.id.in_(item_ids))
    )  # fmt: skip
    why = reasons or {}
    rows = (await session.execute(query)).mappings()
    cards = {row["item_id"]: Card(**row, why=why.get(row["item_id"], "")) for row in rows}
    return [cards[item_id] for item_id in item_ids if item_id in cards]


def _of(table: type[Rating] | type[Prediction], profile_id: int) -> ColumnElement[bool]:
    return and_(table.item_id == Item.id, table.profile_id == profile_id)


async def _find_ids(
    session: AsyncSession, profile_id: int, selection: Selection, after: int | None, limit: int
) -> list[int]:
    column = _COLUMNS[selection.sort]
    query = ids_query(profile_id, selection)
    if after is None:
        return list(await session.scalars(query.limit(limit)))
    value = await session.scalar(query.with_only_columns(column).where(Item.id == after))
    number = _number(selection.sort)
    is_up = selection.sort == "title"
    if value is None:  # the unknown come last, by id
        rest = query.where(column.is_(None), number < after)
        return list(await session.scalars(rest.limit(limit)))
    place = tuple_(column, number)
    later = place > (value, after) if is_up else place < (value, after)
    ids = list(await session.scalars(query.where(later).limit(limit)))
    if len(ids) < limit and column.property.columns[0].nullable:
        unknown = query.where(column.is_(None)).limit(limit - len(ids))
        ids += list(await session.scalars(unknown))
    return ids


def ids_query(profile_id: int, selection: Selection) -> Select[int]:
    """Return the query of the ids of a selection, in its order."""
    column, number = _COLUMNS[selection.sort], _number(selection.sort)
    kind: ColumnElement[str] = Item.kind.expression
    query = select(number).select_from(Item)
    if selection.sort == "rating" or selection.rated == "rated":
        query = query.join(Rating, _of(Rating, profile_id))
        kind = kind.concat("")  # no index on it: few items are rated, so begin with those
    query = query.where(kind == selection.kind, Item.gone_at.is_(None))
    if selection.sort == "predicted":
        query = query.join(Prediction, _of(Prediction, profile_id))
        query = query.where(Prediction.kind == selection.kind)
    if selection.rated == "unrated":
        given = select(Rating.item_id).where(_of(Rating, profile_id)).correlate(Item).exists()
        query = query.where(~given)
    if selection.source_id is not None:
        query = query.where(_is_in(selection.source_id))
    if selection.sort == "title":
        return query.order_by(column, number)
    return query.order_by(column.desc(), number.desc())


def _is_in(source_id: int) -> ColumnElement[bool]:
    return exists().where(
        Location.item_id == Item.id, Location.source_id == source_id, Location.gone_at.is_(None)
    )


def _number(sort: Sort) -> InstrumentedAttribute[int]:
    """Return the column of item ids that ends the index of a sort."""
    return {"predicted": Prediction.item_id, "rating": Rating.item_id}.get(sort, Item.id)


async def find_in_source(
    session: AsyncSession, source_id: int, item_ids: Sequence[int]
) -> set[int]:
    """Return which of some items are in a source now."""
    query = select(Item.id).where(Item.id.in_(item_ids), _is_in(source_id))
    return set(await session.scalars(query))


async def find_sources(session: AsyncSession) -> Sequence[Source]:
    """Return all sources of the settings, by name."""
    query = select(Source).where(Source.in_settings).order_by(Source.name)
    return (await session.scalars(query)).all()
