"""Bring a smart playlist to an M3U8 file."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from connectors.edits import Edits, plan_edits
from daemon.playlists.m3u8 import NotOurs, paths_in, read, render, write
from daemon.playlists.receipt import Receipt, count_entries, name_of
from daemon.playlists.selection import Entry
from daemon.store.database import Database
from daemon.store.models import PlaylistWrite

log = logging.getLogger(__name__)

NO_EDITS = Edits((), (), (), ())


async def bring_to_file(
    database: Database,
    playlist: str,
    target: Path,
    entries: Sequence[Entry],
    *,
    dry: bool,
    revive: bool,
) -> tuple[Receipt, str]:
    """Write the file unless it is right; return the receipt and the content's hash."""
    if not revive and await _was_deleted(database, playlist, target):
        message = "Its file was deleted, so it stays so: playlist write brings it back."
        return Receipt(playlist, str(target), "deleted", message, entries), ""
    receipt, content = await asyncio.to_thread(_apply, playlist, target, entries, dry=dry)
    return receipt, _hash(content)


async def move_file(file: Path, to: Path, content_hash: str) -> bool:
    """Give the file of a playlist its new name; False where it has to stay.

    It stays if a person changed it, or if a file of somebody else has that name.
    """

    def move() -> bool:
        try:
            present = read(file)
            if present is not None:
                if _hash(present) != content_hash:
                    return False
                read(to)
                file.replace(to)
        except (OSError, NotOurs) as error:
            log.warning("%s keeps its name: %s", file, error)
            return False
        return True

    return await asyncio.to_thread(move)


def _apply(
    playlist: str, target: Path, entries: Sequence[Entry], *, dry: bool
) -> tuple[Receipt, bytes]:
    content, left_out = render(playlist, entries, target.parent)
    missing = tuple(map(name_of, left_out))
    note = f"; {len(left_out)} cannot be named in such a file" if left_out else ""
    wanted = tuple(e.item_id for e in entries if e not in left_out)

    def receipt(state: str, message: str, edits: Edits = NO_EDITS) -> Receipt:
        is_read = state in ("written", "unchanged") and not dry
        return Receipt(
            playlist, str(target), state, message, entries, len(edits.added), len(edits.removed),
            len(edits.moved), missing=missing, read_back=wanted if is_read else None,
        )  # fmt: skip

    try:
        present = read(target)
        if present == content:
            return receipt("unchanged", "as it is" + note), content
        if not dry:
            write(target, content)
            if read(target) != content:
                message = f"{target} reads back different from what was written."
                return receipt("failed", message), content
    except (OSError, NotOurs) as error:
        return receipt("failed", str(error)), content
    edits = plan_edits(_names(present or b""), _names(content))
    return receipt("written", count_entries(len(wanted)) + note, edits), content


def _hash(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _names(content: bytes) -> list[str]:
    return [os.fsdecode(path) for path in paths_in(content)]


async def _was_deleted(database: Database, playlist: str, target: Path) -> bool:
    if await asyncio.to_thread(target.exists):
        return False
    async with database.read() as session:
        written = await session.scalar(
            select(PlaylistWrite.id)
            .where(PlaylistWrite.playlist == playlist, PlaylistWrite.target == str(target))
            .limit(1)
        )
    return written is not None
