"""From items to files and back."""

import os
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Location, Source


def absolute(root: bytes | None, path: bytes) -> bytes:
    """Return the path of a file of a mounted folder."""
    return (root or b"").rstrip(b"/") + b"/" + path


async def file_places(
    session: AsyncSession, item_ids: Sequence[int]
) -> dict[int, list[tuple[bytes, bytes]]]:
    """Return (root, path) of the files of each item that are there now, mapped ones the last."""
    places: dict[int, list[tuple[bytes, bytes]]] = {}
    is_mapped = Source.root.is_(None)
    rows = await session.execute(
        select(Location.item_id, Source.root, Location.path, Location.local_path)
        .join(Source, Source.id == Location.source_id)
        .where(Location.item_id.in_(item_ids), Location.gone_at.is_(None), Source.in_settings)
        .where(or_(~is_mapped, Location.local_path.is_not(None)))
        .order_by(is_mapped, Location.id)
    )
    for row in rows:
        place = (row.root, row.path) if row.root else (b"/", row.local_path.lstrip(b"/"))
        places.setdefault(row.item_id, []).append(place)
    return places


async def server_places(session: AsyncSession, item_id: int) -> list[tuple[str, str]]:
    """Return (source, id there) of an item on servers."""
    rows = await session.execute(
        select(Source.name, Location.path)
        .join(Source, Source.id == Location.source_id)
        .where(
            Location.item_id == item_id, Location.gone_at.is_(None), Source.in_settings,
            Location.facts.is_not(None),
        )
        .order_by(Location.id)
    )  # fmt: skip
    return [(row.name, row.path.decode()) for row in rows if row.path[:1] != b"\0"]


async def find_paths(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, bytes]:
    """Return an absolute path of each item that has or had a file; a present one if it can be."""
    paths: dict[int, bytes] = {}
    for start in range(0, len(item_ids), 500):
        rows = await session.execute(
            select(Location.item_id, Source.root, Location.path, Location.local_path)
            .join(Source, Source.id == Location.source_id)
            .where(Location.item_id.in_(item_ids[start : start + 500]))
            .where(or_(Source.root.is_not(None), Location.local_path.is_not(None)))
            .order_by(
                Source.root.is_(None).desc(), Location.gone_at.is_not(None).desc(),
                Location.id.desc(),
            )
        )  # fmt: skip
        for row in rows:  # the last one counts: a folder's, present, and found first
            paths[row.item_id] = absolute(row.root, row.path) if row.root else row.local_path
    return paths


async def find_item_at(session: AsyncSession, path: str) -> int | None:
    """Return the item whose file lies, or last lay, at a path of this machine."""
    name = os.path.abspath(os.fsencode(path))  # noqa: PTH100  # links in the library stay links
    roots = (await session.execute(select(Source.id, Source.root))).all()
    for candidate in dict.fromkeys((name, os.path.realpath(name))):
        for row in roots:
            root = absolute(row.root, b"")
            if row.root is None or not candidate.startswith(root):
                continue
            inside = candidate[len(root) :]
            found: int | None = await session.scalar(
                select(Location.item_id).where(
                    Location.source_id == row.id, Location.path == inside
                )
            )
            if found is not None:
                return found
    return None
