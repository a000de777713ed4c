"""The taste model's kernel: how alike two items are to one person."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.taste_features import PARTS, PARTS_WIDTH, Floats, Prepared


@dataclass(frozen=True, slots=True)
class TasteSettings:
    """The kernel's hyperparameters: variances in rating points squared."""

    text: float = 0.6
    text_length: float = 0.35
    """Of the RBF exp((cosine - 1) / length)."""
    media: float = 0.3
    """Of what models heard and saw."""
    media_length: float = 0.35
    genres: float = 0.2
    creators: float = 0.2
    year: float = 0.1
    duration: float = 0.05
    community: float = 0.1
    votes: float = 0.05
    kind: float = 0.1
    agreement: float = 0.65
    """Points that one point of the community's rating, as far as its votes count, moves what is
    expected before the person has rated anything: the prior mean's slope."""
    noise: float = 2.0
    """Of one rating: a person's mood, and what no feature knows."""
    deafness: float = 1.0
    """How many times noisier weak labels are for this person than they say."""

    def as_dict(self) -> dict[str, float]:
        """Return plain numbers for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Undo `as_dict`. Raises TypeError for unknown names, ValueError for nonsense."""
        numbers = {name: float(value) for name, value in values.items()}
        if not all(math.isfinite(number) and number >= 0 for number in numbers.values()):
            raise ValueError("The taste model's settings must be finite and not negative.")
        settings = cls(**numbers)
        if min(settings.text_length, settings.media_length, settings.noise) <= 0:
            raise ValueError("The taste model's lengths and noise must be above 0.")
        if settings.deafness < 1:
            raise ValueError("The taste model's deafness must be at least 1.")
        return settings

    def noise_of(self, scale: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the variances of labels, given their noise in a rating's own; 1 is a rating."""
        noise: npt.NDArray[np.float64] = self.noise * relative_noise(scale, self.deafness)
        return noise

    def part_weights(self) -> Floats:
        """Return the variance of each column of `Prepared.parts`, (P,)."""
        weights = np.empty(PARTS_WIDTH, np.float32)
        for name, columns in PARTS.items():
            weights[columns] = getattr(self, name)
        return weights


class Anchors:
    """Items that others are compared with, scaled so that a comparison is two products."""

    def __init__(self, items: Prepared, settings: TasteSettings) -> None:
        self.items = items
        self._settings = settings
        self._text = np.ascontiguousarray(items.text.T / np.float32(settings.text_length))
        self._parts = np.ascontiguousarray((items.parts * settings.part_weights()).T)
        self._offset = _offset(settings.text, settings.text_length)
        self._hears = bool(items.has_media.any()) and settings.media > 0
        self._media = np.ascontiguousarray(items.media.T / np.float32(settings.media_length))
        self._lacks_text = not items.has_text.all()

    def __len__(self) -> int:
        return len(self.items)

    def kernel(self, items: Prepared) -> Floats:
        """Return the kernel (N, M) between `items` and the anchors."""
        kernel: Floats = items.text @ self._text
        kernel += self._offset
        np.exp(kernel, out=kernel)
        if self._lacks_text or not items.has_text.all():
            kernel *= items.has_text[:, None]
            kernel *= self.items.has_text
        kernel += items.parts @ self._parts
        if self._hears and items.has_media.any():
            heard: Floats = items.media @ self._media
            heard += _offset(self._settings.media, self._settings.media_length)
            np.exp(heard, out=heard)
            heard *= items.has_media[:, None]
            heard *= self.items.has_media
            kernel += heard
        return kernel


def _offset(variance: float, length: float) -> np.float32:
    """Return log(v) - 1/l: exp of it + cos/l is v exp((cos - 1)/l), without a pass for v."""
    return np.float32(math.log(max(variance, 1e-12)) - 1 / length)


def prior_variance(items: Prepared, settings: TasteSettings) -> Floats:
    """Return the kernel of each item with itself, (N,)."""
    variance: Floats = np.square(items.parts) @ settings.part_weights()
    variance += np.float32(settings.text) * items.has_text
    variance += np.float32(settings.media) * items.has_media
    return variance


def prior_shift(items: Prepared, settings: TasteSettings) -> Floats:
    """Return by how much the community's rating moves the prior mean of each item, (N,)."""
    (column,) = items.parts[:, PARTS["community"]].T
    shift: Floats = column * np.float32(settings.agreement)
    return shift


def relative_noise(scale: npt.NDArray[np.float64], deafness: float) -> npt.NDArray[np.float64]:
    """Return the variances of labels in that of a rating; those of scale 1 are ratings."""
    return np.where(scale == 1, 1.0, (scale * deafness) ** 2)


def prior_mean(ratings: npt.NDArray[np.float64]) -> float:
    """Return the person's mean, as if half a rating in the middle of the scale had been given.

    Of ratings alone: weak labels are said in distances from it.
    """
    return float((ratings.sum() + 0.5 * 5.0) / (len(ratings) + 0.5))
