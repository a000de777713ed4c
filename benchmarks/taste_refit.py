"""Refit and rescore after one new rating.

Figure: `score` of the vector worker, features warm, with one rating added each time. Baseline:
the products and factorisations of those shapes in plain numpy, float32 for the items and float64
for the fit, without the kernel's exponentials, in the same blocks. Limit: under 2 times it.

Beside it, from a rating to stored predictions in the daemon: the same, with the reading of the
ratings, the way to the worker and back, and the writing of what has changed. And choosing settings
and fitting, as a worker does it, while as many other processes as there are cores count in circles:
a fair share of the cores is half of them, so the limit is what a fair share and some waiting take.
"""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure, median, ratio_figure, seconds, time_of, told_figure
from benchmarks.synthetic import fill_catalogue
from daemon.store.models import TasteModel, now
from daemon.store.ratings import NewRating, rate, rate_many
from ml.facts_space import FACTS_DIMENSIONS, FACTS_SPACE
from ml.taste import ANCHORS, BLOCK_ITEMS, TasteSettings
from ml.taste_features import PARTS_WIDTH
from ml.vector_worker import VectorWorker, start
from tests.household import Household

SPACE, DIMENSIONS = "benchmark", 384
ITEMS = 100_000
RATINGS = 2000
ROUNDS = 5
LARGEST_RATIO = 2.0
FEW_RATINGS = 200
LARGEST_RATIO_BESIDE_OTHERS = 4.0


def measure() -> Iterator[Figure]:
    """Compare the worker with plain numpy, and tell what the daemon takes."""
    with tempfile.TemporaryDirectory() as folder:
        worker = start({"directory": folder, "writable": True})
        _fill(worker, ITEMS)
        figure, baseline = _compare(worker, ITEMS)
    name = f"refit, rescore: {RATINGS:,} ratings, {ITEMS:,} items (bare algebra)"
    yield ratio_figure(name, figure, baseline, at_most=LARGEST_RATIO)
    with tempfile.TemporaryDirectory() as folder:
        whole = asyncio.run(_from_rating_to_predictions(Household(Path(folder))))
    name = "from a rating to stored predictions, the same amounts (bare algebra)"
    yield told_figure(name, seconds(whole), seconds(baseline), whole / baseline)
    with tempfile.TemporaryDirectory() as folder:
        alone, beside = asyncio.run(_learn_beside_others(Household(Path(folder))))
    name = f"choosing settings and fitting, {FEW_RATINGS} ratings, all cores busy (idle)"
    yield ratio_figure(name, beside, alone, at_most=LARGEST_RATIO_BESIDE_OTHERS)


async def _learn_beside_others(household: Household) -> tuple[float, float]:
    """Return median seconds of a worker's training alone, and while others hold the cores."""
    async with household.open() as services:
        ids = await fill_catalogue(services, 2 * FEW_RATINGS, vectors=True)
        chance = random.Random(4)
        labels = _labels(ids[:FEW_RATINGS], [chance.uniform(0, 10) for _ in ids], FEW_RATINGS)
        text = await services.index.refresh()
        assert text

        async def learn() -> float:
            begin = time.perf_counter()
            await services.index.call("train", [text.name], labels, 0)
            return time.perf_counter() - begin

        await learn()  # warms the features
        alone = median([await learn() for _ in range(3)])
        with _busy_cores():
            beside = median([await learn() for _ in range(3)])
    return alone, beside


@contextmanager
def _busy_cores() -> Iterator[None]:
    circles = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(circles) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


async def _from_rating_to_predictions(household: Household) -> float:
    """Return median seconds from a rating to predictions that know it, in the daemon's store."""
    chance, times = random.Random(3), []
    async with household.open() as services:
        rated = chance.sample(await fill_catalogue(services, ITEMS, vectors=True), RATINGS + ROUNDS)
        settings = {"head": TasteSettings().as_dict(), "ratings": ""}
        async with services.database.write() as session:
            session.add(
                TasteModel(
                    profile_id=1, settings=settings, figures={}, ratings=RATINGS, trusted=True,
                    in_use=True,
                )
            )  # fmt: skip
        given = [NewRating(i, round(chance.uniform(0, 10), 1), now()) for i in rated[:RATINGS]]
        for first in range(0, RATINGS, 200):
            await rate_many(services.database, services.journal, 1, given[first : first + 200])
        await services.predictions.refresh(1)
        for item_id in rated[RATINGS:]:
            begin = time.perf_counter()
            await rate(services.database, services.journal, 1, item_id, chance.uniform(0, 10))
            line = await services.predictions.refresh(1)
            times.append(time.perf_counter() - begin)
            assert line == f"{ITEMS} predictions", line
    return median(times)


