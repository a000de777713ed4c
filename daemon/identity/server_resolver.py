"""Decide for each item of a server which item of the catalogue it is.

A server's own id is trusted only while what it names stays the same: a database that was made
anew gives new ids, or gives old ids to other things. The evidence, in the order it is asked for:

    the id, unless both path and length (or size) say that it names something else now
    the server's path and the size or length: the same file under a new id
    the mapped path and the size: the same file as in a folder, or on another server
    a provider's id and the length
    size, length and file name of something that has vanished from this server: it was moved
"""

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind
from connectors.paths import PathMap
from connectors.server import ServerItem
from daemon.identity.blend import blend, new_item_values
from daemon.identity.evidence import durations_agree, item_provider_ids
from daemon.identity.resolver import Outcome, renew_presence
from daemon.store.models import Item, Join, Location, ProviderId, Source, new_id, now
from daemon.store.places import absolute


@dataclass(slots=True)
class _Known:
    """A location that an item of the server could be."""

    id: int
    source_id: int
    item_id: int
    kind: Kind
    path: bytes
    server_path: str | None
    size: int
    duration: float | None
    stamp: str
    is_gone: bool


_COLUMNS: tuple[Any, ...] = (
    Location.id, Location.source_id, Location.item_id, Item.kind, Location.path,
    Location.server_path, Location.size, Location.duration, Location.companions,
    Location.gone_at.is_not(None),
)  # fmt: skip


@dataclass
class _Candidates:
    by_id: dict[bytes, _Known] = field(default_factory=dict)
    by_server_path: dict[str, list[_Known]] = field(default_factory=lambda: defaultdict(list))
    by_local_path: dict[bytes, list[_Known]] = field(default_factory=lambda: defaultdict(list))
    by_provider: dict[tuple[str, str], list[_Known]] = field(
        default_factory=lambda: defaultdict(list)
    )
    vanished: list[_Known] = field(default_factory=list)


@dataclass
class _Rows:
    items: list[dict[str, Any]] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    put: list[dict[str, Any]] = field(default_factory=list)
    retired: list[int] = field(default_factory=list)
    evidence: dict[bytes, tuple[int, str]] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)


