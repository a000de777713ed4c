"""Predictions follow ratings at once, keep quiet while there is too little, and say what they
are worth."""

from pathlib import Path

from sqlalchemy import delete, select

from daemon.services import Services
from daemon.store.models import Prediction, PredictionState, TasteModel, public_id
from daemon.vectors import index, predictions
from ml import evaluation, facts_space
from tests.household import Household, item_at, rate_path, run_steps
from tests.media import make_document

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

        for path in (*liked[4:14], *disliked[5:15]):
            await rate_path(services, path, 9 if path in liked else 2)
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
        for path in (*liked[:6], *disliked[:6]):
            await rate_path(services, path, 9 if path in liked else 2)
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
        for path in (*liked, *disliked):
            await rate_path(services, path, 9 if path in liked else 2)
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
        for path in (*liked, *disliked):
            await rate_path(services, path, 9 if path in liked else 2)
        await run_steps(services, "train", "score")
        new = household.folder("text") / "wind octet.txt"
        make_document(new, "A wind octet in four movements, for oboes, horns and bassoons.")
        await run_steps(services, "sync", "describe", "embed", "score")
        item = await item_at(services, new)
        assert item in await values(services), public_id(item)
