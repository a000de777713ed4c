"""Choosing the taste model's hyperparameters by closed-form leave-one-out.

With C = K + N, the rating i left out is predicted with the error a_i / d_i and the variance
1 / d_i, where a = C⁻¹ y and d = diag(C⁻¹) (Rasmussen & Williams, eq. 5.10-5.12). The score is the
log density of the left-out ratings, less a gentle pull towards the default settings, which is
all that speaks where ratings are few.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.blas_threads import one_thread
from ml.taste_features import PARTS, Features, Prepared, prepare
from ml.taste_kernel import TasteSettings, prior_mean

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
DEFAULTS = TasteSettings()


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of the RBFs."""

    text: float = DEFAULTS.text_length
    media: float = DEFAULTS.media_length


@dataclass(frozen=True)
class Sample:
    """The ratings that the search looks at."""

    cosines: Doubles
    """(n, n), of the text vectors; -inf where one is missing, so that the RBF is 0."""
    media: Doubles | None
    """(n, n), of media in the same way; None where nothing was heard or seen."""
    grams: dict[str, Doubles]
    """Part to inner products (n, n); parts of which nothing is known are absent."""
    ratings: Doubles
    community: Doubles
    """(n,) what the prior mean's slope multiplies."""
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
    with one_thread():
        return _search(_sample(prepare(features), values, scale))


def _search(sample: Sample) -> TasteSettings:
    """Go up from the defaults, one weight after the other."""
    names = ("text", *sample.grams, *(("media",) if sample.media is not None else ()))
    weights = {name: getattr(DEFAULTS, name) / DEFAULTS.noise for name in names}
    length = Lengths()
    agreement = DEFAULTS.agreement
    best = _score(sample, weights, length, agreement)
    for step in STEPS:
        for names in (tuple(weights), *((name,) for name in weights)):
            for factor in (step, 1 / step):
                tried = weights | {name: weights[name] * factor for name in names}
                if (score := _score(sample, tried, length, agreement)) > best:
                    best, weights = score, tried
                    break
        for tried_length in _other_lengths(sample, length):
            if (score := _score(sample, weights, tried_length, agreement)) > best:
                best, length = score, tried_length
        for tried_agreement in AGREEMENTS if sample.community.any() else ():
            if (score := _score(sample, weights, length, tried_agreement)) > best:
                best, agreement = score, tried_agreement
    return _settings(sample, weights, length, agreement)


def _sample(items: Prepared, ratings: Doubles, scale: Doubles) -> Sample:
    chosen = np.arange(len(ratings))
    if len(chosen) > MOST_RATINGS:
        chosen = np.linspace(0, len(chosen) - 1, MOST_RATINGS).astype(np.int64)
    items, ratings, noise = items.take(chosen), ratings[chosen], scale[chosen] ** 2
    text = items.text.astype(np.float64)
    cosines = _cosines(text, items.has_text > 0)
    media = None
    if (has_media := items.has_media > 0).any():
        media = _cosines(items.media.astype(np.float64), has_media)
    columns = {name: items.parts[:, place].astype(np.float64) for name, place in PARTS.items()}
    grams = {name: part @ part.T for name, part in columns.items() if part.any()}
    return Sample(cosines, media, grams, ratings, columns["community"][:, 0], noise)


def _cosines(vectors: Doubles, known: npt.NDArray[np.bool_]) -> Doubles:
    cosines: Doubles = np.where(known[:, None] & known, vectors @ vectors.T, -np.inf)
    return cosines


def _other_lengths(sample: Sample, length: Lengths) -> Iterator[Lengths]:
    for text in LENGTHS:
        yield Lengths(text, length.media)
    for media in LENGTHS if sample.media is not None else ():
        yield Lengths(length.text, media)


def _left_out(
    sample: Sample, weights: dict[str, float], length: Lengths, agreement: float
) -> tuple[Doubles, Doubles, float]:
    """Return errors squared over variance, precisions, and the variance's common scale.

    All variances are relative to that of the noise; the scale that fits them to the errors has
    a closed form.
    """
    covariance = weights["text"] * np.exp((sample.cosines - 1) / length.text)
    if sample.media is not None:
        covariance += weights["media"] * np.exp((sample.media - 1) / length.media)
    for name, gram in sample.grams.items():
        covariance += weights[name] * gram
    covariance[np.diag_indices(len(sample.noise))] += sample.noise
    inverse = np.linalg.inv(covariance)
    known = sample.ratings - agreement * sample.community
    residuals = known - prior_mean(known, 1 / sample.noise)
    precisions: Doubles = inverse.diagonal().astype(np.float64)
    squares: Doubles = (inverse @ residuals).astype(np.float64) ** 2 / precisions
    count = len(squares)
    scale = squares.sum() / max(count - FITTED * math.sqrt(count), count / 2)
    return squares, precisions, max(float(scale), LEAST_VARIANCE)


def _score(sample: Sample, weights: dict[str, float], length: Lengths, agreement: float) -> float:
    squares, precisions, scale = _left_out(sample, weights, length, agreement)
    density = np.log(precisions / scale) - squares / scale
    pulls = [
        math.log(weight * DEFAULTS.noise / getattr(DEFAULTS, name)) / PULL
        for name, weight in weights.items()
    ]
    pulls.append((agreement - DEFAULTS.agreement) / PULL_OF_AGREEMENT)
    return float(density.sum() - sum(pull**2 for pull in pulls)) / 2


def _settings(
    sample: Sample, weights: dict[str, float], length: Lengths, agreement: float
) -> TasteSettings:
    """Return the weights as variances; parts that were never seen keep their default share."""
    *_, scale = _left_out(sample, weights, length, agreement)
    shares = {
        name: getattr(DEFAULTS, name) / DEFAULTS.noise for name in (*PARTS, "media")
    } | weights
    variances = {name: share * scale for name, share in shares.items()}
    return TasteSettings(
        **variances,
        text_length=length.text,
        media_length=length.media,
        agreement=agreement,
        noise=scale,
    )
