"""How long the daemon's event loop is held while a sync and an embedding run side by side.

A real daemon takes in half a library; while it embeds that, the other half appears and is synced.
Beside it an event loop runs that does nothing: what is late there too is the machine's doing, not
the daemon's.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, seconds, told_figure
from tests.daemon_process import DaemonProcess, running_daemon

FILES = 20_000
LARGEST_SHARE = 1 / 1000
WITHIN = 240.0
EMBED_SECONDS = 60.0
"""How long the embedding runs before and beside the second sync, at least."""


def measure() -> Iterator[Figure]:
    """Start a daemon on a library that it has not seen, and watch it."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        _make_texts(home, range(FILES // 2))
        with running_daemon(home) as daemon, _idle_loop() as idle:
            _until_begun(daemon, "embed")
            end = time.monotonic() + EMBED_SECONDS
            _make_texts(home, range(FILES // 2, FILES))
            group = json.loads(daemon.post("/api/jobs", b'{"steps": ["sync"]}'))["group"]
            _until(daemon, lambda run: run["group"] == group and run["state"] == "done")
            time.sleep(max(0.0, end - time.monotonic()))
            turns, long, longest = _loop(daemon)
            machine, _ = idle.communicate(timeout=10)
    its_turns, its_long, its_longest = json.loads(machine)
    share, its_share = long / turns, its_long / its_turns
    yield Figure(
        f"event loop held > 50 ms, per 1,000 turns, sync + embed of {FILES:,} (idle loop)",
        f"{long:.0f}/{turns:.0f}", f"{its_long:.0f}/{its_turns:.0f}", share / LARGEST_SHARE,
        "<= 1", share <= LARGEST_SHARE + its_share,
    )  # fmt: skip
    name = "its longest turn (idle loop)"
    yield told_figure(name, seconds(longest), seconds(its_longest), longest / its_longest)


def _make_texts(home: Path, numbers: range) -> None:
    for number in numbers:
        path = home / "media" / "text" / "Main" / f"{number // 20}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text number {number} is about the number {number * 7}.")


def _idle_loop() -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benchmarks.idle_loop"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _until_begun(daemon: DaemonProcess, step: str) -> None:
    _until(daemon, lambda run: run["step"] == step and run["state"] in ("running", "done"))


def _until(daemon: DaemonProcess, fits: Any) -> None:
    deadline = time.monotonic() + WITHIN
    while time.monotonic() < deadline:
        if any(fits(run) for run in json.loads(daemon.get("/api/jobs"))["runs"]):
            return
        time.sleep(0.5)
    raise AssertionError(f"the daemon is not there after {WITHIN:.0f} s")


def _loop(daemon: DaemonProcess) -> tuple[float, float, float]:
    text = daemon.get("/metrics").decode()

    def value(name: str) -> float:
        found = re.search(rf"^anagnorisis_event_loop_{name} (\S+)$", text, re.MULTILINE)
        assert found, name
        return float(found[1])

    return value("held_seconds_count"), value("long_turns_total"), value("longest_seconds")
