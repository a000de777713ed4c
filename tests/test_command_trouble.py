"""The command line in trouble: kills, Ctrl-C, another daemon, disks that are full or read-only."""

import asyncio
import json
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from daemon.jobs.runner import Runner, running
from daemon.lock import DAEMON, hold
from tests.household import Household, rate_path, ratings, run_step
from tests.media import make_document
from tests.verbs import environment, run_verb

TABLES = ("item", "location", "description", "work", "source", "join_record")
CAN_MOUNT = (
    sys.platform == "linux"
    and subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/tmp"],
        capture_output=True, check=False,
    ).returncode == 0
    if shutil.which("unshare") else False
)  # fmt: skip


def make_texts(household: Household, number: int) -> None:
    for n in range(number):
        path = household.folder("text") / f"shelf {n % 7}" / f"text {n}.txt"
        make_document(path, f"The text number {n}.")


def query(household: Household, statement: str) -> list[Any]:
    path = household.data_dir / "anagnorisis.db"
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return connection.execute(statement).fetchall()


def contents(household: Household) -> dict[str, list[Any]]:
    """Return what the catalogue knows, without what no two runs share: ids, times."""
    return {
        "paths": sorted(query(household, "SELECT path, soft_hash, gone_at FROM location")),
        "titles": sorted(query(household, "SELECT kind, title, year, gone_at FROM item")),
        "words": sorted(query(household, "SELECT producer, text FROM description")),
        "work": sorted(query(household, "SELECT worker, attempts, error FROM work")),
        "found": query(household, "SELECT count(*) FROM item_text"),
        "sizes": [query(household, f"SELECT count(*) FROM {t}") for t in TABLES],  # noqa: S608
    }


