"""Find items by meaning, by words, by name, or by likeness to one of them."""

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Text, cast, or_, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import KINDS, Kind
from daemon.store.database import Database
from daemon.store.models import Item, ItemVector, Location
from daemon.vectors.index import Space, SpaceInUse, VectorIndex
from daemon.workers.worker import Worker, WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

Mode = Literal["meaning", "words", "name"]
DEEPER = 4
"""How many times more are asked of each space when several are put together."""
FUSION = 60
"""The constant of reciprocal rank fusion."""
_HOW = {"audio": "sound", "images": "look", "universal": "whole"}
MAXIMUM_QUERY = 500
"""Characters; what follows says nothing more to a sentence model."""


class SearchUnavailable(Exception):
    """The search cannot be answered now; the message says why."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A found item; scores compare only within one answer."""

    item_id: int
    score: float
    why: str


class Search:
    """Answers searches; present items only."""

    def __init__(
        self, database: Database, index: VectorIndex, queries: Callable[[str], Worker]
    ) -> None:
        self._database = database
        self._index = index
        self._queries = queries

    async def find(
        self, query: str, *, mode: Mode = "meaning", kind: Kind | None = None, limit: int = 50
    ) -> list[Hit]:
        """Return the best items for `query`, best first. Raises SearchUnavailable."""
        query = query.strip()[:MAXIMUM_QUERY]
        if not query:
            return []
        if mode == "meaning":
            return await self._by_meaning(query, kind, limit)
        async with self._database.read() as session:
            if mode == "words":
                return await _by_words(session, query, kind, limit)
            return await _by_name(session, query, kind, limit)

    async def similar(
        self, item_id: int, *, kind: Kind | None = None, limit: int = 20
    ) -> list[Hit]:
        """Return the items most like one of them; none where it has no vector yet."""
        space = await self._index.refresh()
        if space is None:
            return []
        found = [await self._nearest(space, "similar", item_id, kind, limit * DEEPER)]
        for used in await self._index.media_spaces():
            found.append(await self._nearest(used.space, "similar", item_id, kind, limit * DEEPER))
        return _fuse(found, limit)

    async def points(self, words: str, kind: Kind) -> list[bytes]:
        """Return the words' vector in the text space and each space of the kind.

        It is b"" where a space takes no words or its model does not answer. Raises
        SearchUnavailable where the text model does not.
        """
        space, model = await self._text()
        points = [await self._embed(model["module"], model["options"], space, words)]
        for used in await self._index.media_spaces():
            if kind in used.kinds:
                points.append(await self._embed_in(used, words) if used.has_text_tower else b"")
        return points

    async def cosines(self, near: str | int, kind: Kind, limit: int) -> list[tuple[int, float]]:
        """Return (item, cosine) in the text space to words or to an item, the nearest first.

        Raises SearchUnavailable.
        """
        space, model = await self._text()
        argument: bytes | int = near if isinstance(near, int) else await self._embed(
            model["module"], model["options"], space, near
        )  # fmt: skip
        operation = "similar" if isinstance(near, int) else "search"
        try:
            found = await self._index.call(
                operation, space.name, argument, limit, [KINDS.index(kind)]
            )
        except (WorkerDied, WorkerFailed) as error:
            raise SearchUnavailable(f"The index does not answer: {error}") from error
        return [(item_id, score) for item_id, score, _ in found]

    async def _text(self) -> tuple[Space, dict[str, Any]]:
        space, model = await self._index.refresh(), await self._index.text_model()
        if space is None or model is None:
            raise SearchUnavailable("Nothing is embedded yet; the embed step makes it possible.")
        return space, model

    async def _by_meaning(self, query: str, kind: Kind | None, limit: int) -> list[Hit]:
        space = await self._index.refresh()
        if space is None:
            raise SearchUnavailable(
                "Nothing is embedded yet, so only words and names can be searched. "
                "The embed step makes it possible: see Jobs."
            )
        model = await self._index.text_model()
        if model is None:
            raise SearchUnavailable(
                "The vectors are of an older version; search by meaning comes back when the embed "
                "step has run."
            )
        seen = [
            used for used in await self._index.media_spaces()
            if used.has_text_tower and (kind is None or kind in used.kinds)
        ]  # fmt: skip
        deep = limit * DEEPER if seen else limit
        vector = await self._embed(model["module"], model["options"], space, query)
        found = [await self._nearest(space, "search", vector, kind, deep)]
        for used in seen:
            vector = await self._embed_in(used, query)
            if not vector:
                continue
            hits = await self._nearest(used.space, "search", vector, kind, deep)
            why = f"{used.model}: its {_HOW[used.role]} fits"
            found.append([Hit(hit.item_id, hit.score, why) for hit in hits])
        return _fuse(found, limit)

    async def _embed_in(self, used: SpaceInUse, words: str) -> bytes:
        """Return the words' vector in a space of media; b"" where its model does not answer."""
        try:
            return await self._embed(used.module, used.options, used.space, words, used.python)
        except SearchUnavailable as error:
            log.warning("%s is left out of the search: %s", used.model, error)
            return b""

    async def _embed(
        self, module: str, options: dict[str, Any], space: Space, query: str, python: str = ""
    ) -> bytes:
        try:
            vector: bytes = await self._queries(python).call(
                "embed_query", module, options, space.name, query
            )
        except (WorkerDied, WorkerFailed) as error:
            raise SearchUnavailable(f"The model for queries does not answer: {error}") from error
        return vector

    async def _nearest(
        self, space: Space, operation: str, argument: bytes | int, kind: Kind | None, limit: int
    ) -> list[Hit]:
        """Ask for more than `limit` until enough of them are present items."""
        kinds = [KINDS.index(kind)] if kind else None
        wanted = limit + 20
        while True:
            try:
                found = await self._index.call(operation, space.name, argument, wanted, kinds)
            except (WorkerDied, WorkerFailed) as error:
                raise SearchUnavailable(f"The index does not answer: {error}") from error
            hits = await self._present(space, found, limit)
            if len(hits) == limit or len(found) < wanted:
                return hits
            wanted *= 4

    async def _present(
        self, space: Space, found: Sequence[tuple[int, float, int]], limit: int
    ) -> list[Hit]:
        ids = [item_id for item_id, _, _ in found]
        present: set[int] = set()
        async with self._database.read() as session:
            for start in range(0, len(ids), 500):
                query = select(Item.id).where(
                    Item.id.in_(ids[start : start + 500]), Item.gone_at.is_(None)
                )
                present |= set(await session.scalars(query))
            kept = [row for row in found if row[0] in present][:limit]
            snippets = await _snippets(session, space, [row[0] for row in kept])
        return [
            Hit(item_id, score, _passage(snippets.get(item_id, []), ordinal))
            for item_id, score, ordinal in kept
        ]


