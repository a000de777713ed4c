"""Frozen features, made ready for the taste model's kernel.

The kernel is a sum of parts: RBFs on pooled text vectors and on what models heard and saw, and
parts that are inner products.
The RBFs on the two plain numbers, year and duration, are written as inner products as well
(Nyström features on a grid, good to about 1e-3), so that one matrix product does them all.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
import numpy.typing as npt

from ml.facts_space import FACTS_DIMENSIONS, split_facts

Floats = npt.NDArray[np.float32]
Selection = npt.NDArray[np.int64] | slice

MEDIA_PLACES = 128
TYPICAL_COMMUNITY_RATING = 6.5
TYPICAL_VOTES = 30.0
"""A community rating counts as much as this many votes for the typical one."""
TYPICAL_LOG_VOTES, SPREAD_OF_LOG_VOTES = 6.0, 3.0


@dataclass(frozen=True)
class Features:
    """What is known of N items: text (N, D) pooled unit vectors, facts (N, F) facts vectors, and
    media (N, MEDIA_PLACES) of `place_media`.

    A row of NaN is an item without a text vector, or without facts; of zeros, without media.
    """  # noqa: D205

    text: npt.NDArray[np.floating]
    facts: npt.NDArray[np.floating]
    media: npt.NDArray[np.floating] | None = None

    def __len__(self) -> int:
        return len(self.text)


@dataclass(frozen=True)
class Grid:
    """Nyström features of an RBF kernel on one number, on an even grid."""

    first: float
    last: float
    length: float

    def features(self, values: Floats) -> Floats:
        """Return (N, G) features whose inner products are exp(-d² / 2 length²); NaN gives zeros."""
        points = np.arange(self.first, self.last + 0.8 * self.length, 0.8 * self.length)
        eigenvalues, vectors = np.linalg.eigh(self._kernel(points, points))
        whiten = vectors / np.sqrt(np.maximum(eigenvalues, 1e-6))
        inside = np.clip(np.nan_to_num(values.astype(np.float64)), self.first, self.last)
        features: Floats = (self._kernel(inside, points) @ whiten).astype(np.float32)
        features[np.isnan(values)] = 0
        return features

    def _kernel(
        self, a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        kernel: npt.NDArray[np.float64] = np.exp(-(((a[:, None] - b) / self.length) ** 2) / 2)
        return kernel


YEARS = Grid(-0.1, 1.4, 0.12)
DURATIONS = Grid(0.0, 10.5, 0.8)


@dataclass(frozen=True)
class Prepared:
    """Features of N items in the form that the kernel multiplies."""

    text: Floats
    """(N, D) of unit length; zeros where there is none."""
    has_text: Floats
    """(N,) 1 or 0."""
    parts: Floats
    """(N, P): the columns of PARTS, each part's inner product being its share of the kernel."""
    media: Floats
    """(N, MEDIA_PLACES) of unit length; zeros where there is none."""
    has_media: Floats
    """(N,) 1 or 0."""

    def __len__(self) -> int:
        return len(self.text)

    def take(self, selection: Selection) -> Self:
        """Return some of the items."""
        return type(self)(
            self.text[selection], self.has_text[selection], self.parts[selection],
            self.media[selection], self.has_media[selection],
        )  # fmt: skip


def _part_features(facts: npt.NDArray[np.floating]) -> dict[str, Floats]:
    parts = split_facts(facts)
    votes = np.expm1(np.where(np.isnan(parts.votes), np.log1p(TYPICAL_VOTES), parts.votes))
    trust = votes / (votes + TYPICAL_VOTES)
    return {
        "genres": _unit(parts.genres),
        "creators": _unit(parts.creators),
        "year": YEARS.features(parts.year),
        "duration": DURATIONS.features(parts.duration),
        "community": _column(trust * (parts.community - TYPICAL_COMMUNITY_RATING)),
        "votes": _column((parts.votes - TYPICAL_LOG_VOTES) / SPREAD_OF_LOG_VOTES),
        "kind": parts.kind,
    }


def _layout() -> dict[str, slice]:
    slices, width = {}, 0
    for name, columns in _part_features(np.zeros((1, FACTS_DIMENSIONS), np.float32)).items():
        slices[name] = slice(width, width + columns.shape[1])
        width += columns.shape[1]
    return slices


def prepare_parts(facts: npt.NDArray[np.floating]) -> Floats:
    """Return the kernel's inner-product columns (N, P) of facts vectors (N, F)."""
    return np.hstack(list(_part_features(facts).values()), dtype=np.float32)


def prepare(features: Features | Prepared) -> Prepared:
    """Make features ready; a text vector that is missing or zero gets no share of the kernel."""
    if isinstance(features, Prepared):
        return features
    text = _unit(np.nan_to_num(np.asarray(features.text, np.float32)))
    has_text: Floats = np.any(text, axis=1).astype(np.float32)
    if features.media is None:
        media = np.zeros((len(text), MEDIA_PLACES), np.float32)
    else:
        media = _unit(np.nan_to_num(np.asarray(features.media, np.float32)))
    has_media: Floats = np.any(media, axis=1).astype(np.float32)
    return Prepared(text, has_text, prepare_parts(features.facts), media, has_media)


def place_media(spaces: Mapping[str, Floats]) -> Floats:
    """Return (N, MEDIA_PLACES) features of vectors (N, D) by space; NaN where there is none.

    Each space is thrown onto its own random directions, which keep cosines to about 0.1 (Johnson
    & Lindenstrauss 1984) and make those between spaces about 0: so one small matrix holds spaces
    of any size and number.
    """
    placed = [
        np.nan_to_num(vectors) @ _directions(name, vectors.shape[1])
        for name, vectors in spaces.items()
    ]
    summed: Floats = np.sum(placed, axis=0, dtype=np.float32)
    return summed


@cache
def _directions(name: str, dimensions: int) -> Floats:
    chance = np.random.default_rng(zlib.crc32(name.encode()))
    directions: Floats = chance.standard_normal((dimensions, MEDIA_PLACES), np.float32)
    return directions / np.float32(np.sqrt(MEDIA_PLACES))


def _unit(rows: Floats) -> Floats:
    unit: Floats = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


def _column(values: Floats) -> Floats:
    return np.nan_to_num(values)[:, None].astype(np.float32)


PARTS = _layout()
"""Where the columns of each part are in `Prepared.parts`."""
PARTS_WIDTH = max(columns.stop for columns in PARTS.values())
