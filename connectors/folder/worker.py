"""The folder connector's operations, for a worker process (see `daemon.workers.child`).

Arguments and results are what msgpack can carry: rows are lists of path, size, mtime_ns and
fingerprint of the companions; paths are bytes.
"""

import os
import resource
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from connectors.base import ConnectorUnavailable, Kind, UnreadableFile
from connectors.folder.bounds import clip
from connectors.folder.excerpts import View, make_excerpts
from connectors.folder.reading import StillGrowing, read_file
from connectors.folder.scan import Found, Row, Scan
from connectors.folder.texts import read_text
from connectors.folder.thumbnails import make_thumbnail

MEMORY_BYTES = 4 << 30
"""Address space a worker may use unless its options say otherwise."""


def start(options: dict[str, Any] | None = None) -> "FolderWorker":
    """Bound the memory of this process, and return what does the work."""
    limit = int((options or {}).get("memory_bytes", MEMORY_BYTES))
    _, hardest = resource.getrlimit(resource.RLIMIT_AS)
    if hardest != resource.RLIM_INFINITY:
        limit = min(limit, hardest)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hardest))
    return FolderWorker()


class FolderWorker:
    """One scan at a time, and readers that keep nothing."""

    def __init__(self) -> None:
        self._scan: Scan | None = None

    def begin_scan(
        self, root: bytes, media: str, ignore: list[str], under: list[bytes] | None = None
    ) -> None:
        """Begin to compare a folder with the catalogue, or only the folders `under` it."""
        self._scan = Scan(root, media, ignore, under)

    def add_known(self, rows: list[list[Any]]) -> None:
        """Add a page of the rows that the catalogue has, those of unreadable files too."""
        self._current.add_known(rows)

    def walk(self) -> dict[str, Any]:
        """Walk and compare; return how many files are unchanged, new, changed and gone.

        Also `left_out` by reason, and `unlisted`: folders that could not be looked into, whose
        files count as unchanged. Raises ConnectorUnavailable.
        """
        return self._current.walk()

    def take(self, what: Found, limit: int) -> list[Row]:
        """Take up to `limit` rows of "new", "changed" or "gone", in the order of paths."""
        return self._current.take(what, limit)

    def read_files(self, root: bytes, media: Kind, rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Read files; one answer a row, whatever happens to it.

        An answer is `FileFacts.as_dict()`; or the row's facts and "unreadable", a reason; or the
        path and "growing", for a file that is no longer as the row says.
        """
        return [_read(root, media, tuple(row)) for row in rows]

    def read_text(self, root: bytes, path: bytes) -> str:
        """Return the text of a text item, at most 65,536 characters.

        Raises UnreadableFile, or ConnectorUnavailable where the file is not to be had now.
        """
        with _reasons():
            return read_text(_at_hand(root, path))

    def make_excerpts(
        self, root: bytes, path: bytes, media: Kind, views: list[View], folder: str
    ) -> list[dict[str, Any]]:
        """Decode what models look at and listen to; see `connectors.folder.excerpts`.

        Raises UnreadableFile, or ConnectorUnavailable where the file is not to be had now.
        """
        with _reasons():
            return make_excerpts(_at_hand(root, path), media, views, folder)

    def make_thumbnail(self, root: bytes, path: bytes, media: Kind, size: int, target: str) -> bool:
        """Write a WebP for a page; False where there is nothing to show. Raises UnreadableFile."""
        with _reasons():
            return make_thumbnail(b"%b/%b" % (root, path), media, size, target)

    @property
    def _current(self) -> Scan:
        if self._scan is None:
            raise RuntimeError("begin_scan comes first")
        return self._scan


def _at_hand(root: bytes, path: bytes) -> bytes:
    """Return the whole path of a file that can be opened: a mount that is away is no fault of it.

    Raises ConnectorUnavailable.
    """
    whole = b"%b/%b" % (root, path)
    try:
        os.close(os.open(whole, os.O_RDONLY | os.O_NONBLOCK))  # a pipe would wait for a writer
    except OSError as error:
        raise ConnectorUnavailable(f"cannot be opened: {error.strerror}") from error
    return whole


def _read(root: bytes, media: Kind, row: Any) -> dict[str, Any]:
    try:
        with _reasons():
            return read_file(root, media, row).as_dict()
    except StillGrowing:
        return {"path": row[0], "growing": True}
    except UnreadableFile as error:
        facts = dict(zip(("path", "size", "mtime_ns", "companions"), row, strict=True))
        return {**facts, "unreadable": str(error)}


@contextmanager
def _reasons() -> Iterator[None]:
    """Make every failure of a file a short, clean reason: libraries quote what they choked on."""
    try:
        yield
    except UnreadableFile as error:
        raise UnreadableFile(clip(error)) from error
    except MemoryError as error:
        raise UnreadableFile("needs too much memory to read") from error
    except RecursionError as error:
        raise UnreadableFile("is nested too deeply") from error
