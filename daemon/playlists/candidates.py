"""The items that a smart playlist may have: one query, by its rule."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.playlists.rule_query import Scope, condition_of, sorting_column
from daemon.rules.tree import ByField, Order, Rule
from daemon.store.models import Item, Location, Prediction, Rating, Source

PAGE = 1000
"""Rows taken from the database at once, so that a large library does not hold the event loop."""


async def find_candidates(
    session: AsyncSession, kind: str, rule: Rule, order: Order, scope: Scope, *, only_unrated: bool
) -> Sequence[Any]:
    """Return every present item of the kind that the rule lets in.

    Sorted where the order is by fields, else by id.
    """
    query = candidates_query(kind, rule, order, scope, only_unrated=only_unrated)
    result = await session.stream(query)
    return [row async for rows in result.partitions(PAGE) for row in rows]


def candidates_query(
    kind: str, rule: Rule, order: Order, scope: Scope, *, only_unrated: bool
) -> Any:
    """Return the query of `find_candidates`."""
    ours = (Rating.item_id == Item.id) & (Rating.profile_id == scope.profile_id)
    expected = (Prediction.item_id == Item.id) & (Prediction.profile_id == scope.profile_id)
    first = first_places()
    query: Any = (
        select(
            Item.id, Item.kind, Item.title, Item.artist, Item.album, Item.duration,
            Item.added_at.label("added"), Location.size, Location.path, Location.local_path,
            Source.root, Rating.value.label("rating"), Prediction.value.label("predicted"),
            Prediction.uncertainty,
            func.json_extract(Item.facts, "$.artists").label("artists"),
            func.json_extract(Item.facts, "$.provider_ids.musicbrainz_recording").label(
                "recording"
            ),
            func.json_extract(Item.facts, "$.album_artist").label("album_artist"),
            func.json_extract(Item.facts, "$.genres[0]").label("genre"),
            func.json_extract(Item.facts, "$.series").label("series"),
            func.json_extract(Item.facts, "$.season").label("season"),
            func.json_extract(Item.facts, "$.episode").label("episode"),
        )
        .join(Location, Location.item_id == Item.id)
        .join(first, first.c.id == Location.id)
        .join(Source, Source.id == Location.source_id)
        .join(Rating, ours, isouter=True)
        .join(Prediction, expected, isouter=True)
        .where(Item.kind == kind, Item.gone_at.is_(None), condition_of(rule, scope))
    )  # fmt: skip
    if only_unrated:
        query = query.where(Rating.value.is_(None))
    if isinstance(order, ByField):
        query = query.add_columns(sorting_column(order.fields[0][0], scope).label("sorted_by"))
        for name, is_down in order.fields:
            column = sorting_column(name, scope)
            query = query.order_by((column.desc() if is_down else column.asc()).nulls_last())
    return query.order_by(Item.id)


def first_places() -> Any:
    """Return one present location of each item: a file before what is on a server only."""
    is_remote = case((Source.root.is_(None) & Location.local_path.is_(None), 1), else_=0)
    rank = func.row_number().over(partition_by=Location.item_id, order_by=(is_remote, Location.id))
    ranked = (
        select(Location.id, rank.label("rank"))
        .join(Source, Source.id == Location.source_id)
        .where(Location.gone_at.is_(None), Source.in_settings)
        .subquery()
    )
    return select(ranked.c.id).where(ranked.c.rank == 1).subquery()
