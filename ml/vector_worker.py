"""Search, similarity and the taste model's head, in a process of their own. Numpy only."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml import journeys
from ml.evaluation import MINIMUM_RATINGS, cross_validate, is_trusted
from ml.facts_space import FACTS_DIMENSIONS, FACTS_SPACE, facts_vector
from ml.feature_table import FeatureTable
from ml.taste import TasteSettings, choose_settings, fit
from ml.taste_features import Prepared
from ml.vector_index import VectorIndex


class NoVector(ValueError):
    """An item or words that a journey hangs on has no vector."""


Hits = list[list[Any]]


def start(options: dict[str, Any]) -> "VectorWorker":
    """Serve the indexes in a folder: {"directory": str, "writable": bool}."""
    return VectorWorker(Path(options["directory"]), writable=bool(options["writable"]))


class VectorWorker:
    """The operations. A space must be named to `state`, with its dimensions, before it is used."""

    def __init__(self, directory: Path, *, writable: bool) -> None:
        self._directory = directory
        self._is_writable = writable
        self._indexes: dict[str, VectorIndex] = {}
        self._tables: dict[str, FeatureTable] = {}

    def state(self, space: str, dimensions: int) -> dict[str, int]:
        """Return up to which database row the space is known, its rows, and its items."""
        index = self._open(space, dimensions)
        return {"last_id": index.last_id, "rows": index.rows, "items": len(index.item_ids)}

    def append(
        self, space: str, row_ids: list[int], item_ids: list[int], kinds: list[int], data: bytes
    ) -> None:
        """Add database rows; see VectorIndex.append. Kinds count as in facts_space.KINDS."""
        self._open(space).append(row_ids, item_ids, kinds, data)
        for text_space, table in self._tables.items():
            if space in (text_space, FACTS_SPACE):
                changed = np.unique(np.array(item_ids, np.int64))
                table.update(changed, self._open(text_space), self._facts())

    def reset(self, space: str) -> None:
        """Forget all rows of a space."""
        self._open(space).reset()
        if space == FACTS_SPACE:
            self._tables.clear()
        self._tables.pop(space, None)

    def search(self, space: str, query: bytes, limit: int, kinds: list[int] | None) -> Hits:
        """Return [item id, score, best row within the item] for a query (D,) float32."""
        vector = np.frombuffer(query, "<f4")
        return _hits(*self._open(space).search(vector, limit, kinds))

    def similar(self, space: str, item_id: int, limit: int, kinds: list[int] | None) -> Hits:
        """Return the items most like one, itself left out; nothing where it has no vector."""
        return _hits(*self._open(space).similar(item_id, limit, kinds))

    def arrange(
        self, how: str, spaces: list[list[Any]], item_ids: list[int], terms: list[list[Any]],
        count: int,
    ) -> list[list[Any]]:  # fmt: skip
        """Return [item id, cosine] of items in the order that a journey gives; see `ml.journeys`.

        `how`: near (to the sum of all terms), chain (from the first) or path (from the first to
        the second). A term is [sign, item id or 0, [a query vector or b"" for each space]]; it is
        an error where a term has no vector. Items without any vector are left out.
        """
        vectors = self._joined(spaces, item_ids)
        known = np.flatnonzero(vectors.any(axis=1))
        points = [sign * self._point(spaces, item_id, data) for sign, item_id, data in terms]
        vectors = vectors[known]
        if how == "near":
            rows, cosines = journeys.nearest(vectors, np.sum(points, axis=0), count)
        elif how == "chain":
            rows, cosines = journeys.chain(vectors, points[0], count)
        else:
            rows, cosines = journeys.path(vectors, points[0], points[1], count)
        return [[item_ids[known[r]], float(c)] for r, c in zip(rows, cosines, strict=True)]

    def keep_apart(
        self, spaces: list[list[Any]], item_ids: list[int], distance: float
    ) -> list[int]:
        """Return the items in an order in which neighbours are at least so far apart."""
        order = journeys.keep_apart(self._joined(spaces, item_ids), distance)
        return [item_ids[row] for row in order]

    def sorts(
        self, spaces: list[list[Any]], item_ids: list[int], weights: list[float], most: int,
        seed: int,
    ) -> list[int]:  # fmt: skip
        """Return for each item which sort it is of, 0 being the heaviest; -1 without a vector."""
        vectors = self._joined(spaces, item_ids)
        known = np.flatnonzero(vectors.any(axis=1))
        found = np.full(len(item_ids), -1, np.int64)
        if len(known):
            mass = np.array(weights, np.float32)[known]
            found[known] = journeys.sorts_of(vectors[known], mass, most, seed)
        return [int(sort) for sort in found]

    def _joined(self, spaces: list[list[Any]], item_ids: list[int]) -> npt.NDArray[np.float32]:
        """Return one unit vector (D1 + D2 + …) an item, of all spaces in equal parts."""
        parts = [
            np.nan_to_num(self._open(name, dimensions).pooled(np.array(item_ids, np.int64)))
            for name, dimensions in spaces
        ]
        return journeys.unit(np.hstack(parts).astype(np.float32))

    def _point(
        self, spaces: list[list[Any]], item_id: int, data: list[bytes]
    ) -> npt.NDArray[np.float32]:
        vector: npt.NDArray[np.float32]
        if item_id:
            (vector,) = self._joined(spaces, [item_id])
        else:
            parts = [
                np.frombuffer(part, "<f4") if part else np.zeros(dimensions, np.float32)
                for part, (_, dimensions) in zip(data, spaces, strict=True)
            ]
            vector = journeys.unit(np.hstack(parts))
        vector = np.asarray(vector, np.float32)
        if not vector.any():
            raise NoVector("There is no vector of it yet.")
        return vector

    def facts(self, kinds: list[str], metadata: list[dict[str, Any]]) -> bytes:
        """Return facts vectors (N, FACTS_DIMENSIONS), float16, little-endian."""
        rows = [facts_vector(*known) for known in zip(kinds, metadata, strict=True)]
        return np.array(rows, "<f2").tobytes()

    def train(
        self, text_space: str, item_ids: list[int], ratings: list[float], seed: int
    ) -> dict[str, Any]:
        """Choose the settings for a profile's ratings, and measure them on held-out ones.

        Items without a text vector are left out. Below the minimum of ratings the figures are
        empty, and the settings are the defaults.
        """
        features, values = self._rated(text_space, item_ids, ratings)
        if len(values) < MINIMUM_RATINGS:
            return {"settings": TasteSettings().as_dict(), "figures": {}, "trusted": False}
        figures = cross_validate(features, values, seed=seed)
        settings = choose_settings(features, values)
        return {
            "settings": settings.as_dict(),
            "figures": figures,
            "trusted": is_trusted(figures),
        }

    def score(
        self, text_space: str, item_ids: list[int], ratings: list[float], settings: dict[str, Any]
    ) -> dict[str, Any]:
        """Fit the ratings, and predict every item of the text space.

        Returns items (int64), values and uncertainties (float32), little-endian, and how many
        ratings were usable; below the minimum there are no items.
        """
        features, values = self._rated(text_space, item_ids, ratings)
        if len(values) < MINIMUM_RATINGS:
            return {"items": b"", "values": b"", "uncertainties": b"", "usable": len(values)}
        head = fit(features, values, TasteSettings.from_dict(settings))
        table = self._table(text_space)
        means, deviations = head.predict(table.features)
        return {
            "items": table.items.astype("<i8").tobytes(),
            "values": means.astype("<f4").tobytes(),
            "uncertainties": deviations.astype("<f4").tobytes(),
            "usable": len(values),
        }

    def _rated(
        self, text_space: str, item_ids: list[int], ratings: list[float]
    ) -> tuple[Prepared, npt.NDArray[np.float64]]:
        table = self._table(text_space)
        places = table.find(item_ids)
        known = places >= 0
        return table.features.take(places[known]), np.array(ratings, np.float64)[known]

    def _table(self, text_space: str) -> FeatureTable:
        if text_space not in self._tables:
            self._tables[text_space] = FeatureTable(self._open(text_space), self._facts())
        return self._tables[text_space]

    def _facts(self) -> VectorIndex:
        return self._open(FACTS_SPACE, FACTS_DIMENSIONS)

    def _open(self, space: str, dimensions: int | None = None) -> VectorIndex:
        index = self._indexes.get(space)
        if index is None or dimensions not in (None, index.dimensions):
            index = VectorIndex.open(self._directory, space, dimensions, self._is_writable)
            self._indexes[space] = index
            self._tables.pop(space, None)
        return index


def _hits(
    items: npt.NDArray[np.int64], scores: npt.NDArray[np.float32], ordinals: npt.NDArray[np.int64]
) -> Hits:
    return [list(hit) for hit in zip(*(c.tolist() for c in (items, scores, ordinals)), strict=True)]