@asynccontextmanager
async def begun(
    household: Household, *words: str, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a verb that is under way; nothing of it is left at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "daemon", *words, cwd=household.home,
        env=environment(household) | variables, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a job in the background
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def without_progress(told: str) -> list[str]:
    """Return the lines that come on a quick machine as well."""
    return [line for line in told.splitlines() if not re.match(r"\w+: \d", line)]


async def until(household: Household, statement: str, within: float = 40) -> None:
    """Wait until a question to the catalogue has a true answer."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if query(household, statement)[0][0]:
                return
        except sqlite3.OperationalError:  # not made yet
            pass
        await asyncio.sleep(0.005)
    raise AssertionError(statement)


async def test_a_run_that_is_killed_again_and_again_comes_to_the_same_catalogue(
    tmp_path: Path,
) -> None:
    killed, whole = Household(tmp_path / "killed"), Household(tmp_path / "whole")
    for household in (killed, whole):
        make_texts(household, 130)
    for moment in (
        "SELECT count(*) > 20 FROM item",
        "SELECT count(*) > 20 FROM description",
    ):
        async with begun(killed, "run", "sync", "describe") as process:
            await until(killed, moment)
            process.kill()
            assert await process.wait() == -signal.SIGKILL
    for household in (killed, whole):
        done = await asyncio.to_thread(run_verb, household, "run", "sync", "describe")
        assert done.returncode == 0, done.stderr
    assert contents(killed) == contents(whole)
    assert len(contents(whole)["paths"]) == 130
    assert query(killed, "SELECT count(*) FROM job_run WHERE state IN ('queued', 'running')") == [
        (0,)
    ]


async def test_ctrl_c_ends_a_run_within_two_seconds(household: Household) -> None:
    make_texts(household, 800)
    seconds: list[float] = []
    while min(seconds, default=9) > 2 and len(seconds) < 3:  # others may keep the machine busy
        async with begun(household, "run", "sync") as process:
            await until(household, "SELECT count(*) FROM job_run WHERE state = 'running'")
            started = time.monotonic()
            process.send_signal(signal.SIGINT)
            _, told = await process.communicate()
            seconds.append(time.monotonic() - started)
        assert process.returncode == 1
        assert told.decode().splitlines()[-1] == "Stopped."
        assert b"Traceback" not in told
    assert min(seconds) < 2
    done = await asyncio.to_thread(run_verb, household, "run", "sync")
    assert done.returncode == 0, done.stderr
    assert query(household, "SELECT count(*) FROM item") == [(800,)]
    states = query(household, "SELECT state FROM job_run ORDER BY id")
    assert states == [("cancelled",)] * len(seconds) + [("done",)]


async def test_a_run_beside_a_daemon_queues_there_and_tells_how_it_ends(
    household: Household,
) -> None:
    make_texts(household, 3)
    async with household.open() as services:
        with hold(household.data_dir / DAEMON):
            async with running(Runner(services)):
                done = await asyncio.to_thread(run_verb, household, "run", "sync", "describe")
    assert done.returncode == 0, done.stderr
    assert without_progress(done.stderr) == [
        "The daemon is running; it carries out the steps.",
        "sync: done: 3 new",
        "describe: done: 3 described",
    ]


async def test_ctrl_c_beside_a_daemon_cancels_there(household: Household) -> None:
    async with household.open() as services:
        with hold(household.data_dir / DAEMON):
            async with begun(household, "run", "sync", "describe") as process:
                await until(household, "SELECT count(*) = 2 FROM job_run")
                await asyncio.sleep(0.3)
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 1
            async with services.database.read() as session:
                rows = await session.connection()
                states = await rows.exec_driver_sql("SELECT state FROM job_run")
                assert [state for (state,) in states] == ["cancelled", "cancelled"]


async def test_a_run_goes_on_by_itself_when_the_daemon_ends(household: Household) -> None:
    make_texts(household, 3)
    household.data_dir.mkdir()
    with ExitStack() as daemon:
        daemon.enter_context(hold(household.data_dir / DAEMON))
        async with begun(household, "run", "sync") as process:
            await until(household, "SELECT count(*) FROM job_run")
            await asyncio.sleep(0.3)
            assert query(household, "SELECT state FROM job_run") == [("queued",)]
            daemon.close()
            _, told = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0
    assert without_progress(told.decode()) == [
        "The daemon is running; it carries out the steps.",
        "The daemon has ended; the steps go on here.",
        "sync: done: 3 new",
    ]


async def test_verbs_beside_the_real_daemon(household: Household) -> None:
    """It starts without the models, which are poisoned here, and goes on when they cannot load."""
    make_texts(household, 3)
    async with begun(household, "serve", ANAGNORISIS_WEB__PORT="0") as daemon:
        await until(household, "SELECT count(*) = 3 FROM item")
        done = await asyncio.to_thread(run_verb, household, "run", "sync", "backup")
        assert done.returncode == 0, done.stderr
        told = done.stderr.splitlines()
        assert told[0] == "The daemon is running; it carries out the steps."
        assert "sync: done: nothing new" in told
        text = "media/text/Main/shelf 0/text 0.txt"
        done = await asyncio.to_thread(run_verb, household, "rate", text, "7")
        assert (done.returncode, done.stderr) == (0, f"{text} is rated 7 (me)\n")
        second = await asyncio.to_thread(run_verb, household, "serve", ANAGNORISIS_WEB__PORT="0")
        assert (second.returncode, second.stdout) == (1, "")
        assert second.stderr == (
            f"Another Anagnorisis (process {daemon.pid}) is at work in {household.data_dir}.\n"
        )
        restored = await asyncio.to_thread(run_verb, household, "restore", "--journal")
        assert restored.returncode == 1
        assert "is at work in" in restored.stderr
        started = time.monotonic()
        daemon.send_signal(signal.SIGINT)
        _, log = await daemon.communicate()
        assert time.monotonic() - started < 4
    assert daemon.returncode == 0
    assert b"Traceback" not in log
    assert b"torch was imported" in log, "by the worker, not by the daemon"


async def test_a_port_that_is_taken_is_told(household: Household) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = await asyncio.to_thread(run_verb, household, "serve", ANAGNORISIS_WEB__PORT=port)
    assert done.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}: " in done.stderr
    assert "Traceback" not in done.stderr


async def test_two_runs_at_once_both_end(household: Household) -> None:
    make_texts(household, 60)
    async with begun(household, "run", "sync") as one, begun(household, "run", "sync") as two:
        async with asyncio.timeout(40):
            told = [(await process.communicate())[1].decode() for process in (one, two)]
        assert [one.returncode, two.returncode] == [0, 0], told
    assert query(household, "SELECT count(*) FROM item") == [(60,)]
    assert query(household, "SELECT count(*) FROM job_run WHERE state = 'done'") == [(2,)]


async def test_a_missing_folder_makes_a_run_end_in_part(household: Household) -> None:
    make_texts(household, 1)
    config = household.home / "config.yaml"
    config.write_text(
        f"sources:\n- {{name: T, media: text, path: {household.folder('text')}}}\n"
        f"- {{name: Gone, media: music, path: {household.home}/none}}\n"
    )
    done = await asyncio.to_thread(run_verb, household, "run", "sync", "--config", config)
    assert done.returncode == 3, done.stderr
    assert "sync: done: 1 new\n" in done.stderr
    assert f"sync: Gone: The folder {household.home}/none cannot be read" in done.stderr


def in_mount(household: Household, options: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Carry out a verb where the data folder is mounted otherwise, seen by it alone."""
    data, script = household.data_dir, f'{options}; exec "$0" -m daemon "$@"'
    return subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, sys.executable, *words],
        env=environment(household) | {"DATA": str(data)}, cwd=household.home,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