class ServerResolver:
    """Serves one sync of one server; the caller hands it pages, each in a write transaction."""

    def __init__(
        self, source_id: int, path_map: PathMap, sweep: int | None, *, has_lost: bool
    ) -> None:
        self.source_id = source_id
        self._paths = path_map
        self._sweep = sweep
        """The reading of ids just before: what it did not meet has vanished."""
        self._has_lost = has_lost
        """Whether anything has vanished at all; looking for it costs a walk through the source."""

    async def settle(
        self, session: AsyncSession, library: str, batch: Sequence[ServerItem]
    ) -> Outcome:
        """Store a page; items that are as they were cost nothing."""
        batch = list({item.id: item for item in batch}.values())
        candidates = await self._load(session, batch)
        outcome, rows = Outcome(), _Rows()
        used: set[int] = set()
        for item in batch:
            known = candidates.by_id.get(item.id.encode())
            if known is not None and _is_another(known, item):
                rows.retired.append(known.id)
                known = None
            found = known or self._recognise_here(item, candidates, used)
            if found is not None:
                used.add(found.id)
                outcome.items[item.id.encode()] = found.item_id
                if found.path == item.id.encode() and _is_unchanged(found, item):
                    continue
                self._put(found, item, library, rows)
                outcome.changed += found.path == item.id.encode()
                outcome.moved += found.path != item.id.encode()
                continue
            joined = self._recognise_elsewhere(item, candidates)
            if joined is None:
                item_id, evidence = new_id(), ""
                rows.items.append(new_item_values(item_id, item.kind, item.metadata))
                outcome.new += 1
            else:
                item_id, evidence = joined
                outcome.joined += 1
            self._add(item_id, evidence, item, library, rows, candidates)
            outcome.items[item.id.encode()] = item_id
        await self._write(session, rows)
        return outcome

    def _recognise_here(
        self, item: ServerItem, candidates: _Candidates, used: set[int]
    ) -> _Known | None:
        """Return the location on this server that the item had under another id."""
        for known in candidates.by_server_path.get(item.path, ()) if item.path else ():
            if known.id not in used and known.kind == item.kind and _same_file(known, item):
                return known
        for known in candidates.vanished:
            if (
                known.id not in used
                and known.kind == item.kind
                and known.server_path
                and _name(known.server_path) == _name(item.path)
                and known.size == item.size
                and durations_agree(known.duration, item.metadata.duration)
            ):
                return known
        return None

    def _recognise_elsewhere(
        self, item: ServerItem, candidates: _Candidates
    ) -> tuple[int, str] | None:
        for name in self._local_names(item):
            for known in candidates.by_local_path.get(name, ()):
                if known.kind == item.kind and known.size and known.size == item.size:
                    return known.item_id, "the same mapped path and size"
        for pair in item_provider_ids(item.metadata.provider_ids).items():
            for known in candidates.by_provider[pair]:
                if known.kind == item.kind and durations_agree(
                    known.duration, item.metadata.duration
                ):
                    return known.item_id, f"the same {pair[0]} id and length"
        return None

    def _local_names(self, item: ServerItem) -> list[bytes]:
        """Return the mapped path as file systems may spell it; [] where nothing is mapped."""
        local = self._paths.to_local(item.path) if item.path and item.has_real_path else None
        if local is None:
            return []
        names = (local, unicodedata.normalize("NFD", local))
        return list(dict.fromkeys(os.fsencode(name) for name in names))

    async def _load(self, session: AsyncSession, batch: Sequence[ServerItem]) -> _Candidates:
        found = _Candidates()
        here = Location.source_id == self.source_id
        ids = [item.id.encode() for item in batch]
        paths = [item.path for item in batch if item.path]
        for known in await _fetch(session, here, Location.path.in_(ids)):
            found.by_id[known.path] = known
        unknown = [item for item in batch if item.id.encode() not in found.by_id or _is_another(
            found.by_id[item.id.encode()], item)]  # fmt: skip
        if not unknown:
            return found
        for known in await _fetch(session, here, Location.server_path.in_(paths)):
            found.by_server_path[known.server_path or ""].append(known)
        await self._load_by_local_path(session, unknown, found)
        await self._load_by_provider(session, unknown, found)
        if not self._has_lost:
            return found
        sizes = [item.size for item in unknown if item.size]
        lost: Any = Location.gone_at.is_not(None)
        if self._sweep is not None:
            lost = or_(lost, Location.sweep != self._sweep, Location.sweep.is_(None))
        found.vanished = await _fetch(
            session, here, Location.library.is_not(None), Location.size.in_(sizes), lost
        )
        return found

    async def _load_by_local_path(
        self, session: AsyncSession, batch: Sequence[ServerItem], found: _Candidates
    ) -> None:
        names = [name for item in batch for name in self._local_names(item)]
        if not names:
            return
        for known, local in await _fetch_with(session, Location.local_path, names):
            found.by_local_path[local].append(known)
        roots = (
            await session.execute(select(Source.id, Source.root).where(Source.root.is_not(None)))
        ).all()
        for source_id, root in roots:
            prefix = absolute(root, b"")
            inside = {name[len(prefix) :]: name for name in names if name.startswith(prefix)}
            if inside:
                for known in await _fetch(
                    session, Location.source_id == source_id, Location.path.in_(list(inside))
                ):
                    found.by_local_path[inside[known.path]].append(known)

    async def _load_by_provider(
        self, session: AsyncSession, batch: Sequence[ServerItem], found: _Candidates
    ) -> None:
        pairs = {p for i in batch for p in item_provider_ids(i.metadata.provider_ids).items()}
        if not pairs:
            return
        rows = await session.execute(
            select(ProviderId.provider, ProviderId.value, *_COLUMNS)
            .join(Location, Location.id == ProviderId.location_id)
            .join(Item, Item.id == Location.item_id)
            .where(ProviderId.value.in_({value for _, value in pairs}))
        )
        for provider, value, *known in rows:
            found.by_provider[provider, value].append(_Known(*known))

    def _put(self, known: _Known, item: ServerItem, library: str, rows: _Rows) -> None:
        rows.put.append({"of_id": known.id, **self._values(known.item_id, item, library)})
        rows.evidence[item.id.encode()] = known.item_id, ""
        rows.touched.add(known.item_id)

    def _add(
        self, item_id: int, evidence: str, item: ServerItem, library: str, rows: _Rows,
        candidates: _Candidates,
    ) -> None:  # fmt: skip
        rows.added.append({"source_id": self.source_id, **self._values(item_id, item, library)})
        rows.evidence[item.id.encode()] = item_id, evidence
        if evidence:  # a new item has its words already
            rows.touched.add(item_id)
        known = _Known(
            0, self.source_id, item_id, item.kind, item.id.encode(), item.path, item.size or 0,
            item.metadata.duration, item.stamp, False,
        )  # fmt: skip
        for pair in item_provider_ids(item.metadata.provider_ids).items():
            candidates.by_provider[pair].append(known)

    def _values(self, item_id: int, item: ServerItem, library: str) -> dict[str, Any]:
        local = next(iter(self._local_names(item)), None)
        return {
            "item_id": item_id, "path": item.id.encode(), "server_path": item.path or None,
            "local_path": local, "library": library, "sweep": self._sweep,
            "facts": item.metadata.as_dict(), "size": item.size or 0, "mtime_ns": 0,
            "companions": item.stamp, "soft_hash": "", "content_hash": None, "look": None,
            "duration": item.metadata.duration, "provider_ids": item.metadata.provider_ids,
            "gone_at": None,
        }  # fmt: skip

    async def _write(self, session: AsyncSession, rows: _Rows) -> None:
        connection = await session.connection()
        if rows.retired:
            await _retire(session, self.source_id, rows.retired, rows.touched)
        if rows.items:
            await connection.execute(insert(Item), rows.items)
        if rows.put:
            ids = [row["of_id"] for row in rows.put]
            # Ids are unique on a server: two that changed places would collide on the way.
            await connection.execute(
                update(Location).where(Location.id == bindparam("of_id")),
                [{"of_id": of_id, "path": b"\0%d" % of_id} for of_id in ids],
            )
            await session.execute(delete(ProviderId).where(ProviderId.location_id.in_(ids)))
            await self._free_ids(session, [row["path"] for row in rows.put], rows)
            await connection.execute(
                update(Location).where(Location.id == bindparam("of_id")), rows.put
            )
        if rows.added:
            await connection.execute(insert(Location), [
                {"added_at": now(), **row} for row in rows.added
            ])  # fmt: skip
        await self._note(session, [*rows.put, *rows.added], rows)
        await session.flush()
        await blend(session, rows.touched)
        await renew_presence(session, sorted(rows.touched))

    async def _free_ids(self, session: AsyncSession, paths: Sequence[bytes], rows: _Rows) -> None:
        """Retire locations that still hold an id which now names another."""
        held = await session.scalars(
            select(Location.id).where(
                Location.source_id == self.source_id, Location.path.in_(paths)
            )
        )
        if holders := list(held):
            await _retire(session, self.source_id, holders, rows.touched)

    async def _note(
        self, session: AsyncSession, written: Sequence[dict[str, Any]], rows: _Rows
    ) -> None:
        """Store provider ids, and joins with their evidence."""
        noted = [
            row
            for row in written
            if rows.evidence[row["path"]][1] or item_provider_ids(row["provider_ids"])
        ]
        if not noted:
            return
        result = await session.execute(
            select(Location.path, Location.id).where(
                Location.source_id == self.source_id,
                Location.path.in_([row["path"] for row in noted]),
            )
        )
        ids = {row.path: row.id for row in result}
        providers = [
            {"location_id": ids[row["path"]], "provider": provider, "value": value}
            for row in noted
            for provider, value in item_provider_ids(row["provider_ids"]).items()
        ]
        joins = [
            {"location_id": ids[path], "item_id": item_id, "evidence": why, "at": now()}
            for path, (item_id, why) in rows.evidence.items()
            if why
        ]
        connection = await session.connection()
        if providers:
            await connection.execute(insert(ProviderId), providers)
        if joins:
            await connection.execute(insert(Join), joins)


