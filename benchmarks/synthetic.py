"""A catalogue of any size, written straight into the database: for what reads it."""

import random
from pathlib import Path

from sqlalchemy import insert

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

SPACE = Space("synthetic", 384)
BATCH = 5_000


async def fill_catalogue(
    services: Services, count: int, *, predicted: bool = False, vectors: bool = False
) -> list[int]:
    """Add `count` tracks with a location each; return their ids."""
    chance = random.Random(1)
    first = new_id()
    ids = list(range(first, first + count))
    async with services.database.write() as session:
        session.add(Source(name="synthetic", kind="folder", media="music", root=bytes(Path("/s"))))
    facts = await services.workers.vectors.call("facts", ["music"], [{"genres": ["Jazz"]}])
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
                await session.execute(
                    insert(Vector),
                    [
                        {"space": SPACE.name, "content": str(i), "data": chance.randbytes(768)}
                        for i in part
                    ],
                )
                rows = [{"space": SPACE.name, "item_id": i, "content": str(i)} for i in part]
                await session.execute(insert(ItemVector), rows)
    async with services.database.write() as session:
        if predicted:
            session.add(PredictionState(profile_id=1, fingerprint="", trusted=True, made_at=now()))
        if vectors:
            await remember_space(session, "text_space", SPACE)
            await remember_space(session, "facts_space", Space(FACTS_SPACE, len(facts) // 2))
    return ids


def _item(item_id: int, number: int) -> dict[str, object]:
    return {
        "id": item_id, "kind": "music", "title": f"Track {number}", "artist": f"A {number % 500}",
        "facts": {}, "input_hash": f"{number:032x}", "year": 1950 + number % 75,
        "duration": 100.0 + number % 300,
    }  # fmt: skip


def _location(item_id: int, number: int) -> dict[str, object]:
    return {
        "source_id": 1, "item_id": item_id, "path": b"%d.mp3" % number, "size": 1, "mtime_ns": 1,
        "soft_hash": f"{number:032x}", "provider_ids": {},
    }  # fmt: skip


def _prediction(item_id: int, value: float) -> dict[str, object]:
    return {
        "profile_id": 1, "item_id": item_id, "kind": "music", "value": value, "uncertainty": 1.0,
    }  # fmt: skip
