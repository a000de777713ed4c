"""How well the taste model predicts ratings that it has not seen, beside four simpler ways.

    python -m benchmarks.taste [FILE.csv] [--people 24] [--sizes 10,20,50,...] [--seed 7]

Without a file, people and things are made here (`benchmarks.people`): descriptions put together
from words, embedded by the text model that comes with the installation; people who like topics,
moods and years, in ways that are not linear, and who agree with the others more or less. A file has
the columns `text` and `rating` (0 to 10), and optionally `profile`, `genres` (split at |), `year`,
`community_rating` and `votes`; its people are those with ratings enough.

For each person and number of ratings, the model is fitted to that many and measured on the same
held-out ones as: the person's mean, the community's rating (moved to the person's mean), ridge
regression on the description's vector (RidgeCV), and the nearest neighbours. `top` is the mean
rating of the best tenth above the person's mean; `within` the share of held-out ratings within one
stated deviation (68 % if calibrated). The last lines tell by how much the model is worse than the
best of the four, in standard errors of the paired difference over people.
"""

import argparse
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import RidgeCV
from sklearn.neighbors import KNeighborsRegressor

from benchmarks.people import SOCIETIES, Person, Things, make_people, read_people
from ml.evaluation import spearman
from ml.taste import choose_settings, fit
from ml.taste_features import Features, prepare

Doubles = npt.NDArray[np.float64]

SIZES = (10, 20, 50, 100, 200, 500, 2000)
HELD_OUT = 300
LEAST_HELD_OUT = 40
PEOPLE = 24
ITEMS = 2400
LEAST_PEOPLE = 5
"""Below it nothing can be said of a difference over people."""


@dataclass
class Scores:
    """Of one way of predicting, over all people at one size."""

    mae: list[float]
    rmse: list[float]
    spearman: list[float]
    top: list[float]


