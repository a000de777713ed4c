"""How well the taste model predicts ratings that it has not seen, beside four simpler ways.

    python -m benchmarks.taste [FILE.csv] [--people 24] [--sizes 10,20,50,...]

Without a file, people and things are made here: descriptions put together from words, embedded by
the text model that comes with the installation; people who like topics, moods and years, in ways
that are not linear, and who agree with the others more or less. A file has the columns `text` and
`rating` (0 to 10), and optionally `profile`, `genres` (split at |), `year`, `community_rating` and
`votes`; its people are those with ratings enough.

For each person and number of ratings, the model is fitted to that many and measured on the same
held-out ones as: the person's mean, the community's rating (moved to the person's mean), ridge
regression on the description's vector (RidgeCV), and the nearest neighbours. `top` is the mean
rating of the best tenth above the person's mean; `within` the share of held-out ratings within one
stated deviation (68 % if calibrated); `worse by` how much larger the model's RMSE is than that of
the best of the four, in standard errors of the paired difference over people.
"""

import argparse
import csv
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

from ml.evaluation import spearman
from ml.facts_space import COMMUNITY, facts_vector
from ml.taste import choose_settings, fit
from ml.taste_features import Features, prepare

Doubles = npt.NDArray[np.float64]

SIZES = (10, 20, 50, 100, 200, 500, 2000)
HELD_OUT = 300
LEAST_HELD_OUT = 40
PEOPLE = 24
ITEMS = 2400
TOPICS = (
    "war castle siege soldiers", "love letters paris rain", "space ship aliens stars",
    "detective murder city night", "farm village childhood summer", "sea storm island sailors",
    "robots computer future machine", "family dinner sisters secrets", "desert horses outlaws gold",
    "forest witch magic dragon", "court lawyer trial justice", "piano concert orchestra composer",
    "football team coach final", "hospital doctor illness hope", "cooking restaurant chef feast",
)  # fmt: skip
MOODS = ("gloomy slow sad", "funny light quick", "tense dark violent", "warm tender calm",
         "strange dreamlike odd", "epic loud grand")  # fmt: skip
GENRES = ("Drama", "Comedy", "Thriller", "Romance", "Fantasy", "History", "Crime", "Adventure")
FILLING = "a the of with who about story again never two small old new first last finds leaves"


@dataclass(frozen=True)
class Things:
    """What is rated."""

    text: npt.NDArray[np.float32]
    """(N, D) unit vectors."""
    facts: npt.NDArray[np.float16]
    community: Doubles
    """(N,) 0 to 10, NaN where unknown."""


@dataclass(frozen=True)
class Person:
    """Someone's ratings of things."""

    name: str
    items: npt.NDArray[np.int64]
    ratings: Doubles


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


def make_people(count: int, items: int, seed: int = 7) -> tuple[Things, list[Person]]:
    """Return things and people with tastes, all from one seed."""
    chance = np.random.default_rng(seed)
    topic = chance.integers(0, len(TOPICS), (items, 2))
    mood = chance.integers(0, len(MOODS), items)
    genre = (topic[:, 0] * 3 + chance.integers(0, 3, items)) % len(GENRES)
    year = chance.integers(1950, 2026, items)
    quality = chance.normal(0, 1, items)
    votes = np.expm1(chance.uniform(0, 10, items))
    trust = votes / (votes + 30)
    community = np.clip(6.5 + 1.1 * (quality * trust + chance.normal(0, 0.3, items)), 0, 10)
    community[chance.random(items) < 0.15] = np.nan
    filling = FILLING.split()
    texts, facts = [], []
    for n in range(items):
        words = [*chance.choice(TOPICS[topic[n, 0]].split(), 3),
                 *chance.choice(TOPICS[topic[n, 1]].split(), 2),
                 *chance.choice(MOODS[mood[n]].split(), 2),
                 *chance.choice(filling, 12)]  # fmt: skip
        chance.shuffle(words)
        texts.append(" ".join(words))
        known: dict[str, Any] = {
            "genres": [GENRES[genre[n]]], "year": int(year[n]), "votes": float(votes[n])
        }  # fmt: skip
        if not np.isnan(community[n]):
            known["community_rating"] = float(community[n])
        facts.append(facts_vector("videos", known))
    people = []
    for n in range(count):
        likes = chance.normal(0, 1.0, len(TOPICS))
        moods, genres = chance.normal(0, 0.7, len(MOODS)), chance.normal(0, 0.5, len(GENRES))
        both = chance.normal(0, 0.8, (len(TOPICS), len(MOODS)))  # a topic in one mood only
        decade, agrees = chance.uniform(1960, 2020), chance.uniform(0, 1.2)
        value = (
            likes[topic[:, 0]] + 0.5 * likes[topic[:, 1]] + moods[mood] + genres[genre]
            + both[topic[:, 0], mood] + 0.8 * np.exp(-(((year - decade) / 12) ** 2))
            + agrees * quality
        )  # fmt: skip
        noise = chance.normal(0, chance.uniform(0.8, 1.8), items)
        given = chance.uniform(5, 7.5) + chance.uniform(0.8, 1.2) * (value - value.mean()) + noise
        rated = chance.permutation(items)
        people.append(Person(f"person {n + 1}", rated, np.clip(given[rated], 0, 10).round(1)))
    return Things(embed(texts), np.array(facts, np.float16), community), people


