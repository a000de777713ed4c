"""Search, similarity and the taste model's head, in a process of their own. Numpy only."""

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from ml import journeys
from ml.evaluation import (
    MINIMUM_RATINGS,
    Labels,
    cross_validate,
    falls_behind,
    is_trusted,
    stack,
)
from ml.facts_space import FACTS_DIMENSIONS, FACTS_SPACE, facts_vector
from ml.feature_table import FeatureTable
from ml.taste import TasteSettings, choose_settings
from ml.vector_index import VectorIndex


class NoVector(ValueError):
    """An item or words that a journey hangs on has no vector."""


Hits = list[list[Any]]

MOST_REASONS = 5
UNREADABLE = (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error)
"""What numpy raises for a file of arrays that is missing, cut short or damaged."""


def start(options: dict[str, Any]) -> "VectorWorker":
    """Serve the indexes in a folder: {"directory": str, "writable": bool}."""
    return VectorWorker(Path(options["directory"]), writable=bool(options["writable"]))


class VectorWorker:
    """The operations. A space must be named to `state`, with its dimensions, before it is used."""

    def __init__(self, directory: Path, *, writable: bool) -> None:
        self._directory = directory
        self._taste = directory.parent / "taste"
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
            if space in (text_space, FACTS_SPACE) or space in table.spaces:
                table.update(np.unique(np.array(item_ids, np.int64)))

    def reset(self, space: str) -> None:
        """Forget all rows of a space."""
        self._open(space).reset()
        self._tables.clear()

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

    def telling(
        self, spaces: list[list[Any]], item_ids: list[int], weights: list[float],
        known: list[int], count: int,
    ) -> list[int]:  # fmt: skip
        """Return the items whose ratings would teach most, beside the `known` ones, in order."""
        vectors = self._joined(spaces, item_ids)
        has_vector = np.flatnonzero(vectors.any(axis=1))
        mass = np.array(weights, np.float32)[has_vector]
        seen = self._joined(spaces, known)
        rows = journeys.telling(vectors[has_vector], seen[seen.any(axis=1)], mass, count)
        return [item_ids[has_vector[row]] for row in rows]

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

    def flatten(self, spaces: list[list[Any]], item_ids: list[int], seed: int) -> list[list[Any]]:
        """Return [item id, x, y] of the items that have a vector, places on a map, -1 to 1."""
        vectors = self._joined(spaces, item_ids)
        known = np.flatnonzero(vectors.any(axis=1))
        if not len(known):
            return []
        places = journeys.flatten(vectors[known], seed)
        return [[item_ids[n], float(x), float(y)] for n, (x, y) in zip(known, places, strict=True)]

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
        self, spaces: list[str], labels: dict[str, list[Any]], seed: int,
        incumbent: dict[str, Any] | None = None, learnt: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        """Choose the settings for a profile's labels, and measure them on held-out ratings.

        `spaces` is the text space and those of media; `labels` is {"items", "values", "scales"},
        ratings (of scale 1) first, in the order they were given. Items without a text vector are
        left out. Below the minimum of ratings the figures are empty, and the settings are the
        defaults. `worse`: whether the settings in use so far, chosen by the first `learnt`
        ratings, do better on the others.
        """
        known = self._labels(spaces, labels)
        if known.ratings < MINIMUM_RATINGS:
            return {"settings": TasteSettings().as_dict(), "figures": {}, "trusted": False,
                    "worse": False}  # fmt: skip
        figures = cross_validate(known, seed=seed)
        figures["weak_labels"] = len(known.values) - known.ratings
        settings = choose_settings(known.items, known.values, known.scales)
        is_behind = incumbent is not None and falls_behind(
            known, TasteSettings.from_dict(incumbent), learnt=learnt, seed=seed + 1
        )
        return {
            "settings": settings.as_dict(),
            "figures": figures,
            "trusted": is_trusted(figures),
            "worse": is_behind,
        }

    def score(
        self, spaces: list[str], labels: dict[str, list[Any]], settings: dict[str, Any],
        blend: dict[str, Any] | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Fit the labels, and predict every item of the text space.

        Returns items (int64), values and uncertainties (float32), little-endian, and how many
        ratings were usable; below the minimum there are no items. `blend` is {"name", "weight",
        "narrowing"} of a TransformerEvaluator's predictions in the folder `taste`; they take part
        by that weight, and what they know narrows the uncertainty.
        """
        known = self._labels(spaces, labels)
        if known.ratings < MINIMUM_RATINGS:
            return {"items": b"", "values": b"", "uncertainties": b"", "usable": known.ratings}
        head = known.fit(TasteSettings.from_dict(settings))
        table = self._table(spaces)
        means, deviations = head.predict(table.features)
        if blend:
            means, deviations = self._blended(table.items, means, deviations, blend)
        return {
            "items": table.items.astype("<i8").tobytes(),
            "values": means.astype("<f4").tobytes(),
            "uncertainties": deviations.astype("<f4").tobytes(),
            "usable": known.ratings,
        }

    def tokens(self, spaces: list[str], item_ids: list[int]) -> dict[str, Any]:
        """Return items as sequences: {"dimensions", "counts", "data"}, one entry a space.

        `counts` says how many vectors each item has, `data` holds them, float16, little-endian;
        the last space is that of the facts, as the head sees them.
        """
        counts, data, dimensions = [], [], []
        for name in spaces:
            index = self._open(name)
            lengths, vectors = index.rows_of(item_ids)
            counts.append(lengths.tolist())
            data.append(vectors.astype("<f2").tobytes())
            dimensions.append(index.dimensions)
        table = self._table(spaces)
        places = table.find(item_ids)
        parts = table.features.parts[np.maximum(places, 0)]
        parts[places < 0] = 0
        return {
            "dimensions": [*dimensions, parts.shape[1]],
            "counts": [*counts, [1] * len(item_ids)],
            "data": [*data, parts.astype("<f2").tobytes()],
        }

    def items(self, space: str) -> list[int]:
        """Return the items that have a vector in a space."""
        return [int(item) for item in self._open(space).item_ids]

    def stack(
        self, spaces: list[str], labels: dict[str, list[Any]], folds: int, seed: int,
        other: list[float],
    ) -> dict[str, Any]:  # fmt: skip
        """Return the weight of another model beside the head, and the figures of both together.

        `other` has its out-of-fold predictions of the ratings, with the same folds and seed. The
        figures' weights are found without the fold that they predict.
        """
        return stack(self._labels(spaces, labels), np.array(other), folds=folds, seed=seed)

    def explain(
        self, spaces: list[str], labels: dict[str, list[Any]], settings: dict[str, Any],
        item_ids: list[int], blend: dict[str, Any] | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return for each item {"mean", "shift", "moved", "rest", "transformer"}.

        They add up to its prediction: `mean` is the person's, `shift` what the community's rating
        adds, `moved` the rated items that count most, each [item id, rating points], `rest` all
        others together, `transformer` what that adds. An item without a vector has none.
        """
        known, rated = self._labels(spaces, labels), self._known_items(spaces, labels)
        table = self._table(spaces)
        places = table.find(item_ids)
        if known.ratings < MINIMUM_RATINGS:
            return [{} for _ in item_ids]
        head = known.fit(TasteSettings.from_dict(settings))
        features = table.features.take(np.maximum(places, 0))
        plain, deviations = head.predict(features)
        mixed = plain
        if blend:
            items = np.array(item_ids, np.int64)
            mixed, _ = self._blended(items, plain, deviations, blend)
        told: list[dict[str, Any]] = []
        explained = head.explain(features, known.items, known.values, known.scales)
        for row, (shift, points) in enumerate(explained):
            if places[row] < 0:
                told.append({})
                continue
            order = np.argsort(-np.abs(points))[:MOST_REASONS]
            moved = [[rated[n], float(points[n])] for n in order]
            known_points = head.mean + shift + float(points[order].sum())
            told.append({
                "mean": head.mean, "shift": shift, "moved": moved,
                "rest": float(plain[row]) - known_points,
                "transformer": float(mixed[row] - plain[row]),
            })  # fmt: skip
        return told

    def _blended(
        self, items: npt.NDArray[np.int64], means: npt.NDArray[np.float32],
        deviations: npt.NDArray[np.float32], blend: dict[str, Any],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:  # fmt: skip
        """Mix in what the evaluator expects; items it has not seen keep the head's word."""
        try:
            with (self._taste / blend["name"]).open("rb") as opened, np.load(opened) as file:
                known, values = file["items"], file["values"]
        except UNREADABLE:
            return means, deviations
        order = np.argsort(known)
        known, values = known[order], values[order]
        places = np.minimum(np.searchsorted(known, items), max(len(known) - 1, 0))
        is_known = known[places] == items if len(known) else np.zeros(len(items), bool)
        mixed, narrowed = means.copy(), deviations.copy()
        mixed[is_known] += blend["weight"] * (values[places[is_known]] - means[is_known])
        narrowed[is_known] *= blend.get("narrowing", 1.0)
        return mixed, narrowed

    def _labels(self, spaces: list[str], labels: dict[str, list[Any]]) -> Labels:
        table = self._table(spaces)
        places = table.find(labels["items"])
        known = places >= 0
        scales = np.array(labels["scales"], np.float64)[known]
        values = np.array(labels["values"], np.float64)[known]
        ratings = int((scales == 1).sum())
        return Labels(table.features.take(places[known]), values, scales, ratings)

    def _known_items(self, spaces: list[str], labels: dict[str, list[Any]]) -> list[int]:
        places = self._table(spaces).find(labels["items"])
        return [item for item, place in zip(labels["items"], places, strict=True) if place >= 0]

    def _table(self, spaces: list[str]) -> FeatureTable:
        text, *media = spaces
        table = self._tables.get(text)
        if table is None or table.spaces != set(media):
            seen = {name: self._open(name) for name in media}
            table = self._tables[text] = FeatureTable(self._open(text), self._facts(), seen)
        return table

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