def embed(texts: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the mean vector of each text's chunks, by the model of the installation."""
    from ml.families.sentence import LITE_PACKAGE
    from ml.installed import find_package
    from ml.text_embedder import TextEmbedder

    model = TextEmbedder(find_package(LITE_PACKAGE)[0] / "model", "bench", device="cpu")
    chunks = [model.chunk(text) or [""] for text in texts]
    vectors = model.embed([chunk for of in chunks for chunk in of])
    ends = np.cumsum([len(of) for of in chunks])
    means = [part.mean(axis=0) for part in np.split(vectors, ends[:-1])]
    stacked = np.stack(means)
    unit: npt.NDArray[np.float32] = stacked / np.linalg.norm(stacked, axis=1, keepdims=True)
    return unit


class Comparison:
    """Measures all ways on the same people, sizes and held-out ratings."""

    def __init__(self, things: Things, people: Sequence[Person]) -> None:
        self._things = things
        self._people = people
        self._features = prepare(Features(things.text, things.facts))
        self._ways: dict[str, Callable[..., Doubles]] = {
            "mean": self._mean, "community": self._community, "ridge": self._ridge,
            "neighbours": self._neighbours,
        }  # fmt: skip

    def measure(self, sizes: Sequence[int]) -> Iterator[tuple[int, dict[str, Scores], str]]:
        """Yield the size, the scores of each way, and what is known of the model alone."""
        for size in sizes:
            scores = {name: Scores([], [], [], []) for name in (*self._ways, "model")}
            within, fitting, scoring = [], [], []
            for person in self._people:
                held = min(HELD_OUT, max(LEAST_HELD_OUT, len(person.items) // 4))
                if len(person.items) < size + LEAST_HELD_OUT:
                    continue
                test, rest = np.arange(held), np.arange(held, len(person.items))
                train = rest[:size]
                if len(train) < size:
                    continue
                truth = person.ratings[test]
                for name, way in self._ways.items():
                    guess = way(person.items[train], person.ratings[train], person.items[test])
                    _add(scores[name], truth, np.clip(guess, 0, 10))
                begin = time.perf_counter()
                part = self._features.take(person.items[train])
                head = fit(part, person.ratings[train],
                           choose_settings(part, person.ratings[train]))  # fmt: skip
                fitting.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                means, deviations = head.predict(self._features.take(person.items[test]))
                scoring.append(time.perf_counter() - begin)
                _add(scores["model"], truth, means.astype(np.float64))
                within.append(float(np.mean(np.abs(truth - means) <= deviations)))
            if within:
                told = (
                    f"within {np.mean(within):.0%}, fit {np.mean(fitting) * 1e3:.0f} ms, "
                    f"score {np.mean(scoring) * 1e6 / held:.0f} µs an item"
                )
                yield size, scores, told

    def _mean(self, _items: Any, ratings: Doubles, wanted: Any) -> Doubles:
        return np.full(len(wanted), ratings.mean())

    def _community(self, items: Any, ratings: Doubles, wanted: Any) -> Doubles:
        typical = np.nanmean(self._things.community) if self._knows_community() else 0.0
        known = np.nan_to_num(self._things.community, nan=float(typical))
        moved: Doubles = known[wanted] - known[items].mean() + ratings.mean()
        return moved

    def _ridge(self, items: Any, ratings: Doubles, wanted: Any) -> Doubles:
        model = RidgeCV(alphas=np.logspace(-2, 3, 16)).fit(self._things.text[items], ratings)
        return np.asarray(model.predict(self._things.text[wanted]), np.float64)

    def _neighbours(self, items: Any, ratings: Doubles, wanted: Any) -> Doubles:
        count = min(15, max(3, len(items) // 3))
        model = KNeighborsRegressor(count, metric="cosine").fit(self._things.text[items], ratings)
        return np.asarray(model.predict(self._things.text[wanted]), np.float64)

    def _knows_community(self) -> bool:
        return bool(np.isfinite(self._things.community).any())


def _add(scores: Scores, truth: Doubles, guess: Doubles) -> None:
    errors = truth - guess
    best = np.argsort(-guess, kind="stable")[: max(1, len(truth) // 10)]
    is_flat = bool(np.ptp(guess) < 1e-9)
    scores.mae.append(float(np.abs(errors).mean()))
    scores.rmse.append(float(np.sqrt(np.mean(errors**2))))
    scores.spearman.append(0.0 if is_flat else spearman(truth, guess))
    scores.top.append(0.0 if is_flat else float(truth[best].mean() - truth.mean()))


def worse_by(scores: dict[str, Scores], measure: str) -> tuple[str, float]:
    """Return the best of the simple ways, and how much worse the model is, in paired SE.

    `measure` is mae, rmse (less is better) or spearman (more is). NaN below LEAST_PEOPLE.
    """
    sign = -1 if measure == "spearman" else 1
    errors = {name: sign * np.array(getattr(each, measure)) for name, each in scores.items()}
    ours = errors.pop("model")
    best = min(errors, key=lambda name: float(errors[name].mean()))
    if len(ours) < LEAST_PEOPLE:
        return best, float("nan")
    difference = ours - errors[best]
    return best, float(difference.mean() / (difference.std(ddof=1) / np.sqrt(len(difference))))


def compare(things: Things, people: Sequence[Person], sizes: Sequence[int]) -> bool:
    """Print the tables; return whether the model kept up everywhere."""
    print(f"{len(people)} people, {len(things.text)} things")
    is_kept = True
    whole: dict[str, list[float]] = defaultdict(list)
    for size, scores, told in Comparison(things, people).measure(sizes):
        print(f"\n{size} ratings of {len(scores['model'].rmse)} people; the model: {told}")
        print(f"{'':12}{'MAE':>8}{'RMSE':>8}{'Spearman':>10}{'top':>8}")
        for name, each in scores.items():
            cells = (each.mae, each.rmse, each.spearman, each.top)
            mae, rmse, order, top = (float(np.mean(cell)) for cell in cells)
            print(f"{name:12}{mae:8.2f}{rmse:8.2f}{order:10.2f}{top:8.2f}")
            whole[name] += each.rmse
        for measure in ("mae", "rmse", "spearman"):
            best, errors = worse_by(scores, measure)
            is_kept &= not errors > 1
            verdict = "WORSE" if errors > 1 else "ok"
            print(f"{measure}: worse than {best} by {errors:+.1f} standard errors: {verdict}")
    print("\nover all sizes and people, RMSE of the model beside each way:")
    ours = np.array(whole.pop("model"))
    for name, theirs in whole.items():
        better = np.array(theirs) - ours
        is_kept &= bool(better.mean() > 0)
        print(f"{name:12}{better.mean():+8.3f} better, for {np.mean(better > 0):.0%}")
    return is_kept


def main() -> int:
    """Compare; the exit status tells whether the model kept up everywhere."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    sizes = [int(size) for size in arguments.sizes.split(",")]
    if arguments.file:
        try:
            things, people = read_people(arguments.file, embed)
        except (OSError, ValueError) as error:
            parser.error(str(error))
        return 0 if compare(things, people, sizes) else 1
    kept = []
    for name, society in SOCIETIES.items():
        print(f"\n== people of the sort {name}")
        made = make_people(society, arguments.people, ITEMS, embed, arguments.seed)
        kept.append(compare(*made, sizes))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
