"""The daemon as a process: how soon it answers, and what it holds when idle.

Baseline of the start: a bare Python that imports the libraries that the daemon cannot do without.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from benchmarks.figures import Figure, median, seconds, time_of, told_figure
from tests.daemon_process import DaemonProcess, running_daemon
from tests.media import make_audio

ROUNDS = 5
LARGEST_MEGABYTES = 150
IDLE_SECONDS = 5.0
LIBRARIES = (
    "aiohttp.web, aiohttp_jinja2, aiosqlite, alembic.command, apscheduler.schedulers.asyncio, "
    "argon2, markdown_it, msgpack, prometheus_client, pydantic, sqlalchemy.ext.asyncio, yaml"
)


def measure() -> Iterator[Figure]:
    """Start a real daemon on a library that it knows, again and again."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(5):
            path = home / "media" / "music" / "Main" / f"{number}.mp3"
            make_audio(path, frequency=300 + number, title=f"Track {number}")
        with running_daemon(home) as daemon:
            wait_for_runs(daemon, 4, 120)
        yield _start(home)
        with running_daemon(home) as daemon:
            wait_for_runs(daemon, 8, 60)
            time.sleep(IDLE_SECONDS)
            yield from _memory(psutil.Process(daemon.process.pid))


def _start(home: Path) -> Figure:
    ours, bare, has_torch = [], [], False
    for _ in range(ROUNDS):
        bare.append(time_of(_import_libraries))
        begin = time.perf_counter()
        with running_daemon(home) as daemon:
            ours.append(time.perf_counter() - begin)
            has_torch = (
                has_torch or "libtorch" in Path(f"/proc/{daemon.process.pid}/maps").read_text()
            )
    taken, floor = median(ours), median(bare)
    name = f"start to /healthz, torch {'LOADED' if has_torch else 'not loaded'} (bare imports)"
    return Figure(name, seconds(taken), seconds(floor), taken / floor, "no torch", not has_torch)


def _has_torch(process_id: int) -> bool:
    return "libtorch" in Path(f"/proc/{process_id}/maps").read_text()


def _import_libraries() -> None:
    subprocess.run([sys.executable, "-c", f"import {LIBRARIES}"], check=True)


def _memory(daemon: psutil.Process) -> Iterator[Figure]:
    own = daemon.memory_info().rss / 1e6
    ratio = own / LARGEST_MEGABYTES
    limit = f"{LARGEST_MEGABYTES} MB"
    yield Figure("idle daemon, resident", f"{own:.0f} MB", limit, ratio, "<= 1", ratio <= 1)
    children = daemon.children()
    whole = own + sum(child.memory_full_info().uss for child in children) / 1e6
    name = f"the same with its {len(children)} processes before they end for idleness"
    yield told_figure(name, f"{whole:.0f} MB", f"{own:.0f} MB", whole / own)


def wait_for_runs(daemon: DaemonProcess, count: int, within: float) -> None:
    """Wait until so many runs are done."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        runs = json.loads(daemon.get("/api/jobs"))["runs"]
        if sum(run["state"] == "done" for run in runs) >= count:
            return
        time.sleep(0.25)
    raise AssertionError(f"fewer than {count} runs were done within {within:.0f} s")
