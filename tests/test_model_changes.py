"""Other models, other settings, nights: exactly what they concern is made anew."""

from typing import Any

import pytest
from sqlalchemy import func, select

from daemon.chosen_models import choose_models
from daemon.model_settings import ModelSettings
from daemon.services import Services
from daemon.steps import STEPS
from daemon.steps.perceivers import worker_name
from daemon.steps.step import StepFailed, StepIncomplete
from daemon.store.models import Vector
from daemon.workers.worker import Worker, WorkerFailed
from tests.household import Household, run_step, run_steps
from tests.media import make_document
from tests.odd_house import ShortNight, describe, no_progress, odd_house, paint, seen, tell, words

pytestmark = pytest.mark.usefixtures("odd_models")


async def test_a_model_that_is_not_fetched_says_how_to_get_it(household: Household) -> None:
    household.also(models=ModelSettings(audio=(), images=("odd", "siglip-base")))
    paint(household, 10)
    async with household.open() as services:
        await run_step(services, "sync")
        with pytest.raises(StepIncomplete, match="models fetch siglip-base") as caught:
            await run_step(services, "describe")
        assert "odd 1 on cpu" in caught.value.summary


async def test_the_end_of_the_quiet_hours_stops_after_the_batch_in_hand(
    household: Household,
) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        services.workers.models["odd"] = Worker("odd", "tests.cannot_be_loaded", {})
        line = await describe(services, "schedule", most=0)  # and it need not be
        assert "12 left for the next night" in line
        assert await seen(services) == {}
        tell(services)
        line = await describe(services, "schedule", most=1)
        assert "odd 4 on cpu; 8 left for the next night" in line
        assert len(await seen(services)) == 4
        await describe(services, "schedule")
        assert len(await seen(services)) == 12


async def test_big_models_work_at_once_the_first_time_and_then_at_night(
    household: Household,
) -> None:
    odd_house(household, 2, "odd-big")
    async with household.open() as services:
        await run_step(services, "sync")
        assert "odd-big 2" in await describe(services, "clock")
        paint(household, 200)
        await run_step(services, "sync")
        assert await describe(services, "clock") == "1 described"
        assert "odd-big 1" in await describe(services, "schedule")
        paint(household, 210)
        await run_step(services, "sync")
        assert "odd-big 1" in await describe(services, "person")


async def test_another_model_renews_exactly_what_the_first_made_while_search_goes_on(
    household: Household,
) -> None:
    odd_house(household, 8)
    make_document(household.folder("text") / "a.txt", "A text that no picture model sees.")
    async with household.open() as services:
        tell(services)
        await run_steps(services, "sync", "describe", "embed")
        before = await vectors_of(services, "gt-all%")
    household.also(models=ModelSettings(audio=(), images=("odd-2",)))
    async with household.open() as services:
        tell(services, "odd-2", version=2)
        await describe(services, "schedule", most=1)
        assert len(await seen(services, "odd@2")) == 4
        used = await services.index.media_spaces()
        assert [(u.model, u.space.name) for u in used] == [("odd", "odd@1")]
        found = await services.search.find("shade 40", kind="images", limit=1)
        assert len(found) == 1
        await describe(services, "schedule")
        used = await services.index.media_spaces()
        assert [(u.model, u.space.name) for u in used] == [("odd-2", "odd@2")]
        assert len(await seen(services, "odd@2")) == 8
        producers = await words(services, household.folder("images") / "10.png")
        assert producers.keys() == {"tags", "seen:odd-2"}  # what the old one said is gone
        assert await vectors_of(services, "gt-all%") == before  # until embed renews the words


async def test_a_further_model_of_a_role_leaves_the_words_of_the_first(
    household: Household,
) -> None:
    odd_house(household, 2)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
    household.also(models=ModelSettings(audio=(), images=("odd", "odd-2")))
    async with household.open() as services:
        tell(services, "odd-2", version=2)
        await run_step(services, "describe")
        said = await words(services, household.folder("images") / "10.png")
        assert said.keys() == {"tags", "seen:odd", "seen:odd-2"}
        assert len(await seen(services, "odd@1")) == len(await seen(services, "odd@2")) == 2


def choose(household: Household, *names: str) -> None:
    household.also(models=ModelSettings(audio=(), images=names))


async def used_models(services: Services) -> list[str]:
    return [used.model for used in await services.index.media_spaces()]


async def test_a_model_taken_out_of_a_role_takes_its_words_and_its_space_along(
    household: Household,
) -> None:
    paths = odd_house(household, 3, "odd", "odd-2")
    make_document(household.folder("text") / "a.txt", "A text that no picture model sees.")
    paths[2].with_name("30.png.meta").write_text("My own words.")
    async with household.open() as services:
        tell(services, "odd-2", version=2)
        await run_steps(services, "sync", "describe", "embed")
        assert await used_models(services) == ["odd", "odd-2"]
        paths[0].unlink()
        await run_step(services, "sync")
    choose(household, "odd")
    async with household.open() as services:
        line = await run_step(services, "describe")
        assert line == "0 described; words of former models dropped from 2 items"
        assert await used_models(services) == ["odd"]
        assert (await words(services, paths[1])).keys() == {"tags", "seen:odd"}
        assert (await words(services, paths[2])).keys() == {"tags", "seen:odd", "sidecar"}
        assert (await words(services, paths[0])).keys() == {"tags", "seen:odd", "seen:odd-2"}
        assert (await run_step(services, "embed")).startswith("2 embedded")
        assert await run_step(services, "describe") == "0 described"
    choose(household)
    async with household.open() as services:
        assert len(await services.search.find("shade", mode="words")) == 2
        assert "dropped from 2 items" in await run_step(services, "describe")
        assert await used_models(services) == []
        assert (await words(services, paths[2])).keys() == {"tags", "sidecar"}
        assert await services.search.find("shade", mode="words") == []
        assert len(await services.search.find("own", mode="words")) == 1


