"""Made-up people and the things they rate, for `benchmarks.taste`; also those of a CSV file."""

import csv
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ml.facts_space import COMMUNITY, facts_vector

Doubles = npt.NDArray[np.float64]
Vectors = npt.NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]

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
class Society:
    """How people of one sort rate; amounts in rating points, pairs are drawn from evenly."""

    agrees: tuple[float, float]
    """What a standard deviation of a thing's quality adds for a person."""
    tastes: float
    """Standard deviation of what is the person's own: topics, moods, genres, a decade."""
    noise: tuple[float, float]
    shared: float
    """How much of the quality lies in a thing's topic, mood and genre, beside 1 in itself."""
    sharpness: float
    """Votes after which the community's rating is half as far off as after one."""
    unknown: float
    """Share of things without a community rating."""
    filling: int
    """Words in a description that say nothing, beside seven that do."""


SOCIETIES = {
    "odd": Society((0.0, 1.2), 1.6, (0.8, 1.8), 0.0, 300.0, 0.15, 12),
    "films": Society((0.55, 1.2), 1.05, (0.9, 1.5), 0.8, 20.0, 0.02, 5),
}
"""odd: people who care little for what others think. films: as real people rate films; of 40 of
those the community's rating alone reached a Spearman of .41, and ridge regression on the words .22
from 20 ratings and .36 from 200."""


@dataclass(frozen=True)
class Things:
    """What is rated."""

    text: Vectors
    """(N, D) unit vectors."""
    facts: npt.NDArray[np.float16]
    community: Doubles
    """(N,) 0 to 10, NaN where unknown."""


@dataclass(frozen=True)
class Person:
    """Someone's ratings of things, in an order of chance."""

    name: str
    items: npt.NDArray[np.int64]
    ratings: Doubles


@dataclass(frozen=True)
class _Sorts:
    """What N made-up things are: numbers of topics, moods and genres, each (N,)."""

    topic: npt.NDArray[np.int64]
    side_topic: npt.NDArray[np.int64]
    mood: npt.NDArray[np.int64]
    genre: npt.NDArray[np.int64]
    side_genre: npt.NDArray[np.int64]
    year: npt.NDArray[np.int64]


def make_people(
    society: Society, count: int, items: int, embed: Embed, seed: int = 7
) -> tuple[Things, list[Person]]:
    """Return things and people with tastes, all from one seed."""
    chance = np.random.default_rng(seed)
    sorts = _make_sorts(chance, items)
    liked = _liking(chance, sorts)
    quality = _standard(chance.normal(0, 1, items) + society.shared * liked)
    votes = np.exp(np.clip(6.5 + 0.6 * quality + chance.normal(0, 1.6, items), 1.5, 13)).round()
    blur = chance.normal(0, 1.5, items) / np.sqrt(1 + votes / society.sharpness)
    community = np.clip(6.4 + 0.9 * quality + blur, 0.5, 9.5).round(1)
    community[chance.random(items) < society.unknown] = np.nan
    texts = [_describe(chance, sorts, n, society.filling) for n in range(items)]
    facts = [_facts(sorts, n, votes[n], community[n]) for n in range(items)]
    people = []
    for n in range(count):
        taste = society.tastes * _liking(chance, sorts)
        crowd = chance.uniform(0, 0.3) * (np.log(votes) - 6.5) / 1.6
        value = taste + crowd + chance.uniform(*society.agrees) * quality
        value += chance.normal(0, chance.uniform(*society.noise), items)
        rated = chance.permutation(items)
        given = (chance.uniform(5.5, 7.5) + value)[rated]
        people.append(Person(f"person {n + 1}", rated, np.clip(given * 2, 0, 20).round() / 2))
    return Things(embed(texts), np.array(facts, np.float16), community), people


def _make_sorts(chance: np.random.Generator, items: int) -> _Sorts:
    topic, side_topic = chance.integers(0, len(TOPICS), (2, items))
    genre = (topic * 3 + chance.integers(0, 3, items)) % len(GENRES)
    return _Sorts(
        topic, side_topic, chance.integers(0, len(MOODS), items), genre,
        chance.integers(0, len(GENRES), items), chance.integers(1950, 2026, items),
    )  # fmt: skip


def _liking(chance: np.random.Generator, sorts: _Sorts) -> Doubles:
    """Return how somebody likes the things for what they are, (N,) of deviation 1."""
    topics, moods = chance.normal(0, 1, len(TOPICS)), chance.normal(0, 0.7, len(MOODS))
    genres = chance.normal(0, 0.8, len(GENRES))
    both = chance.normal(0, 0.7, (len(TOPICS), len(MOODS)))  # a topic in one mood only
    decade = chance.uniform(1960, 2020)
    return _standard(
        topics[sorts.topic] + 0.5 * topics[sorts.side_topic] + moods[sorts.mood]
        + genres[sorts.genre] + 0.5 * genres[sorts.side_genre] + both[sorts.topic, sorts.mood]
        + 0.8 * np.exp(-(((sorts.year - decade) / 12) ** 2))
    )  # fmt: skip


def _standard(values: Doubles) -> Doubles:
    standard: Doubles = (values - values.mean()) / values.std()
    return standard


def _describe(chance: np.random.Generator, sorts: _Sorts, n: int, filling: int) -> str:
    words = [
        *chance.choice(TOPICS[sorts.topic[n]].split(), 3),
        *chance.choice(TOPICS[sorts.side_topic[n]].split(), 2),
        *chance.choice(MOODS[sorts.mood[n]].split(), 2),
        *chance.choice(FILLING.split(), filling),
    ]
    chance.shuffle(words)
    return " ".join(words)


def _facts(sorts: _Sorts, n: int, votes: float, community: float) -> npt.NDArray[np.float16]:
    known: dict[str, Any] = {
        "genres": [GENRES[sorts.genre[n]], GENRES[sorts.side_genre[n]]],
        "year": int(sorts.year[n]), "votes": votes,
    }  # fmt: skip
    if not np.isnan(community):
        known["community_rating"] = community
    return facts_vector("videos", known)


def read_people(path: Path, embed: Embed) -> tuple[Things, list[Person]]:
    """Return the things and people of a CSV file. Raises ValueError, which names the line."""
    places: dict[tuple[str, ...], int] = {}
    known: list[dict[str, Any]] = []
    texts: list[str] = []
    of_person: dict[str, dict[int, float]] = defaultdict(dict)
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in (reader := csv.DictReader(file)):
            try:
                key = tuple(row.get(name) or "" for name in ("text", "genres", "year"))
                metadata, rating = _metadata(row), float(row["rating"])
                text = row["text"]
            except (KeyError, ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {reader.line_num}: {error!r}") from error
            if key not in places:
                places[key] = len(texts)
                texts.append(text)
                known.append(metadata)
            of_person[row.get("profile") or "me"][places[key]] = rating
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
