"""Let the models look at and listen to what is new: words and vectors from the media themselves.

Each item is decoded once for all models that wait for it, by the processes that read files; while
the models have one batch, the next ones are decoded and the last one is written.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from connectors.base import ConnectorUnavailable
from daemon.steps.media_files import find_media
from daemon.steps.perceivers import (
    HOPELESS,
    Outcome,
    Perceiver,
    conclude,
    count_waiting,
    note_model,
    perceiving,
    reason_of,
    start_models,
)
from daemon.steps.percepts import Made, store, unpack
from daemon.steps.step import StepFailed, StepRun
from daemon.store.descriptions import renew
from daemon.store.models import Item, now
from daemon.store.work import count_due, find_due_for_any
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

PAGE = 128
"""Items that are found at once."""
AHEAD = 3
"""Batches that are decoded ahead of the models."""
DECODE_TIMEOUT = 180.0
FAULTS_OF_THE_FILE = ("UnreadableFile",)
FAULTS_OF_THE_MODEL = ("ModelUnusable",)
WANTS_OF_MEMORY = ("OutOfMemory", "MemoryError")


@dataclass
class _Decoded:
    """An item on its way through the models."""

    item: Item
    waits_for: set[str]
    files: dict[str, dict[str, str]] = field(default_factory=dict)
    """For each worker: paths by "sound" and "pictures", and "text"."""
    error: str = ""
    is_away: bool = False
    """Whether its file cannot be had now, which is no fault of it: it stays due."""

    def remove(self) -> None:
        """Delete the decoded files."""
        paths = {f[name] for f in self.files.values() for name in ("sound", "pictures")}
        for path in paths - {""}:
            with suppress(FileNotFoundError):
                Path(path).unlink()


async def perceive(run: StepRun) -> Outcome:
    """Show every model that may work now what it has not had yet."""
    started, outcome = now(), Outcome()
    if run.is_over():
        left = await count_waiting(run, started)
        outcome.summary = f"models: {left} left for {run.next_time}" if left else ""
        return outcome
    at_work: list[Perceiver] = []
    scratch = run.services.workers.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        async for perceiver in start_models(run, started, outcome):
            at_work.append(perceiver)
        if not at_work:
            return outcome
        total = await _Perceiving(run, at_work, started, scratch, outcome).work()
        for perceiver in at_work:
            await conclude(run.services, perceiver, started)
    finally:
        for perceiver in at_work:
            run.services.board.end(perceiver.model)
            await run.services.workers.models[perceiver.model.name].close()
        await asyncio.to_thread(_empty, scratch)
    outcome.summary = "; ".join(_line(perceiver) for perceiver in at_work)
    if total:
        outcome.summary += f"; {total} left for {run.next_time}"
    return outcome


class _Perceiving:
    """One pass over all items that any of the models waits for."""

    def __init__(
        self, run: StepRun, perceivers: Sequence[Perceiver], started: datetime, scratch: Path,
        outcome: Outcome,
    ) -> None:  # fmt: skip
        self._run = run
        self._services = run.services
        self._perceivers = {perceiver.worker: perceiver for perceiver in perceivers}
        self._started = started
        self._scratch = scratch
        self._outcome = outcome
        self._chosen = perceiving(run.services)
        self._batch = max(perceiver.batch for perceiver in perceivers)
        self._after = (False, 0)
        self._found: deque[tuple[Item, set[str]]] = deque()
        self._decoding: deque[list[asyncio.Task[_Decoded]]] = deque()
        self._in_hand: list[_Decoded] = []
        self._slots = asyncio.Semaphore(len(self._services.workers.files.workers) + 1)
        """A file more than can be read at once: what is fetched from servers fills the disk."""
        self._refusals: dict[str, int] = {}
        self._away: list[str] = []
        """Why items could not be had, one reason an item."""

    async def work(self) -> int:
        """Work until nothing is left or the quiet hours end; return how many items are left."""
        kinds = {p.worker: p.model.kinds for p in self._perceivers.values()}
        async with self._services.database.read() as session:
            counts = [
                await count_due(session, worker, self._started, Item.media_hash, of)
                for worker, of in kinds.items()
            ]
        total, done = sum(counts), 0
        await self._run.report(done=0, total=total, message=self._message())
        writing: asyncio.Task[None] | None = None
        begun = 0.0
        try:
            while not self._run.is_over() and any(
                not p.is_broken for p in self._perceivers.values()
            ):
                await self._decode_ahead()
                if not self._decoding:
                    break
                self._in_hand = [await task for task in self._decoding[0]]
                begun = begun or time.monotonic()
                self._decoding.popleft()
                self._away += [each.error for each in self._in_hand if each.is_away]
                made, _ = await asyncio.gather(self._show(self._in_hand), self._decode_ahead())
                if writing:
                    await writing
                self._count(made, begun)
                done, begun = done + len(made), time.monotonic()
                writing = asyncio.create_task(self._write(made, self._in_hand, done))
                self._in_hand = []
            if writing:
                await writing
        finally:
            await self._clean_up(writing)
        if self._away:
            self._outcome.problems.append(
                f"{len(self._away)} items are out of reach and stay due: {self._away[-1]}"
            )
        return max(0, total - done) if self._run.is_over() else 0

    async def _decode_ahead(self) -> None:
        while len(self._decoding) < AHEAD:
            if len(self._found) < self._batch:
                await self._find_more()
            batch = [self._found.popleft() for _ in range(min(self._batch, len(self._found)))]
            if not batch:
                return
            self._decoding.append(
                [asyncio.create_task(self._decode(item, waits)) for item, waits in batch]
            )

    async def _find_more(self) -> None:
        kinds = {p.worker: p.model.kinds for p in self._perceivers.values() if not p.is_broken}
        if not kinds:
            return
        async with self._services.database.read() as session:
            rows = await find_due_for_any(
                session, kinds, self._started, after=self._after, limit=PAGE
            )
        if rows:
            self._after = (rows[-1][2], rows[-1][0].id)
        self._found.extend((item, waits) for item, waits, _ in rows)

    async def _decode(self, item: Item, waits_for: set[str]) -> _Decoded:
        """Decode an item for all models that wait for it; each view once."""
        decoded = _Decoded(item, waits_for)
        wanted: list[dict[str, float]] = []
        for worker in waits_for:
            for view in self._perceivers[worker].model.family.views[item.kind]:
                if view not in wanted:
                    wanted.append(dict(view))
        try:
            text, made = await self._read(item, wanted)
        except WorkerFailed as error:
            if error.kind == "ConnectorUnavailable":
                decoded.is_away, decoded.error = True, f"{item.title} {error.message}"
                return decoded
            if error.kind not in FAULTS_OF_THE_FILE:
                raise StepFailed(f"Nothing can be decoded: {error.message}") from error
            decoded.error = error.message
            return decoded
        except (WorkerDied, FileNotFoundError, ConnectorUnavailable) as error:
            decoded.is_away, decoded.error = isinstance(error, ConnectorUnavailable), str(error)
            return decoded
        except OSError as error:  # the disk on which it is put is full
            raise StepFailed(f"Nothing can be fetched: {error.strerror}") from error
        paths = {_view_key(v): m["path"] for v, m in zip(wanted, made, strict=True)}
        for worker in waits_for:
            files = {"sound": "", "pictures": "", "text": text}
            for view in self._perceivers[worker].model.family.views[item.kind]:
                files["sound" if "rate" in view else "pictures"] = paths[_view_key(view)]
            decoded.files[worker] = files
        return decoded

    async def _read(
        self, item: Item, wanted: Sequence[Mapping[str, float]]
    ) -> tuple[str, list[dict[str, Any]]]:
        """Return the text of a text item, and the decoded views that are wanted."""
        files = self._services.workers.files
        async with (
            self._slots,
            find_media(self._services, item, self._scratch, self._refusals) as (root, path),
        ):
            text: str = await files.call(
                "read_text", root, path, timeout=DECODE_TIMEOUT
            ) if item.kind == "text" else ""  # fmt: skip
            made: list[dict[str, Any]] = await files.call(
                "make_excerpts", root, path, item.kind, wanted, str(self._scratch),
                timeout=DECODE_TIMEOUT,
            ) if wanted else []  # fmt: skip
        return text, made

    async def _show(self, decoded: Sequence[_Decoded]) -> list[Made]:
        """Let all models have the batch at the same time; return what they made."""
        made = await asyncio.gather(
            *(
                self._show_to(perceiver, [d for d in decoded if perceiver.worker in d.waits_for])
                for perceiver in self._perceivers.values()
            )
        )
        return [each for of_model in made for each in of_model]

    async def _show_to(self, perceiver: Perceiver, batch: Sequence[_Decoded]) -> list[Made]:
        unread = [
            Made(perceiver, d.item, [], "", d.error) for d in batch if d.error and not d.is_away
        ]
        ready = [d for d in batch if not d.error]
        made: list[Made] = []
        while ready and not perceiver.is_broken:  # batches may get smaller on the way
            batch, ready = ready[: perceiver.batch], ready[perceiver.batch :]
            made += await self._ask(perceiver, batch)
        return unread + made

    async def _ask(self, perceiver: Perceiver, batch: Sequence[_Decoded]) -> list[Made]:
        """Ask a model; a batch that fails is halved until the culprit stands alone."""
        worker = self._services.workers.models[perceiver.model.name]
        items = [{"kind": d.item.kind, **d.files[perceiver.worker]} for d in batch]
        try:
            answer = await worker.call("perceive", items)
        except (WorkerFailed, WorkerDied) as error:
            if isinstance(error, WorkerFailed) and error.kind in FAULTS_OF_THE_MODEL:
                self._give_up(perceiver, error)
                return []
            is_too_much = isinstance(error, WorkerFailed) and error.kind in WANTS_OF_MEMORY
            if perceiver.device == "cuda" and not is_too_much:
                await worker.close()  # a fault of CUDA stays until the process ends
            if len(batch) == 1:
                return self._note_failure(perceiver, batch[0].item, error)
            middle = len(batch) // 2
            made = await self._ask(perceiver, batch[:middle])
            if perceiver.is_broken:
                return made
            made += await self._ask(perceiver, batch[middle:])
            if is_too_much and not any(each.error for each in made):  # else one alone is too large
                perceiver.batch = min(perceiver.batch, max(1, middle))
                log.warning("%s ran out of memory; batches of %d now", perceiver.model.name,
                            perceiver.batch)  # fmt: skip
            return made
        perceiver.failed_in_a_row = 0
        return unpack(perceiver, [d.item for d in batch], answer)

    def _note_failure(
        self, perceiver: Perceiver, item: Item, error: WorkerFailed | WorkerDied
    ) -> list[Made]:
        perceiver.failed_in_a_row += 1
        if perceiver.failed_in_a_row == HOPELESS:
            self._give_up(perceiver, error)
        return [Made(perceiver, item, [], "", reason_of(error))]

    def _give_up(self, perceiver: Perceiver, error: WorkerFailed | WorkerDied) -> None:
        """Leave a model out for the rest of the run; its items stay due."""
        perceiver.is_broken = True
        problem = f"{perceiver.model.name}: {reason_of(error)}"
        self._services.board.failed(perceiver.model, problem)
        self._outcome.problems.append(problem)

    def _count(self, made: Sequence[Made], begun: float) -> None:
        """Tell the pace: from one batch to the next, since models may wait for the decoding."""
        for perceiver in self._perceivers.values():
            if items := sum(each.perceiver is perceiver for each in made):
                self._services.board.worked(perceiver.model, items, begun)

    async def _write(self, made: Sequence[Made], decoded: Sequence[_Decoded], done: int) -> None:
        """Store a batch in one transaction, and tell how many are done with it."""
        for each in decoded:
            each.remove()
        async with self._services.database.write() as session:
            for perceiver in self._perceivers.values():
                mine = [each for each in made if each.perceiver is perceiver]
                if mine:
                    await store(session, perceiver, mine, self._chosen)
                    await note_model(session, self._services, perceiver.model)
            said = [m.item for m in made if not m.error and m.perceiver.model.family.says]
            if said:
                await renew(session, list({item.id: item for item in said}.values()))
        for one in made:
            if one.error:
                one.perceiver.failed += 1
                log.warning("%s: %s: %s", one.perceiver.model.name, one.item.title, one.error)
            else:
                one.perceiver.done += 1
        await self._run.report(done=done, message=self._message())

    async def _clean_up(self, writing: asyncio.Task[None] | None) -> None:
        """End what is still under way, and leave no file behind."""
        if writing and not writing.done():
            await asyncio.wait([writing])  # a write is short, and whole
        for each in self._in_hand:
            each.remove()
        tasks = [task for batch in self._decoding for task in batch]
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, _Decoded):
                result.remove()

    def _message(self) -> str:
        return ", ".join(f"{p.model.name} on {p.device}" for p in self._perceivers.values())


def _empty(scratch: Path) -> None:
    """Delete what a reader left that was ended while it wrote."""
    for path in scratch.iterdir():
        path.unlink(missing_ok=True)


def _line(perceiver: Perceiver) -> str:
    failed = f", {perceiver.failed} failed" if perceiver.failed else ""
    return f"{perceiver.model.name} {perceiver.done}{failed} on {perceiver.device}"


def _view_key(view: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    return tuple(sorted(view.items()))
