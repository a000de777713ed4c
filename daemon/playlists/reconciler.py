"""Make the playlist files equal to the wanted lists; write nothing that is right already.

Success is what was read back. Editions are kept in the catalogue.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import select

from daemon.playlists.m3u8 import NotOurs, file_name, paths_in, read, render, write
from daemon.playlists.selection import Abstained, Entry, choose
from daemon.settings import PlaylistSettings, Settings
from daemon.store.database import Database
from daemon.store.models import PlaylistWrite
from daemon.store.profiles import UnknownProfile


@dataclass(frozen=True)
class Receipt:
    """What came of one playlist at one target."""

    playlist: str
    target: str
    state: str
    """written, unchanged, abstained, deleted or failed."""
    message: str
    entries: Sequence[Entry]
    added: int = 0
    removed: int = 0

    @property
    def is_well(self) -> bool:
        """Tell whether the target is as it should be."""
        return self.state != "failed"


def targets_of(settings: Settings, playlist: PlaylistSettings) -> list[Path]:
    """Return the files that carry the playlist."""
    folders = playlist.write_to or (settings.data_dir / "playlists",)
    return [folder / file_name(playlist.name) for folder in folders]


async def preview(
    database: Database, settings: Settings, playlist: PlaylistSettings, day: date
) -> list[Receipt]:
    """Return what writing would do, without doing it."""
    return await _reconcile(database, settings, playlist, day, dry=True, revive=True)


async def reconcile(
    database: Database,
    settings: Settings,
    playlist: PlaylistSettings,
    day: date,
    *,
    revive: bool = False,
) -> list[Receipt]:
    """Write the playlist to its targets. `revive`: also where a person has deleted it."""
    return await _reconcile(database, settings, playlist, day, dry=False, revive=revive)


async def _reconcile(
    database: Database,
    settings: Settings,
    playlist: PlaylistSettings,
    day: date,
    *,
    dry: bool,
    revive: bool,
) -> list[Receipt]:
    targets = targets_of(settings, playlist)
    try:
        async with database.read() as session:
            entries = await choose(session, settings, playlist, day)
    except (Abstained, UnknownProfile) as reason:
        state = "abstained" if isinstance(reason, Abstained) else "failed"
        return [Receipt(playlist.name, str(target), state, str(reason), ()) for target in targets]
    receipts = []
    for target in targets:
        if not revive and await _was_deleted(database, playlist.name, target):
            message = "Its file was deleted, so it stays so: playlist write brings it back."
            receipts.append(Receipt(playlist.name, str(target), "deleted", message, entries))
            continue
        receipt, content = await asyncio.to_thread(_apply, playlist.name, target, entries, dry=dry)
        if receipt.state == "written" and not dry:
            await _keep_edition(database, receipt, content)
        receipts.append(receipt)
    return receipts


def _apply(
    playlist: str, target: Path, entries: Sequence[Entry], *, dry: bool
) -> tuple[Receipt, bytes]:
    content, left_out = render(playlist, entries, target.parent)
    note = f"; {len(left_out)} cannot be named in such a file" if left_out else ""
    try:
        present = read(target)
        if present == content:
            return Receipt(playlist, str(target), "unchanged", "as it is" + note, entries), content
        if not dry:
            write(target, content)
            if read(target) != content:
                message = f"{target} reads back different from what was written."
                return Receipt(playlist, str(target), "failed", message, entries), content
    except (OSError, NotOurs) as error:
        return Receipt(playlist, str(target), "failed", str(error), entries), content
    before, after = set(paths_in(present or b"")), set(paths_in(content))
    message = f"{len(entries) - len(left_out)} entries{note}"
    added, removed = len(after - before), len(before - after)
    return Receipt(playlist, str(target), "written", message, entries, added, removed), content


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


async def _keep_edition(database: Database, receipt: Receipt, content: bytes) -> None:
    async with database.write() as session:
        session.add(
            PlaylistWrite(
                playlist=receipt.playlist,
                target=receipt.target,
                item_ids=[entry.item_id for entry in receipt.entries],
                content_hash=hashlib.blake2b(content, digest_size=16).hexdigest(),
                verified=True,
                message=receipt.message,
            )
        )
