"""How well the taste model predicts ratings that it has not seen, beside "predict the mean"."""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ml.taste import Features, TasteHead, TasteSettings, choose_settings, fit
from ml.taste_features import Prepared, prepare

Doubles = npt.NDArray[np.float64]

MINIMUM_RATINGS = 10
"""Below it there is no prediction and no figure."""
TOP = 10
TRUST_DEVIATIONS = 2.25
"""How many standard deviations above 0, as by chance, the rank correlation must lie.

Of random ratings about one set in fifty passes; a higher bar costs people of few ratings more.
"""


@dataclass(frozen=True)
class Labels:
    """What a model learns from: a person's ratings in the order they were given, then weak ones."""

    items: Prepared
    values: Doubles
    scales: Doubles
    """Of the noise's standard deviation; 1 for a rating, more for what plays let guess."""
    ratings: int
    """How many of them, from the first, are ratings."""

    @classmethod
    def of(cls, features: Features | Prepared, ratings: npt.ArrayLike) -> Self:
        """Return labels of ratings alone."""
        values = np.asarray(ratings, np.float64)
        return cls(prepare(features), values, np.ones(len(values)), len(values))

    def take(self, kept: npt.NDArray[np.int64]) -> Self:
        """Return some of the ratings, and all weak ones, at their distance from the mean of those.

        Else what plays let guess would tell of the ratings that are left out.
        """
        chosen = np.concatenate([kept, np.arange(self.ratings, len(self.values))])
        values = self.values[chosen]
        values[len(kept) :] += self.values[kept].mean() - self.values[: self.ratings].mean()
        return type(self)(self.items.take(chosen), values, self.scales[chosen], len(kept))

    def fit(self, settings: TasteSettings | None = None) -> TasteHead:
        """Fit the head; without settings, those that suit these labels."""
        if settings is None:
            settings = choose_settings(self.items, self.values, self.scales)
        return fit(self.items, self.values, settings, self.scales)


