"""The child's side of a worker: ``python -m daemon.workers.child MODULE NICENESS``.

MODULE has `start(options) -> object`; the object's public methods are the operations. Requests
and answers are msgpack maps, each behind its length (4 bytes, big-endian), on standard input and
output; whatever libraries print goes to standard error, where the daemon logs it.

Request: {"id", "operation", "arguments"}. Answer: {"id", "result"} or {"id", "error", "message"}.
The first request is `start`, with the options.
"""

import ctypes
import gc
import importlib
import os
import signal
import sys
from typing import Any, BinaryIO

import msgpack


def main() -> None:
    """Answer requests until standard input closes."""
    _end_with_parent()
    os.nice(int(sys.argv[2]))
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    requests = os.fdopen(os.dup(0), "rb")
    os.dup2(2, 1)  # a library that prints must not garble the protocol
    gc.set_threshold(20_000, 50, 1000)  # looking through 50,000 known files took a fifth of a scan
    module = importlib.import_module(sys.argv[1])
    worker: Any = None
    while (request := _read(requests)) is not None:
        answer: dict[str, Any] = {"id": request["id"]}
        try:
            if request["operation"] == "start":
                worker = module.start(*request["arguments"])
            elif request["operation"].startswith("_"):
                raise AttributeError(request["operation"])
            else:
                answer["result"] = getattr(worker, request["operation"])(*request["arguments"])
        except Exception as error:  # noqa: BLE001  # every failure is the caller's to judge
            answer |= {"error": type(error).__name__, "message": str(error)}
        body = msgpack.packb(answer)
        answers.write(len(body).to_bytes(4, "big") + body)


def _end_with_parent() -> None:
    """Ask Linux to end this process when the daemon is killed, whatever it is doing."""
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _read(stream: BinaryIO) -> dict[str, Any] | None:
    header = stream.read(4)
    if len(header) < 4:
        return None
    body = stream.read(int.from_bytes(header, "big"))
    message: dict[str, Any] = msgpack.unpackb(body)
    return message


if __name__ == "__main__":
    main()
