"""Exact cosine search over a memory-mapped matrix; rows come from the database, in its order."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.index_files import Floats, IndexFiles, Rows, no_rows

Ids = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SHARPNESS = 16.0
"""Of the smooth maximum over the chunks of an item: higher is nearer to the plain maximum."""
DEAD_SHARE = 0.25
"""Replaced rows are kept up to this share, then left out by a rewrite."""
SMALLEST_COMPACTION = 1024
"""Rows; below it a rewrite is not worth its flushes."""
MOST_SEGMENTS = 16
WORSE_THAN_ANY = np.float32(-2)
BLOCK_ITEMS = 2048


@dataclass(frozen=True, eq=False)
class Runs:
    """The runs of rows, one an item; where an item has several only the last is alive."""

    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]
    items: Ids
    kinds: npt.NDArray[np.int8]

    @classmethod
    def of(cls, signed_items: Ids, kinds: npt.NDArray[np.int8]) -> Self:
        """Find the runs: each begins with a negative item id."""
        starts = np.flatnonzero(signed_items < 0)
        lengths = np.diff(starts, append=len(signed_items))
        return cls(starts, lengths, -signed_items[starts], kinds[starts])

    @cached_property
    def by_item(self) -> tuple[Ids, npt.NDArray[np.int64]]:
        """The items in ascending order, and the run of each that is alive."""
        order = np.argsort(self.items, kind="stable")
        ordered = self.items[order]
        is_last = np.append(ordered[1:] != ordered[:-1], np.ones(min(1, len(order)), bool))
        return ordered[is_last], order[is_last]

    @cached_property
    def alive(self) -> Mask | None:
        """Which runs are alive; None where all are."""
        live = self.by_item[1]
        if len(live) == len(self.items):
            return None
        alive = np.zeros(len(self.items), bool)
        alive[live] = True
        return alive

    @cached_property
    def log_lengths(self) -> Floats | None:
        """Logarithms of the runs' lengths; None where every run is one row."""
        if not len(self.lengths) or self.lengths.max() == 1:
            return None
        return np.log(self.lengths).astype(np.float32)

    def find(self, item_ids: Ids) -> npt.NDArray[np.int64]:
        """Return the live run of each item, -1 for those that are not here."""
        items, runs = self.by_item
        if not len(items):
            return np.full(len(item_ids), -1)
        places = np.minimum(np.searchsorted(items, item_ids), len(items) - 1)
        return np.where(items[places] == item_ids, runs[places], -1)


