"""What models made of items, on its way into the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from daemon.steps.perceivers import Perceiver
from daemon.store.descriptions import hash_text, save_parts
from daemon.store.models import Item
from daemon.store.work import forget_work, mark_done, mark_failed
from daemon.vectors.index import save_vectors


@dataclass
class Made:
    """What one model made of one item."""

    perceiver: Perceiver
    item: Item
    vectors: list[bytes]
    words: str
    error: str = ""


def unpack(perceiver: Perceiver, items: Sequence[Item], answer: dict[str, Any]) -> list[Made]:
    """Return a worker's answer as what was made of each item."""
    size = 2 * perceiver.space.dimensions if perceiver.space else 0  # float16
    made, first = [], 0
    for item, rows, words in zip(items, answer["rows"], answer["words"], strict=True):
        data = answer["vectors"][first : first + rows * size]
        first += rows * size
        vectors = [data[n * size : (n + 1) * size] for n in range(rows)] if size else []
        made.append(Made(perceiver, item, vectors, words))
    return made


async def store(
    session: AsyncSession, perceiver: Perceiver, made: Sequence[Made], chosen: Sequence[str]
) -> None:
    """Store what a model made, and what it failed at.

    What models made of these items that are not `chosen` counts no more: should one of them be
    chosen again, it begins anew.
    """
    model = perceiver.model
    well = [each for each in made if not each.error]
    if well and model.family.says:
        said = [(m.item.id, model.producer, m.words) for m in well]
        of_role = [f"{model.producer.partition(':')[0]}:*"]  # an earlier model's words go too
        await save_parts(session, [m.item.id for m in well], said, of_role, perceiver.beside)
    if well and perceiver.space:
        contents = {
            m.item.id: [hash_text(f"{m.item.media_hash} {n}") for n in range(len(m.vectors))]
            for m in well
        }
        vectors = {
            key: data
            for m in well
            for key, data in zip(contents[m.item.id], m.vectors, strict=True)
        }
        rows = {item_id: [(key, "") for key in keys] for item_id, keys in contents.items()}
        await save_vectors(session, perceiver.space, vectors, rows)
    if well:
        await forget_work(session, [m.item.id for m in well], ["perceive:*"], chosen)
        await mark_done(session, perceiver.worker, {m.item.id: m.item.media_hash for m in well})
    for each in made:
        if each.error:
            await mark_failed(
                session, perceiver.worker, each.item.id, each.item.media_hash, each.error
            )
