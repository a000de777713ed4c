"""Choosing the taste model's hyperparameters by closed-form leave-one-out.

With C = K + N, the rating i left out is predicted with the error a_i / d_i and the variance
1 / d_i, where a = C⁻¹ y and d = diag(C⁻¹) (Rasmussen & Williams, eq. 5.10-5.12). The score is the
log density of the left-out ratings, less a gentle pull towards the default settings, which is
all that speaks where ratings are few.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.taste_features import PARTS, Features, Prepared, prepare
from ml.taste_kernel import TasteSettings, prior_mean

Doubles = npt.NDArray[np.float64]

MOST_RATINGS = 384
"""Hyperparameters need no more; a step of the search costs the cube of this."""
STEPS = (4.0, 2.0, 2.0)
"""Factors by which the search multiplies and divides a weight, one sweep each."""
PULL = 1.5
"""Standard deviation of a log weight around its default."""
LEAST_VARIANCE = 0.04
"""Of a rating, in points squared: people who always say 7 may yet say 6.8."""
FITTED = 2
"""Ratings' worth of freedom that the mean and the search use up; else few ratings look too sure."""
TEXT_LENGTHS = (0.1, 0.2, 0.35, 0.6)
DEFAULTS = TasteSettings()


@dataclass(frozen=True)
class Sample:
    """The ratings that the search looks at."""

    cosines: Doubles
    """(n, n), of the text vectors; -inf where one is missing, so that the RBF is 0."""
    grams: dict[str, Doubles]
    """Part to inner products (n, n); parts of which nothing is known are absent."""
    residuals: Doubles
    noise: Doubles
    """(n,) relative variances of the labels."""


def choose_settings(
    features: Features | Prepared,
    ratings: npt.ArrayLike,
    noise_scale: npt.ArrayLike | None = None,
) -> TasteSettings:
    """Return the settings that predict each rating best from all others. Deterministic.

    Takes milliseconds for a hundred ratings and about a second for thousands.
    """
    values = np.asarray(ratings, np.float64)
    scale = np.ones(len(values)) if noise_scale is None else np.asarray(noise_scale, np.float64)
    sample = _sample(prepare(features), values, scale)
    weights = {name: getattr(DEFAULTS, name) / DEFAULTS.noise for name in ("text", *sample.grams)}
    length = DEFAULTS.text_length
    best = _score(sample, weights, length)
    for step in STEPS:
        for names in (tuple(weights), *((name,) for name in weights)):
            for factor in (step, 1 / step):
                tried = weights | {name: weights[name] * factor for name in names}
                if (score := _score(sample, tried, length)) > best:
                    best, weights = score, tried
                    break
        for tried_length in TEXT_LENGTHS:
            if (score := _score(sample, weights, tried_length)) > best:
                best, length = score, tried_length
    return _settings(sample, weights, length)


def _sample(items: Prepared, ratings: Doubles, scale: Doubles) -> Sample:
    chosen = np.arange(len(ratings))
    if len(chosen) > MOST_RATINGS:
        chosen = np.linspace(0, len(chosen) - 1, MOST_RATINGS).astype(np.int64)
    items, ratings, noise = items.take(chosen), ratings[chosen], scale[chosen] ** 2
    text = items.text.astype(np.float64)
    has_text = items.has_text > 0
    cosines = np.where(has_text[:, None] & has_text, text @ text.T, -np.inf)
    columns = {name: items.parts[:, place].astype(np.float64) for name, place in PARTS.items()}
    grams = {name: part @ part.T for name, part in columns.items() if part.any()}
    return Sample(cosines, grams, ratings - prior_mean(ratings, 1 / noise), noise)


def _left_out(
    sample: Sample, weights: dict[str, float], length: float
) -> tuple[Doubles, Doubles, float]:
    """Return errors squared over variance, precisions, and the variance's common scale.

    All variances are relative to that of the noise; the scale that fits them to the errors has
    a closed form.
    """
    covariance = weights["text"] * np.exp((sample.cosines - 1) / length)
    for name, gram in sample.grams.items():
        covariance += weights[name] * gram
    covariance[np.diag_indices(len(sample.noise))] += sample.noise
    inverse = np.linalg.inv(covariance)
    precisions: Doubles = inverse.diagonal().astype(np.float64)
    squares: Doubles = (inverse @ sample.residuals).astype(np.float64) ** 2 / precisions
    scale = squares.sum() / max(len(squares) - FITTED, 1)
    return squares, precisions, max(float(scale), LEAST_VARIANCE)


def _score(sample: Sample, weights: dict[str, float], length: float) -> float:
    squares, precisions, scale = _left_out(sample, weights, length)
    density = np.log(precisions / scale) - squares / scale
    pulls = [
        math.log(weight * DEFAULTS.noise / getattr(DEFAULTS, name)) / PULL
        for name, weight in weights.items()
    ]
    return float(density.sum() - sum(pull**2 for pull in pulls)) / 2


def _settings(sample: Sample, weights: dict[str, float], length: float) -> TasteSettings:
    """Return the weights as variances; parts that were never seen keep their default share."""
    *_, scale = _left_out(sample, weights, length)
    shares = {name: getattr(DEFAULTS, name) / DEFAULTS.noise for name in PARTS} | weights
    variances = {name: share * scale for name, share in shares.items()}
    return TasteSettings(**variances, text_length=length, noise=scale)
