"""The daemon's side of a worker: one child process, started when first needed.

A worker that crashes fails the call in hand with `WorkerDied` and is started anew by the next
call. A call that is cancelled or runs out of time ends the process: nothing else stops a loop
in C code.
"""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import msgpack

from daemon.chosen_models import ChosenModel

log = logging.getLogger(__name__)

BEHIND_PAGES = 5
"""Niceness of long work: pages, ratings and other programs go first."""
QUIET_AND_OFFLINE = {
    "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip
"""Read by libraries of models when they are imported: nothing is fetched at run time."""
SLEEPING_WHILE_WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_THREAD_TIMEOUT": "4"}
"""How threads of torch and numpy wait for one another. By default they spin, and where decoders and
models share the cores that takes ten times the work's own time."""
GRACE_SECONDS = 0.5
"""How long a cancelled call may still come to its own end before the process is ended."""


class WorkerFailed(Exception):
    """The operation raised; `kind` is the exception's class name in the worker."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


class WorkerDied(Exception):
    """The process ended, or was ended for taking too long, in the middle of a call."""


class Worker:
    """One child process that runs `module`; calls take turns."""

    def __init__(
        self,
        name: str,
        module: str,
        *options: Any,
        idle_seconds: float = 600,
        niceness: int = 0,
        python: str = sys.executable,
    ) -> None:
        self.name = name
        self._python = python
        self._module = module
        self._options = options
        self._idle_seconds = idle_seconds
        self._niceness = niceness
        self._turn = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._log_task: asyncio.Task[None] | None = None
        self._dying: set[asyncio.Future[Any]] = set()
        self._idle: asyncio.TimerHandle | None = None
        self._last_id = 0
        self._last_words = ""

    @property
    def process_id(self) -> int | None:
        """The child's process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def call(self, operation: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Run one operation in the child. Raises WorkerFailed or WorkerDied."""
        async with self._turn:
            if self._idle:
                self._idle.cancel()
            try:
                if self.process_id is None:
                    await self._start()
                return await self._ask(operation, arguments, timeout)
            finally:
                loop = asyncio.get_running_loop()
                self._idle = loop.call_later(self._idle_seconds, self._end_if_idle)

    async def close(self) -> None:
        """End the process."""
        if self._idle:
            self._idle.cancel()
        await self._end()

    async def _start(self) -> None:
        await self._end()
        try:
            self._process = await self._spawn()
        except OSError as error:  # its environment is gone, or there is no room for a process
            raise WorkerDied(f"{self.name} cannot be started: {error.strerror}") from error
        self._last_words = ""
        self._log_task = asyncio.create_task(self._log_errors(self._process))
        try:
            await self._ask("start", self._options, None)
        except WorkerFailed:
            await self._end()
            raise
        except asyncio.CancelledError:
            self._kill()  # it may have failed meanwhile, and then would answer nothing
            raise

    async def _spawn(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self._python, "-m", "daemon.workers.child", self._module, str(self._niceness),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, start_new_session=True,
            env={**SLEEPING_WHILE_WAITING, **os.environ, **QUIET_AND_OFFLINE,
                 "PYTHONPATH": self._path()},
        )  # fmt: skip

    def _path(self) -> str:
        """Return where modules are found; another interpreter has packages of its own."""
        if self._python == sys.executable:
            return os.pathsep.join(p for p in sys.path if p)
        return str(Path(__file__).resolve().parents[2])

    async def _ask(self, operation: str, arguments: tuple[Any, ...], timeout: float | None) -> Any:
        task = asyncio.ensure_future(self._exchange(operation, arguments))
        try:
            return await asyncio.wait_for(asyncio.shield(task), timeout)
        except TimeoutError:
            await self._end()
            await asyncio.wait([task])
            task.exception()  # WorkerDied, told below
            raise WorkerDied(f"{self.name} took longer than {timeout:.0f} s") from None
        except asyncio.CancelledError:
            try:
                await asyncio.wait([task], timeout=GRACE_SECONDS)
            finally:  # a second cancellation does not wait
                if task.done():
                    task.exception()
                else:
                    self._kill()
                    task.add_done_callback(asyncio.Task.exception)
            raise

    async def _exchange(self, operation: str, arguments: tuple[Any, ...]) -> Any:
        process = self._process
        assert process
        assert process.stdin
        assert process.stdout
        self._last_id += 1
        body = msgpack.packb({"id": self._last_id, "operation": operation, "arguments": arguments})
        try:
            process.stdin.write(len(body).to_bytes(4, "big") + body)
            await process.stdin.drain()
            header = await process.stdout.readexactly(4)
            raw = await process.stdout.readexactly(int.from_bytes(header, "big"))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerDied(await self._cause_of_death(process)) from error
        answer = msgpack.unpackb(raw)
        if answer["id"] != self._last_id:
            await self._end()
            raise WorkerDied(f"{self.name} answered out of turn")
        if "error" in answer:
            raise WorkerFailed(answer["error"], answer["message"])
        return answer.get("result")

    async def _cause_of_death(self, process: asyncio.subprocess.Process) -> str:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
        status = process.returncode
        how = f"was killed ({signal.Signals(-status).name})" if status and status < 0 else "ended"
        cause = f"{self.name} {how}: {self._last_words}".removesuffix(": ")
        if self._process is process:  # else it was ended on purpose, and another may be at work
            log.warning("%s; it is started again when it is needed", cause)
            await self._end()
        return cause

    def _end_if_idle(self) -> None:
        if not self._turn.locked() and self._process and self._process.returncode is None:
            log.info("Worker %s was idle; ending it", self.name)
            self._process.terminate()

    async def _end(self) -> None:
        self._kill()
        if self._dying:
            await asyncio.wait(self._dying)

    def _kill(self) -> None:
        """End the process at once: it holds nothing that needs saving."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for ending in (asyncio.ensure_future(process.wait()), self._log_task):
            if ending:
                self._dying.add(ending)
                ending.add_done_callback(self._dying.discard)

    async def _log_errors(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr
        while True:
            try:
                line = await process.stderr.readline()
            except ValueError:  # a line longer than the buffer
                continue
            if not line:
                return
            self._last_words = line.decode(errors="replace").strip()[:300] or self._last_words
            log.info("%s: %s", self.name, self._last_words)


class WorkerPool:
    """Several workers of one sort; a call goes to the first that is free."""

    def __init__(self, name: str, size: int, module: str, *options: Any, niceness: int = 0) -> None:
        self.workers = [
            Worker(f"{name} {n + 1}", module, *options, niceness=niceness) for n in range(size)
        ]
        self._free: asyncio.LifoQueue[Worker] = asyncio.LifoQueue()
        for worker in self.workers:
            self._free.put_nowait(worker)

    async def call(self, operation: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Run one operation in a free worker. Raises WorkerFailed or WorkerDied."""
        async with self.take() as worker:
            return await worker.call(operation, *arguments, timeout=timeout)

    @asynccontextmanager
    async def take(self) -> AsyncIterator[Worker]:
        """Yield one worker that is nobody else's meanwhile: for operations that keep state."""
        worker = await self._free.get()
        try:
            yield worker
        finally:
            self._free.put_nowait(worker)

    async def close(self) -> None:
        """End the processes."""
        for worker in self.workers:
            await worker.close()


class Workers:
    """All the worker processes of a daemon, or of one command."""

    def __init__(
        self,
        *,
        processes: int,
        vectors: dict[str, Any],
        models: Sequence[ChosenModel],
        scratch: Path,
        device: str = "auto",
    ) -> None:
        self.files = WorkerPool(
            "files", processes, "connectors.folder.worker", niceness=BEHIND_PAGES
        )
        """Reads and decodes media files; they are untrusted, so with bounded memory and time."""
        self.pages = Worker("thumbnails", "connectors.folder.worker")
        """The same, for pages: never waits behind a sync."""
        self.models = {
            model.name: Worker(
                model.name, model.module, model.options, niceness=BEHIND_PAGES, python=model.python
            )
            for model in models
        }
        """One process a model."""
        self.text = self.models[next(m.name for m in models if m.role == "text")]
        """Embeds descriptions."""
        self._queries: dict[str, Worker] = {}
        self.vectors = Worker("vectors", "ml.vector_worker", vectors, idle_seconds=3600)
        """Search, similarity and the taste model's head, in numpy."""
        self.learning = Worker(
            "learning", "ml.vector_worker", vectors | {"writable": False}, idle_seconds=60,
            niceness=BEHIND_PAGES,
        )  # fmt: skip
        """The same, for training: no search waits for it."""
        self.evaluator = Worker(
            "evaluator", "ml.evaluator_worker", {"device": device}, niceness=BEHIND_PAGES
        )
        """Trains the transformer of the taste model."""
        self.chosen = tuple(models)
        self.scratch = scratch
        """Where decoded media lie until the models have had them."""

    def queries(self, python: str = "") -> Worker:
        """Return what embeds what people search for, by an interpreter other than the program's.

        It works on the CPU, and never waits behind a night's work.
        """
        python = python or sys.executable
        if python not in self._queries:
            self._queries[python] = Worker("queries", "ml.query_worker", {}, python=python)
        return self._queries[python]

    @property
    def all(self) -> tuple[Worker, ...]:
        """Every worker."""
        taste = (self.vectors, self.learning, self.evaluator)
        asking = (self.pages, *self._queries.values())
        return (*self.files.workers, *self.models.values(), *asking, *taste)

    async def close(self) -> None:
        """End all the processes."""
        for worker in self.all:
            await worker.close()
