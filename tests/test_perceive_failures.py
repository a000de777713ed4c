"""What fails on the way to a model, and what does not: nothing is lost, and the rest goes on."""

import asyncio
import time
from typing import Any

import pytest

from daemon.model_settings import ModelSettings
from daemon.steps.perceivers import HOPELESS, perceiving
from daemon.steps.step import StepFailed, StepIncomplete
from daemon.store.overview import find_set_aside
from daemon.store.work import try_again
from daemon.workers.worker import Worker, WorkerFailed
from tests.household import Household, run_step, run_steps
from tests.media import make_document
from tests.odd_house import (
    failures,
    odd_house,
    paint,
    seen,
    tell,
)

pytestmark = pytest.mark.usefixtures("odd_models")


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


async def test_one_item_that_never_fits_makes_no_batch_of_the_others_smaller(
    household: Household,
) -> None:
    odd_house(household, 24)
    log = household.home / "log"
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, huge=20, log=str(log))
        assert "odd 23, 1 failed on cpu" in await run_step(services, "describe")
        sizes = [len(line.split()) for line in log.read_text().splitlines()]
        assert sizes.count(4) == 6  # every batch, wherever that item comes


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
