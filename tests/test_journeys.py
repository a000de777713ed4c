"""Ways through vectors, on shapes where the right way is known."""

import itertools

import numpy as np
import pytest

from ml.journeys import Floats, chain, keep_apart, nearest, path, sorts_of, telling, unit


def circle(*degrees: float) -> Floats:
    """Return points on a circle."""
    angles = np.deg2rad(np.array(degrees))
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def test_the_nearest_come_first_with_their_cosines() -> None:
    rows, cosines = nearest(circle(90, 10, 40), circle(0)[0], 2)
    assert rows.tolist() == [1, 2]
    assert cosines == pytest.approx(np.cos(np.deg2rad([10, 40])), abs=1e-6)


def test_a_chain_takes_the_nearest_step_and_no_row_twice() -> None:
    rows, cosines = chain(circle(0, 50, 20, 35, 200), circle(0)[0], 9)
    assert rows.tolist() == [0, 2, 3, 1, 4]
    assert cosines[1] == pytest.approx(np.cos(np.deg2rad(20)), abs=1e-6)


def test_a_path_goes_evenly_from_one_end_to_the_other() -> None:
    vectors = circle(90, 62, 0, 31, 180, 270)
    rows, _ = path(vectors, vectors[2], vectors[0], 4)
    assert rows.tolist() == [2, 3, 1, 0]
    rows, _ = path(vectors, vectors[2], vectors[2], 3)  # to itself: what lies around
    assert rows.tolist()[0] == 2
    assert len(set(rows.tolist())) == 3


def test_a_path_through_chance_vectors_comes_nearer_with_each_step() -> None:
    chance = np.random.default_rng(5)
    vectors = unit(chance.standard_normal((3000, 24)).astype(np.float32))
    rows, _ = path(vectors, vectors[0], vectors[1], 10)
    assert (rows[0], rows[-1], len(set(rows.tolist()))) == (0, 1, 10)
    to_end = vectors[rows] @ vectors[1]
    assert np.corrcoef(np.arange(10), to_end)[0, 1] > 0.9


def test_neighbours_are_apart_as_long_as_there_are_others() -> None:
    vectors = circle(0, 2, 90, 91, 180)
    order = keep_apart(vectors, 0.5).tolist()
    assert order == [0, 2, 1, 3, 4]
    apart = [1 - float(vectors[a] @ vectors[b]) for a, b in itertools.pairwise(order)]
    assert min(apart) > 0.5
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert keep_apart(vectors, 0.0).tolist() == [0, 1, 2, 3, 4]


def test_sorts_are_found_the_heaviest_first_and_always_the_same() -> None:
    chance = np.random.default_rng(2)
    centres = np.repeat(np.eye(3, 8, dtype=np.float32), (20, 40, 10), axis=0)
    vectors = unit(centres + 0.1 * chance.standard_normal(centres.shape).astype(np.float32))
    weights = np.ones(70, np.float32)
    sorts = sorts_of(vectors, weights, 3, seed=1)
    assert [sorts[:20].tolist(), sorts[20:60].tolist(), sorts[60:].tolist()] == [
        [1] * 20, [0] * 40, [2] * 10
    ]  # fmt: skip
    assert sorts_of(vectors, weights, 3, seed=1).tolist() == sorts.tolist()
    assert sorts_of(vectors[:3], weights[:3], 6, seed=1).tolist() == [0, 0, 0]


def test_the_most_telling_lie_farthest_from_all_that_is_known() -> None:
    vectors = circle(0, 5, 90, 180, 185)
    even = np.ones(5, np.float32)
    assert telling(vectors, circle(2), even, 3).tolist()[0] in (3, 4)
    assert telling(vectors, circle(2), even, 3).tolist()[1] == 2
    assert sorted(telling(vectors, vectors[:0], even, 9).tolist()) == [0, 1, 2, 3, 4]
    doubt = np.array([1, 1, 1, 0.1, 0.1], np.float32)
    assert telling(vectors, circle(2), doubt, 1).tolist() == [2]
