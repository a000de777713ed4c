"""The comparison with simpler ways runs, on people of its own and on a file."""

import csv
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import taste
from tests.verbs import ROOT


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors of words' hashes: the comparison does not hang on the model."""

    def embed(texts: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
        rows = np.zeros((len(texts), 64), np.float32)
        for row, text in zip(rows, texts, strict=True):
            for word in text.split():
                row[sum(map(ord, word)) % 64] += 1
        unit: np.ndarray[tuple[int, int], np.dtype[np.float32]]
        unit = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)
        return unit

    monkeypatch.setattr(taste, "embed", embed)


def test_the_model_beats_the_four_simpler_ways_on_made_up_people(hashed: None) -> None:
    things, people = taste.make_people(8, 500)
    for size, scores, told in taste.Comparison(things, people).measure((20, 100)):
        assert set(scores) == {"mean", "community", "ridge", "neighbours", "model"}
        assert len(scores["model"].rmse) == 8
        assert taste.worse_by(scores)[1] <= 1, size
        assert told.startswith("within ")
    rmse = {name: float(np.mean(each.rmse)) for name, each in scores.items()}
    assert min(rmse, key=lambda name: rmse[name]) == "model"  # from a hundred ratings on


def test_a_file_of_ratings_is_read(hashed: None, tmp_path: Path) -> None:
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
    things, people = taste.read_people(path)
    assert (len(things.text), [len(person.items) for person in people]) == (70, [70, 70])
    ((size, scores, _),) = taste.Comparison(things, people).measure((20, 500))
    assert size == 20  # nobody has 500
    assert np.mean(scores["model"].rmse) < np.mean(scores["mean"].rmse)


def test_wrong_words_are_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.taste", "--colour", "red"], cwd=ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "--colour" in done.stderr
