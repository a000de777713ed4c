"""The rating journal: one JSON line a rating, on disk before anyone is told that it was kept.

It outlives the database: a line carries all the evidence that names the item, so that the ratings
can be put back into an empty catalogue. Replaying twice adds nothing, since each line has an
event id.
"""

import asyncio
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

JOURNAL_NAME = "ratings.jsonl"


class JournalError(OSError):
    """The journal could not be read or written; nothing was kept."""

    def __str__(self) -> str:
        return str(self.strerror)


class Journal:
    """Appends to one file, from any number of processes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Write the entries and wait until they are on disk. Raises JournalError."""
        await asyncio.to_thread(self._append, entries)

    def size(self) -> int:
        """Return the length in bytes: it changes whenever something was written."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self) -> Iterator[dict[str, Any]]:
        """Yield every whole line, checked; what a power cut tore or a hand spoilt is left out."""
        spoilt = 0
        try:
            with self.path.open("rb") as lines:
                for line in lines:
                    entry = parse_line(line)
                    if entry:
                        yield entry
                    elif line.strip(b"\0\n\r "):
                        spoilt += 1
        except FileNotFoundError:
            return
        if spoilt:
            log.warning("%d lines of %s cannot be understood", spoilt, self.path)

    def _append(self, entries: Sequence[dict[str, Any]]) -> None:
        body = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)
        try:
            is_new = not self.path.exists()
            descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                _write_whole(descriptor, body)
            finally:
                os.close(descriptor)
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise JournalError(
                error.errno, f"The rating could not be written to {self.path}: {error.strerror}"
            ) from error


def parse_line(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line: a rating, or that a profile was removed; None if it is neither.

    Rating: {"event", "profile", "value", "at", "origin", "item"}, see `daemon.store.ratings`.
    """
    try:
        entry = json.loads(line)
        if not all(isinstance(entry[name], str) for name in ("event", "profile", "at")):
            return None
        datetime.fromisoformat(entry["at"]).astimezone(UTC)
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        return None
    if entry.get("removed") is True:
        return dict(entry)
    value = entry.get("value")
    is_rating = value is None or (
        isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 10
    )
    is_whole = isinstance(entry.get("item"), dict) and entry.get("origin") in (
        "person",
        "file",
        "server",
    )
    return dict(entry) if is_rating and is_whole else None


def _write_whole(descriptor: int, body: bytes) -> None:
    """Append all of `body` or nothing, after ending a line that was torn before."""
    before = os.fstat(descriptor).st_size
    if before and os.pread(descriptor, 1, before - 1) != b"\n":
        body = b"\n" + body
    try:
        view = memoryview(body)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # the first error says more; a torn line is ended next time
            os.ftruncate(descriptor, before)
        raise


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