async def _retire(
    session: AsyncSession, source_id: int, location_ids: Sequence[int], touched: set[int]
) -> None:
    """Take their ids from locations that these no longer name; they may be known again by path."""
    ours = (Location.source_id == source_id) & Location.id.in_(location_ids)
    touched |= set(await session.scalars(select(Location.item_id).where(ours)))
    connection = await session.connection()
    await connection.execute(
        update(Location).where(Location.id == bindparam("of_id")),
        [{"of_id": i, "path": b"\0%d" % i, "gone_at": now()} for i in location_ids],
    )


async def _fetch(session: AsyncSession, *conditions: Any) -> list[_Known]:
    rows = await session.execute(
        select(*_COLUMNS).join(Item, Item.id == Location.item_id).where(*conditions)
    )
    return [_Known(*row) for row in rows]


async def _fetch_with(
    session: AsyncSession, column: Any, values: Iterable[bytes]
) -> list[tuple[_Known, bytes]]:
    rows = await session.execute(
        select(column, *_COLUMNS)
        .join(Item, Item.id == Location.item_id)
        .where(column.in_(list(values)))
    )
    return [(_Known(*known), value) for value, *known in rows]


def _is_another(known: _Known, item: ServerItem) -> bool:
    """Tell whether the id now names something else."""
    if known.kind != item.kind:
        return True
    if not known.server_path or not item.path or known.server_path == item.path:
        return False
    if known.duration is not None and item.metadata.duration is not None:
        return not durations_agree(known.duration, item.metadata.duration)
    return bool(known.size and item.size and known.size != item.size)


def _same_file(known: _Known, item: ServerItem) -> bool:
    """Tell whether, beside the path, the size or the length is the same."""
    if known.size and known.size == item.size:
        return True
    return durations_agree(known.duration, item.metadata.duration)


def _is_unchanged(known: _Known, item: ServerItem) -> bool:
    return bool(item.stamp) and known.stamp == item.stamp and not known.is_gone


def _name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]
