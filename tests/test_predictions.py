"""Predictions follow ratings at once, keep quiet while there is too little, and say what they
are worth."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from daemon.services import Services
from daemon.steps.step import StepIncomplete
from daemon.store import labels
from daemon.store.favourites import set_favourite
from daemon.store.labels import find_labels, guess
from daemon.store.models import Prediction, PredictionState, TasteModel, now, public_id
from daemon.store.plays import record_play
from daemon.vectors import index, predictions, rate_next, taste_models
from daemon.vectors.evaluator import Evaluator
from daemon.vectors.predictions import Reason, Reasons
from daemon.vectors.reasons import tell_reasons
from daemon.workers.worker import WorkerDied, WorkerFailed
from ml import evaluation, facts_space
from tests.household import Household, item_at, rate_path, run_steps
from tests.media import make_document
from tests.web_client import open_client
from web import rate

LIKED = ("violin sonata", "string quartet", "piano trio", "cello suite", "symphony", "oratorio")
DISLIKED = ("tax form", "insurance letter", "parking fine", "invoice", "bank statement", "receipt")


def make_library(household: Household, copies: int = 4) -> tuple[list[Path], list[Path]]:
    """Write texts of two tastes."""
    folder = household.folder("text")
    groups = []
    for words in (LIKED, DISLIKED):
        paths = [folder / f"{word} {n}.txt" for n in range(copies) for word in words]
        for number, path in enumerate(paths):
            make_document(path, f"About a {path.stem[:-2]}, number {number} of the pile.")
        groups.append(paths)
    return groups[0], groups[1]


async def rate_both(services: Services, liked: list[Path], disliked: list[Path]) -> None:
    """Rate texts as somebody with one of the two tastes does."""
    for path in (*liked, *disliked):
        await rate_path(services, path, 9 if path in liked else 2)


async def values(services: Services) -> dict[int, float]:
    async with services.database.read() as session:
        rows = await session.execute(select(Prediction.item_id, Prediction.value))
        return {row.item_id: row.value for row in rows}


def test_the_daemon_and_the_workers_agree_on_names_and_bounds() -> None:
    assert index.FACTS_SPACE == facts_space.FACTS_SPACE
    assert predictions.MINIMUM_RATINGS == evaluation.MINIMUM_RATINGS


async def test_ratings_become_predictions_and_a_correction_counts_at_once(
    household: Household,
) -> None:
    liked, disliked = make_library(household)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        for path in liked[:4]:
            await rate_path(services, path, 9)
        for path in disliked[:5]:
            await rate_path(services, path, 2)
        assert await run_steps(services, "train", "score") == [
            "me: 9 ratings; predictions begin at 10", "me: 1 more ratings needed",
        ]  # fmt: skip
        assert await values(services) == {}

        await rate_both(services, liked[4:14], disliked[5:15])
        lines = await run_steps(services, "train", "score")
        assert lines == ["me: learnt from 29 ratings: trusted", "me: 48 predictions"]
        assert await run_steps(services, "train", "score") == [
            "me: no new ratings", "me: nothing new",
        ]  # fmt: skip
        before = await values(services)
        good, bad = await item_at(services, liked[20]), await item_at(services, disliked[20])
        assert before[good] > before[bad] + 1
        async with services.database.read() as session:
            state = (await session.scalars(select(PredictionState))).one()
            model = (await session.scalars(select(TasteModel))).one()
        assert state.trusted
        assert model.figures["rmse"] < model.figures["mean_baseline"]["rmse"]

        for path in liked[14:20]:
            await rate_path(services, path, 0)
        assert await services.predictions.settle(1, timeout=30)
        after = await values(services)
        assert after[good] < before[good] - 0.3
        assert len(after) == 48


async def test_stored_predictions_do_not_drift_away_rating_by_rating(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:6], disliked[:6])
        await run_steps(services, "train", "score")
        for number, path in enumerate((*liked[6:], *disliked[6:])):
            await rate_path(services, path, 4 + number % 3)
            await services.predictions.refresh(1)
        stepwise = await values(services)
        async with services.database.write() as session:
            await session.execute(delete(Prediction))
            await session.execute(delete(PredictionState))
        await services.predictions.refresh(1)
        at_once = await values(services)
        assert stepwise.keys() == at_once.keys()
        assert max(abs(stepwise[i] - at_once[i]) for i in at_once) <= predictions.NEAR


async def test_taking_ratings_back_takes_predictions_away(household: Household) -> None:
    liked, disliked = make_library(household, copies=1)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked, disliked)
        assert await services.predictions.settle(1, timeout=30)
        assert len(await values(services)) == 12
        for path in liked[:3]:
            await rate_path(services, path, None)
        assert await services.predictions.settle(1, timeout=30)
        assert await values(services) == {}


async def test_a_new_file_is_predicted_when_it_has_been_taken_in(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked, disliked)
        await run_steps(services, "train", "score")
        new = household.folder("text") / "wind octet.txt"
        make_document(new, "A wind octet in four movements, for oboes, horns and bassoons.")
        await run_steps(services, "sync", "describe", "embed", "score")
        item = await item_at(services, new)
        assert item in await values(services), public_id(item)


def test_only_what_is_liked_speaks_for_a_prediction() -> None:
    unlike, against = Reason(1, 0.9, 2.0, True), Reason(2, -0.8, 9.0, True)
    weak, strong = Reason(3, 0.1, 8.0, True), Reason(4, 0.4, 9.0, True)
    assert Reasons(5.0, moved=(unlike, against, weak, strong)).speaking == [strong, weak]
    assert Reasons().speaking == []


async def test_reasons_name_what_is_alike_and_reach_page_and_api(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:9], disliked[:9])
        await run_steps(services, "train", "score")
        item = await item_at(services, liked[10])
        (reasons,) = await services.predictions.explain(1, [item])
        assert reasons.mean == pytest.approx(5.5, abs=0.2)
        assert reasons.moved[0].value == 9
        assert reasons.moved[0].points > 0
        async with services.database.read() as session:
            (line,) = await tell_reasons(session, [item], [reasons])
        assert line.startswith("your mean is 5.")
        assert "(rated 9, +" in line
        moved = (Reason(item, 2.04, 9, True), Reason(reasons.moved[0].item_id, -0.04, 9, True))
        async with services.database.read() as session:
            (own,) = await tell_reasons(session, [item], [Reasons(5.0, moved=moved)])
        assert own == "your mean is 5.0; moved by itself (rated 9, +2.0)"
        small = tuple(Reason(reasons.moved[0].item_id, 0.04, 9, True) for _ in range(3))
        async with services.database.read() as session:
            (together,) = await tell_reasons(session, [item], [Reasons(5.0, 0.0, small, 0.2)])
        assert together == "your mean is 5.0; all else you rated (+0.3)"
        async with open_client(services) as client:
            answer = await (await client.get(f"/api/items/{public_id(item)}/why")).json()
            assert answer["why"] == line
            assert answer["moved"][0]["rated"]
            points = sum(reason["points"] for reason in answer["moved"])
            total = answer["mean"] + answer["others"] + points + answer["rest"]
            expected = (await values(services))[item]
            assert total + answer["transformer"] == pytest.approx(expected, abs=0.01)
            assert "(rated 9, +" in await (await client.get(f"/items/{public_id(item)}/why")).text()


async def test_earlier_models_stay_and_a_worse_one_is_not_used(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:8], disliked[:8])
        await run_steps(services, "train", "score")
        await rate_path(services, liked[8], 8)
        learning = services.predictions._learning
        call = learning.call

        async def train_badly(operation: str, *arguments: Any) -> Any:
            answer = await call(operation, *arguments)
            return answer | {"worse": True} if operation == "train" else answer

        monkeypatch.setattr(learning, "call", train_badly)
        (line,) = await run_steps(services, "train")
        assert "does worse on held-out ratings; the old one stays in use" in line
        assert await run_steps(services, "train") == ["me: no new ratings"]
        async with services.database.read() as session:
            newest, first = await taste_models.find_models(session, 1)
        assert (newest.in_use, first.in_use) == (False, True)
        async with open_client(services) as client:
            assert (await client.post(f"/api/taste/{newest.id}/use")).status == 204
            assert (await client.post("/api/taste/999/use")).status == 404
            (row,) = (await (await client.get("/api/taste")).json())["profiles"]
        assert [(m["model"], m["in_use"]) for m in row["models"]] == [
            (newest.id, True), (first.id, False),
        ]  # fmt: skip
        assert await services.predictions.settle(1, timeout=30)


async def test_ratings_of_what_is_embedded_later_are_learnt_from_then(
    household: Household,
) -> None:
    liked, disliked = make_library(household, copies=1)
    more = household.folder("text") / "later"
    later = [more / f"{path.stem} again.txt" for path in (*liked, *disliked)]
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        for path in later:
            make_document(path, f"About a {path.stem}, of which more in the volume to come.")
        await run_steps(services, "sync")
        await rate_both(services, liked[:3], disliked[:3])
        await rate_both(services, later[:6], later[6:])
        assert (
            await run_steps(services, "train", "score")
            == ["me: too few rated items have a vector yet"] * 2
        )
        async with services.database.read() as session:
            assert await taste_models.find_models(session, 1) == []
        await run_steps(services, "describe", "embed")
        (line,) = await run_steps(services, "train")
        assert line.startswith("me: learnt from 18 ratings")
        assert await run_steps(services, "train") == ["me: no new ratings"]
        make_document(later[0], "About a violin sonata, in other words than before.")
        await run_steps(services, "sync", "describe", "embed")
        (line,) = await run_steps(services, "train")
        assert "no new ratings" not in line


async def test_what_fails_for_one_person_does_not_hold_up_the_others(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    household.also(profiles=("ann", "ben"))
    served = []

    async def train(_self: predictions.Predictions, profile_id: int) -> str:
        served.append(profile_id)
        if profile_id == 1:
            raise WorkerFailed("learning", "out of memory")
        return "learnt"

    monkeypatch.setattr(predictions.Predictions, "train", train)
    async with household.open() as services:
        with pytest.raises(StepIncomplete) as told:
            await run_steps(services, "train")
    assert served == [1, 2]
    assert told.value.summary == "ben: learnt"
    assert told.value.problem == "ann: learning: out of memory"


async def test_a_transformer_that_fails_leaves_the_head_as_learnt(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def train(_self: Evaluator, _profile_id: int) -> str:
        raise WorkerDied("evaluator was killed (SIGKILL)")

    monkeypatch.setattr(Evaluator, "train", train)
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:8], disliked[:8])
        with pytest.raises(StepIncomplete) as told:
            await run_steps(services, "train")
        assert told.value.summary.startswith("me: learnt from 16 ratings")
        assert told.value.problem == "me: the transformer: evaluator was killed (SIGKILL)"
        (line,) = await run_steps(services, "score")
        assert "predictions" in line


async def test_what_does_better_than_a_trusted_model_is_trusted(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:8], disliked[:8])
        await run_steps(services, "train", "score")
        async with services.database.write() as session:
            (first,) = await taste_models.find_models(session, 1)
            first.trusted = False
        await run_steps(services, "score")
        call = services.predictions._learning.call

        async def train_badly(operation: str, *arguments: Any) -> Any:
            answer = await call(operation, *arguments)
            return answer | {"worse": True, "trusted": True} if operation == "train" else answer

        monkeypatch.setattr(services.predictions._learning, "call", train_badly)
        await rate_path(services, liked[8], 8)
        await run_steps(services, "score", "train", "score")
        async with services.database.read() as session:
            used = await taste_models.model_in_use(session, 1)
            state = await session.get(PredictionState, 1)
        assert used is not None
        assert state is not None
        assert (used.id, used.trusted, state.trusted) == (first.id, True, True)


async def test_plays_and_hearts_are_weak_labels_that_a_rating_overrides(
    household: Household,
) -> None:
    liked, disliked = make_library(household, copies=3)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:6], disliked[:6])
        await run_steps(services, "train", "score")
        before = await values(services)
        for number, path in enumerate(disliked[6:14]):
            item = await item_at(services, path)
            for time in range(3):
                await play(services, item, f"{number} {time}", "finished")
        heart, skipped = await item_at(services, disliked[14]), await item_at(services, liked[7])
        await set_favourite(services.database, 1, heart, True)
        await play(services, skipped, "skip", "skipped")
        await play(services, await item_at(services, liked[0]), "rated", "skipped")
        async with services.database.read() as session:
            labels = await find_labels(session, 1)
        guessed = dict(zip(labels.items[12:], labels.values[12:], strict=True))
        assert labels.ratings == 12
        assert len(guessed) == 10
        assert guessed[heart] == pytest.approx(8.0)
        assert guessed[skipped] == pytest.approx(4.0)
        assert await services.predictions.settle(1, timeout=0)  # pages do not wait for plays
        assert await values(services) == before
        await run_steps(services, "score")
        after = await values(services)
        like_the_played = await item_at(services, disliked[16])
        assert after[like_the_played] > before[like_the_played] + 0.1


async def play(services: Services, item_id: int, key: str, outcome: str) -> None:
    await record_play(
        services.database, 1, item_id, source="web", event_key=key, played_at=now(), position=None,
        duration=None, outcome=outcome,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("outcomes", "is_favourite", "expected"),
    [
        ({}, False, None),
        ({"unknown": 4}, False, None),
        ({"finished": 1}, False, (6.75, 3.0)),
        ({"finished": 3}, False, (7.5, 2.0)),
        ({"finished": 500}, False, (8.5, 2.0)),
        ({"finished": 1, "skipped": 1}, False, None),
        ({"skipped": 1}, False, (4.5, 3.0)),
        ({"abandoned": 2}, False, (4.5, 2.0)),
        ({"skipped": 9}, True, (8.5, 2.0)),
    ],
)
def test_what_plays_speak_for(
    outcomes: dict[str, int], is_favourite: bool, expected: tuple[float, float] | None
) -> None:
    assert guess(outcomes, 6.0, is_favourite=is_favourite) == expected


async def test_what_to_rate_next_is_unlike_what_was_rated(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync")
        assert await services.rate_next.suggest(1, "text", count=3, left_out=(), seed=1) == []
        await run_steps(services, "describe", "embed")
        first = await services.rate_next.suggest(1, "text", count=1, left_out=(), seed=1)
        assert [question.why for question in first] == ["a good one to begin with"]
        for path in liked[:8]:
            await rate_path(services, path, 9)
        asked = await services.rate_next.suggest(1, "text", count=4, left_out=(), seed=1)
        others = {await item_at(services, path) for path in disliked}
        assert asked[0].item_id in others
        assert len({question.item_id for question in asked}) == 4
        assert "unlike what you rated so far" in asked[0].why
        skipped = [asked[0].item_id]
        again = await services.rate_next.suggest(1, "text", count=1, left_out=skipped, seed=1)
        assert again[0].item_id != asked[0].item_id
        async with open_client(services) as client:
            page = await (await client.get("/rate/text")).text()
            assert "Asked because it is unlike what you rated" in page
            answer = await (await client.get("/api/rate-next?kind=text&limit=5")).json()
            assert len(answer["items"]) == 5
            assert all(row["why"] and row["rating"] is None for row in answer["items"])


async def test_after_fifty_ratings_doubt_counts_too(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_next, "FIRST", 10)
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:8], disliked[:8])
        await run_steps(services, "train", "score")
        (question,) = await services.rate_next.suggest(1, "text", count=1, left_out=(), seed=1)
        assert "the prediction is unsure (± " in question.why


async def test_what_is_asked_for_may_be_variety_or_doubt(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services, open_client(services) as client:
        await run_steps(services, "sync", "describe", "embed")
        await rate_both(services, liked[:8], disliked[:8])
        await run_steps(services, "train", "score")
        asked = await services.rate_next.suggest(
            1, "text", count=50, left_out=(), seed=1, aim="doubt"
        )
        async with services.database.read() as session:
            rows = await session.execute(select(Prediction.item_id, Prediction.uncertainty))
            doubts = {row.item_id: row.uncertainty for row in rows}
        found = [doubts[question.item_id] for question in asked]
        assert found == sorted(found, reverse=True)
        assert len(found) > 3
        assert asked[0].why == f"what the model is least sure of (± {found[0]:.1f})"
        answer = await (await client.get("/api/rate-next?kind=text&by=doubt&limit=2")).json()
        assert [row["id"] for row in answer["items"]] == [
            public_id(question.item_id) for question in asked[:2]
        ]
        assert (await client.get("/api/rate-next?by=anything")).status == 400
        page = await (await client.get("/rate/text?by=doubt")).text()
        assert "Asked because it is what the model is least sure of" in page
        assert '<a href="/rate/text?trail=&amp;by=variety">variety</a>' in page
        body = {"item": answer["items"][0]["id"], "value": "5", "trail": "", "by": "doubt"}
        kept = await client.post("/rate/text", data=body, allow_redirects=False)
        assert kept.headers["Location"].endswith("&by=doubt")


async def test_hearts_come_before_plays_where_there_are_too_many(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "MOST_WEAK", 3)
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services:
        await run_steps(services, "sync")
        await rate_path(services, liked[0], 8)
        for number, path in enumerate(disliked[:4]):
            await play(services, await item_at(services, path), str(number), "finished")
        heart = await item_at(services, liked[1])  # its id is larger than those of the plays
        await set_favourite(services.database, 1, heart, True)
        async with services.database.read() as session:
            known = await find_labels(session, 1)
    assert known.items[1] == heart
    assert len(known.items) == 4


async def test_the_taste_page_shows_figures_and_brings_models_back(household: Household) -> None:
    liked, disliked = make_library(household, copies=2)
    async with household.open() as services, open_client(services) as client:
        await run_steps(services, "sync", "describe", "embed")
        assert "rate 10 more" in await (await client.get("/taste")).text()
        assert "as soon as there are predictions" in await (await client.get("/taste/map")).text()
        await rate_both(services, liked[:8], disliked[:8])
        await run_steps(services, "train", "score")
        page = await (await client.get("/taste")).text()
        assert "They beat" in page
        assert "8 times 9" in page
        await rate_path(services, liked[8], 8)
        await run_steps(services, "train")
        async with services.database.read() as session:
            models = await taste_models.find_models(session, 1)
        (unused,) = [model for model in models if not model.in_use]
        page = await (await client.get("/taste")).text()
        assert "Quality over time" in page
        assert page.count('<polyline class="') == 2
        page = await (await client.get("/taste/map")).text()
        assert page.count("expected</title>") == 24
        places = [float(x) for x in re.findall(r'circle cx="(-?[0-9.]+)" cy', page)[:24]]
        assert max(map(abs, places)) == 1
        (shade,) = re.findall(r'class="shade(.)"><title>violin sonata 0:', page)
        (other,) = re.findall(r'class="shade(.)"><title>tax form 0:', page)
        assert int(shade) >= 2 >= int(other)
        page = await (await client.post(f"/taste/{unused.id}/use")).text()
        assert page.count("in use") == 2  # one row, and the note below
        async with services.database.read() as session:
            used = await taste_models.model_in_use(session, 1)
        assert used is not None
        assert used.id == unused.id
        assert (await client.post("/taste/999/use")).status == 404


async def test_the_rate_page_does_not_wait_for_slow_vectors_nor_end_them(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_library(household, copies=1)
    ended: list[bool] = []
    thought = asyncio.Event()

    async def think(*_arguments: Any, **_more: Any) -> list[Any]:
        try:
            await thought.wait()
        finally:
            ended.append(asyncio.current_task().cancelling() == 0)  # type: ignore[union-attr]
        return []

    monkeypatch.setattr(rate_next.RateNext, "suggest", think)
    monkeypatch.setattr(rate, "PATIENCE", 0.05)
    async with household.open() as services, open_client(services) as client:
        await run_steps(services, "sync")
        page = await client.get("/rate/text")
        assert page.status == 200
        assert "Skip" in await page.text()
        assert ended == []
        thought.set()
        await asyncio.sleep(0)
        assert ended == [True]
