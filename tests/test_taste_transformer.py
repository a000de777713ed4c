"""The transformer of the taste model: it learns, is the same each time, and counts as it helps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select

from daemon.steps.step import StepIncomplete
from daemon.store.models import TasteModel
from daemon.vectors import evaluator
from daemon.vectors.taste_models import find_models
from ml import evaluator_worker, taste_transformer
from ml.evaluation import Labels, folds_of, stack
from ml.evaluator_worker import EvaluatorWorker, unpack
from ml.facts_space import FACTS_DIMENSIONS, FACTS_SPACE
from ml.taste_features import Features
from ml.taste_transformer import MOST_TOKENS, Tokens, hold_out, predict, train
from ml.vector_worker import start
from tests.household import Household, rate_path, run_steps
from tests.media import make_document
from tests.test_predictions import make_library, rate_both, values


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taste_transformer, "SEEDS", 2)
    monkeypatch.setattr(taste_transformer, "MOST_EPOCHS", 18)


def sequences(
    count: int, seed: int = 0
) -> tuple[Tokens, "np.ndarray[tuple[int], np.dtype[np.float64]]"]:
    """Items of one to four chunks; liked are those of which any chunk points one way.

    The mean of the chunks says little of that: it takes a model that looks at each.
    """
    chance = np.random.default_rng(seed)
    wanted = chance.normal(size=24)
    wanted /= np.linalg.norm(wanted)
    items, liked = [], []
    for _ in range(count):
        chunks = chance.normal(size=(int(chance.integers(1, 5)), 24)) * 0.3
        if is_liked := bool(chance.random() < 0.5):
            chunks[chance.integers(len(chunks))] += 2 * wanted
        items.append([chunks.astype(np.float32), chance.normal(size=(1, 6)).astype(np.float32)])
        liked.append(8.0 if is_liked else 3.0)
    noise = chance.normal(0, 0.7, count)
    return Tokens((24, 6), items), np.clip(np.array(liked) + noise, 0, 10)


def test_it_learns_and_gives_the_same_each_time() -> None:
    tokens, ratings = sequences(260)
    states = train(tokens.take(range(200)), ratings[:200], seed=3, device="cpu")
    rest = tokens.take(range(200, 260))
    expected = predict(states, rest, "cpu")
    error = float(np.sqrt(np.mean((expected - ratings[200:]) ** 2)))
    assert error < 0.6 * ratings[200:].std()
    again = train(tokens.take(range(200)), ratings[:200], seed=3, device="cpu")
    assert predict(again, rest, "cpu").tolist() == expected.tolist()
    assert ((expected >= 0) & (expected <= 10)).all()


def test_a_fold_is_predicted_by_a_model_that_has_not_seen_it() -> None:
    tokens, ratings = sequences(60)
    folds = folds_of(60, 3, 0)
    plain = hold_out(tokens, ratings, folds, seed=0, device="cpu")
    changed = ratings.copy()
    changed[folds[0]] = 10 - changed[folds[0]]
    other = hold_out(tokens, changed, folds, seed=0, device="cpu")
    assert plain[folds[0]].tolist() == other[folds[0]].tolist()
    assert plain[folds[1]].tolist() != other[folds[1]].tolist()


def test_long_and_empty_items_are_taken() -> None:
    chance = np.random.default_rng(0)
    long = chance.normal(size=(3 * MOST_TOKENS, 24)).astype(np.float32)
    none, one = np.empty((0, 24), np.float32), np.ones((1, 6), np.float32)
    tokens = Tokens((24, 6), [[long, one], [none, one], [none, np.empty((0, 6), np.float32)]])
    state = taste_transformer._state(taste_transformer.TransformerEvaluator((24, 6)))
    assert np.isfinite(predict([state], tokens, "cpu")).all()


def test_its_weight_is_as_much_as_it_helps() -> None:
    chance = np.random.default_rng(1)
    count = 150
    facts = np.full((count, FACTS_DIMENSIONS), np.nan)
    text = chance.normal(size=(count, 16)).astype(np.float32)  # says nothing
    ratings = np.clip(chance.normal(6, 2, count), 0, 10)
    labels = Labels.of(Features(text, facts), ratings)
    good = ratings + chance.normal(0, 0.5, count)
    found = stack(labels, good, folds=5, seed=0)
    assert found["weight"] > 0.8
    figures = found["figures"]
    assert figures["together"]["rmse"] < figures["head"]["rmse"] - 0.5
    assert found["narrowing"] < 0.5  # what is known better is less in doubt
    assert 0.55 < figures["together"]["coverage"] < 0.8
    noise = stack(labels, 6 + chance.normal(0, 2, count), folds=5, seed=0)
    assert (noise["weight"], noise["narrowing"]) == (0, 1)
    assert noise["figures"]["together"] == noise["figures"]["head"]  # as it will be used
    assert stack(labels, np.full(count, 6.0), folds=5, seed=0)["weight"] == 0


def test_tokens_cross_the_border_between_processes(tmp_path: Path) -> None:
    worker = start({"directory": str(tmp_path / "vectors"), "writable": True})
    for name, size in (("text", 8), ("sound", 4), (FACTS_SPACE, FACTS_DIMENSIONS)):
        worker.state(name, size)
    vectors = np.arange(24, dtype=np.float32).reshape(3, 8) / 24
    worker.append("text", [1, 2, 3], [7, 7, 9], [0, 0, 0], vectors.astype("<f2").tobytes())
    worker.append("sound", [1], [9], [0], np.ones((1, 4), "<f2").tobytes())
    tokens = unpack(worker.tokens(["text", "sound"], [9, 7, 5]))
    assert [[len(rows) for rows in item] for item in tokens.items] == [
        [1, 1, 1], [2, 0, 1], [0, 0, 1],
    ]  # fmt: skip
    assert tokens.items[1][0] == pytest.approx(vectors[:2], abs=1e-3)
    assert tokens.items[0][1].tolist() == [[1, 1, 1, 1]]


def test_what_was_saved_is_mixed_in(tmp_path: Path) -> None:
    chance = np.random.default_rng(2)
    worker = start({"directory": str(tmp_path / "vectors"), "writable": True})
    worker.state("text", 8)
    worker.state(FACTS_SPACE, FACTS_DIMENSIONS)
    ids = list(range(1, 31))
    vectors = chance.normal(size=(30, 8)).astype("<f2")
    worker.append("text", ids, ids, [0] * 30, vectors.tobytes())
    labels: dict[str, list[Any]] = {
        "items": ids[:20],
        "values": [5.0 + n % 3 for n in range(20)],
        "scales": [1.0] * 20,
    }
    settings = worker.train(["text"], labels, 0)["settings"]
    plain = np.frombuffer(worker.score(["text"], labels, settings)["values"], "<f4")
    trained = EvaluatorWorker("cpu")
    trained._items, trained._values = [30, 1], [9.0, 1.0]
    assert trained.save(str(tmp_path / "taste" / "4.npz")) == 2
    blend = {"name": "4.npz", "weight": 0.5, "narrowing": 0.8}
    scored, doubts = worker.score(["text"], labels, settings, blend), "uncertainties"
    mixed = np.frombuffer(scored["values"], "<f4")
    wide = np.frombuffer(worker.score(["text"], labels, settings)[doubts], "<f4")
    narrow = np.frombuffer(scored[doubts], "<f4")
    assert narrow[29] == pytest.approx(0.8 * wide[29])
    assert narrow[1:29].tolist() == wide[1:29].tolist()
    for item, told in zip([30, 2], worker.explain(["text"], labels, settings, [30, 2], blend),
                          strict=True):  # fmt: skip
        points = sum(points for _, points in told["moved"])
        total = told["mean"] + told["shift"] + points + told["rest"] + told["transformer"]
        assert total == pytest.approx(mixed[item - 1], abs=1e-3)
        assert (told["transformer"] != 0) == (item == 30)
    assert mixed[29] == pytest.approx((plain[29] + 9) / 2, abs=1e-4)
    assert mixed[0] == pytest.approx((plain[0] + 1) / 2, abs=1e-4)
    assert mixed[1:29].tolist() == plain[1:29].tolist()
    cut = (tmp_path / "taste" / "4.npz").read_bytes()[:300]
    for name, content in (
        ("5.npz", b"nonsense"), ("6.npz", cut), ("7.npz", b""), ("none.npz", None),
    ):  # fmt: skip
        if content is not None:
            (tmp_path / "taste" / name).write_bytes(content)
        odd = worker.score(["text"], labels, settings, {"name": name, "weight": 0.5})
        assert np.frombuffer(odd["values"], "<f4").tolist() == plain.tolist()


async def test_the_night_trains_it_weighs_it_and_uses_it(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "LEAST_RATINGS", 20)
    monkeypatch.setattr(evaluator, "FOLDS", 2)
    liked, disliked = make_library(household, copies=3)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:12], disliked[:12])
        (line,) = await run_steps(services, "train")
        assert "transformer on cpu: weight" in line
        assert await run_steps(services, "train") == ["me: no new ratings"]
        async with services.database.write() as session:
            model = (await session.scalars(select(TasteModel))).one()
            found = model.settings["evaluator"]
            assert found["figures"]["alone"]["rmse"] > 0
            assert 0 <= found["weight"] <= 1
            model.settings = model.settings | {"evaluator": found | {"weight": 0.0}}
        await run_steps(services, "score")
        async with services.database.write() as session:
            model = (await session.scalars(select(TasteModel))).one()
            model.settings = model.settings | {
                "evaluator": found | {"weight": 0.5, "name": "x.npz"}
            }
        before = await values(services)
        await run_steps(services, "score")  # its file is not there: the head alone
        assert await values(services) == before
        items = sorted(before)
        kept = evaluator_worker.EvaluatorWorker("cpu")
        kept._items, kept._values = items, [0.0] * len(items)
        kept.save(str(household.data_dir / "taste" / "y.npz"))
        async with services.database.write() as session:
            model = (await session.scalars(select(TasteModel))).one()
            model.settings = model.settings | {
                "evaluator": found | {"weight": 0.5, "name": "y.npz"}
            }
        await run_steps(services, "score")
        after = await values(services)
        assert after == {item: pytest.approx(before[item] / 2, abs=0.01) for item in items}


async def test_what_comes_after_the_night_is_predicted_by_the_same_transformer(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "LEAST_RATINGS", 20)
    monkeypatch.setattr(evaluator, "FOLDS", 2)
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        call = services.evaluator._index.call

        async def help_it(operation: str, *arguments: Any) -> Any:
            answer = await call(operation, *arguments)
            return answer | {"weight": 0.5} if operation == "stack" else answer

        monkeypatch.setattr(services.evaluator._index, "call", help_it)
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:11], disliked[:11])
        (line,) = await run_steps(services, "train")
        assert line.endswith("weight 0.50")
        make_document(household.folder("text") / "new.txt", "About a sonata that is quite new.")
        await run_steps(services, "sync", "describe", "embed")
        assert await run_steps(services, "train") == [
            "me: no new ratings; transformer: 1 new items"
        ]
        assert await run_steps(services, "train") == ["me: no new ratings"]
        async with services.database.read() as session:
            (model,) = await find_models(session, 1)
        predicted = household.data_dir / "taste" / model.settings["evaluator"]["name"]
        with np.load(predicted) as file:
            items = file["items"].tolist()
        assert len(set(items)) == len(items) == len(liked) + len(disliked) + 1

        await rate_path(services, liked[11], 9)
        await services.predictions.train(1)  # as `evaluate` does, without the transformer
        async with services.database.read() as session:
            newest, _ = await find_models(session, 1)
        assert (newest.settings["evaluator"]["weight"], newest.in_use) == (0.5, True)
        assert newest.settings["evaluator"]["labels"] == ""  # so the next night trains it anew


async def test_a_transformer_whose_files_are_gone_is_trained_anew(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluator, "LEAST_RATINGS", 20)
    monkeypatch.setattr(evaluator, "FOLDS", 2)
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:11], disliked[:11])
        await run_steps(services, "train")
        async with services.database.write() as session:
            (model,) = await find_models(session, 1)
            found = model.settings["evaluator"]
            lost = found | {"weight": 0.5, "name": "gone.npz"}
            model.settings = model.settings | {"evaluator": lost}
        with pytest.raises(StepIncomplete, match=r"the transformer: FileNotFoundError"):
            await run_steps(services, "train")
        (line,) = await run_steps(services, "train")
        assert "transformer on cpu: weight" in line