class VectorIndex:
    """The vectors of one space. An index that is not writable keeps new rows in memory only."""

    def __init__(self, files: IndexFiles, *, writable: bool) -> None:
        self._files = files
        self._is_writable = writable
        self._segments: list[Rows] = [files.read()]
        self._last_id = files.header.last_id
        self._runs: Runs | None = None

    @classmethod
    def open(
        cls, directory: Path, space: str, dimensions: int | None = None, writable: bool = True
    ) -> Self:
        """Map the space's files, or begin empty.

        Without `dimensions` those on the disk are taken; raises LookupError where there are none.
        """
        for _ in range(3):
            try:
                files = IndexFiles.open(directory, space, dimensions, writable=writable)
                return cls(files, writable=writable)
            except FileNotFoundError:
                continue  # the writer has just moved on to a new generation
        raise LookupError(f"The vector index of {space!r} changes too often to be read.")

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        return self._files.header.dimensions

    @property
    def last_id(self) -> int:
        """The highest database row that is in."""
        return self._last_id

    @property
    def rows(self) -> int:
        """How many rows there are, replaced ones included."""
        return sum(len(segment) for segment in self._segments)

    @property
    def item_ids(self) -> Ids:
        """The items, in ascending order."""
        return self.runs.by_item[0]

    @property
    def runs(self) -> Runs:
        """The rows by item."""
        if self._runs is None:
            items = np.concatenate([segment.signed_items for segment in self._segments])
            kinds = np.concatenate([segment.kinds for segment in self._segments])
            self._runs = Runs.of(items, kinds)
        return self._runs

    def append(
        self, row_ids: Sequence[int], item_ids: Sequence[int], kinds: Sequence[int], data: bytes
    ) -> None:
        """Add database rows in the order of their ids; those that are in are passed over.

        `data` is (n, D) float16, little-endian. All rows of an item come in one call, one after
        the other; an item that comes again replaces its earlier rows. Raises ValueError for
        arguments that do not fit together, OSError where the disk refuses.
        """
        ids = np.array(row_ids, np.int64)
        vectors = np.frombuffer(data, "<f2")
        if not len(ids) == len(item_ids) == len(kinds):
            raise ValueError("There must be one row id, item id and kind for each vector.")
        if vectors.size != len(ids) * self.dimensions:
            raise ValueError(f"{len(ids)} vectors of {self.dimensions} numbers were expected.")
        if (np.diff(ids) <= 0).any() or min(item_ids, default=1) <= 0:
            raise ValueError("Row ids must ascend, and item ids be positive.")
        is_new = ids > self._last_id
        if not is_new.any():
            return
        items = np.array(item_ids, np.int64)[is_new]
        rows = Rows(
            vectors.reshape(len(ids), -1)[is_new].astype(np.float32),
            np.where(np.diff(items, prepend=0) != 0, -items, items),
            np.array(kinds, np.int8)[is_new],
        )
        self._add(rows, int(ids[-1]))

    def reset(self) -> None:
        """Forget all rows."""
        if self._is_writable:
            self._files.rewrite([], 0)
        self._segments = [no_rows(self.dimensions)]
        self._last_id = 0
        self._runs = None

    def search(
        self,
        query: Floats,
        limit: int,
        kinds: Collection[int] | None = None,
        exclude: Collection[int] = (),
    ) -> tuple[Ids, Floats, npt.NDArray[np.int64]]:
        """Return the items most like `query` (D,), best first.

        With each its score and its best row, counted within the item. The score is the smooth
        maximum of the cosines c of its n rows: log(sum(exp(16 c)) / n) / 16.
        """
        query = np.asarray(query, np.float32)
        if query.shape != (self.dimensions,) or not np.isfinite(query).all():
            raise ValueError(f"A query is {self.dimensions} finite numbers.")
        query = query / max(float(np.linalg.norm(query)), 1e-12)
        cosines = np.concatenate([segment.vectors @ query for segment in self._segments])
        scores = _combine(cosines, self.runs)
        allowed = self._allowed(kinds, exclude)
        if allowed is not None:
            scores = np.where(allowed, scores, WORSE_THAN_ANY)
        scores = np.fmax(scores, WORSE_THAN_ANY)  # NaN would be sorted above everything
        best = _top(scores, self.runs.items, min(limit, len(scores)))
        best = best[scores[best] > WORSE_THAN_ANY]
        return self.runs.items[best], scores[best], self._best_rows(cosines, best)

    def similar(
        self, item_id: int, limit: int, kinds: Collection[int] | None = None
    ) -> tuple[Ids, Floats, npt.NDArray[np.int64]]:
        """Return what `search` finds for the item's mean vector, without the item itself."""
        query = self.pooled([item_id])[0]
        if np.isnan(query).any():
            return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.int64)
        return self.search(query, limit, kinds, exclude=[item_id])

    def pooled(self, item_ids: Sequence[int] | Ids) -> Floats:
        """Return the items' mean vectors (N, D), made unit; a row of NaN where there is none."""
        means = self.means(item_ids)
        lengths = np.linalg.norm(means, axis=1, keepdims=True)
        means /= np.maximum(lengths, 1e-12)
        return means

    def means(self, item_ids: Sequence[int] | Ids) -> Floats:
        """Return the items' mean vectors (N, D); a row of NaN where there is none."""
        found = self.runs.find(np.asarray(item_ids, np.int64))
        means = np.full((len(found), self.dimensions), np.nan, np.float32)
        known = np.flatnonzero(found >= 0)
        for start in range(0, len(known), BLOCK_ITEMS):
            block = known[start : start + BLOCK_ITEMS]
            means[block] = self._block_means(found[block])
        return means

    def rows_of(
        self, item_ids: Sequence[int] | Ids
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float16]]:
        """Return how many vectors each item has (N,), and all of them, item after item."""
        found = self.runs.find(np.asarray(item_ids, np.int64))
        known = found[found >= 0]
        lengths = np.zeros(len(found), np.int64)
        lengths[found >= 0] = self.runs.lengths[known]
        if not len(known):
            return lengths, np.empty((0, self.dimensions), np.float16)
        return lengths, self._gather(self._rows_of(known)).astype(np.float16)

    def _add(self, rows: Rows, last_id: int) -> None:
        if self._is_writable:
            self._files.append(rows, last_id)
            self._segments = [self._files.read()]
        else:
            self._segments.append(rows)
            self._merge_segments()
        self._last_id = last_id
        self._runs = None
        if self._is_writable:
            self._compact()

    def _merge_segments(self) -> None:
        """Keep the number of products a search needs small."""
        if len(self._segments) > MOST_SEGMENTS:
            first, *others = self._segments
            merged = Rows(
                np.concatenate([segment.vectors for segment in others]),
                np.concatenate([segment.signed_items for segment in others]),
                np.concatenate([segment.kinds for segment in others]),
            )
            self._segments = [first, merged]

    def _compact(self) -> None:
        live = np.sort(self.runs.by_item[1])
        dead = self.rows - int(self.runs.lengths[live].sum())
        if self.rows >= SMALLEST_COMPACTION and dead > DEAD_SHARE * self.rows:
            self._files.rewrite(self._live_blocks(live), self._last_id)
            self._segments = [self._files.read()]
            self._runs = None

    def _live_blocks(self, live: npt.NDArray[np.int64]) -> Iterator[Rows]:
        (rows,) = self._segments
        for start in range(0, len(live), BLOCK_ITEMS):
            places = self._rows_of(live[start : start + BLOCK_ITEMS])
            yield Rows(rows.vectors[places], rows.signed_items[places], rows.kinds[places])

    def _rows_of(self, runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the numbers of all rows of these runs, run after run."""
        lengths = self.runs.lengths[runs]
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1]) - np.repeat(ends - lengths, lengths)
        rows: npt.NDArray[np.int64] = np.repeat(self.runs.starts[runs], lengths) + within
        return rows

    def _block_means(self, runs: npt.NDArray[np.int64]) -> Floats:
        lengths = self.runs.lengths[runs]
        vectors = self._gather(self._rows_of(runs))
        if len(vectors) == len(runs):
            return vectors
        sums: Floats = np.add.reduceat(vectors, np.cumsum(lengths) - lengths, axis=0)
        sums /= lengths[:, None]
        return sums

    def _gather(self, rows: npt.NDArray[np.int64]) -> Floats:
        if len(self._segments) == 1:
            return self._segments[0].vectors[rows]
        gathered = np.empty((len(rows), self.dimensions), np.float32)
        first = 0
        for segment in self._segments:
            inside = (rows >= first) & (rows < first + len(segment))
            gathered[inside] = segment.vectors[rows[inside] - first]
            first += len(segment)
        return gathered

    def _allowed(self, kinds: Collection[int] | None, exclude: Collection[int]) -> Mask | None:
        allowed = self.runs.alive
        if kinds is not None:
            wanted = np.zeros(256, bool)
            wanted[list(kinds)] = True
            of_kind = wanted[self.runs.kinds]
            allowed = of_kind if allowed is None else allowed & of_kind
        if len(exclude):
            others = ~np.isin(self.runs.items, np.fromiter(exclude, np.int64))
            allowed = others if allowed is None else allowed & others
        return allowed

    def _best_rows(self, cosines: Floats, runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        if self.runs.log_lengths is None:
            return np.zeros(len(runs), np.int64)
        spans = zip(self.runs.starts[runs], self.runs.lengths[runs], strict=True)
        return np.array([cosines[s : s + n].argmax() for s, n in spans], np.int64)


def _combine(cosines: Floats, runs: Runs) -> Floats:
    """Return the runs' smooth maxima; cosines lie in -1..1, so the sums cannot overflow."""
    if runs.log_lengths is None:
        return cosines
    sums = np.add.reduceat(np.exp(cosines * np.float32(SHARPNESS)), runs.starts)
    scores: Floats = (np.log(sums) - runs.log_lengths) / np.float32(SHARPNESS)
    return scores


def _top(scores: Floats, items: Ids, count: int) -> npt.NDArray[np.int64]:
    """Return where the `count` highest scores are, best first, equal ones by item."""
    if count <= 0:
        return np.empty(0, np.int64)
    best = np.argpartition(scores, len(scores) - count)[len(scores) - count :]
    order: npt.NDArray[np.int64] = best[np.lexsort((items[best], -scores[best]))]
    return order