def _compare(worker: VectorWorker, items: int) -> tuple[float, float]:
    """Return median seconds of the worker and of plain numpy, taken in turns."""
    rng = np.random.default_rng(3)
    rated = (rng.choice(items, RATINGS + ROUNDS + 1, replace=False) + 1).tolist()
    ratings = rng.uniform(0, 10, len(rated)).round(1).tolist()
    settings = TasteSettings().as_dict()
    worker.score([SPACE], _labels(rated, ratings, RATINGS), settings)  # warms the features
    bare = _bare_algebra(items)
    ours, plain = [], []
    for count in range(RATINGS + 1, RATINGS + 1 + ROUNDS):
        score = partial(worker.score, [SPACE], _labels(rated, ratings, count), settings)
        ours.append(time_of(score))
        plain.append(time_of(bare))
    return median(ours), median(plain)


def _labels(rated: list[int], ratings: list[float], count: int) -> dict[str, list[Any]]:
    return {"items": rated[:count], "values": ratings[:count], "scales": [1.0] * count}


def _fill(worker: VectorWorker, items: int) -> None:
    rng = np.random.default_rng(1)
    worker.state(SPACE, DIMENSIONS)
    worker.state(FACTS_SPACE, FACTS_DIMENSIONS)
    for first in range(1, items + 1, 10_000):
        ids = list(range(first, min(first + 10_000, items + 1)))
        vectors = rng.standard_normal((len(ids), DIMENSIONS), np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        known = [_metadata(rng) for _ in ids]
        facts = worker.facts(["music"] * len(ids), known)
        worker.append(SPACE, ids, ids, [0] * len(ids), vectors.astype("<f2").tobytes())
        worker.append(FACTS_SPACE, ids, ids, [0] * len(ids), facts)


def _metadata(rng: np.random.Generator) -> dict[str, Any]:
    genre, artist, year = rng.integers((30, 3000, 60)).tolist()
    return {"genres": [f"genre {genre}"], "artists": [f"artist {artist}"], "year": 1960 + year}


def _bare_algebra(items: int) -> Callable[[], None]:
    rng = np.random.default_rng(2)

    def random(*shape: int) -> npt.NDArray[np.float32]:
        return rng.standard_normal(shape, np.float32)

    text, parts = random(items, DIMENSIONS), random(items, PARTS_WIDTH)
    anchors, anchor_parts = random(DIMENSIONS, ANCHORS), random(PARTS_WIDTH, ANCHORS)
    weights, reduction = random(ANCHORS), random(ANCHORS, ANCHORS)
    rated = slice(RATINGS)

    def fit() -> None:
        _ = text[rated] @ text[rated].T + parts[rated] @ parts[rated].T  # choosing the anchors
        between = (text[rated] @ anchors + parts[rated] @ anchor_parts).astype(np.float64)
        covariance = between.T @ between + np.eye(ANCHORS)
        whitened = np.linalg.inv(np.linalg.cholesky(covariance)) @ between.T
        _, vectors = np.linalg.eigh(whitened @ whitened.T)
        _ = vectors @ (vectors.T @ (whitened @ np.ones(RATINGS)))

    def score() -> None:
        for first in range(0, items, BLOCK_ITEMS):
            block = slice(first, first + BLOCK_ITEMS)
            kernel = text[block] @ anchors + parts[block] @ anchor_parts
            _ = kernel @ weights
            known = kernel @ reduction
            _ = np.einsum("ij,ij->i", known, known)

    def both() -> None:
        fit()
        score()

    return both
