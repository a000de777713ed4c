"""Runs are rows: they survive kills, end at once when cancelled, keep their order and hours."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from daemon.jobs import runner
from daemon.jobs.queue import (
    claim,
    enqueue,
    enqueue_files,
    enqueue_unless_waiting,
    group_runs,
    request_cancel,
)
from daemon.jobs.runner import SHARES, Runner, running
from daemon.jobs.schedule import scheduling
from daemon.jobs.window import window_end
from daemon.services import Services
from daemon.settings import ScheduleSettings
from daemon.steps import STEPS
from daemon.steps.step import Step, StepFailed, StepIncomplete, StepRun
from daemon.store.models import JobRun, now
from daemon.workers.worker import Worker
from tests.household import Household
from tests.media import make_document


@pytest.fixture
async def services(household: Household) -> AsyncIterator[Services]:
    async with household.open() as services:
        yield services


@asynccontextmanager
async def step(name: str, run: Callable[[StepRun], Awaitable[str]]) -> AsyncIterator[None]:
    """Put a step of the test's own in the place of one of the pipeline."""
    original = STEPS[name]
    STEPS[name] = Step(name, name, original.lane, run)  # type: ignore[arg-type]
    try:
        yield
    finally:
        STEPS[name] = original


async def ended(services: Services, group: str, *, within: float = 20) -> list[JobRun]:
    """Wait for the end of a group's runs."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        async with services.database.read() as session:
            runs = list(await group_runs(session, group))
        if all(run.state not in ("queued", "running") for run in runs):
            return runs
        await asyncio.sleep(0.02)
    raise AssertionError([(run.step, run.state) for run in runs])


async def test_the_runs_of_a_group_follow_one_another_across_lanes(services: Services) -> None:
    order = []

    def noting(name: str) -> Callable[[StepRun], Awaitable[str]]:
        async def run(_run: StepRun) -> str:
            order.append(f"{name} begins")
            await asyncio.sleep(0.05)
            order.append(f"{name} ends")
            return name

        return run

    async with (
        step("sync", noting("sync")),
        step("train", noting("train")),
        step("backup", noting("backup")),
        running(Runner(services)),
    ):
        group = await enqueue(services.database, ["sync", "train", "backup"])
        runs = await ended(services, group)
    assert [run.message for run in runs] == ["sync", "train", "backup"]
    assert order == [f"{n} {w}" for n in ("sync", "train", "backup") for w in ("begins", "ends")]


async def test_a_lane_runs_one_at_a_time_and_lanes_run_beside_each_other(
    services: Services,
) -> None:
    busy: set[str] = set()
    begun = {name: asyncio.Event() for name in ("sync", "train", "score")}

    def waiting_for(other: str, name: str) -> Callable[[StepRun], Awaitable[str]]:
        async def run(_run: StepRun) -> str:
            beside = " ".join(busy)
            busy.add(name)
            begun[name].set()
            await asyncio.wait_for(begun[other].wait(), 10)
            busy.discard(name)
            return beside

        return run

    async with (
        step("sync", waiting_for("score", "sync")),
        step("train", waiting_for("sync", "train")),
        step("score", waiting_for("sync", "score")),
        running(Runner(services)),
    ):
        groups = [await enqueue(services.database, [n]) for n in ("sync", "train", "score")]
        beside = {
            n: (await ended(services, g))[0].message for n, g in zip(begun, groups, strict=True)
        }
    assert beside["train"] in ("", "sync")
    assert beside["score"] == "sync"  # which waited for it; and train had ended


async def test_what_a_step_raises_is_told_and_the_rest_goes_on(services: Services) -> None:
    async def fail(_run: StepRun) -> str:
        raise StepFailed("The disk is full; free some space.")

    async def stumble(_run: StepRun) -> str:
        raise StepIncomplete("3 done", "Living room is out of reach")

    async def crash(_run: StepRun) -> str:
        raise ZeroDivisionError("by zero")

    async with (
        step("sync", fail),
        step("train", stumble),
        step("score", crash),
        running(Runner(services)),
    ):
        group = await enqueue(services.database, ["sync", "train", "score", "backup"])
        runs = await ended(services, group)
    assert [(run.state, run.error) for run in runs] == [
        ("failed", "The disk is full; free some space."),
        ("done", "Living room is out of reach"),
        ("failed", "ZeroDivisionError: by zero"),
        ("done", ""),
    ]


@pytest.mark.parametrize("is_stubborn", [False, True])
async def test_cancelling_wins_within_two_seconds(services: Services, *, is_stubborn: bool) -> None:
    """Stubborn: the worker process is in a call that never ends."""
    begun, worker = asyncio.Event(), Worker("odd", "tests.odd_worker", {})
    await worker.call("echo", 1)

    async def work(_run: StepRun) -> str:
        begun.set()
        if is_stubborn:
            await worker.call("hang")
        await asyncio.sleep(3600)
        return "never"

    async with step("sync", work), running(Runner(services)):
        group = await enqueue(services.database, ["sync", "train"])
        await asyncio.wait_for(begun.wait(), 10)
        async with services.database.read() as session:
            first, second = await group_runs(session, group)
        started = time.monotonic()
        assert await request_cancel(services.database, first.id)
        assert await request_cancel(services.database, second.id)
        runs = await ended(services, group)
        assert time.monotonic() - started < 2
    assert [run.state for run in runs] == ["cancelled", "cancelled"]
    assert not await request_cancel(services.database, first.id)
    assert worker.process_id is None or not is_stubborn
    await worker.close()


async def test_a_run_of_a_dead_process_goes_on_from_its_checkpoint(services: Services) -> None:
    group = await enqueue(services.database, ["sync"])
    run = await claim(services.database, "io")
    assert run is not None
    async with services.database.write() as session:
        await session.execute(update(JobRun).values(checkpoint={"finished": ["music"]}))
    seen = []

    async def resume(run: StepRun) -> str:
        seen.append(run.checkpoint)
        return "went on"

    async with step("sync", resume), running(Runner(services)):
        (again,) = await ended(services, group)
    assert seen == [{"finished": ["music"]}]
    assert (again.state, again.attempts) == ("done", 2)


async def test_a_run_that_kills_its_process_each_time_is_given_up(services: Services) -> None:
    group = await enqueue(services.database, ["sync"])
    for _ in range(3):
        async with services.database.write() as session:
            await session.execute(update(JobRun).values(state="queued"))
        await claim(services.database, "io")
    async with running(Runner(services)):
        (run,) = await ended(services, group)
    assert run.state == "failed"
    assert "three times" in run.error


async def test_closing_the_daemon_leaves_the_run_for_the_next_start(services: Services) -> None:
    begun = asyncio.Event()

    async def work(_run: StepRun) -> str:
        begun.set()
        await asyncio.sleep(3600)
        return ""

    async with step("sync", work), running(Runner(services)):
        group = await enqueue(services.database, ["sync"])
        await asyncio.wait_for(begun.wait(), 10)
    async with running(Runner(services)):
        (run,) = await ended(services, group)
    assert (run.state, run.attempts) == ("done", 1)  # an end in good order is no failed attempt


async def test_what_a_person_asks_for_goes_before_what_the_clock_asks_for(
    services: Services,
) -> None:
    await enqueue(services.database, ["sync"], origin="schedule")
    await enqueue(services.database, ["backup"], origin="person")
    run = await claim(services.database, "io")
    assert run is not None
    assert run.step == "backup"


async def test_file_events_that_wait_are_put_together(services: Services) -> None:
    await enqueue_files(services.database, ["sync", "describe"], {"music": ["61"]})
    await enqueue_files(services.database, ["sync", "describe"], {"music": ["62"], "text": ["63"]})
    async with services.database.read() as session:
        runs = (await session.scalars(select(JobRun).where(JobRun.step == "sync"))).all()
    assert [run.options for run in runs] == [{"under": {"music": ["61", "62"], "text": ["63"]}}]


async def test_the_clock_does_not_pile_up_runs(services: Services) -> None:
    assert await enqueue_unless_waiting(services.database, ["sync"], origin="clock")
    assert not await enqueue_unless_waiting(services.database, ["sync"], origin="clock")


def local(hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 3, 2, hour, minute).astimezone()


async def test_what_waits_behind_a_long_run_does_not_pile_up(services: Services) -> None:
    take_in = ("sync", "describe", "embed", "score")
    for _ in range(3):  # syncs are soon done, beside a run that takes days
        assert await enqueue_unless_waiting(services.database, take_in, origin="clock")
        await enqueue_files(services.database, take_in, {"music": ["61"]})
        async with services.database.write() as session:
            await session.execute(update(JobRun).where(JobRun.step == "sync").values(state="done"))
    async with services.database.read() as session:
        queued = list(await session.scalars(select(JobRun.step).where(JobRun.state == "queued")))
    assert sorted(queued) == sorted(2 * take_in[1:])


async def test_what_waits_before_the_step_that_it_should_follow_comes_again_after_it(
    services: Services,
) -> None:
    order: list[str] = []
    goes_on = asyncio.Event()

    def work(name: str) -> Callable[[StepRun], Awaitable[str]]:
        async def run(_run: StepRun) -> str:
            order.append(name)
            if name == "describe":
                await goes_on.wait()
            return ""

        return run

    async with (
        step("describe", work("describe")), step("embed", work("embed")),
        step("score", work("score")), running(Runner(services)),
    ):  # fmt: skip
        first = await enqueue(services.database, ["describe", "embed", "score"], origin="start")
        while not order:
            await asyncio.sleep(0.02)
        files = ["sync", "describe", "embed", "score"]  # while one describes, and two wait
        await enqueue_files(services.database, files, {})
        await enqueue_unless_waiting(services.database, files, origin="start")
        goes_on.set()
        await ended(services, first)
        deadline = time.monotonic() + 20
        while order.count("describe") < 3 or order[-1] != "score":
            assert time.monotonic() < deadline, order
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.3)
    last = len(order) - order[::-1].index("describe")
    assert order[last:] == ["embed", "score"]
    assert len(order) <= 9


async def test_describing_a_large_library_lets_the_next_steps_have_their_turn(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TURN", timedelta(seconds=0.2))
    order: list[str] = []
    left = 3

    async def describe(run: StepRun) -> str:
        nonlocal left
        order.append("describe")
        if left:
            left -= 1
            await run.report(done=1)
            while not run.is_over():
                await asyncio.sleep(0.01)
        return f"left for {run.next_time}"

    async def embed(_run: StepRun) -> str:
        order.append("embed")
        return ""

    async with (
        step("describe", describe), step("embed", embed), step("score", embed),
        running(Runner(services)),
    ):  # fmt: skip
        group = await enqueue(services.database, ["describe", "embed"], origin="start")
        (first, _) = await ended(services, group)
        while order.count("describe") < 4:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # and then it is done
    assert first.message == "left for the next turn"
    assert order[:2] == ["describe", "embed"]
    assert order.count("describe") == 4


async def test_a_turn_in_which_nothing_could_be_done_is_not_followed_by_others_for_ever(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "TURN", timedelta(seconds=0.1))
    turns = 0

    async def describe(run: StepRun) -> str:  # of a mount that is away
        nonlocal turns
        turns += 1
        await run.report(done=0, total=9)
        while not run.is_over():
            await asyncio.sleep(0.01)
        return "9 out of reach"

    async def nothing(_run: StepRun) -> str:
        return ""

    async with (
        step("describe", describe), step("embed", nothing), step("score", nothing),
        running(Runner(services)),
    ):  # fmt: skip
        await ended(services, await enqueue(services.database, ["describe"], origin="clock"))
        await asyncio.sleep(0.8)
    assert turns == 1


async def test_what_a_person_asks_for_takes_as_long_as_it_takes(services: Services) -> None:
    deadlines = {}

    async def work(run: StepRun) -> str:
        deadlines[run.origin] = run.deadline
        return ""

    async with step("describe", work), running(Runner(services)):
        for origin in ("person", "start"):
            await ended(services, await enqueue(services.database, ["describe"], origin=origin))
    assert deadlines["person"] is None
    assert deadlines["start"]


@pytest.mark.parametrize(
    ("window", "begun", "end"),
    [
        ("01:00-06:30", local(1), local(6, 30)),
        ("01:00-06:30", local(6, 29), local(6, 30)),
        ("22:00-05:00", local(23), local(5) + timedelta(days=1)),
        ("22:00-05:00", local(2), local(5)),
        ("01:00-03:00", local(12), local(14)),
    ],
)
def test_the_quiet_hours_end_when_they_should(window: str, begun: datetime, end: datetime) -> None:
    assert window_end(window, begun.astimezone(UTC)) == end
    assert window_end("", begun) is None


def test_describing_leaves_some_of_the_night_to_embedding() -> None:
    begun = local(1).astimezone(UTC)
    assert window_end("01:00-06:00", begun, SHARES["describe"]) == local(5)
    assert window_end("01:00-06:00", begun, SHARES["embed"]) == local(6)


async def test_a_scheduled_step_ends_with_the_quiet_hours_and_goes_on_the_next_night(
    household: Household,
) -> None:
    for n in range(3):
        make_document(household.folder("text") / f"{n}.txt", f"Text {n}")
    async with household.open() as services, running(Runner(services)):
        await ended(services, await enqueue(services.database, ["sync"]))
        late = await enqueue(services.database, ["describe"], origin="schedule")
        async with services.database.write() as session:
            await session.execute(
                update(JobRun)
                .where(JobRun.group == late)
                .values(queued_at=now() - timedelta(days=2))
            )
        (run,) = await ended(services, late)
        assert run.message == "0 described, 3 left for the next night"
        (by_hand,) = await ended(services, await enqueue(services.database, ["describe"]))
        assert by_hand.message == "3 described"


async def test_the_nightly_run_falls_due_and_a_missed_one_is_made_up(
    household: Household,
) -> None:
    household.also(schedule=ScheduleSettings(nightly="* * * * *", watch=False))
    async with household.open() as services:
        await enqueue(services.database, ["backup"], origin="schedule")
        async with services.database.write() as session:
            await session.execute(
                update(JobRun).values(state="done", queued_at=now() - timedelta(days=1))
            )
        async with scheduling(services, Runner(services)), services.database.read() as session:
            queued = await session.scalars(
                select(JobRun.step).where(JobRun.origin == "schedule", JobRun.state == "queued")
            )
            assert list(queued) == list(STEPS)


async def test_the_schedule_queues_by_itself(household: Household) -> None:
    household.also(schedule=ScheduleSettings(sync="1s", watch=False))
    async with household.open() as services, scheduling(services, Runner(services)):
        for _ in range(100):
            async with services.database.read() as session:
                runs = list(
                    await session.scalars(select(JobRun.step).where(JobRun.origin == "clock"))
                )
            if runs:
                break
            await asyncio.sleep(0.05)
    assert runs == ["sync", "describe", "embed", "score"]
