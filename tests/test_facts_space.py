import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from connectors.base import KINDS as CONNECTOR_KINDS
from connectors.base import Metadata
from ml.facts_space import (
    CREATORS,
    FACTS_DIMENSIONS,
    GENRES,
    KINDS,
    VOTES,
    YEAR,
    facts_vector,
    split_facts,
)

FILM = Metadata(
    title="Alien", genres=("Horror", "Science Fiction"), keywords=("space",), year=1979,
    people=("Ridley Scott",), studios=("Brandywine",), duration=7020.0, community_rating=8.2,
    votes=900_000,
)  # fmt: skip


def test_kinds_count_as_the_connectors_do() -> None:
    assert KINDS == CONNECTOR_KINDS


def test_every_part_comes_back() -> None:
    vector = facts_vector("videos", FILM.as_dict())
    assert vector.shape == (FACTS_DIMENSIONS,)
    assert vector.dtype == np.float16
    parts = split_facts(vector[None])
    assert parts.kind.tolist() == [[0, 0, 1, 0]]
    assert parts.year[0] == pytest.approx(0.79, abs=1e-3)
    assert parts.duration[0] == pytest.approx(math.log1p(7020), rel=1e-3)
    assert parts.community[0] == pytest.approx(8.2, rel=1e-3)
    assert parts.votes[0] == pytest.approx(math.log1p(900_000), rel=1e-3)
    assert sorted(parts.genres[0][parts.genres[0] > 0].tolist()) == [0.5, 1, 1]
    assert sorted(parts.creators[0][parts.creators[0] > 0].tolist()) == [0.5, 0.5]


def test_nothing_known_is_nan_not_nought() -> None:
    parts = split_facts(facts_vector("music", {})[None])
    for numbers in (parts.year, parts.duration, parts.community, parts.votes):
        assert np.isnan(numbers).all()
    assert not parts.genres.any()
    missing = split_facts(np.full((1, FACTS_DIMENSIONS), np.nan, np.float32))
    assert not missing.kind.any()
    assert not missing.creators.any()


def test_a_rating_of_nought_is_known() -> None:
    parts = split_facts(facts_vector("videos", {"community_rating": 0.0, "votes": 0})[None])
    assert (parts.community[0], parts.votes[0]) == (0, 0)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"year": 0}, {"year": 10**400}, {"duration": -1.0}, {"duration": math.inf},
        {"duration": math.nan}, {"community_rating": 11}, {"votes": -5}, {"votes": 10**30},
    ],
)  # fmt: skip
def test_numbers_that_cannot_be_true_are_unknown(nonsense: dict[str, Any]) -> None:
    with np.errstate(all="raise"):
        vector = facts_vector("music", nonsense)
    assert not np.isinf(vector).any()
    assert np.isnan(vector[YEAR : VOTES + 1]).all()


def test_spelling_in_capitals_and_spaces_makes_no_difference() -> None:
    one = facts_vector("music", {"genres": ["Hip  Hop"], "artists": ["ÄRZTE"]})
    other = facts_vector("music", {"genres": ("hip hop",), "artists": ("ärzte",)})
    assert one[GENRES].tolist() == other[GENRES].tolist()
    assert one[CREATORS].tolist() == other[CREATORS].tolist()
    assert one[GENRES].tolist() != facts_vector("music", {"genres": ["Jazz"]})[GENRES].tolist()


def test_names_that_are_no_text_at_all_do_no_harm() -> None:
    vector = facts_vector("music", {"artists": ["", " ", "\udc80", "\0"], "genres": ["x" * 10**6]})
    assert vector[CREATORS].sum() == 2
    assert vector[GENRES].sum() == 1


def test_the_hash_is_the_same_in_every_process() -> None:
    code = (
        "from ml.facts_space import facts_vector, GENRES\n"
        "print(facts_vector('music', {'genres': ['Jazz', 'Fado']})[GENRES].nonzero()[0].tolist())"
    )
    places = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True, text=True,
            env={
                **os.environ, "PYTHONHASHSEED": seed,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            },
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(places) == 1