def _fuse(found: Sequence[list[Hit]], limit: int) -> list[Hit]:
    """Put rankings together by their places: cosines of different spaces do not compare.

    Reciprocal rank fusion of Cormack, Clarke and Buettcher (SIGIR 2009), scaled so that the first
    place in all rankings is 1. One ranking alone keeps its scores.
    """
    rankings = [hits for hits in found if hits]
    if len(rankings) <= 1:
        return rankings[0][:limit] if rankings else []
    scores: dict[int, float] = {}
    reasons: dict[int, list[tuple[int, str]]] = {}
    for hits in rankings:
        for place, hit in enumerate(hits):
            scores[hit.item_id] = scores.get(hit.item_id, 0.0) + 1 / (FUSION + place)
            reasons.setdefault(hit.item_id, []).append((place, hit.why))
    best = sorted(scores, key=lambda item_id: (-scores[item_id], item_id))[:limit]
    whole = len(rankings) / FUSION
    return [Hit(i, scores[i] / whole, _best_reasons(reasons[i], limit)) for i in best]


def _best_reasons(reasons: list[tuple[int, str]], limit: int) -> str:
    """Put together why an item is among the best of some rankings; at least its best place."""
    ordered = sorted(reasons)
    told = [why for place, why in ordered if place < limit] or [ordered[0][1]]
    return "; ".join(dict.fromkeys(filter(None, told)))


async def _snippets(
    session: AsyncSession, space: Space, item_ids: Sequence[int]
) -> dict[int, list[str]]:
    snippets: dict[int, list[str]] = {}
    rows = await session.execute(
        select(ItemVector.item_id, ItemVector.snippet)
        .where(ItemVector.space == space.name, ItemVector.item_id.in_(item_ids[:500]))
        .order_by(ItemVector.id)
    )
    for row in rows:
        snippets.setdefault(row.item_id, []).append(row.snippet)
    return snippets


def _passage(snippets: Sequence[str], ordinal: int) -> str:
    return f"closest passage: {snippets[ordinal]}" if ordinal < len(snippets) else ""


async def _by_words(session: AsyncSession, query: str, kind: Kind | None, limit: int) -> list[Hit]:
    """All the words, in any order, the last one as a beginning; by BM25, titles first."""
    words = re.findall(r"\w+", query)
    if not words:
        return []
    match = " ".join(f'"{word}"' for word in words[:-1]) + f' "{words[-1]}"*'
    rows = await session.execute(
        text(
            "SELECT item.id AS id, -bm25(item_text, 8.0, 4.0, 1.0) AS score,"
            " snippet(item_text, -1, '', '', '…', 16) AS why"
            " FROM item_text JOIN item ON item.id = item_text.rowid"
            " WHERE item_text MATCH :match AND item.gone_at IS NULL"
            " AND (:kind IS NULL OR item.kind = :kind)"
            " ORDER BY score DESC, item.id LIMIT :limit"
        ),
        {"match": match.strip(), "kind": kind, "limit": limit},
    )
    return [Hit(row.id, row.score, row.why) for row in rows]


async def _by_name(session: AsyncSession, query: str, kind: Kind | None, limit: int) -> list[Hit]:
    """Title, artist, album or file name contains the text; titles that begin with it first."""
    has_name = (
        select(Location.id)
        .where(
            Location.item_id == Item.id,
            Location.gone_at.is_(None),
            cast(Location.path, Text).icontains(query, autoescape=True),
        )
        .exists()
    )
    columns = (Item.title, Item.artist, Item.album)
    matches = or_(*(column.icontains(query, autoescape=True) for column in columns), has_name)
    statement = select(Item.id, Item.title).where(matches, Item.gone_at.is_(None))
    if kind:
        statement = statement.where(Item.kind == kind)
    begins = Item.title.istartswith(query, autoescape=True)
    rows = await session.execute(
        statement.order_by(begins.desc(), Item.title, Item.id).limit(limit)
    )
    total = max(limit, 1)
    return [Hit(row.id, 1 - n / total, f"named {row.title}") for n, row in enumerate(rows)]
