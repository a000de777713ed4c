"""Turn descriptions and facts into vectors; nothing is ever embedded twice.

While the model has one batch, the next ones are read and cut into chunks, and the last one is
written.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from sqlalchemy import select

from daemon.chosen_models import ChosenModel
from daemon.services import Services
from daemon.steps.perceivers import HOPELESS, may_work, note_model
from daemon.steps.step import Step, StepFailed, StepRun
from daemon.store.descriptions import find_parts, hash_text, passages
from daemon.store.facts import set_fact
from daemon.store.models import Fact, Item, Vector, now
from daemon.store.work import count_due, find_due, mark_done, mark_failed
from daemon.vectors.index import FACTS_SPACE, Space, remember_space, save_vectors
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

SNIPPET = 160
"""Characters of a chunk that are kept to show why it was found."""

AHEAD = 2
"""Batches that are made ready ahead of the model."""


@dataclass
class _Batch:
    """Items on their way into a space."""

    items: Sequence[Item]
    rows: dict[int, list[tuple[str, str]]]
    """For each item the contents (hashes) it is made of, with snippets."""
    vectors: dict[str, bytes]
    chunks: dict[str, str] = field(default_factory=dict)
    """What the text model has to embed."""
    error: str = ""


Prepare = Callable[[Services, Space, Sequence[Item]], Coroutine[Any, Any, _Batch]]


async def embed(run: StepRun) -> str:
    """Embed what is new or has changed, first the facts, then the texts."""
    services = run.services
    if await _is_idle(services):
        return "nothing to embed"
    facts = await _facts_space(services)
    await _Embedding(run, facts, Item.input_hash, _prepare_facts, 100).work()
    async with services.database.write() as session:
        await remember_space(session, "facts_space", facts)
    model = _text_model(services)
    if not model.problem and not await may_work(run, model):
        return f"{model.name} waits for the night"
    about = await _load(services, model)
    text = Space(about["space"], about["dimensions"])
    embedding = _Embedding(run, text, Item.description_hash, _prepare_texts, 64)
    old = await services.index.text_space()
    query = {"module": model.module, "options": model.options}
    if old is None:  # what is there can be searched while the rest is made
        async with services.database.write() as session:
            await remember_space(session, "text_space", text, query=query)
    try:
        done = await embedding.work()
    finally:
        services.board.end(model)
    if not embedding.left:
        async with services.database.write() as session:
            await remember_space(session, "text_space", text, made_by=model.key(), query=query)
            await set_fact(session, "ingested:text", {"by": model.name})
    await services.index.refresh()
    return f"{done} on {about['device']}"


async def _load(services: Services, model: ChosenModel) -> dict[str, Any]:
    """Start the text model; return what it says of itself. Raises StepFailed."""
    problem = model.problem
    if not problem:
        try:
            about: dict[str, Any] = await services.workers.text.call("about")
        except (WorkerFailed, WorkerDied) as error:
            problem = f"The text model could not be loaded: {error}"
    if problem:
        services.board.failed(model, problem)
        raise StepFailed(problem)
    log.info("%s runs on %s: %s", model.name, about["device"], about["reason"])
    services.board.loaded(model, about)
    async with services.database.write() as session:
        await note_model(session, services, model)
    return about


def _text_model(services: Services) -> ChosenModel:
    return next(model for model in services.workers.chosen if model.role == "text")


async def _is_idle(services: Services) -> bool:
    """Tell, without starting any model, whether it would find nothing to do."""
    async with services.database.read() as session:
        text = await session.scalar(select(Fact.value).where(Fact.name == "text_space"))
        if not text or text.get("made_by") != _text_model(services).key():
            present = select(Item.id).where(Item.gone_at.is_(None)).limit(1)
            return await session.scalar(present) is None
        facts_due = await count_due(session, f"embed:{FACTS_SPACE}", now())
        return not facts_due and not await count_due(
            session, f"embed:{text['name']}", now(), Item.description_hash
        )


class _Embedding:
    """Work through all items that are due in one space."""

    def __init__(
        self, run: StepRun, space: Space, input_hash: Any, prepare: Prepare, batch: int
    ) -> None:
        self._run = run
        self._space = space
        self._input_hash = input_hash
        self._prepare = prepare
        self._batch = batch
        self._worker = f"embed:{space.name}"
        self._is_text = prepare is _prepare_texts
        self._started = now()
        self._after = (False, 0)
        self._ahead: deque[tuple[list[Item], asyncio.Task[_Batch]]] = deque()
        self._failed = 0
        self._failed_in_a_row = 0
        self.left = 0
        """Items that wait for the next night, after `work`."""

    async def work(self) -> str:
        services = self._run.services
        async with services.database.read() as session:
            total = await count_due(session, self._worker, self._started, self._input_hash)
        await self._run.report(done=0, total=total)
        if self._is_text:
            services.board.begin(_text_model(services), total)
        done = 0
        writing: asyncio.Task[None] | None = None
        try:
            await self._prepare_ahead()
            while self._ahead and not self._run.is_over():
                items, task = self._ahead.popleft()
                begun = time.monotonic()
                batches, _ = await asyncio.gather(self._embed(items, task), self._prepare_ahead())
                if writing:
                    await writing
                done += len(items)
                writing = asyncio.create_task(self._write(batches, done))
                if self._is_text:
                    services.board.worked(_text_model(services), len(items), begun)
            if writing:
                await writing
        finally:
            await self._end(writing)
        self.left = max(0, total - done)
        failed = f", {self._failed} failed" if self._failed else ""
        left = f", {total - done} left for the next night" if done < total else ""
        return f"{done - self._failed} embedded{failed}{left}"

    async def _prepare_ahead(self) -> None:
        """Begin to make the next batches ready."""
        while len(self._ahead) < AHEAD:
            async with self._run.services.database.read() as session:
                rows = await find_due(
                    session, self._worker, self._started, after=self._after, limit=self._batch,
                    input_hash=self._input_hash,
                )  # fmt: skip
            if not rows:
                return
            self._after = (bool(rows[-1].seen), rows[-1].Item.id)
            items = [row.Item for row in rows]
            task = asyncio.create_task(self._prepare(self._run.services, self._space, items))
            self._ahead.append((items, task))

    async def _embed(
        self, items: Sequence[Item], ready: asyncio.Task[_Batch] | None = None
    ) -> list[_Batch]:
        """Embed a batch; one that fails is halved until the culprit stands alone."""
        services = self._run.services
        try:
            batch = await (ready or self._prepare(services, self._space, items))
            if batch.chunks:
                data = await services.workers.text.call("embed", list(batch.chunks.values()))
                size = 2 * self._space.dimensions  # float16
                for n, key in enumerate(batch.chunks):
                    batch.vectors[key] = data[n * size : (n + 1) * size]
            self._failed_in_a_row = 0
            return [batch]
        except (WorkerFailed, WorkerDied) as error:
            if isinstance(error, WorkerFailed) and error.kind == "ModelUnusable":
                raise StepFailed(f"The text model does not work: {error.message}") from error
            if len(items) > 1:
                middle = len(items) // 2
                return await self._embed(items[:middle]) + await self._embed(items[middle:])
            log.warning("%s could not be embedded: %s", items[0].title, error)
            self._failed += 1
            await self._note_failure(error)
            return [_Batch(items, {}, {}, error=str(error))]

    async def _note_failure(self, error: WorkerFailed | WorkerDied) -> None:
        """Begin with a fresh process: a fault of CUDA stays until it ends. Raises StepFailed."""
        if not self._is_text:
            return
        await self._run.services.workers.text.close()
        self._failed_in_a_row += 1
        if self._failed_in_a_row == HOPELESS:
            raise StepFailed(f"The text model fails at everything: {error}") from error

    async def _write(self, batches: Sequence[_Batch], done: int) -> None:
        """Store vectors, and that they are made, in one transaction; tell how many are done."""
        async with self._run.services.database.write() as session:
            for batch in batches:
                hashes = {item.id: str(getattr(item, self._input_hash.key)) for item in batch.items}
                if batch.error:
                    for item_id, known in hashes.items():
                        await mark_failed(session, self._worker, item_id, known, batch.error)
                    continue
                await save_vectors(session, self._space, batch.vectors, batch.rows)
                await mark_done(session, self._worker, hashes)
            if self._is_text:
                model = _text_model(self._run.services)
                await note_model(session, self._run.services, model)
        await self._run.report(done=done)

    async def _end(self, writing: asyncio.Task[None] | None) -> None:
        """End what is still under way; a write is short, and whole."""
        tasks = [task for _, task in self._ahead]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if writing and not writing.done():
            await asyncio.wait([writing])


async def _facts_space(services: Services) -> Space:
    data = await services.workers.vectors.call("facts", ["music"], [{}])
    return Space(FACTS_SPACE, len(data) // 2)  # float16


async def _prepare_facts(services: Services, space: Space, items: Sequence[Item]) -> _Batch:
    data = await services.workers.vectors.call(
        "facts", [item.kind for item in items], [item.facts for item in items]
    )
    size = 2 * space.dimensions
    rows = [data[n * size : (n + 1) * size] for n in range(len(items))]
    keys = [hash_text(row.hex()) for row in rows]
    return _Batch(
        items,
        {item.id: [(key, "")] for item, key in zip(items, keys, strict=True)},
        dict(zip(keys, rows, strict=True)),
    )


async def _prepare_texts(services: Services, space: Space, items: Sequence[Item]) -> _Batch:
    async with services.database.read() as session:
        parts = await find_parts(session, [item.id for item in items])
    texts = [passages(parts[item.id]) for item in items]
    cut = iter(await services.workers.text.call("chunk", list(chain.from_iterable(texts))))
    chunked = [list(chain.from_iterable(islice(cut, len(of_item)))) for of_item in texts]
    chunks = {hash_text(chunk): chunk for of_item in chunked for chunk in of_item}
    async with services.database.read() as session:
        known = await _known_contents(session, space, list(chunks))
    rows = {
        item.id: [(hash_text(chunk), " ".join(chunk.split())[:SNIPPET]) for chunk in of_item]
        for item, of_item in zip(items, chunked, strict=True)
    }
    missing = {key: chunk for key, chunk in chunks.items() if key not in known}
    return _Batch(items, rows, {}, missing)


async def _known_contents(session: Any, space: Space, keys: Sequence[str]) -> set[str]:
    known: set[str] = set()
    for start in range(0, len(keys), 500):
        known |= set(
            await session.scalars(
                select(Vector.content).where(
                    Vector.space == space.name, Vector.content.in_(keys[start : start + 500])
                )
            )
        )
    return known


STEP = Step("embed", "Embed the descriptions", "gpu", embed)
