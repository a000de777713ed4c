"""The comparison with simpler ways runs, on people of its own and on a file."""

import csv
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from benchmarks import taste
from benchmarks.people import SOCIETIES, Vectors, make_people, read_people
from tests.verbs import ROOT


def embed(texts: Sequence[str]) -> Vectors:
    """Return vectors of words' hashes: the comparison does not hang on the model."""
    rows = np.zeros((len(texts), 64), np.float32)
    for row, text in zip(rows, texts, strict=True):
        for word in text.split():
            row[sum(map(ord, word)) % 64] += 1
    unit: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
    return unit


@pytest.mark.parametrize("sort", SOCIETIES)
def test_the_model_beats_the_four_simpler_ways_on_made_up_people(sort: str) -> None:
    things, people = make_people(SOCIETIES[sort], 8, 500, embed)
    for size, scores, told in taste.Comparison(things, people).measure((20, 100)):
        assert set(scores) == {"mean", "community", "ridge", "neighbours", "model"}
        assert len(scores["model"].rmse) == 8
        for measure in ("mae", "rmse", "spearman"):
            assert taste.worse_by(scores, measure)[1] <= 1, (size, measure)
        assert told.startswith("within ")
    rmse = {name: float(np.mean(each.rmse)) for name, each in scores.items()}
    assert min(rmse, key=lambda name: rmse[name]) == "model"  # from a hundred ratings on


def test_a_file_of_ratings_is_read(tmp_path: Path) -> None:
    chance = random.Random(1)
    path = tmp_path / "ratings.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "rating", "profile", "genres", "year", "community_rating"])
        for person in ("anna", "ben"):
            for n in range(70):
                text = f"film {n} " + ("war castle" if n % 2 else "love rain")
                rating = round((8 if n % 2 else 4) + chance.gauss(0, 1), 1)
                writer.writerow([text, rating, person, "Drama|War", 1990 + n % 20, 6.5])
    things, people = read_people(path, embed)
    assert (len(things.text), [len(person.items) for person in people]) == (70, [70, 70])
    ((size, scores, _),) = taste.Comparison(things, people).measure((20, 500))
    assert size == 20  # nobody has 500
    assert np.mean(scores["model"].rmse) < np.mean(scores["mean"].rmse)
    assert np.isnan(taste.worse_by(scores, "rmse")[1])  # of two people nothing can be said


def test_a_line_that_is_no_rating_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text("text,rating\na film,7\nanother,good\n")
    with pytest.raises(ValueError, match=r"line 3: .*good"):
        read_people(path, embed)


def test_wrong_words_are_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.taste", "--colour", "red"], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--colour" in done.stderr
