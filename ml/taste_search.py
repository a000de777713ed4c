"""Choosing the taste model's hyperparameters by closed-form leave-one-out.

With C = K + N, the rating i left out is predicted with the error a_i / d_i and the variance
1 / d_i, where a = C⁻¹ y and d = diag(C⁻¹) (Rasmussen & Williams, eq. 5.10-5.12). The score is the
log density of the left-out ratings, less a gentle pull towards the default settings, which is
all that speaks where ratings are few.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ml.blas_threads import one_thread
from ml.taste_features import PARTS, Features, Prepared, prepare
from ml.taste_kernel import TasteSettings, prior_mean, relative_noise

Doubles = npt.NDArray[np.float64]

MOST_RATINGS = 384
"""Hyperparameters need no more; a step of the search costs the cube of this."""
STEPS = (4.0, 2.0, 2.0)
"""Factors by which the search multiplies and divides a weight, one sweep each."""
PULL = 0.7
"""Standard deviation of a log weight around its default."""
PULL_OF_AGREEMENT = 0.3
LEAST_VARIANCE = 0.04
"""Of a rating, in points squared: people who always say 7 may yet say 6.8."""
FITTED = 0.8
"""Times the root of the number of ratings: the ratings' worth of freedom that the mean and the
search use up, else few ratings look too sure (measured: `benchmarks/taste.py`, `within`)."""
AGREEMENTS = (0.0, 0.2, 0.4, 0.65, 0.9, 1.2)
LENGTHS = (0.1, 0.2, 0.35, 0.6)
DEAFNESSES = (1.0, 2.0, 4.0, 16.0)
DEFAULTS = TasteSettings()
WEIGHTS = ("text", "media", *PARTS)
"""The settings that are variances; the search has them relative to that of the noise."""


@dataclass(frozen=True)
class Sample:
    """The labels that the search looks at, ratings first."""

    cosines: Doubles
    """(n, n), of the text vectors; -inf where one is missing, so that the RBF is 0."""
    media: Doubles | None
    """(n, n), of media in the same way; None where nothing was heard or seen."""
    grams: dict[str, Doubles]
    """Part to inner products (n, n); parts of which nothing is known are absent."""
    parts: tuple[str, ...]
    """The weights that can be chosen: of what something is known."""
    values: Doubles
    community: Doubles
    """(n,) what the prior mean's slope multiplies."""
    scale: Doubles
    """(n,) the labels' noise in that of a rating."""
    count: int
    """How many of the labels, from the first, are ratings; only those are to be predicted well."""


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
    with one_thread():
        return _search(_sample(prepare(features), values, scale))


def _search(sample: Sample) -> TasteSettings:
    """Go up from the defaults, one setting after the other."""
    best = _scaled(DEFAULTS, 1 / DEFAULTS.noise)
    highest = _score(sample, best)
    for step in STEPS:
        for names in (sample.parts, *((name,) for name in sample.parts)):
            for factor in (step, 1 / step):
                tried = replace(best, **{name: getattr(best, name) * factor for name in names})
                if (score := _score(sample, tried)) > highest:
                    highest, best = score, tried
                    break
        for field, choices in _other_fields(sample):
            for value in choices:
                tried = replace(best, **{field: value})
                if (score := _score(sample, tried)) > highest:
                    highest, best = score, tried
    *_, variance = _left_out(sample, best)
    return _scaled(best, variance)


def _sample(items: Prepared, values: Doubles, scale: Doubles) -> Sample:
    chosen = _spread(np.flatnonzero(scale == 1), MOST_RATINGS)
    count = len(chosen)
    chosen = np.concatenate([chosen, _spread(np.flatnonzero(scale != 1), MOST_RATINGS - count)])
    items, values, scale = items.take(chosen), values[chosen], scale[chosen]
    text = items.text.astype(np.float64)
    cosines = _cosines(text, items.has_text > 0)
    media = None
    if (has_media := items.has_media > 0).any():
        media = _cosines(items.media.astype(np.float64), has_media)
    columns = {name: items.parts[:, place].astype(np.float64) for name, place in PARTS.items()}
    grams = {name: part @ part.T for name, part in columns.items() if part.any()}
    parts = ("text", *grams, *(("media",) if media is not None else ()))
    return Sample(
        cosines, media, grams, parts, values, columns["community"][:, 0], scale, count
    )  # fmt: skip


def _spread(places: npt.NDArray[np.int64], most: int) -> npt.NDArray[np.int64]:
    """Return at most so many places, evenly spread over all."""
    if len(places) <= most:
        return places
    return places[np.linspace(0, len(places) - 1, most).astype(np.int64)]


def _cosines(vectors: Doubles, known: npt.NDArray[np.bool_]) -> Doubles:
    cosines: Doubles = np.where(known[:, None] & known, vectors @ vectors.T, -np.inf)
    return cosines


def _other_fields(sample: Sample) -> Iterator[tuple[str, tuple[float, ...]]]:
    """Return what else there is to choose."""
    yield "text_length", LENGTHS
    if sample.media is not None:
        yield "media_length", LENGTHS
    if sample.community.any():
        yield "agreement", AGREEMENTS
    if sample.count < len(sample.scale):
        yield "deafness", DEAFNESSES


def _left_out(sample: Sample, tried: TasteSettings) -> tuple[Doubles, Doubles, float]:
    """Return errors squared over variance, precisions, and the variance's common scale.

    Of the ratings only: what is guessed from plays helps to predict, and is never to be predicted,
    as guesses are so much alike that they would make everything look certain. All variances are
    relative to that of the noise; the scale that fits them to the errors has a closed form.
    """
    covariance = tried.text * np.exp((sample.cosines - 1) / tried.text_length)
    if sample.media is not None:
        covariance += tried.media * np.exp((sample.media - 1) / tried.media_length)
    for name, gram in sample.grams.items():
        covariance += getattr(tried, name) * gram
    noise = relative_noise(sample.scale, tried.deafness)
    covariance[np.diag_indices(len(noise))] += noise
    inverse = np.linalg.inv(covariance)
    known = sample.values - tried.agreement * sample.community
    ratings = slice(sample.count)
    residuals = known - prior_mean(known[ratings])
    precisions: Doubles = inverse.diagonal()[ratings].astype(np.float64)
    squares: Doubles = (inverse @ residuals)[ratings].astype(np.float64) ** 2 / precisions
    count = len(squares)
    scale = squares.sum() / max(count - FITTED * math.sqrt(count), count / 2)
    return squares, precisions, max(float(scale), LEAST_VARIANCE)


def _score(sample: Sample, tried: TasteSettings) -> float:
    squares, precisions, scale = _left_out(sample, tried)
    density = np.log(precisions / scale) - squares / scale
    pulls = [
        math.log(getattr(tried, name) * DEFAULTS.noise / getattr(DEFAULTS, name)) / PULL
        for name in sample.parts
    ]
    pulls.append((tried.agreement - DEFAULTS.agreement) / PULL_OF_AGREEMENT)
    pulls.append(math.log(tried.deafness / DEFAULTS.deafness) / PULL)
    return float(density.sum() - sum(pull**2 for pull in pulls)) / 2


def _scaled(settings: TasteSettings, factor: float) -> TasteSettings:
    """Return settings of which all variances are so many times larger."""
    changed = {name: getattr(settings, name) * factor for name in (*WEIGHTS, "noise")}
    return replace(settings, **changed)
