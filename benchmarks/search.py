"""Search by meaning against a plain numpy product: python -m benchmarks.search [ITEMS].

Baseline: `matrix @ query` and argpartition for the top 100, on the same float32 matrix in memory.
Limit: 1.5 times the baseline, recall 1.0. Rows with several chunks an item are shown beside.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.vector_index import VectorIndex

DIMENSIONS = 384
LIMIT = 100
QUERIES = 40
LARGEST_RATIO = 1.5


def main() -> None:
    """Print the table; exit status 1 where a limit is broken."""
    items = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    print(f"{'search by meaning, top 100':<42}{'figure':>10}{'baseline':>10}{'ratio':>7}  recall")
    sound = [measure(items, 1), measure(items // 4, 4)]
    sys.exit(0 if all(sound) else 1)


def measure(items: int, chunks: int) -> bool:
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
    figure, baseline = statistics.median(ours[5:]), statistics.median(plain[5:])
    recall, ratio = float(np.mean(recalls)), figure / baseline
    shown = f"{recall:.3f}" if chunks == 1 else "-"
    name = f"{items} items of {chunks} x {DIMENSIONS}"
    print(f"{name:<42}{figure * 1e3:>7.1f} ms{baseline * 1e3:>7.1f} ms{ratio:>7.2f}  {shown}")
    return recall == 1.0 and ratio <= LARGEST_RATIO


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


if __name__ == "__main__":
    main()
