"""A catalogue of any size, written straight into the database: for what reads it."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Metadata
from daemon.services import Services
from daemon.store.models import (
    Item,
    ItemVector,
    Location,
    Prediction,
    PredictionState,
    Source,
    Vector,
    new_id,
    now,
)
from daemon.vectors.index import FACTS_SPACE, Space, remember_space

TEXT = Space("synthetic", 384)
KINDS_OF_FACTS = 500
"""Different facts vectors; items share them, as tracks of an album do."""
BATCH = 5_000


async def fill_catalogue(
    services: Services, count: int, *, predicted: bool = False, vectors: bool = False
) -> list[int]:
    """Add `count` tracks with a location each; return their ids."""
    chance = random.Random(1)
    ids = [new_id() for _ in range(count)]
    async with services.database.write() as session:
        session.add(Source(name="synthetic", kind="folder", media="music", root=bytes(Path("/s"))))
        if vectors:
            await _add_facts(session, services)
            await remember_space(session, "text_space", TEXT)
    for start in range(0, count, BATCH):
        part = ids[start : start + BATCH]
        async with services.database.write() as session:
            await session.execute(insert(Item), [_item(i, n) for n, i in enumerate(part, start)])
            await session.execute(
                insert(Location), [_location(i, n) for n, i in enumerate(part, start)]
            )
            if predicted:
                await session.execute(
                    insert(Prediction), [_prediction(i, chance.uniform(0, 10)) for i in part]
                )
            if vectors:
                await _add_texts(session, part, start)
    if predicted:
        async with services.database.write() as session:
            session.add(PredictionState(profile_id=1, fingerprint="", trusted=True, made_at=now()))
    return ids


async def _add_facts(session: AsyncSession, services: Services) -> None:
    known = [_metadata(number).as_dict() for number in range(KINDS_OF_FACTS)]
    data = await services.workers.vectors.call("facts", ["music"] * len(known), known)
    size = len(data) // len(known)
    rows = [
        {"space": FACTS_SPACE, "content": str(n), "data": data[n * size : (n + 1) * size]}
        for n in range(len(known))
    ]
    await session.execute(insert(Vector), rows)
    await remember_space(session, "facts_space", Space(FACTS_SPACE, size // 2))


async def _add_texts(session: AsyncSession, ids: Sequence[int], first: int) -> None:
    """Give items a vector of unit length each, and one of the facts."""
    vectors = np.random.default_rng(first).standard_normal((len(ids), TEXT.dimensions), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        {"space": TEXT.name, "content": str(i), "data": vector.astype("<f2").tobytes()}
        for i, vector in zip(ids, vectors, strict=True)
    ]
    await session.execute(insert(Vector), rows)
    uses = [{"space": TEXT.name, "item_id": i, "content": str(i)} for i in ids]
    uses += [
        {"space": FACTS_SPACE, "item_id": i, "content": str(n % KINDS_OF_FACTS)}
        for n, i in enumerate(ids, first)
    ]
    await session.execute(insert(ItemVector), uses)


def _metadata(number: int) -> Metadata:
    return Metadata(
        title=f"Track {number}", artists=(f"Artist {number % 300}",), year=1950 + number % 75,
        genres=(f"Genre {number % 30}",), duration=100.0 + number % 300,
    )  # fmt: skip


def _item(item_id: int, number: int) -> dict[str, Any]:
    metadata = _metadata(number)
    return {
        "id": item_id, "kind": "music", "title": metadata.title, "artist": metadata.artists[0],
        "facts": metadata.as_dict(), "input_hash": f"{number:032x}", "year": metadata.year,
        "duration": metadata.duration,
    }  # fmt: skip


def _location(item_id: int, number: int) -> dict[str, Any]:
    return {
        "source_id": 1, "item_id": item_id, "path": b"%d.mp3" % number, "size": 1, "mtime_ns": 1,
        "soft_hash": f"{number:032x}", "provider_ids": {},
    }  # fmt: skip


def _prediction(item_id: int, value: float) -> dict[str, Any]:
    return {
        "profile_id": 1, "item_id": item_id, "kind": "music", "value": value, "uncertainty": 1.0,
    }  # fmt: skip
