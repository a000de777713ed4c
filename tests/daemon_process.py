"""The real daemon, as a process of its own."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 30.0


class DaemonProcess:
    """A running daemon and where to reach it."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str) -> bytes:
        """Return what it answers."""
        with urllib.request.urlopen(self.url + path, timeout=10) as response:
            body: bytes = response.read()
            return body

    def put(self, path: str, body: bytes) -> bytes:
        """Send a body; return what it answers."""
        return self._send("PUT", path, body)

    def post(self, path: str, body: bytes) -> bytes:
        """Send a body; return what it answers."""
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: bytes) -> bytes:
        request = urllib.request.Request(self.url + path, data=body, method=method)
        with urllib.request.urlopen(request, timeout=10) as response:
            answer: bytes = response.read()
            return answer


def free_port() -> int:
    """Return a port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running_daemon(home: Path, **environment: str) -> Iterator[DaemonProcess]:
    """Yield a daemon over `home`/media and `home`/data once it answers; killed at the end."""
    port = free_port()
    surroundings = os.environ | {
        "ANAGNORISIS_MEDIA": str(home / "media"),
        "ANAGNORISIS_WEB__PORT": str(port),
        "ANAGNORISIS_MODELS__AUDIO": "none",
        "ANAGNORISIS_MODELS__IMAGES": "none",
        **environment,
    }
    with (home / "daemon.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "--data-dir", str(home / "data"), "serve"],
            env=surroundings, stdout=log, stderr=log,
        )  # fmt: skip
    daemon = DaemonProcess(process, f"http://127.0.0.1:{port}")
    try:
        _wait_until_it_answers(daemon, home)
        yield daemon
    finally:
        process.kill()
        process.wait()


def _wait_until_it_answers(daemon: DaemonProcess, home: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and daemon.process.poll() is None:
        try:
            daemon.get("/healthz")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.05)
    raise AssertionError((home / "daemon.log").read_text())
