import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from daemon.workers.worker import Worker, WorkerFailed
from ml.vector_index import SMALLEST_COMPACTION, VectorIndex

D = 8
SPACE = "model@1:mean-256"


def unit(rows: int, seed: int = 0) -> npt.NDArray[np.float16]:
    vectors = np.random.default_rng(seed).standard_normal((rows, D))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors.astype(np.float16)


def add(
    index: VectorIndex,
    items: Sequence[int],
    vectors: npt.NDArray[np.float16],
    kinds: Sequence[int] | None = None,
) -> None:
    first = index.last_id + 1
    ids = list(range(first, first + len(items)))
    index.append(ids, items, kinds or [0] * len(items), vectors.tobytes())


def found(index: VectorIndex, query: npt.NDArray[np.floating], limit: int = 10) -> list[int]:
    ids: list[int] = index.search(query.astype(np.float32), limit)[0].tolist()
    return ids


def only_file(folder: Path, suffix: str) -> Path:
    (path,) = folder.glob(f"*{suffix}")
    return path


def test_search_is_exact(tmp_path: Path) -> None:
    vectors = unit(3000)
    index = VectorIndex.open(tmp_path, SPACE, D)
    for block in np.array_split(np.arange(3000), 7):
        add(index, (block + 1).tolist(), vectors[block])
    query = unit(1, seed=5)[0].astype(np.float32)
    cosines = vectors.astype(np.float32) @ (query / np.linalg.norm(query))
    ids, scores, ordinals = index.search(query, 100)
    assert ids.tolist() == (np.argsort(-cosines, kind="stable")[:100] + 1).tolist()
    assert scores == pytest.approx(np.sort(cosines)[::-1][:100])
    assert not ordinals.any()


def test_chunks_are_combined_by_the_smooth_maximum(tmp_path: Path) -> None:
    lengths = np.random.default_rng(1).integers(1, 6, size=400)
    items = np.repeat(np.arange(400) + 1, lengths)
    vectors = unit(len(items))
    index = VectorIndex.open(tmp_path, SPACE, D)
    add(index, items.tolist(), vectors)
    query = unit(1, seed=5)[0].astype(np.float32)
    cosines = vectors.astype(np.float32) @ (query / np.linalg.norm(query))
    expected, best = {}, {}
    for item in range(1, 401):
        own = cosines[items == item].astype(float)
        peak = own.max()
        spread = np.log(np.exp(16 * (own - peak)).sum()) - np.log(len(own))
        expected[item], best[item] = peak + spread / 16, int(own.argmax())
    ids, scores, ordinals = index.search(query, 50)
    order = sorted(expected, key=lambda item: -expected[item])[:50]
    assert ids.tolist() == order
    assert scores == pytest.approx([expected[item] for item in order], abs=1e-5)
    assert ordinals.tolist() == [best[item] for item in order]


