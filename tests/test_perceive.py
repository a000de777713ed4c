"""Models look and listen: each item once, whatever happens to them on the way."""

import asyncio
import re
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from sqlalchemy import func, select

from connectors.base import Kind
from daemon import chosen_models
from daemon.chosen_models import ChosenModel, choose_models
from daemon.commands import model_check
from daemon.commands.model_check import examine_models
from daemon.model_settings import ModelSettings
from daemon.services import Services
from daemon.steps import STEPS, perceive
from daemon.steps.perceivers import HOPELESS, fill_board, perceiving, worker_name
from daemon.steps.step import StepFailed, StepIncomplete, StepRun
from daemon.store.models import Description, Item, ItemVector, Vector, Work
from daemon.store.overview import find_set_aside
from daemon.store.work import try_again
from daemon.workers.worker import Worker, WorkerFailed
from ml import query_worker
from ml.model_cards import BY_NAME, FAMILIES, Family, ModelCard
from ml.perceiving import ModelUnusable
from tests.household import LITE, Household, find_items, item_at, run_step, run_steps
from tests.media import make_audio, make_document, make_picture, write
from tests.servers import furnish, living_with
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.web_client import open_client

SPACE = "odd@1"


@pytest.fixture(autouse=True)
def odd_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings name models of an odd family; big ones too."""
    for name, vram in (("odd", 0.0), ("odd-2", 0.0), ("odd-big", 4.0)):
        card = ModelCard(name, "images", "odd", "none", package="numpy", vram_gigabytes=vram)
        monkeypatch.setitem(BY_NAME, name, card)
    ear = ModelCard("odd-ear", "audio", "odd_ear", "none", package="numpy")
    monkeypatch.setitem(BY_NAME, "odd-ear", ear)
    views: dict[str, Any] = {"images": ({"size": 64},), "videos": ({"size": 64},)}
    monkeypatch.setitem(FAMILIES, "odd", Family(views, says=True, batch=4))
    sound: dict[str, Any] = {"music": ({"rate": 8000, "seconds": 1},)}
    monkeypatch.setitem(FAMILIES, "odd_ear", Family(sound, says=True, batch=4))
    plain = chosen_models.ChosenModel.module.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(
        ChosenModel, "module",
        property(lambda m: "tests.odd_family" if m.card.family.startswith("odd") else plain(m)),
    )  # fmt: skip


def odd_house(household: Household, count: int = 10, *names: str) -> list[Path]:
    """Ask for odd models only; paint pictures, each in a shade of its own."""
    household.also(models=ModelSettings(audio=(), images=names or ("odd",)))
    return [paint(household, 10 * (n + 1)) for n in range(count)]


def paint(household: Household, shade: int, name: str = "") -> Path:
    path = household.folder("images") / f"{name or shade}.png"
    Image.new("RGB", (80, 60), (shade, shade, shade)).save(path)
    return path


def tell(services: Services, name: str = "odd", **options: Any) -> None:
    """Let a model behave oddly."""
    services.workers.models[name] = Worker(name, "tests.odd_family", options)


async def seen(services: Services, space: str = SPACE) -> dict[int, int]:
    """Return how many vectors each item has."""
    async with services.database.read() as session:
        rows = await session.execute(
            select(ItemVector.item_id, func.count())
            .where(ItemVector.space == space)
            .group_by(ItemVector.item_id)
        )
        return {row[0]: row[1] for row in rows}


async def words(services: Services, path: Path) -> dict[str, str]:
    item = await item_at(services, path)
    async with services.database.read() as session:
        rows = await session.scalars(select(Description).where(Description.item_id == item))
        return {row.producer: row.text for row in rows}


async def failures(services: Services) -> dict[str, int]:
    """Return the reasons of what failed, with how often it was tried."""
    async with services.database.read() as session:
        rows = await session.scalars(select(Work).where(Work.error.is_not(None)))
        return {str(row.error): row.attempts for row in rows}


class ShortNight(StepRun):
    """A night that is over when the models have had so many items."""

    most = 10**6

    def is_over(self) -> bool:
        paces = [s.pace for s in self.services.board.states() if s.name.startswith("odd")]
        return sum(pace.items for pace in paces) >= self.most


async def no_progress(_run: StepRun) -> None:
    return None


async def describe(services: Services, origin: str, most: int = 10**6) -> str:
    run = ShortNight(services, {}, {}, None, no_progress, origin=origin)
    run.most = most
    return await STEPS["describe"].run(run)


async def test_the_lite_set_gives_words_and_vectors_to_every_kind(
    household: Household, shared_media: Path
) -> None:
    household.also(models=LITE)
    labels: dict[Kind, str] = {"images": "Walls", "music": "Wesnoth", "videos": "Clips"}
    for kind, label in labels.items():
        shutil.copytree(shared_media / kind / label, household.folder(kind) / label)
    async with household.open() as services:
        lines = await run_steps(services, "sync", "describe", "embed")
        assert "musicnn 10 on cpu" in lines[1]
        assert "efficientnet-lite0 13 on cpu" in lines[1]
        found = {}
        for query in ("a bridge over a river", "a dog", "a clock on the wall", "slow strings",
                      "a flute", "a choir"):  # fmt: skip
            hits = await services.search.find(query, limit=3)
            async with services.database.read() as session:
                items = [await session.get(Item, hit.item_id) for hit in hits]
            found[query] = [(item.kind, item.title) for item in items if item]
        assert found["a bridge over a river"][0][1].startswith("Bridge")
        assert found["a dog"][0][1].startswith("friends")  # its tags say nothing of dogs
        assert found["a clock on the wall"][0][1].startswith("greentock")
        assert {title for _, title in found["slow strings"]} <= {
            "Sad", "Transience", "Revelation", "Main Theme"
        }  # fmt: skip
        assert found["a flute"][0][1] == "Love Theme"
        assert found["a choir"][0][1] == "Elf Land"
        assert set((await seen(services, "musicnn@0.1.0:mean-3s")).values()) == {1}
        sad = household.folder("music") / "Wesnoth" / "sad.ogg"
        assert "strings" in (await words(services, sad))["heard:musicnn"]
        similar = await services.search.similar(await item_at(services, sad), limit=3)
        assert len(similar) == 3


async def test_lite_works_on_generated_media_too(household: Household) -> None:
    household.also(models=LITE)
    make_audio(household.folder("music") / "a.mp3", title="One", seconds=4)
    make_picture(household.folder("images") / "a.jpg")
    async with household.open() as services:
        assert (
            "musicnn 1 on cpu; efficientnet-lite0 1"
            in (await run_steps(services, "sync", "describe"))[1]
        )
        again = await run_step(services, "describe")
        assert again == "0 described"
        assert all(w.process_id is None for w in services.workers.models.values())


async def test_an_item_is_decoded_once_for_all_its_models(household: Household) -> None:
    odd_house(household, 6, "odd", "odd-2")
    async with household.open() as services:
        tell(services, "odd", version=1)
        tell(services, "odd-2", version=2)
        calls = count_calls(services)
        await run_steps(services, "sync", "describe")
        assert calls.count("make_excerpts") == 6
        assert len(await seen(services, "odd@1")) == len(await seen(services, "odd@2")) == 6
        assert list((household.data_dir / "scratch").iterdir()) == []


def count_calls(services: Services) -> list[str]:
    calls: list[str] = []
    call = services.workers.files.call

    async def counted(operation: str, *arguments: Any, timeout: float | None = None) -> Any:
        calls.append(operation)
        return await call(operation, *arguments, timeout=timeout)

    services.workers.files.call = counted  # type: ignore[method-assign]
    return calls


async def test_new_tags_are_no_reason_to_look_again(household: Household) -> None:
    household.also(models=ModelSettings(audio=(), images=("odd",)))
    path = household.folder("images") / "a.jpg"
    make_picture(path)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
        calls = count_calls(services)
        write(path.with_name("a.jpg.meta"), b"Our house.")
        await run_steps(services, "sync", "describe")
        assert "make_excerpts" not in calls
        assert (await words(services, path))["sidecar"] == "Our house."
        assert "seen:odd" in await words(services, path)


async def test_a_note_of_the_person_comes_first_and_is_never_overwritten(
    household: Household,
) -> None:
    (path,) = odd_house(household, 1)
    write(path.with_name(path.name + ".meta"), b"My own words.")
    async with household.open() as services:
        for version in (1, 2):
            tell(services, version=version)
            await run_steps(services, "sync", "describe")
        found = await words(services, path)
        assert found["sidecar"] == "My own words."
        (hit,) = await services.search.find("own words shade", mode="words")
        assert hit.item_id == await item_at(services, path)


async def test_an_item_that_ends_the_process_is_set_aside_and_the_rest_goes_on(
    household: Household,
) -> None:
    odd_house(household, 10)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, poison=50)
        lines = [await run_step(services, "describe") for _ in range(4)]
        assert "odd 9, 1 failed on cpu" in lines[0]
        assert len(await seen(services)) == 9
        (reason,) = await failures(services)
        assert "odd ended" in reason
        assert (await failures(services))[reason] == 3
        assert lines[3] == "0 described"  # not tried a fourth time
        paint(household, 55, "50")  # another picture under the name
        tell(services)
        await run_steps(services, "sync", "describe")
        assert len(await seen(services)) == 10
        assert await failures(services) == {}


async def test_an_item_without_finite_numbers_is_set_aside_alone(household: Household) -> None:
    odd_house(household, 6)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, nan=30)
        assert "odd 5, 1 failed" in await run_step(services, "describe")
        assert await failures(services) == {"the model gave numbers that are not finite": 1}


async def test_a_file_that_cannot_be_decoded_is_named_and_set_aside(household: Household) -> None:
    paths = odd_house(household, 3)
    async with household.open() as services:
        await run_step(services, "sync")
        paths[1].write_bytes(paths[1].read_bytes()[:60])
        assert "odd 2, 1 failed" in await run_step(services, "describe")
        (reason,) = await failures(services)
        assert "damaged or cut short" in reason or "not a picture" in reason


async def test_what_cannot_be_opened_now_is_no_failure_and_stays_due(
    household: Household,
) -> None:
    paths = odd_house(household, 3)
    make_document(household.folder("text") / "a.txt", "A text.")
    async with household.open() as services:
        await run_step(services, "sync")
        folders = (paths[0].parent, household.folder("text"))
        for folder in folders:  # mounts that went before the next sync
            folder.rename(folder.with_name("away"))
        for _ in range(4):
            with pytest.raises(StepIncomplete, match="3 items are out of reach") as caught:
                await run_step(services, "describe")
            assert "described, 1 out of reach" in caught.value.summary
        assert await failures(services) == {}
        for folder in folders:
            folder.with_name("away").rename(folder)
        line = await run_step(services, "describe")
        assert line.startswith("1 described")
        assert "odd 3 on cpu" in line


async def test_a_model_that_fails_at_everything_does_not_set_the_library_aside(
    household: Household,
) -> None:
    odd_house(household, 24)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, faulty=True)
        with pytest.raises(StepIncomplete, match="odd: CUDA error"):
            await run_step(services, "describe")
        assert sum((await failures(services)).values()) <= HOPELESS
        tell(services)
        assert "odd 24 on cpu" in await run_step(services, "describe")


async def test_a_fault_of_cuda_does_not_outlive_its_process(household: Household) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, runs_on="cuda", fault_after=2)  # of each process
        assert "odd 12 on cuda" in await run_step(services, "describe")
        assert await failures(services) == {}


async def test_cancelling_wins_while_a_model_is_loaded(household: Household) -> None:
    odd_house(household, 2, "odd", "odd-2")
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, "odd")
        tell(services, "odd-2", loading=60)
        task = asyncio.create_task(run_step(services, "describe"))
        while services.workers.models["odd-2"].process_id is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - begun < 2
        states = [s for s in services.board.states() if s.role == "images"]
        assert [(s.is_loaded, s.at_work) for s in states] == [(False, False)] * 2


async def test_a_full_disk_is_no_fault_of_the_files_and_leaves_no_scraps(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_house(household, 3)
    scratch = household.data_dir / "scratch"
    async with household.open() as services:
        await run_step(services, "sync")
        call = services.workers.files.call

        async def full(operation: str, *arguments: Any, timeout: float | None = None) -> Any:
            (scratch / "half.npy").write_bytes(b"half")
            raise WorkerFailed("OSError", "[Errno 28] No space left on device")

        monkeypatch.setattr(services.workers.files, "call", full)
        with pytest.raises(StepFailed, match="No space left"):
            await run_step(services, "describe")
        assert await failures(services) == {}
        assert list(scratch.iterdir()) == []
        monkeypatch.setattr(services.workers.files, "call", call)
        assert "odd 3 on cpu" in await run_step(services, "describe")


async def test_out_of_memory_makes_the_batches_smaller(household: Household) -> None:
    odd_house(household, 10)
    log = household.home / "log"
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, most=1, log=str(log))
        assert "odd 10 on cpu" in await run_step(services, "describe")
        sizes = [len(line.split()) for line in log.read_text().splitlines()]
        assert sizes[:3] == [4, 2, 1]
        assert set(sizes[-6:]) == {1}  # what did not fit is not tried again and again
        assert await failures(services) == {}


async def test_what_does_not_fit_beside_a_model_of_larger_batches_is_left_out_nowhere(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "odd_wide", replace(FAMILIES["odd"], batch=12))
    wide = ModelCard("odd-wide", "images", "odd_wide", "none", package="numpy")
    monkeypatch.setitem(BY_NAME, "odd-wide", wide)
    odd_house(household, 12, "odd", "odd-wide")
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, most=1)
        line = await run_step(services, "describe")
    assert "odd 12 on cpu" in line


async def test_a_model_that_becomes_unusable_leaves_its_items_for_later(
    household: Household,
) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, broken_after=1)
        with pytest.raises(StepIncomplete, match="its weights are gone"):
            await run_step(services, "describe")
        assert len(await seen(services)) == 4
        assert await failures(services) == {}
        state = services.board.states()[-1]
        assert (state.problem, state.is_loaded) == ("odd: its weights are gone", False)
        tell(services)
        assert "odd 8 on cpu" in await run_step(services, "describe")


async def test_a_model_that_is_not_fetched_says_how_to_get_it(household: Household) -> None:
    household.also(models=ModelSettings(audio=(), images=("odd", "siglip-base")))
    paint(household, 10)
    async with household.open() as services:
        await run_step(services, "sync")
        with pytest.raises(StepIncomplete, match="models fetch siglip-base") as caught:
            await run_step(services, "describe")
        assert "odd 1 on cpu" in caught.value.summary


async def test_cancelling_wins_within_two_seconds_and_leaves_nothing_behind(
    household: Household,
) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, seconds=60)
        task = asyncio.create_task(run_step(services, "describe"))
        while services.workers.models["odd"].process_id is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(1.5)
        begun = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - begun < 2
        assert services.workers.models["odd"].process_id is None
        assert list((household.data_dir / "scratch").iterdir()) == []
        tell(services)
        assert "odd 12" in await run_step(services, "describe")


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


async def test_search_by_words_reaches_the_space_of_the_pictures(household: Household) -> None:
    odd_house(household, 10)
    async with household.open() as services:
        tell(services)
        await run_steps(services, "sync", "describe", "embed")
        hits = await services.search.find("70", kind="images", limit=2)
        best = household.folder("images") / "70.png"
        assert hits[0].item_id == await item_at(services, best)
        assert any("its look fits" in hit.why for hit in hits)
        similar = await services.search.similar(hits[0].item_id, limit=2)
        assert len(similar) == 2


async def test_a_model_with_an_environment_of_its_own_answers_queries_there(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard("odd-own", "images", "odd", "none", package="numpy", environment="own")
    monkeypatch.setitem(BY_NAME, "odd-own", card)
    python, log = household.home / "own" / "bin" / "python", household.home / "started.log"
    write(python, f'#!/bin/sh\necho "$3" >> {log}\nexec {sys.executable} "$@"\n'.encode())
    python.chmod(0o755)
    for n in range(3):
        paint(household, 40 * n)
    models = ModelSettings(audio=(), images=("odd-own",), environments=household.home)
    household.also(models=models)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await services.search.find("40", kind="images", limit=1)
        started = log.read_text().split()
        assert sorted(started) == ["ml.query_worker", "tests.odd_family"]
    python.unlink()
    async with household.open() as services:  # the other spaces still answer
        assert await services.search.find("40", kind="images", limit=1)
        text, picture = await services.search.points("40", "images")
        assert (len(text), picture) == (4 * 384, b"")


def test_a_model_that_does_not_answer_queries_is_not_loaded_for_each(tmp_path: Path) -> None:
    worker = query_worker.start({})
    folder = tmp_path / "model"
    with pytest.raises(ModelUnusable, match="There is no model in"):
        worker.embed_query("ml.families.clap", {"folder": str(folder)}, "clap@1", "rain")
    folder.mkdir()
    (folder / "config.json").write_text("not read again")
    with pytest.raises(ModelUnusable, match="There is no model in"):
        worker.embed_query("ml.families.clap", {"folder": str(folder)}, "clap@1", "rain")


async def test_the_board_tells_pace_memory_and_what_is_left(household: Household) -> None:
    odd_house(household, 25)
    async with household.open() as services:
        await run_step(services, "sync")
        await fill_board(services)
        state = services.board.states()[-1]
        assert (state.left, state.is_loaded, state.minutes_left) == (25, False, None)
        tell(services, seconds=0.5)
        task = asyncio.create_task(run_step(services, "describe"))
        while services.board.states()[-1].left in (None, 25):
            await asyncio.sleep(0.02)
        state = services.board.states()[-1]
        assert state.at_work
        assert state.is_loaded
        assert state.memory > 10 << 20
        assert state.reason == "it is odd"
        assert 200 < (state.pace.per_minute or 0) < 600  # four in half a second
        async with household.open() as beside:  # as `doctor` beside a daemon
            await fill_board(beside)
            told = beside.board.states()[-1]
        assert (told.process_id, told.device) == (state.process_id, "cpu")
        assert told.memory > 10 << 20
        assert told.minutes_left
        assert "loaded on cpu: it is odd; " in model_check._tell(told)
        await task
        await fill_board(services)
        state = services.board.states()[-1]
        assert (state.left, state.at_work, state.is_loaded) == (0, False, False)
        async with open_client(services) as client:
            rows = (await (await client.get("/api/models")).json())["models"]
        row = next(row for row in rows if row["name"] == "odd")
        assert (row["role"], row["left"], row["loaded"]) == ("images", 0, False)
        assert 200 < row["per_minute"] < 600
    async with household.open() as services:  # another process knows the pace too
        await fill_board(services)
        state = services.board.states()[-1]
        assert state.pace.per_minute
        assert model_check._tell(state).startswith("not loaded, last on cpu: it is odd; 0 items")
        text = services.board.states()[0]
        assert (text.role, text.left) == ("text", 25)


async def test_the_pace_counts_the_time_that_a_model_waits_for_decoding(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services)
        call = services.workers.files.call

        async def slow(operation: str, *arguments: Any, timeout: float | None = None) -> Any:
            await asyncio.sleep(0.5)
            return await call(operation, *arguments, timeout=timeout)

        monkeypatch.setattr(services.workers.files, "call", slow)
        await run_step(services, "describe")
        assert (services.board.states()[-1].pace.per_minute or 0) < 600  # two in half a second


async def test_what_was_set_aside_names_its_model_and_can_be_tried_again(
    household: Household,
) -> None:
    paint(household, 50)
    odd_house(household, 0)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, poison=50)
        for _ in range(3):
            await run_step(services, "describe")
        async with services.database.read() as session:
            (failure,), total = await find_set_aside(session, perceiving(services))
            assert await find_set_aside(session, ["perceive:another"]) == ([], 0)
        assert (failure.place, failure.name, failure.is_final, total) == ("odd", "50", True, 1)
        tell(services)
        assert await run_step(services, "describe") == "0 described"
        async with services.database.write() as session:
            await try_again(session)
        assert "odd 1 on cpu" in await run_step(services, "describe")
        assert await failures(services) == {}


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


async def test_doctor_loads_every_model_and_shows_it_samples(household: Household) -> None:
    odd_house(household, 1, "odd", "odd-big")
    async with household.open() as services:
        tell(services, "odd-big", version=2)
        found = {f.about: f async for f in examine_models(services, thoroughly=True)}
        assert found["text model"].is_well
        assert "on cpu" in found["text model"].message
        odd, big = found["images model odd"], found["images model odd-big"]
        assert odd.is_well
        assert "2 vectors; images: Looks like: shade" in odd.message
        assert odd.message.endswith("; answers queries")
        assert not big.is_well  # a large model that ends up on the CPU is worth a word
        assert all(worker.process_id is None for worker in services.workers.models.values())
        assert list((household.data_dir / "scratch").iterdir()) == []
        tell(services, broken_after=0)
        found = {f.about: f async for f in examine_models(services, thoroughly=True)}
        assert "its weights are gone" in found["images model odd"].message


async def test_the_jobs_page_shows_the_models(household: Household) -> None:
    odd_house(household, 3)
    async with household.open() as services:
        tell(services)
        await run_steps(services, "sync", "describe")
        async with open_client(services) as client:
            page = await (await client.get("/jobs")).text()
        assert re.search(
            r"<td>odd</td><td>images</td>\s*<td>not loaded <span class=\"small\">"
            r"last on cpu: it is odd</span></td>",
            page,
        )
        assert "a minute</td>" in page


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceive, "PAGE", 5)


async def test_pages_leave_nothing_out_and_take_nothing_twice(
    household: Household, small_pages: None
) -> None:
    odd_house(household, 23)
    log = household.home / "log"
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, log=str(log))
        await run_step(services, "describe")
        shades = [int(s) for s in log.read_text().split()]
        assert sorted(shades) == [10 * (n + 1) % 256 if n < 25 else 0 for n in range(23)]
        assert len(await find_items(services)) == 23


async def test_what_only_a_server_has_is_fetched_and_heard(household: Household) -> None:
    path = household.home / "tone.ogg"
    make_audio(path, seconds=3)
    jellyfin = FakeJellyfin()
    furnish(jellyfin, 3)
    first, second, _ = (i for i in jellyfin.items.values() if i.type == "Audio")
    first.content = second.content = path.read_bytes()
    second.content = second.content[:-1000]  # damaged, and still to be heard as far as it goes
    household.also(models=ModelSettings(audio=("odd-ear",), images=()))
    with jellyfin.run_in_thread():
        async with living_with(household, jellyfin) as services:
            tell(services, "odd-ear")
            await run_step(services, "sync")
            assert "odd-ear 2, 1 failed" in await run_step(services, "describe")
            assert len(await seen(services)) == 2
            assert len(await failures(services)) == 1
            assert not list(services.workers.scratch.iterdir())


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


async def test_a_text_model_that_fails_at_everything_does_not_set_the_library_aside(
    household: Household,
) -> None:
    household.also(models=ModelSettings(audio=(), images=()))
    for number in range(HOPELESS + 4):
        make_document(household.folder("text") / f"{number}.txt", f"Text {number}")
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
        whole = services.workers.text
        services.workers.text = Worker("text", "tests.odd_family", {"faulty": True})
        for _ in range(3):
            with pytest.raises(StepFailed, match=r"fails at everything: .*CUDA error"):
                await run_step(services, "embed")
        assert await failures(services) == {}
        await services.workers.text.close()
        services.workers.text = whole
        assert (await run_step(services, "embed")).startswith(f"{HOPELESS + 4} embedded")


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