def read_people(path: Path) -> tuple[Things, list[Person]]:
    """Return the things and people of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    places: dict[tuple[str, ...], int] = {}
    known: list[dict[str, Any]] = []
    texts: list[str] = []
    of_person: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        key = tuple(row.get(name) or "" for name in ("text", "genres", "year"))
        if key not in places:
            places[key] = len(texts)
            texts.append(row["text"])
            known.append(_metadata(row))
        of_person[row.get("profile") or "me"][places[key]] = float(row["rating"])
    facts = np.array([facts_vector("videos", each) for each in known], np.float16)
    community = facts[:, COMMUNITY].astype(np.float64)
    chance = np.random.default_rng(3)
    people = []
    for name, given in of_person.items():
        items = chance.permutation(np.array(list(given), np.int64))
        people.append(Person(name, items, np.array([given[int(i)] for i in items])))
    return Things(embed(texts), facts, community), people


def _metadata(row: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    if genres := row.get("genres"):
        made["genres"] = [genre.strip() for genre in genres.split("|") if genre.strip()]
    for name in ("year", "community_rating", "votes"):
        if value := row.get(name):
            made[name] = float(value)
    return made


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


def worse_by(scores: dict[str, Scores]) -> tuple[str, float]:
    """Return the best of the simple ways, and how much worse the model's RMSE is, in paired SE."""
    simple = {name: np.array(s.rmse) for name, s in scores.items() if name != "model"}
    best = min(simple, key=lambda name: float(simple[name].mean()))
    difference = np.array(scores["model"].rmse) - simple[best]
    error = difference.std(ddof=1) / np.sqrt(len(difference)) if len(difference) > 1 else np.nan
    return best, float(difference.mean() / error)


def main() -> int:
    """Print the tables; the exit status tells whether the model kept up everywhere."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--people", type=int, default=PEOPLE)
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)))
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.file:
        things, people = read_people(arguments.file)
    else:
        things, people = make_people(arguments.people, ITEMS)
    print(f"{len(people)} people, {len(things.text)} things")
    sizes = [int(size) for size in arguments.sizes.split(",")]
    is_kept = True
    whole: dict[str, list[float]] = defaultdict(list)
    for size, scores, told in Comparison(things, people).measure(sizes):
        print(f"\n{size} ratings of {len(scores['model'].rmse)} people; the model: {told}")
        print(f"{'':12}{'MAE':>8}{'RMSE':>8}{'Spearman':>10}{'top':>8}")
        for name, each in scores.items():
            cells = (each.mae, each.rmse, each.spearman, each.top)
            mae, rmse, order, top = (float(np.mean(cell)) for cell in cells)
            print(f"{name:12}{mae:8.2f}{rmse:8.2f}{order:10.2f}{top:8.2f}")
        for name, each in scores.items():
            whole[name] += each.rmse
        best, errors = worse_by(scores)
        verdict = "ok" if errors <= 1 else "WORSE"
        is_kept &= errors <= 1
        print(f"RMSE worse than {best} by {errors:+.1f} paired standard errors (<= 1): {verdict}")
    print("\nover all sizes and people, RMSE of the model beside each way:")
    ours = np.array(whole.pop("model"))
    for name, theirs in whole.items():
        better = np.array(theirs) - ours
        is_better = bool(better.mean() > 0)
        is_kept &= is_better
        print(f"{name:12}{better.mean():+8.3f} better, for {np.mean(better > 0):.0%}")
    return 0 if is_kept else 1


if __name__ == "__main__":
    sys.exit(main())
