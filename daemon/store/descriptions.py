"""The words about an item: kept apart by producer, put together in this one place.

The same text is embedded, searched and trained on; it never contains a rating.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import delete, or_, select, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Description, Item

PRODUCERS = ("sidecar", "omni", "tags", "server", "heard", "seen", "text")
"""In the order in which the parts are put together: what a person wrote comes first. Those of
models have the model's name behind a colon: `omni:gemma-4-e2b`."""

OF_FILES = ("sidecar", "tags", "server", "text")
"""What is read and not perceived."""

WORDS_OF_MODELS = ("heard", "seen")
"""The producers of lists of words, not sentences: "Sounds like: slow, strings"."""

MAXIMUM_LENGTH = 96_000
"""Characters of a composed description; bounds what is embedded and indexed of one item."""

PAGE = 500


def order_of(producer: str) -> int:
    """Return the place of a producer among the others."""
    return PRODUCERS.index(producer.partition(":")[0])


def compose(parts: Mapping[str, str]) -> str:
    """Return the full description made of the parts that there are."""
    ordered = sorted(parts, key=lambda producer: (order_of(producer), producer))
    texts = [parts[producer].strip() for producer in ordered if parts[producer].strip()]
    return "\n\n".join(texts)[:MAXIMUM_LENGTH]


def passages(parts: Mapping[str, str]) -> list[str]:
    """Return what is embedded each by itself: the description, and the words of models.

    "Sounds like: slow, strings" beside names, dates and genres in one vector is found by none of
    its words.
    """
    words = {producer for producer in parts if producer.partition(":")[0] in WORDS_OF_MODELS}
    whole = compose({producer: parts[producer] for producer in parts if producer not in words})
    return [text for text in (whole, *(parts[producer] for producer in sorted(words))) if text]


def hash_text(words: str) -> str:
    """Return the key under which a text's vector is stored."""
    return hashlib.blake2b(words.encode(errors="surrogatepass"), digest_size=16).hexdigest()


async def save_parts(
    session: AsyncSession,
    item_ids: Sequence[int],
    parts: Sequence[tuple[int, str, str]],
    producers: Collection[str] = OF_FILES,
    kept: Collection[str] = (),
) -> None:
    """Replace what `producers` said of the items by (item id, producer, text).

    A producer "omni:*" stands for all models of that sort but those that are `kept`.
    """
    exact = [producer for producer in producers if not producer.endswith("*")]
    patterns = [producer[:-1] for producer in producers if producer.endswith("*")]
    said = or_(
        Description.producer.in_(exact),
        *(Description.producer.startswith(pattern, autoescape=True) for pattern in patterns),
    )
    await session.execute(
        delete(Description).where(
            Description.item_id.in_(item_ids), said, Description.producer.not_in(kept)
        )
    )
    rows = [{"item_id": i, "producer": producer, "text": t} for i, producer, t in parts if t]
    if rows:
        await session.execute(insert(Description), rows)


async def find_producers(session: AsyncSession, but: Collection[str]) -> list[str]:
    """Return the models, as producers, that said something of present items; not those in `but`.

    It reads an index from end to end: some 40 ms of a library of 100,000 items.
    """
    rows = await session.scalars(
        select(Description.producer)
        .join(Item, Item.id == Description.item_id)
        .where(Description.producer.not_in([*OF_FILES, *but]), Item.gone_at.is_(None))
        .distinct()
    )
    return list(rows)


async def find_described(
    session: AsyncSession, producers: Collection[str], *, after: int, limit: int
) -> list[int]:
    """Return the next present items, by id, of which one of the producers said something."""
    said = select(Description.item_id).where(
        Description.item_id == Item.id, Description.producer.in_(producers)
    )
    rows = await session.scalars(
        select(Item.id)
        .where(Item.id > after, Item.gone_at.is_(None), said.exists())
        .order_by(Item.id)
        .limit(limit)
    )
    return list(rows)


async def find_parts(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, dict[str, str]]:
    """Return what each producer says of the items."""
    parts: dict[int, dict[str, str]] = {item_id: {} for item_id in item_ids}
    for start in range(0, len(item_ids), PAGE):
        rows = await session.execute(
            select(Description.item_id, Description.producer, Description.text).where(
                Description.item_id.in_(item_ids[start : start + PAGE])
            )
        )
        for row in rows:
            parts[row.item_id][row.producer] = row.text
    return parts


async def renew(session: AsyncSession, items: Sequence[Item]) -> None:
    """Make the composed descriptions those of the present parts, and findable by words."""
    parts = await find_parts(session, [item.id for item in items])
    texts = {item.id: compose(parts[item.id]) for item in items}
    await session.execute(
        update(Item),
        [{"id": item_id, "description_hash": hash_text(t)} for item_id, t in texts.items()],
    )
    await _index_words(
        session,
        [(i.id, i.title, f"{i.artist} {i.album}".strip(), texts[i.id]) for i in items],
    )


async def _index_words(session: AsyncSession, rows: Sequence[tuple[int, str, str, str]]) -> None:
    """Make (item id, title, names, body) findable by words."""
    await session.execute(
        text("DELETE FROM item_text WHERE rowid = :id"), [{"id": row[0]} for row in rows]
    )
    await session.execute(
        text(
            "INSERT INTO item_text (rowid, title, names, body) VALUES (:id, :title, :names, :body)"
        ),
        [dict(zip(("id", "title", "names", "body"), row, strict=True)) for row in rows],
    )
