"""Keep the vector worker's index in step with the catalogue.

The catalogue has the vectors; the worker's files are a cache of them. Rows are numbered in the
order they were made, so what the cache lacks is what has a higher number than its last.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import KINDS
from daemon.store.database import Database
from daemon.store.facts import get_fact, set_fact
from daemon.store.models import Fact, Item, ItemVector, Vector
from daemon.workers.worker import Worker

FACTS_SPACE = "facts@1"
PAGE = 2000
"""Rows handed over at once: some 1.5 MB, a few milliseconds of the event loop."""


@dataclass(frozen=True, slots=True)
class Space:
    """A vector space: only vectors of the same one compare."""

    name: str
    dimensions: int


@dataclass(frozen=True)
class SpaceInUse:
    """A space of media, and the model behind it."""

    space: Space
    role: str
    model: str
    module: str
    """Of the model's family, to start it for queries."""
    options: dict[str, Any] = field(hash=False)
    kinds: tuple[str, ...]
    has_text_tower: bool
    """Whether it can be searched by words."""
    python: str = ""
    """The interpreter that the model needs, where that is not the program's own."""


class VectorIndex:
    """The spaces in use, and the way to the worker that holds their matrices."""

    def __init__(self, database: Database, worker: Worker) -> None:
        self._database = database
        self._worker = worker
        self._turn = asyncio.Lock()

    async def text_space(self) -> Space | None:
        """Return the space that descriptions were last embedded in; None before the first."""
        return await self._find("text_space")

    async def text_model(self) -> dict[str, Any] | None:
        """Return {"module", "options"} of the model behind the text space."""
        async with self._database.read() as session:
            value = await get_fact(session, "text_space")
        return value and value.get("query")

    async def media_spaces(self) -> list[SpaceInUse]:
        """Return the spaces of what models perceived."""
        async with self._database.read() as session:
            return await spaces_in_use(session)

    async def taste_spaces(self, text: Space) -> list[str]:
        """Return the names of the spaces that the taste model sees: of words, then of media."""
        return [text.name, *(used.space.name for used in await self.media_spaces())]

    async def refresh(self) -> Space | None:
        """Hand new rows of all spaces in use to the worker; return the text space."""
        async with self._turn:
            text = await self.text_space()
            media = [used.space for used in await self.media_spaces()]
            for space in (text, await self._find("facts_space"), *media):
                if space:
                    await self._refresh(space)
            return text

    async def call(self, operation: str, *arguments: Any) -> Any:
        """Run an operation of the vector worker."""
        return await self._worker.call(operation, *arguments)

    async def _find(self, name: str) -> Space | None:
        async with self._database.read() as session:
            value = await session.scalar(select(Fact.value).where(Fact.name == name))
        return Space(value["name"], value["dimensions"]) if value else None

    async def _refresh(self, space: Space) -> None:
        state = await self._worker.call("state", space.name, space.dimensions)
        last_id = state["last_id"]
        while rows := await self._rows_after(space, last_id):
            await self._worker.call(
                "append",
                space.name,
                [row.id for row in rows],
                [row.item_id for row in rows],
                [KINDS.index(row.kind) for row in rows],
                b"".join(row.data for row in rows),
            )
            last_id = rows[-1].id

    async def _rows_after(self, space: Space, last_id: int) -> list[Any]:
        """Return the next rows; never some of an item's rows without the others."""
        query = (
            select(ItemVector.id, ItemVector.item_id, Item.kind, Vector.data)
            .join(Item, Item.id == ItemVector.item_id)
            .join(
                Vector, (Vector.space == ItemVector.space) & (Vector.content == ItemVector.content)
            )
            .where(ItemVector.space == space.name, ItemVector.id > last_id)
            .order_by(ItemVector.id)
            .limit(PAGE)
        )
        async with self._database.read() as session:
            rows = list(await session.execute(query))
        if len(rows) == PAGE:
            cut = next(n for n in range(PAGE - 1, 0, -1) if rows[n].item_id != rows[n - 1].item_id)
            rows = rows[:cut]
        return rows


async def remember_space(
    session: AsyncSession,
    name: str,
    space: Space,
    *,
    made_by: str = "",
    query: dict[str, Any] | None = None,
) -> None:
    """Note the space in use under `text_space` or `facts_space`, and the model behind it.

    `query` is {"module", "options"}: how to start the model for queries.
    """
    await set_fact(
        session, name,
        {"name": space.name, "dimensions": space.dimensions, "made_by": made_by, "query": query},
    )  # fmt: skip


async def spaces_in_use(session: AsyncSession) -> list[SpaceInUse]:
    """Return the spaces of media that are searched."""
    rows = await session.execute(
        select(Fact.value).where(Fact.name.startswith("media_space:")).order_by(Fact.name)
    )
    return [
        SpaceInUse(
            Space(v["name"], v["dimensions"]), v["role"], v["model"], v["module"], v["options"],
            tuple(v["kinds"]), v["has_text_tower"], v.get("python", ""),
        )
        for v in rows.scalars()
    ]  # fmt: skip


async def forget_spaces(session: AsyncSession, spaces: Sequence[SpaceInUse]) -> None:
    """Search these spaces of media no more."""
    names = [f"media_space:{used.model}" for used in spaces]
    await session.execute(delete(Fact).where(Fact.name.in_(names)))


async def use_space(
    session: AsyncSession, used: SpaceInUse, instead_of: Sequence[SpaceInUse] = ()
) -> None:
    """Search a space of media from now on; the ones it takes the place of are searched no more."""
    await forget_spaces(session, instead_of)
    await set_fact(
        session, f"media_space:{used.model}",
        {
            "name": used.space.name, "dimensions": used.space.dimensions, "role": used.role,
            "model": used.model, "module": used.module, "options": used.options,
            "kinds": list(used.kinds), "has_text_tower": used.has_text_tower,
            "python": used.python,
        },
    )  # fmt: skip


async def save_vectors(
    session: AsyncSession,
    space: Space,
    vectors: dict[str, bytes],
    items: dict[int, list[tuple[str, str]]],
) -> None:
    """Store vectors by content hash, and give each item its (content, snippet) rows anew."""
    if vectors:
        await session.execute(
            insert(Vector).on_conflict_do_nothing(),
            [{"space": space.name, "content": key, "data": v} for key, v in vectors.items()],
        )
    await session.execute(
        delete(ItemVector).where(
            ItemVector.space == space.name, ItemVector.item_id.in_(list(items))
        )
    )
    rows = [
        {"space": space.name, "item_id": item_id, "content": content, "snippet": snippet}
        for item_id, chunks in items.items()
        for content, snippet in chunks
    ]
    if rows:
        await session.execute(insert(ItemVector), rows)