async def test_what_a_former_model_left_stays_until_the_others_of_its_role_are_done(
    household: Household,
) -> None:
    paths = odd_house(household, 3)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
    choose(household, "siglip-base")
    async with household.open() as services:
        with pytest.raises(StepIncomplete, match="models fetch siglip-base"):
            await run_step(services, "describe")
        assert "seen:odd" in await words(services, paths[0])
        assert await used_models(services) == ["odd"]
    choose(household, "odd-2")
    async with household.open() as services:
        tell(services, "odd-2", version=2, poison=20)
        for _ in range(2):
            await run_step(services, "describe")
            assert (await words(services, paths[1])).keys() == {"tags", "seen:odd"}
        assert "dropped from 1 items" in await run_step(services, "describe")  # it was set aside
        assert (await words(services, paths[1])).keys() == {"tags"}
        assert (await words(services, paths[0])).keys() == {"tags", "seen:odd-2"}


@pytest.mark.parametrize("between", [(), ("odd-2",)])
async def test_a_model_that_is_chosen_again_begins_anew(
    household: Household, between: tuple[str, ...]
) -> None:
    paths = odd_house(household, 6)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
    choose(household, *between)
    async with household.open() as services:
        tell(services, "odd-2", version=2)
        await run_step(services, "describe")
        assert await used_models(services) == list(between)
    choose(household, "odd")
    async with household.open() as services:
        assert "odd 6 on cpu" in await run_step(services, "describe")
        assert await used_models(services) == ["odd"]
        assert [set(await words(services, path)) for path in paths] == [{"tags", "seen:odd"}] * 6


async def test_a_model_that_is_chosen_again_does_anew_what_another_had_begun(
    household: Household,
) -> None:
    paths = odd_house(household, 6)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
    choose(household, "odd-2")
    async with household.open() as services:
        tell(services, "odd-2", version=2)
        assert "odd-2 4 on cpu; 2 left" in await describe(services, "schedule", most=1)
    choose(household, "odd")
    async with household.open() as services:
        assert "odd 4 on cpu" in await run_step(services, "describe")
        assert await used_models(services) == ["odd"]
        assert [set(await words(services, path)) for path in paths] == [{"tags", "seen:odd"}] * 6


async def vectors_of(services: Services, space: str) -> int:
    async with services.database.read() as session:
        return (
            await session.scalar(
                select(func.count()).select_from(Vector).where(Vector.space.like(space))
            )
            or 0
        )


async def test_a_setting_that_changes_what_is_made_makes_it_due(household: Household) -> None:
    first = ModelSettings(omni=("gemma-4-e2b",))
    for other, is_same in (
        (ModelSettings(omni=("gemma-4-e2b",), device="cpu"), True),
        (ModelSettings(omni=("gemma-4-e2b",), longest_answer=50), False),
        (ModelSettings(omni=("gemma-4-e2b",), four_bit=False), False),
    ):
        keys = []
        for models in (first, other):
            household.also(models=models)
            chosen = {m.name: m for m in choose_models(household.settings)}
            keys.append(worker_name(chosen["gemma-4-e2b"]))
        assert (keys[0] == keys[1]) == is_same


async def test_a_text_model_that_is_not_fetched_is_not_said_to_wait_for_the_night(
    household: Household,
) -> None:
    household.also(models=ModelSettings(audio=(), images=()))
    make_document(household.folder("text") / "a.txt", "A text.")
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
    household.also(models=ModelSettings(text="jina-embeddings-v3", audio=(), images=()))
    async with household.open() as services:
        run = ShortNight(services, {}, {}, None, no_progress, origin="clock")
        with pytest.raises(StepFailed, match="models fetch jina-embeddings-v3"):
            await STEPS["embed"].run(run)


class OnlyReads:
    """A text model that starts, cuts texts, and then fails."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def call(self, operation: str, *arguments: Any) -> Any:
        if operation == "embed":
            raise WorkerFailed("ModelUnusable", "its weights are gone")
        return await self._worker.call(operation, *arguments)


async def test_another_text_model_takes_over_once_it_has_read_all(
    household: Household,
) -> None:
    folder = household.folder("text")
    for number in range(6):
        make_document(folder / f"{number}.txt", f"Rain on the window, number {number}.")
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        old = await services.index.text_space()
    household.also(models=ModelSettings(text="multilingual", audio=(), images=()))
    async with household.open() as services:
        make_document(folder / "new.txt", "A palace by the sea.")
        await run_steps(services, "sync", "describe")
        whole = services.workers.text
        services.workers.text = OnlyReads(whole)  # type: ignore[assignment]
        with pytest.raises(StepFailed, match="its weights are gone"):
            await run_step(services, "embed")
        assert await services.index.text_space() == old
        assert len(await services.search.find("rain", kind="text", limit=3)) == 3
        services.workers.text = whole
        await run_step(services, "embed")
        space = await services.index.text_space()
        assert space
        assert space != old
        assert len(await services.search.find("palace", kind="text", limit=3)) == 3
