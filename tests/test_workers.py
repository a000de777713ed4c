"""Heavy work in child processes: they may crash, hang and chatter, and the daemon goes on."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from daemon.workers.worker import Worker, WorkerDied, WorkerFailed, WorkerPool

MODULE = "tests.odd_worker"


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    worker = Worker("odd", MODULE, {})
    yield worker
    await worker.close()


async def test_values_come_back_as_they_went(worker: Worker) -> None:
    value = {"bytes": b"\xff\x00", "text": "Ä", "number": 2**62, "none": None, "list": [1.5, True]}
    assert await worker.call("echo", value) == [1, value]
    large = os.urandom(5_000_000)
    assert await worker.call("echo", large) == [2, large]


async def test_an_operation_that_raises_names_its_reason_and_the_worker_goes_on(
    worker: Worker,
) -> None:
    with pytest.raises(WorkerFailed) as raised:
        await worker.call("fail", "no such tag")
    assert (raised.value.kind, raised.value.message) == ("ValueError", "no such tag")
    assert await worker.call("echo", 1) == [1, 1]


async def test_what_libraries_print_does_not_garble_the_answers(worker: Worker) -> None:
    assert await worker.call("chatter") == "done"
    assert await worker.call("echo", 1) == [1, 1]


async def test_a_crash_fails_one_call_with_its_last_words(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(WorkerDied, match="Segmentation fault, or the like"):
        await worker.call("crash")
    assert await worker.call("echo", 1) == [1, 1]
    (warning,) = [line for line in caplog.records if line.levelname == "WARNING"]
    assert "it is started again when it is needed" in warning.getMessage()


async def test_a_call_that_hangs_is_ended_by_its_time_out(worker: Worker) -> None:
    with pytest.raises(WorkerDied, match="took longer than"):
        await worker.call("hang", timeout=0.5)
    assert await worker.call("echo", 1) == [1, 1]


async def test_cancelling_ends_a_call_that_hangs_within_two_seconds(worker: Worker) -> None:
    task = asyncio.create_task(worker.call("hang"))
    await asyncio.sleep(0.5)
    process_id = worker.process_id
    assert process_id
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    while psutil.pid_exists(process_id):
        await asyncio.sleep(0.01)
    assert time.monotonic() - started < 2
    assert await worker.call("echo", 1) == [1, 1]


async def test_a_cancelled_call_that_ends_soon_keeps_its_process(worker: Worker) -> None:
    await worker.call("echo", 1)
    process_id = worker.process_id
    task = asyncio.create_task(worker.call("doze", 0.2))
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await worker.call("echo", 2) == [2, 2]
    assert worker.process_id == process_id


async def test_a_worker_that_cannot_start_says_why_each_time() -> None:
    worker = Worker("odd", MODULE, {"broken": True})
    for _ in range(2):
        with pytest.raises(WorkerFailed, match="its model is missing"):
            await worker.call("echo", 1)
    await worker.close()


async def test_an_interpreter_that_is_not_there_is_told_as_a_worker_that_died(
    tmp_path: Path,
) -> None:
    no_program = tmp_path / "python"
    no_program.write_bytes(b"")  # and not executable
    for python in (tmp_path / "gone", no_program):
        worker = Worker("odd", MODULE, {}, python=str(python))
        for _ in range(2):
            with pytest.raises(WorkerDied, match=r"^odd cannot be started: [NP]"):
                await worker.call("echo", 1)
        await worker.close()


async def test_a_start_that_fails_while_it_is_cancelled_leaves_no_half_started_process() -> None:
    worker = Worker("odd", MODULE, {"loading": 0.5, "broken": True})
    for _ in range(2):
        task = asyncio.create_task(worker.call("echo", 1))
        while worker.process_id is None:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.4)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert worker.process_id is None
    with pytest.raises(WorkerFailed, match="its model is missing"):
        await worker.call("echo", 1)
    await worker.close()


async def test_an_idle_worker_gives_its_memory_back_and_comes_again() -> None:
    worker = Worker("odd", MODULE, {}, idle_seconds=0.1)
    await worker.call("echo", 1)
    process_id = worker.process_id
    assert process_id
    for _ in range(100):
        await asyncio.sleep(0.05)
        if worker.process_id is None:
            break
    assert not psutil.pid_exists(process_id)
    assert await worker.call("echo", 1) == [1, 1]
    await worker.close()


async def test_private_methods_are_no_operations(worker: Worker) -> None:
    with pytest.raises(WorkerFailed, match="AttributeError"):
        await worker.call("__init__", {})


async def test_a_pool_works_on_several_calls_at_once() -> None:
    pool = WorkerPool("odd", 2, MODULE, {})
    await asyncio.gather(*(pool.call("echo", n) for n in range(2)))
    started = time.monotonic()
    assert await asyncio.gather(*(pool.call("doze", 0.5) for _ in range(2))) == ["awake"] * 2
    assert time.monotonic() - started < 0.9
    await pool.close()


def test_workers_end_with_a_daemon_that_is_killed(tmp_path: Path) -> None:
    program = """
import asyncio, sys
from daemon.workers.worker import Worker
async def main():
    worker = Worker("odd", "tests.odd_worker", {})
    await worker.call("echo", 1)
    print(worker.process_id, flush=True)
    await worker.call("hang")
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        process_id = int(daemon.stdout.readline())
        time.sleep(0.3)
        daemon.kill()
    for _ in range(100):
        if not psutil.pid_exists(process_id):
            return
        time.sleep(0.05)
    raise AssertionError("the worker outlived its daemon")
