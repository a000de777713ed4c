"""Put what the servers say about an item beside what its file says.

The file's own words win; servers fill in what is missing and add to what is a list. What the file
says is kept apart (`Item.own_facts`), so that a server's old word never passes for the file's.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind, Metadata
from daemon.identity.evidence import shown_artist
from daemon.store.models import Item, Location

LISTS = ("genres", "keywords", "people", "studios")
MAPPINGS = ("provider_ids", "extra")


def merge_facts(own: dict[str, Any], others: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return `own`, filled in and added to from the others, in their order."""
    merged = dict(own)
    for other in others:
        for name, value in other.items():
            if name in LISTS:
                merged[name] = _united([*merged.get(name, ()), *value])
            elif name in MAPPINGS:
                merged[name] = {**value, **merged.get(name, {})}
            else:
                merged.setdefault(name, value)
    return merged


async def blend(session: AsyncSession, item_ids: Iterable[int]) -> None:
    """Renew the items that servers know; the others are left as they are."""
    ids = sorted(set(item_ids))
    for start in range(0, len(ids), 500):
        await _blend(session, ids[start : start + 500])


async def _blend(session: AsyncSession, item_ids: Sequence[int]) -> None:
    said: dict[int, list[dict[str, Any]]] = defaultdict(list)
    rows = await session.execute(
        select(Location.item_id, Location.facts)
        .where(Location.item_id.in_(item_ids), Location.facts.is_not(None))
        .order_by(Location.gone_at.is_not(None), Location.source_id, Location.id)
    )
    for row in rows:
        said[row.item_id].append(row.facts)
    items = await session.execute(
        select(Item.id, Item.kind, Item.facts, Item.own_facts, Item.input_hash, Item.own_hash)
        .where(Item.id.in_(item_ids), or_(Item.id.in_(said), Item.own_hash != ""))
    )  # fmt: skip
    renewed = []
    for item in items:
        own = item.facts if item.own_facts is None else item.own_facts
        own_hash = item.input_hash if item.own_hash is None else item.own_hash
        facts = merge_facts(own, said.get(item.id, ()))
        metadata = Metadata.from_dict(facts)
        renewed.append(
            {
                "of_id": item.id, "own_facts": own, "own_hash": own_hash, "facts": facts,
                **_shown(metadata, item.kind), "input_hash": _hash(own_hash, facts),
            }
        )  # fmt: skip
    if renewed:
        connection = await session.connection()
        await connection.execute(update(Item).where(Item.id == bindparam("of_id")), renewed)


def new_item_values(item_id: int, kind: Kind, metadata: Metadata) -> dict[str, Any]:
    """Return the row of an item that only one server knows, as `blend` would leave it."""
    facts = metadata.as_dict()
    return {
        "id": item_id, "kind": kind, **_shown(metadata, kind), "facts": facts, "own_facts": {},
        "own_hash": "", "sidecar": "", "input_hash": _hash("", facts),
        "media_hash": f"server {item_id}",
    }  # fmt: skip


def _shown(metadata: Metadata, kind: Kind) -> dict[str, Any]:
    return {
        "title": metadata.title, "album": metadata.album, "year": metadata.year,
        "artist": shown_artist(metadata, kind), "duration": metadata.duration,
    }  # fmt: skip


def _united(values: Sequence[str]) -> list[str]:
    """Return the values without doubles that differ in case only."""
    return list({value.casefold(): value for value in reversed(values)}.values())[::-1]


def _hash(own_hash: str, facts: dict[str, Any]) -> str:
    whole = json.dumps([own_hash, facts], sort_keys=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
