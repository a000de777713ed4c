"""Ways through a library: near to a point, from one to the next, from here to there, by sorts.

All functions take unit vectors, one row an item, and return row numbers.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.int64]

ROUNDS = 25
"""Of k-means at most."""


def unit(rows: Floats) -> Floats:
    """Return rows of length 1; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    scaled: Floats = (rows / np.maximum(length, 1e-9)).astype(np.float32)
    return scaled


def nearest(vectors: Floats, point: Floats, count: int) -> tuple[Rows, Floats]:
    """Return the rows nearest to a point (D,), the nearest first, and their cosines."""
    cosines = vectors @ unit(point)
    order = np.argsort(-cosines, kind="stable")[:count]
    return order, cosines[order]


def chain(vectors: Floats, first: Floats, count: int) -> tuple[Rows, Floats]:
    """Return rows each of which is the nearest, of those left, to the one before.

    Begins at the point `first` (D,). Also returns each one's cosine with the one before.
    """
    free = np.ones(len(vectors), bool)
    rows, cosines = [], []
    point = unit(first)
    for _ in range(min(count, len(vectors))):
        likeness = np.where(free, vectors @ point, -np.inf)
        row = int(likeness.argmax())
        rows.append(row)
        cosines.append(likeness[row])
        free[row] = False
        point = vectors[row]
    return np.array(rows, np.int64), np.array(cosines, np.float32)


def path(vectors: Floats, first: Floats, last: Floats, count: int) -> tuple[Rows, Floats]:
    """Return rows along the great circle from one point (D,) to another, no row twice.

    Each is the nearest free one to its place on the way (Shoemake 1985, "slerp"); the cosines are
    those with the places. Places take their turns from both ends, so that the ends come out best.
    """
    count = min(count, len(vectors))
    begin, end = unit(first), unit(last)
    angle = float(np.arccos(np.clip(begin @ end, -1, 1)))
    free = np.ones(len(vectors), bool)
    rows, cosines = np.zeros(count, np.int64), np.zeros(count, np.float32)
    for place in sorted(range(count), key=lambda n: (min(n, count - 1 - n), n)):
        share = place / max(count - 1, 1)
        if angle < 1e-3:
            point = begin
        else:
            point = np.sin((1 - share) * angle) * begin + np.sin(share * angle) * end
        likeness = np.where(free, vectors @ unit(point.astype(np.float32)), -np.inf)
        rows[place] = likeness.argmax()
        cosines[place] = likeness[rows[place]]
        free[rows[place]] = False
    return rows, cosines


def keep_apart(vectors: Floats, distance: float) -> Rows:
    """Return all rows in an order near to the given one, in which neighbours are not too alike.

    The next is always the first of those left at a cosine distance of at least `distance` from
    the last; where there is none, the one farthest from it.
    """
    left = list(range(len(vectors)))
    order: list[int] = []
    while left:
        if not order:
            order.append(left.pop(0))
            continue
        apart = 1 - vectors[left] @ vectors[order[-1]]
        fitting = np.flatnonzero(apart >= distance)
        order.append(left.pop(int(fitting[0] if len(fitting) else apart.argmax())))
    return np.array(order, np.int64)


def telling(vectors: Floats, known: Floats, weights: Floats, count: int) -> Rows:
    """Return the rows that would tell most about the others, the most telling first.

    Farthest first (Gonzalez 1985): each next one lies farthest from all `known` (M, D) and from
    those before it, distances counting by the rows' weights (N,).
    """
    nearest_known = (
        (vectors @ known.T).max(axis=1) if len(known) else np.zeros(len(vectors), np.float32)
    )
    apart = 1 - nearest_known
    chosen: list[int] = []
    for _ in range(min(count, len(vectors))):
        scores = apart * weights
        scores[chosen] = -np.inf
        row = int(scores.argmax())
        chosen.append(row)
        apart = np.minimum(apart, 1 - vectors @ vectors[row])
    return np.array(chosen, np.int64)


def flatten(vectors: Floats, seed: int) -> Floats:
    """Return (N, 2) places on a plane, -1 to 1, that keep apart what is most unlike.

    The first two principal components, by subspace iteration (Halko, Martinsson & Tropp 2011).
    """
    centred = vectors - vectors.mean(axis=0)
    chance = np.random.default_rng(seed)
    plane = chance.standard_normal((centred.shape[1], 2), np.float32)
    for _ in range(ROUNDS):
        plane, _upper = np.linalg.qr(centred.T @ (centred @ plane))
    places: Floats = (centred @ plane).astype(np.float32)
    places /= np.maximum(np.abs(places).max(axis=0), 1e-9)
    return places


def sorts_of(vectors: Floats, weights: Floats, most: int, seed: int) -> npt.NDArray[np.int64]:
    """Return for each row which of up to `most` sorts it is of, the heaviest sort being 0.

    Spherical k-means (Dhillon & Modha 2001) from k-means++ seeds, weighted.
    """
    count = max(1, min(most, len(vectors) // 4))
    chance = np.random.default_rng(seed)
    centres = vectors[_seeds(vectors, weights, count, chance)]
    belongs = np.zeros(len(vectors), np.int64)
    for _ in range(ROUNDS):
        now = (vectors @ centres.T).argmax(axis=1)
        if (now == belongs).all() and _ > 0:
            break
        belongs = now
        sums = np.zeros_like(centres)
        np.add.at(sums, belongs, vectors * weights[:, None])
        centres = unit(sums)
    mass = np.bincount(belongs, weights=weights, minlength=count)
    place = np.empty(count, np.int64)
    place[np.argsort(-mass, kind="stable")] = np.arange(count)
    ordered: npt.NDArray[np.int64] = place[belongs]
    return ordered


def _seeds(vectors: Floats, weights: Floats, count: int, chance: np.random.Generator) -> list[int]:
    chosen = [int(weights.argmax())]
    while len(chosen) < count:
        apart = 1 - (vectors @ vectors[chosen].T).max(axis=1)
        odds = np.maximum(apart, 0).astype(np.float64) * weights
        if odds.sum() <= 0:
            odds = np.ones(len(vectors))
        chosen.append(int(chance.choice(len(vectors), p=odds / odds.sum())))
    return chosen
