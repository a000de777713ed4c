"""The daemon as a whole: it takes in, keeps what it was told through a kill, and ends at once."""

import json
import signal
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.daemon_process import DaemonProcess, running_daemon
from tests.media import make_audio


def make_library(home: Path) -> None:
    for n in range(3):
        make_audio(home / "media" / "music" / "Main" / f"{n}.mp3", seconds=0.3,
                   frequency=300 + 40 * n, title=f"Track {n}")  # fmt: skip


def items(daemon: DaemonProcess) -> list[Any]:
    answer: list[Any] = json.loads(daemon.get("/api/items?kind=music"))["items"]
    return answer


def wait_for_items(daemon: DaemonProcess, count: int) -> list[Any]:
    deadline = time.monotonic() + 30
    while len(found := items(daemon)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def test_a_rating_that_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    make_library(tmp_path)
    with running_daemon(tmp_path) as daemon:
        item = wait_for_items(daemon, 3)[0]["id"]
        daemon.put(f"/api/items/{item}/rating", b'{"value": 8.5}')
        daemon.process.kill()
        daemon.process.wait()
    with running_daemon(tmp_path) as daemon:
        found = wait_for_items(daemon, 3)
        assert len(found) == 3
        assert [row["rating"] for row in found if row["id"] == item] == [8.5]
        lines = (tmp_path / "data" / "ratings.jsonl").read_text().splitlines()
        assert len(lines) == 1


def test_it_ends_within_seconds_though_somebody_listens(tmp_path: Path) -> None:
    make_library(tmp_path)
    with running_daemon(tmp_path) as daemon:
        address = urlsplit(daemon.url)
        with socket.create_connection((address.hostname, address.port or 0)) as listener:
            listener.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200 OK" in listener.recv(1000)
            started = time.monotonic()
            daemon.process.send_signal(signal.SIGTERM)
            assert daemon.process.wait(10) == 0
            assert time.monotonic() - started < 4


def test_a_second_daemon_on_the_same_data_says_so_and_ends(tmp_path: Path) -> None:
    make_library(tmp_path)
    second = pytest.raises(AssertionError, match="is at work in")
    with running_daemon(tmp_path), second, running_daemon(tmp_path):
        pytest.fail("two daemons on one data folder")
