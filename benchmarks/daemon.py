"""The daemon as a process: memory when idle, and how long its event loop is held under load."""

import json
import re
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.figures import Figure
from tests.daemon_process import DaemonProcess, running_daemon
from tests.media import make_audio

FILES = 20_000
LARGEST_MEGABYTES = 150
LARGEST_SHARE = 1 / 1000
IDLE_SECONDS = 5.0
LOAD_SECONDS = 120.0


def measure() -> list[Figure]:
    """Start a real daemon on a library that it has not seen, and watch it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        make_audio(home / "media" / "music" / "Main" / "a.mp3", title="A")
        with running_daemon(home) as daemon:
            _wait_for_runs(daemon, 4, 120)
            time.sleep(IDLE_SECONDS)
            memory = psutil.Process(daemon.process.pid).memory_info().rss / 1e6
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for number in range(FILES):
            path = home / "media" / "text" / "Main" / f"{number // 200}" / f"{number}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"Text number {number} is about the number {number * 7}.")
        with running_daemon(home) as daemon:
            _wait_for_runs(daemon, 4, LOAD_SECONDS)
            turns, long, longest = _loop(daemon)
    share = long / turns
    return [
        Figure(
            "idle daemon, resident memory", f"{memory:.0f} MB", f"{LARGEST_MEGABYTES} MB",
            memory / LARGEST_MEGABYTES, "<= 1", memory <= LARGEST_MEGABYTES,
        ),
        Figure(
            f"loop held > 50 ms, sync + embed of {FILES:,} (longest {longest * 1e3:.0f} ms)",
            f"{long:.0f}/{turns:.0f}", "1/1000", share / LARGEST_SHARE, "<= 1",
            share <= LARGEST_SHARE,
        ),
    ]  # fmt: skip


def _wait_for_runs(daemon: DaemonProcess, count: int, within: float) -> None:
    """Wait until the first runs have ended, or the time is over: the load was there."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        runs = json.loads(daemon.get("/api/jobs"))["runs"]
        if sum(run["state"] == "done" for run in runs) >= count:
            return
        time.sleep(0.5)


def _loop(daemon: DaemonProcess) -> tuple[float, float, float]:
    text = daemon.get("/metrics").decode()

    def value(name: str) -> float:
        found = re.search(rf"^anagnorisis_event_loop_{name} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    return value("held_seconds_count"), value("long_turns_total"), value("longest_seconds")