def cross_validate(
    features: Labels | Features | Prepared, ratings: npt.ArrayLike = (), *, folds: int = 10,
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """Return the figures of k-fold cross-validation, and the same of the mean under mean_baseline.

    Each rating is predicted once, by a model whose settings and weights were chosen without its
    fold; the baseline predicts the mean of the same training part. All figures are over all
    out-of-fold predictions together: `mae`, `rmse`, `spearman`, `precision_at_10` (see
    `precision_at_top`), and `coverage`, the share of ratings within one standard deviation of
    their prediction (68 % if calibrated). A constant predictor has no order: its Spearman is 0
    by definition and its precision the expected one of a random order. That is how the baseline
    is counted, as the means of the folds differ only by what they miss.

    `newest` has the same figures of another split: the last fifth of the ratings, by a model of
    those before. Weak labels are learnt from and never measured.

    Raises ValueError below MINIMUM_RATINGS.
    """
    labels = features if isinstance(features, Labels) else Labels.of(features, ratings)
    values = labels.values[: labels.ratings]
    if len(values) < MINIMUM_RATINGS:
        raise ValueError(f"At least {MINIMUM_RATINGS} ratings are needed, not {len(values)}.")
    predictions, deviations = hold_out(labels, folds=folds, seed=seed)
    means, spreads = np.empty(len(values)), np.empty(len(values))
    parts = folds_of(len(values), folds, seed)
    for held_out in parts:
        train = np.setdiff1d(np.arange(len(values)), held_out)
        means[held_out], spreads[held_out] = values[train].mean(), values[train].std(ddof=1)
    figures = _figures(values, predictions, deviations)
    baseline = _figures(values, means, spreads)
    baseline |= {"spearman": 0.0, "precision_at_10": float(_is_liked(values).mean())}
    counts = {"ratings": len(values), "folds": len(parts)}
    beside = counts | {"model": "mean"} | baseline
    return counts | figures | {"newest": _newest_last(labels), "mean_baseline": beside}


def folds_of(count: int, folds: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Return which of `count` ratings are held out together."""
    order = np.random.default_rng(seed).permutation(count)
    return np.array_split(order, max(2, min(folds, count)))


def hold_out(
    labels: Labels, *, folds: int = 10, seed: int, settings: TasteSettings | None = None
) -> tuple[Doubles, Doubles]:
    """Return out-of-fold predictions of the ratings and their deviations.

    Without `settings` they are chosen anew for each fold, without it.
    """
    predictions, deviations = np.empty(labels.ratings), np.empty(labels.ratings)
    for held_out in folds_of(labels.ratings, folds, seed):
        train = np.setdiff1d(np.arange(labels.ratings), held_out)
        head = labels.take(train).fit(settings)
        predictions[held_out], deviations[held_out] = head.predict(labels.items.take(held_out))
    return predictions, deviations


def _newest_last(labels: Labels) -> dict[str, Any]:
    """Return the figures of the last fifth of the ratings, and the mean's errors on them."""
    count = max(2, labels.ratings // 5)
    before = np.arange(labels.ratings - count)
    last = np.arange(labels.ratings - count, labels.ratings)
    predictions, deviations = labels.take(before).fit().predict(labels.items.take(last))
    truth, mean = labels.values[last], labels.values[before].mean()
    figures = _figures(truth, predictions.astype(np.float64), deviations.astype(np.float64))
    flat = np.abs(truth - mean)
    beside = {"mae": float(flat.mean()), "rmse": float(np.sqrt(np.mean(flat**2)))}
    return {"ratings": count, **figures, "mean_baseline": beside}


def stack(labels: Labels, other: Doubles, *, folds: int, seed: int) -> dict[str, Any]:
    """Return how much another model should count beside the head.

    {"weight", "narrowing", "figures"}: `weight` and `narrowing` are of `_share`, `figures` of both
    together, each fold with the share that the other folds give, so that nothing was chosen by
    what it is measured on.
    """
    values = labels.values[: labels.ratings]
    head, deviations = hold_out(labels, folds=folds, seed=seed)
    parts = folds_of(len(values), folds, seed)
    mixed, narrowed = head.copy(), deviations.copy()
    for held_out in parts:
        rest = [part for part in parts if part is not held_out]
        weight, narrowing = _share(values, head, other, deviations, rest)
        mixed[held_out] += weight * (other[held_out] - head[held_out])
        narrowed[held_out] *= narrowing
    weight, narrowing = _share(values, head, other, deviations, parts)
    return {
        "weight": weight,
        "narrowing": narrowing,
        "figures": {
            "head": _figures(values, head, deviations),
            "together": _figures(values, mixed, narrowed),
            "alone": _figures(values, other, deviations),
        },
    }


def _share(
    values: Doubles, head: Doubles, other: Doubles, deviations: Doubles,
    parts: list[npt.NDArray[np.int64]],
) -> tuple[float, float]:  # fmt: skip
    """Return the weight of another model on some folds, and by how much it narrows the doubt.

    The weight, 0 to 1, is the one of least squares, and 0 unless both together beat the head by
    more than one paired standard error, each fold with the weight of the others.
    """
    rows = np.concatenate(parts)
    mixed = head.copy()
    for part in parts:
        rest = np.setdiff1d(rows, part)
        mixed[part] += _weight(values[rest], head[rest], other[rest]) * (other[part] - head[part])
    if not is_worse(values[rows], head[rows], mixed[rows]):
        return 0.0, 1.0
    before, after = (
        float(np.mean(((values - each) / deviations)[rows] ** 2)) for each in (head, mixed)
    )
    return _weight(values[rows], head[rows], other[rows]), min(1.0, math.sqrt(after / before))


def _weight(values: Doubles, head: Doubles, other: Doubles) -> float:
    apart = other - head
    scale = float(apart @ apart)
    return float(np.clip(apart @ (values - head) / scale, 0, 1)) if scale > 0 else 0.0


def falls_behind(labels: Labels, in_use: TasteSettings, *, learnt: int, seed: int) -> bool:
    """Tell whether settings chosen anew do worse than those in use, on ratings new to both.

    The first `learnt` ratings are those that the settings in use were chosen by: on these they
    would look better than they are. Below MINIMUM_RATINGS others nothing speaks against the new.
    """
    if labels.ratings - learnt < MINIMUM_RATINGS:
        return False
    new, _ = hold_out(labels, seed=seed)
    old, _ = hold_out(labels, seed=seed, settings=in_use)
    return is_worse(labels.values[learnt : labels.ratings], new[learnt:], old[learnt:])


def is_worse(ratings: Doubles, new: Doubles, old: Doubles) -> bool:
    """Tell whether predictions are worse than others by more than one paired standard error."""
    more = (ratings - new) ** 2 - (ratings - old) ** 2
    return bool(more.mean() > more.std(ddof=1) / math.sqrt(len(more)))


def is_trusted(figures: dict[str, Any]) -> bool:
    """Tell whether the model beats the mean on held-out ratings, beyond what chance explains.

    Its RMSE and MAE must not be above the baseline's, the RMSE below it, and Spearman more than
    TRUST_DEVIATIONS times 1 / sqrt(n - 1), its standard deviation for ratings without any order.
    """
    if not figures:
        return False
    baseline = figures["mean_baseline"]
    by_chance = TRUST_DEVIATIONS / math.sqrt(figures["ratings"] - 1)
    return bool(
        figures["rmse"] < baseline["rmse"]
        and figures["mae"] <= baseline["mae"]
        and figures["spearman"] > by_chance
    )


def spearman(a: Doubles, b: Doubles) -> float:
    """Return the rank correlation, ties sharing their mean rank; 0 where one is constant."""
    ranks_a, ranks_b = _ranks(a), _ranks(b)
    spread = ranks_a.std() * ranks_b.std()
    if spread == 0:
        return 0.0
    return float(((ranks_a - ranks_a.mean()) * (ranks_b - ranks_b.mean())).mean() / spread)


def precision_at_top(ratings: Doubles, predictions: Doubles) -> float:
    """Return the share of the top predictions that the person likes.

    The top are the min(10, n // 2) highest predictions, those that tie at its edge counting in
    proportion. Liked is what was rated at least as high as the ceil(n / 3)-th highest rating.
    """
    count = min(TOP, len(ratings) // 2)
    edge = np.sort(predictions)[-count]
    above, at_edge = predictions > edge, predictions == edge
    liked = _is_liked(ratings)
    share_at_edge = (count - above.sum()) * liked[at_edge].mean()
    return float((liked[above].sum() + share_at_edge) / count)


def _figures(ratings: Doubles, predictions: Doubles, deviations: Doubles) -> dict[str, float]:
    errors = np.abs(ratings - predictions)
    return {
        "mae": float(errors.mean()),
        "rmse": float(np.sqrt(np.mean(errors**2))),
        "spearman": spearman(ratings, predictions),
        "precision_at_10": precision_at_top(ratings, predictions),
        "coverage": float(np.mean(errors <= deviations)),
    }


def _is_liked(ratings: Doubles) -> npt.NDArray[np.bool_]:
    lowest = float(np.sort(ratings)[-math.ceil(len(ratings) / 3)])
    return np.greater_equal(ratings, lowest)


def _ranks(values: Doubles) -> Doubles:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Doubles = (ends - (counts - 1) / 2)[places]
    return ranks