def test_kinds_and_items_can_be_left_out(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(4)
    add(index, [1, 2, 3, 4], vectors, kinds=[0, 1, 0, 3])
    query = vectors[0].astype(np.float32)
    assert set(index.search(query, 10, kinds=[0])[0].tolist()) == {1, 3}
    assert set(index.search(query, 10, kinds=[1, 3], exclude=[4])[0].tolist()) == {2}
    assert index.search(query, 10, kinds=[])[0].tolist() == []
    assert index.search(query, 0)[0].tolist() == []


def test_an_item_that_comes_again_replaces_its_rows(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    old, other, new = unit(3)
    add(index, [7, 7, 9], np.stack([old, old, other]))
    add(index, [7], new[None])
    for opened in (index, VectorIndex.open(tmp_path, SPACE)):
        ids, scores, _ = opened.search(old.astype(np.float32), 10)
        assert sorted(ids.tolist()) == [7, 9]
        cosine = float(old.astype(float) @ new.astype(float))
        assert scores[ids.tolist().index(7)] == pytest.approx(cosine, abs=2e-3)
        assert opened.pooled([7])[0] == pytest.approx(new.astype(np.float32), abs=2e-3)
        assert opened.rows == 4


def test_an_item_that_comes_again_right_behind_itself_replaces_its_rows(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    old, new = unit(2)
    add(index, [7], old[None])
    add(index, [7], new[None])
    assert index.pooled([7])[0] == pytest.approx(new.astype(np.float32), abs=2e-3)


def test_dead_rows_are_compacted_away(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    items = list(range(1, SMALLEST_COMPACTION + 1))
    vectors = unit(len(items))
    add(index, items, vectors)
    reader = VectorIndex.open(tmp_path, SPACE, writable=False)
    half = items[: len(items) // 2]
    renewed = unit(len(half), seed=3)
    add(index, half, renewed)
    assert index.rows == len(items)
    assert only_file(tmp_path, ".f32").stat().st_size == len(items) * D * 4
    query = unit(1, seed=5)[0]
    now = np.concatenate([renewed, vectors[len(half) :]]).astype(np.float32)
    best = (np.argsort(-(now @ query.astype(np.float32)))[:10] + 1).tolist()
    assert found(index, query) == best
    assert found(VectorIndex.open(tmp_path, SPACE), query) == best
    before = vectors.astype(np.float32) @ query.astype(np.float32)
    assert found(reader, query) == (np.argsort(-before)[:10] + 1).tolist()  # undisturbed


def test_similar_leaves_the_item_itself_out(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(20)
    add(index, [1, 1, *range(3, 21)], vectors)
    ids, scores, _ = index.similar(1, 5)
    mean = vectors[:2].astype(np.float32).mean(axis=0)
    cosines = vectors[2:].astype(np.float32) @ (mean / np.linalg.norm(mean))
    assert ids.tolist() == (np.argsort(-cosines)[:5] + 3).tolist()
    assert scores == pytest.approx(np.sort(cosines)[::-1][:5], abs=1e-4)
    assert index.similar(99, 5)[0].tolist() == []


def test_pooled_vectors_are_means_and_nan_where_there_are_none(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(5000)
    items = np.repeat(np.arange(2500) + 1, 2)
    add(index, items.tolist(), vectors)
    pooled = index.pooled([2500, 9999, 1])
    means = vectors.astype(np.float32).reshape(2500, 2, D).mean(axis=1)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert pooled[0] == pytest.approx(means[2499], abs=1e-4)
    assert np.isnan(pooled[1]).all()
    assert index.pooled(np.arange(2500) + 1) == pytest.approx(means, abs=1e-4)


def test_vectors_that_are_not_numbers_are_never_found(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(3)
    vectors[1] = np.nan
    add(index, [1, 2, 3], vectors)
    assert set(found(index, vectors[0])) == {1, 3}


def test_rows_that_are_in_are_passed_over(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(4)
    index.append([5, 6, 9], [1, 2, 3], [0, 0, 0], vectors[:3].tobytes())
    index.append([6, 9, 12], [2, 3, 4], [0, 0, 0], vectors[1:].tobytes())
    index.append([12], [4], [0], vectors[3].tobytes())
    assert (index.rows, index.last_id, index.item_ids.tolist()) == (4, 12, [1, 2, 3, 4])


def test_arguments_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    data = unit(2).tobytes()
    with pytest.raises(ValueError, match="ascend"):
        index.append([2, 1], [1, 2], [0, 0], data)
    with pytest.raises(ValueError, match="positive"):
        index.append([1, 2], [1, 0], [0, 0], data)
    with pytest.raises(ValueError, match="2 vectors of 8"):
        index.append([1, 2], [1, 2], [0, 0], data[:-2])
    with pytest.raises(ValueError, match="one row id"):
        index.append([1, 2], [1], [0, 0], data)
    with pytest.raises(ValueError, match="8 finite numbers"):
        index.search(np.full(D, np.nan, np.float32), 3)
    assert (index.rows, index.last_id) == (0, 0)
    assert found(index, unit(1)[0]) == []


def test_what_a_crash_left_behind_the_header_is_cut_off(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    vectors = unit(6)
    add(index, [1, 2, 3], vectors[:3])
    for suffix in (".f32", ".i64", ".i8"):
        with only_file(tmp_path, suffix).open("ab") as file:
            file.write(b"half a row, or")
    reader = VectorIndex.open(tmp_path, SPACE, writable=False)
    assert found(reader, vectors[2])[0] == 3
    again = VectorIndex.open(tmp_path, SPACE)
    assert only_file(tmp_path, ".i8").stat().st_size == 3
    assert (again.rows, again.last_id) == (3, 3)
    add(again, [4, 5, 6], vectors[3:])
    assert found(VectorIndex.open(tmp_path, SPACE), vectors[4])[0] == 5


KILLED = """
import os, sys
from pathlib import Path
import numpy as np
from ml.vector_index import VectorIndex
index = VectorIndex.open(Path(sys.argv[1]), "model@1:mean-256", 8)
vectors = np.eye(8, dtype=np.float16)
index.append([1, 2], [1, 2], [0, 0], vectors[:2].tobytes())
flushes, flush = int(sys.argv[2]), os.fsync
def fsync(file):
    global flushes
    flushes -= 1
    flush(file) if flushes else os._exit(9)
os.fsync = fsync
index.append([3, 4], [3, 1], [0, 0], vectors[2:4].tobytes())
"""


@pytest.mark.parametrize("flush", [1, 2, 3, 4])  # three data files, then the header
def test_a_kill_while_rows_are_written_loses_only_them(tmp_path: Path, flush: int) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(flush)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=False,
    )
    assert killed.returncode == 9
    assert only_file(tmp_path, ".f32").stat().st_size == 4 * D * 4
    index = VectorIndex.open(tmp_path, SPACE)
    assert (index.rows, index.last_id) == (2, 2)
    axes = np.eye(D, dtype=np.float16)
    index.append([3, 4], [3, 1], [0, 0], axes[2:4].tobytes())
    assert found(index, axes[3])[0] == 1
    assert index.rows == 4


@pytest.mark.parametrize("suffix", [".f32", ".i64", ".i8"])
def test_a_file_that_is_too_short_or_missing_empties_the_cache(tmp_path: Path, suffix: str) -> None:
    for damage in ("short", "missing"):
        index = VectorIndex.open(tmp_path, SPACE, D)
        add(index, [1, 2, 3], unit(3))
        path = only_file(tmp_path, suffix)
        if damage == "short":
            os.truncate(path, path.stat().st_size - 1)
        else:
            path.unlink()
        index = VectorIndex.open(tmp_path, SPACE, D)
        assert (index.rows, index.last_id) == (0, 0)


@pytest.mark.parametrize(
    "header", ["", "[]", "{", '{"space": "other"}', '{"rows": -1}', '{"rows": "3"}']
)
def test_a_header_that_makes_no_sense_empties_the_cache(tmp_path: Path, header: str) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    add(index, [1, 2, 3], unit(3))
    path = only_file(tmp_path, ".json")
    sound = json.loads(path.read_bytes())
    path.write_text(json.dumps(sound | json.loads(header)) if len(header) > 2 else header)
    assert VectorIndex.open(tmp_path, SPACE, D).rows == 0
    add(VectorIndex.open(tmp_path, SPACE, D), [1], unit(1))
    assert VectorIndex.open(tmp_path, SPACE).rows == 1


def test_other_dimensions_begin_anew(tmp_path: Path) -> None:
    add(VectorIndex.open(tmp_path, SPACE, D), [1], unit(1))
    index = VectorIndex.open(tmp_path, SPACE, D * 2)
    assert (index.rows, index.last_id, index.dimensions) == (0, 0, D * 2)
    with pytest.raises(LookupError, match="Nothing is known"):
        VectorIndex.open(tmp_path, "another space")


def test_spaces_do_not_mix_whatever_their_names(tmp_path: Path) -> None:
    for item, space in enumerate(("../a:b", "a/b", "a b"), start=1):
        add(VectorIndex.open(tmp_path / "vectors", space, D), [item], unit(1))
    for item, space in enumerate(("../a:b", "a/b", "a b"), start=1):
        assert VectorIndex.open(tmp_path / "vectors", space).item_ids.tolist() == [item]
    assert [path.name for path in tmp_path.iterdir()] == ["vectors"]


def test_a_reader_keeps_new_rows_to_itself(tmp_path: Path) -> None:
    vectors = unit(60)
    add(VectorIndex.open(tmp_path, SPACE, D), list(range(1, 21)), vectors[:20])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    reader = VectorIndex.open(tmp_path, SPACE, D, writable=False)
    for start in range(20, 60, 2):  # more calls than it keeps segments
        add(reader, [start + 1, start + 2], vectors[start : start + 2])
    add(reader, [5], vectors[59:])  # replaces a row of the disk
    assert reader.last_id == 61
    assert found(reader, vectors[41])[0] == 42
    assert set(found(reader, vectors[59], 2)) == {5, 60}
    assert reader.pooled([1, 42]) == pytest.approx(vectors[[0, 41]].astype(np.float32), abs=2e-3)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_reader_needs_no_folder(tmp_path: Path) -> None:
    reader = VectorIndex.open(tmp_path / "none", SPACE, D, writable=False)
    add(reader, [3], unit(1))
    assert found(reader, unit(1)[0]) == [3]
    assert not (tmp_path / "none").exists()


def test_reset_forgets_everything(tmp_path: Path) -> None:
    index = VectorIndex.open(tmp_path, SPACE, D)
    add(index, [1, 2], unit(2))
    index.reset()
    assert (index.rows, index.last_id) == (0, 0)
    assert VectorIndex.open(tmp_path, SPACE).last_id == 0
    add(index, [1], unit(1))
    assert VectorIndex.open(tmp_path, SPACE).item_ids.tolist() == [1]


async def test_a_worker_process_searches(tmp_path: Path) -> None:
    vectors = unit(5)
    query = vectors[2].astype("<f4").tobytes()
    worker = Worker("vectors", "ml.vector_worker", {"directory": str(tmp_path), "writable": True})
    try:
        assert await worker.call("state", SPACE, D) == {"last_id": 0, "rows": 0, "items": 0}
        kinds = [0, 0, 2, 2, 2]
        await worker.call(
            "append", SPACE, [1, 2, 3, 4, 5], [1, 1, 2, 3, 4], kinds, vectors.tobytes()
        )
        hits = await worker.call("search", SPACE, query, 2, None)
        assert hits[0] == [2, pytest.approx(1, abs=1e-3), 0]
        assert len(hits) == 2
        only_first = await worker.call("search", SPACE, query, 5, [0])
        assert [hit[0] for hit in only_first] == [1]
        assert len(await worker.call("similar", SPACE, 2, 10, None)) == 3
        with pytest.raises(WorkerFailed, match="Nothing is known"):
            await worker.call("search", "unknown", query, 2, None)
        await worker.close()  # the next call starts a new process on the same files
        assert await worker.call("state", SPACE, D) == {"last_id": 5, "rows": 5, "items": 4}
        await worker.call("reset", SPACE)
        assert (await worker.call("state", SPACE, D))["rows"] == 0
    finally:
        await worker.close()


def test_the_vector_worker_does_not_import_torch() -> None:
    code = (
        "import sys, ml.vector_worker\n"
        "heavy = {'torch', 'transformers', 'scipy', 'sqlalchemy', 'aiohttp'} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or None)"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        check=True,
    )
