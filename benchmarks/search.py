"""Search by meaning against a plain numpy product.

Baseline: `matrix @ query` and argpartition for the top 100, on the same float32 matrix in memory.
Limit: 1.5 times the baseline, recall 1.0. Rows with several chunks an item are shown beside.
"""

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure, median, ratio_figure
from ml.vector_index import VectorIndex

ITEMS = 100_000
DIMENSIONS = 384
LIMIT = 100
QUERIES = 40
LARGEST_RATIO = 1.5


def measure() -> list[Figure]:
    """Measure items of one chunk, and items of four."""
    return [_compare(ITEMS, 1), _compare(ITEMS // 4, 4)]


def _compare(items: int, chunks: int) -> Figure:
    """Compare the index with plain numpy, turn by turn."""
    rows = items * chunks
    vectors, queries = _unit_vectors(rows, 1), _unit_vectors(QUERIES, 2).astype(np.float32)
    matrix = vectors.astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        index = _fill(Path(folder), vectors, chunks)
        ours, plain, recalls = [], [], []
        for query in queries:
            begin = time.perf_counter()
            wanted = _plain_top(matrix, query)
            middle = time.perf_counter()
            found, _, _ = index.search(query, LIMIT)
            ours.append(time.perf_counter() - middle)
            plain.append(middle - begin)
            recalls.append(np.isin(wanted + 1, found).mean() if chunks == 1 else 1.0)
    recall = float(np.mean(recalls))
    name = f"search, {items:,} items of {chunks} x {DIMENSIONS}, recall {recall:.3f} (numpy)"
    figure = ratio_figure(name, median(ours[5:]), median(plain[5:]), at_most=LARGEST_RATIO)
    return replace(figure, is_kept=figure.is_kept and recall == 1.0)


def _unit_vectors(rows: int, seed: int) -> npt.NDArray[np.float16]:
    vectors = np.random.default_rng(seed).standard_normal((rows, DIMENSIONS), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def _fill(folder: Path, vectors: npt.NDArray[np.float16], chunks: int) -> VectorIndex:
    index = VectorIndex.open(folder, "benchmark", DIMENSIONS)
    for start in range(0, len(vectors), 20_000):
        block = range(start, min(start + 20_000, len(vectors)))
        index.append(
            [row + 1 for row in block],
            [row // chunks + 1 for row in block],
            [0] * len(block),
            vectors[block.start : block.stop].tobytes(),
        )
    return index


def _plain_top(
    matrix: npt.NDArray[np.float32], query: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    scores = matrix @ query
    best = np.argpartition(scores, len(scores) - LIMIT)[-LIMIT:]
    ordered: npt.NDArray[np.int64] = best[np.argsort(-scores[best])]
    return ordered