READ_ONLY = 'mount --bind "$DATA" "$DATA"; mount -o remount,ro,bind "$DATA"'
FULL = """
mkdir "$DATA.room"; mount -t tmpfs -o size=4m tmpfs "$DATA.room"; cp -a "$DATA" "$DATA.room/data"
dd if=/dev/zero of="$DATA.room/rest" bs=4k 2>/dev/null || true
mount --bind "$DATA.room/data" "$DATA"
trap 'cp -a "$DATA.room/data" "$DATA.after"' EXIT
"""
FULL_STATUS = """
"$0" -m daemon rate "media/text/Main/shelf 0/text 0.txt" 9 || echo status $?
"""


async def test_the_password_of_the_pages_is_set(household: Household) -> None:
    async def password(text: bytes, **variables: str) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daemon", "password", cwd=household.home,
            env=environment(household) | variables, stdin=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        _, told = await process.communicate(text)
        return process.returncode, told.decode()

    assert await password(b"short\n") == (2, "A password has at least 8 characters.\n")
    assert not household.data_dir.exists()
    status, told = await password(b"correct horse\n")
    assert (status, told.split(".")[0]) == (0, "The password is set")
    assert not any(b"correct" in path.read_bytes() for path in household.data_dir.iterdir())
    assert all(path.stat().st_mode & 0o077 == 0 for path in household.data_dir.iterdir())
    status, told = await password(b"another one\n", ANAGNORISIS_WEB__PASSWORD="fixed")
    assert (status, told.split(" (")[0]) == (1, "The settings name a password")


@pytest.fixture
async def rated(household: Household) -> Household:
    """A house with one rating."""
    make_texts(household, 2)
    async with household.open() as services:
        await run_step(services, "sync")
        await rate_path(services, household.folder("text") / "shelf 0" / "text 0.txt", 4)
    return household


@pytest.mark.skipif(not CAN_MOUNT, reason="needs the right to mount")
@pytest.mark.parametrize(
    "words",
    [["rank"], ["rate", "media/text/Main/shelf 0/text 0.txt", "9"], ["run", "sync"], ["serve"]],
)
def test_a_read_only_data_folder_is_told_plainly(rated: Household, words: list[str]) -> None:
    before = (rated.data_dir / "ratings.jsonl").read_bytes()
    done = in_mount(rated, READ_ONLY, *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert str(rated.data_dir) in done.stderr
    assert re.search("Read-only file system|readonly database", done.stderr)
    assert len(done.stderr.splitlines()) == 1
    assert (rated.data_dir / "ratings.jsonl").read_bytes() == before


@pytest.mark.skipif(not CAN_MOUNT, reason="needs the right to mount")
async def test_a_full_disk_is_told_and_corrupts_nothing(rated: Household) -> None:
    done = await asyncio.to_thread(
        subprocess.run,
        ["unshare", "--mount", "bash", "-c", FULL + FULL_STATUS, sys.executable],
        env=environment(rated) | {"DATA": str(rated.data_dir)}, cwd=rated.home,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "status 1\n", done
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("The disk is full.\n")
    after = rated.data_dir.with_name("data.after")
    shutil.rmtree(rated.data_dir)
    after.rename(rated.data_dir)
    lines = (rated.data_dir / "ratings.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == [4]
    async with rated.open() as services:
        assert list((await ratings(services)).values()) == [4]
