"""The files of a vector index: a cache of database rows that survives any crash.

A space has four files, NAME being a hash of the space and G a generation::

    NAME.json    {"space", "dimensions", "generation", "rows", "last_id"}
    NAME-G.f32   (rows, dimensions) float32, little-endian
    NAME-G.i64   (rows,) item id; negative in the first row of each run of an item
    NAME-G.i8    (rows,) the item's kind

Data files only grow, and the header is replaced atomically after they are on the disk: whatever
lies behind the rows that it names was never finished and is cut off. Compaction writes a new
generation beside the old one, so a reader that still has the old files mapped is not disturbed.
"""

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
SUFFIXES = (".f32", ".i64", ".i8")


@dataclass(frozen=True, slots=True)
class Header:
    """What the data files hold."""

    space: str
    dimensions: int
    generation: int = 0
    rows: int = 0
    last_id: int = 0
    """The highest database row that went in."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Some rows: vectors (n, D) float32, signed item ids (n,) int64, kinds (n,) int8."""

    vectors: Floats
    signed_items: npt.NDArray[np.int64]
    kinds: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.signed_items)


class IndexFiles:
    """The files of one space. One process writes; any number read."""

    def __init__(self, directory: Path, header: Header) -> None:
        self._directory = directory
        self.header = header

    @classmethod
    def open(cls, directory: Path, space: str, dimensions: int | None, *, writable: bool) -> Self:
        """Find the space's files; whatever is inconsistent counts as empty.

        Without `dimensions` those of the header are taken. Raises LookupError where they are
        not known either.
        """
        header = _read_header(directory, space)
        if header is None or dimensions not in (None, header.dimensions):
            if dimensions is None:
                raise LookupError(f"Nothing is known of the vector space {space!r} yet.")
            generation = header.generation + 1 if header else 0
            header = Header(space, dimensions, generation)
        files = cls(directory, header)
        if not files._is_whole():
            files.header = Header(space, header.dimensions, header.generation + 1)
        if writable:
            directory.mkdir(parents=True, exist_ok=True)
            files._tidy()
        return files

    def read(self) -> Rows:
        """Map the rows that the header names."""
        rows, dimensions = self.header.rows, self.header.dimensions
        if rows == 0:
            return no_rows(dimensions)
        vectors, items, kinds = (self._path(suffix) for suffix in SUFFIXES)
        return Rows(
            np.asarray(np.memmap(vectors, "<f4", "r", shape=(rows, dimensions))),
            np.fromfile(items, "<i8", rows),
            np.fromfile(kinds, "i1", rows),
        )

    def append(self, rows: Rows, last_id: int) -> None:
        """Write rows behind those that are there. Raises OSError, and then nothing has changed."""
        self._write_data(rows)
        self._write_header(replace(self.header, rows=self.header.rows + len(rows), last_id=last_id))

    def rewrite(self, blocks: Iterable[Rows], last_id: int) -> None:
        """Replace everything by `blocks`, in a new generation."""
        fresh = IndexFiles(
            self._directory,
            replace(self.header, generation=self.header.generation + 1, rows=0, last_id=0),
        )
        for block in blocks:
            fresh._write_data(block)
            fresh.header = replace(fresh.header, rows=fresh.header.rows + len(block))
        fresh._write_header(replace(fresh.header, last_id=last_id))
        self.header = fresh.header
        self._tidy()

    def _write_data(self, rows: Rows) -> None:
        columns = (
            rows.vectors.astype("<f4", copy=False),
            rows.signed_items.astype("<i8", copy=False),
            rows.kinds.astype("i1", copy=False),
        )
        for suffix, column in zip(SUFFIXES, columns, strict=True):
            with self._path(suffix).open("ab") as file:
                file.truncate(self.header.rows * self._width(suffix))
                file.write(np.ascontiguousarray(column).data)
                file.flush()
                os.fsync(file.fileno())

    def _write_header(self, header: Header) -> None:
        path = self._directory / f"{_name(header.space)}.json"
        partial = path.with_suffix(".json.partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(asdict(header), file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        self.header = header

    def _is_whole(self) -> bool:
        if self.header.rows == 0:
            return True
        try:
            sizes = [self._path(suffix).stat().st_size for suffix in SUFFIXES]
        except FileNotFoundError:
            return False
        needed = [self.header.rows * self._width(suffix) for suffix in SUFFIXES]
        if any(size < need for size, need in zip(sizes, needed, strict=True)):
            return False
        items = np.fromfile(self._path(".i64"), "<i8", self.header.rows)
        return bool(items[0] < 0 and items.all())

    def _tidy(self) -> None:
        """Cut off what was never finished, and remove other generations."""
        current = {self._path(suffix) for suffix in SUFFIXES}
        for path in self._directory.glob(f"{_name(self.header.space)}-*"):
            if path in current:
                os.truncate(path, self.header.rows * self._width(path.suffix))
            else:
                path.unlink(missing_ok=True)

    def _path(self, suffix: str) -> Path:
        return self._directory / f"{_name(self.header.space)}-{self.header.generation}{suffix}"

    def _width(self, suffix: str) -> int:
        return {".f32": 4 * self.header.dimensions, ".i64": 8, ".i8": 1}[suffix]


def no_rows(dimensions: int) -> Rows:
    """Return the rows of an empty index."""
    return Rows(np.empty((0, dimensions), "<f4"), np.empty(0, "<i8"), np.empty(0, "i1"))


def _name(space: str) -> str:
    return hashlib.sha256(space.encode()).hexdigest()[:16]


def _read_header(directory: Path, space: str) -> Header | None:
    try:
        values: dict[str, Any] = json.loads((directory / f"{_name(space)}.json").read_bytes())
        header = Header(**values)
        numbers = (header.dimensions, header.generation, header.rows, header.last_id)
        is_sound = all(type(number) is int and number >= 0 for number in numbers)
        is_sound = is_sound and header.space == space and header.dimensions > 0
    except (FileNotFoundError, ValueError, TypeError):
        return None
    return header if is_sound else None
