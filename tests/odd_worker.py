"""A worker that misbehaves when told to; runs in a child process."""

import os
import time
from typing import Any


def start(options: dict[str, Any]) -> "OddWorker":
    return OddWorker(options)


class OddWorker:
    def __init__(self, options: dict[str, Any]) -> None:
        time.sleep(options.get("loading", 0))
        if options.get("broken"):
            raise RuntimeError("its model is missing")
        self._calls = 0

    def echo(self, value: Any) -> Any:
        self._calls += 1
        return [self._calls, value]

    def fail(self, message: str) -> None:
        raise ValueError(message)

    def chatter(self) -> str:
        os.write(1, b"a library that writes to standard output\n")
        print("and one that prints")  # noqa: T201
        return "done"

    def hang(self) -> None:
        while True:
            pass

    def doze(self, seconds: float) -> str:
        time.sleep(seconds)
        return "awake"

    def crash(self) -> None:
        os.write(2, b"Segmentation fault, or the like\n")
        os._exit(139)
