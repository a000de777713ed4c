"""Write what a batch of files came to, in as few statements as it takes."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import FileFacts, Kind
from daemon.identity.blend import blend
from daemon.identity.evidence import Place, item_provider_ids, shown_artist
from daemon.store.models import Base, Item, Join, Location, ProviderId, new_id


class BatchWriter:
    """Collects rows; `write` stores them."""

    def __init__(self, session: AsyncSession, source_id: int, kind: Kind) -> None:
        self._session = session
        self._source_id = source_id
        self._kind = kind
        self._items: list[dict[str, Any]] = []
        self._described: list[dict[str, Any]] = []
        self._added: list[tuple[FileFacts, int, str]] = []
        self._put: list[tuple[Place, FileFacts, int, str]] = []

    def add_item(self, facts: FileFacts) -> int:
        """Make an item; return its id."""
        item_id = new_id()
        self._items.append({"id": item_id, "kind": self._kind, **_item_values(facts, self._kind)})
        return item_id

    def add_location(self, facts: FileFacts, item_id: int, evidence: str) -> Place:
        """Make a location of an item; `evidence` where the item was known before."""
        self._added.append((facts, item_id, evidence))
        return Place(
            0, self._source_id, item_id, facts.path, facts.soft_hash, facts.content_hash,
            facts.look, facts.metadata.duration, None,
        )  # fmt: skip

    def put_location(self, place: Place, facts: FileFacts, item_id: int, evidence: str) -> None:
        """Give a known location its new path, content or item."""
        self._put.append((place, facts, item_id, evidence))
        self._described.append({"of_id": item_id, **_item_values(facts, self._kind)})

    async def write(self) -> None:
        """Store all that was collected."""
        if self._items:
            await self._insert(Item, self._items)
        if self._put:
            await self._write_put()
        if self._added:
            await self._write_added()
        await self._session.flush()
        await blend(self._session, [row["of_id"] for row in self._described])

    async def _write_put(self) -> None:
        ids = [place.id for place, *_ in self._put]
        connection = await self._session.connection()
        # Paths are unique: files that changed places would collide on the way.
        await connection.execute(
            update(Location).where(Location.id == bindparam("of_id")),
            [{"of_id": place_id, "path": b"\0%d" % place_id} for place_id in ids],
        )
        await self._session.execute(delete(ProviderId).where(ProviderId.location_id.in_(ids)))
        await connection.execute(
            update(Location).where(Location.id == bindparam("of_id")),
            [
                {"of_id": place.id, **_location_values(facts, item_id), "gone_at": None}
                for place, facts, item_id, _ in self._put
            ],
        )
        await connection.execute(
            update(Item).where(Item.id == bindparam("of_id")),
            [{**row, "gone_at": None} for row in self._described],
        )
        await self._note([(p.id, facts, item, why) for p, facts, item, why in self._put])

    async def _write_added(self) -> None:
        rows = [
            {"source_id": self._source_id, **_location_values(facts, item_id)}
            for facts, item_id, _ in self._added
        ]
        await self._insert(Location, rows)
        await self._give_files_to_servers_items()
        noted = [
            row for row in self._added if row[2] or item_provider_ids(row[0].metadata.provider_ids)
        ]
        if not noted:
            return
        found = await self._session.execute(
            select(Location.path, Location.id).where(
                Location.source_id == self._source_id,
                Location.path.in_([facts.path for facts, *_ in noted]),
            )
        )
        ids = {row.path: row.id for row in found}
        await self._note([(ids[facts.path], facts, item, why) for facts, item, why in noted])

    async def _give_files_to_servers_items(self) -> None:
        """Let the file speak for an item that only servers knew until now."""
        joined = {item_id: facts for facts, item_id, evidence in self._added if evidence}
        if not joined:
            return
        without_file = await self._session.scalars(
            select(Item.id).where(Item.id.in_(joined), Item.own_hash == "")
        )
        rows = [
            {"of_id": item_id, **_item_values(joined[item_id], self._kind)}
            for item_id in without_file
        ]
        if rows:
            connection = await self._session.connection()
            await connection.execute(update(Item).where(Item.id == bindparam("of_id")), rows)
            self._described += rows

    async def _note(self, rows: Sequence[tuple[int, FileFacts, int, str]]) -> None:
        """Store the provider ids of locations, and the joins with their evidence."""
        provider_ids = [
            {"location_id": location_id, "provider": provider, "value": value}
            for location_id, facts, _, _ in rows
            for provider, value in item_provider_ids(facts.metadata.provider_ids).items()
        ]
        joins = [
            {"location_id": location_id, "item_id": item_id, "evidence": evidence}
            for location_id, _, item_id, evidence in rows
            if evidence
        ]
        for table, values in ((ProviderId, provider_ids), (Join, joins)):
            if values:
                await self._insert(table, values)

    async def _insert(self, table: type[Base], rows: list[dict[str, Any]]) -> None:
        """Insert rows past the ORM, which would take as long again."""
        connection = await self._session.connection()
        await connection.execute(insert(table), rows)


def _item_values(facts: FileFacts, kind: Kind) -> dict[str, Any]:
    metadata = facts.metadata
    words = metadata.as_dict()
    return {
        "title": metadata.title, "artist": shown_artist(metadata, kind), "album": metadata.album,
        "year": metadata.year, "duration": metadata.duration, "facts": words,
        "sidecar": facts.sidecar, "input_hash": _input_hash(facts, words), "own_facts": None,
        "own_hash": None, "media_hash": facts.content_hash or facts.soft_hash,
    }  # fmt: skip


def _location_values(facts: FileFacts, item_id: int) -> dict[str, Any]:
    return {
        "item_id": item_id, "path": facts.path, "size": facts.size, "mtime_ns": facts.mtime_ns,
        "companions": facts.companions, "soft_hash": facts.soft_hash,
        "content_hash": facts.content_hash, "look": facts.look,
        "duration": facts.metadata.duration, "provider_ids": facts.metadata.provider_ids,
    }  # fmt: skip


def _input_hash(facts: FileFacts, words: dict[str, Any]) -> str:
    """Return a hash of all that describing and embedding depend on."""
    content = facts.content_hash or facts.soft_hash
    whole = json.dumps([content, words, facts.sidecar], sort_keys=True)
    return hashlib.blake2b(whole.encode(), digest_size=16).hexdigest()
