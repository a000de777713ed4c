"""The models that look and listen: which may work now, and what holds once they have."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from daemon.chosen_models import ChosenModel
from daemon.services import Services
from daemon.steps.step import StepRun
from daemon.store.facts import get_fact, set_fact
from daemon.store.models import Item, now
from daemon.store.work import count_due
from daemon.vectors.index import Space, SpaceInUse, spaces_in_use, use_space
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)


HOPELESS = 16
"""Items in a row that a model fails at before it is left out of the run: the fault is its own."""


@dataclass
class Outcome:
    """What came of it."""

    summary: str = ""
    problems: list[str] = field(default_factory=list)


@dataclass
class Perceiver:
    """A model at work."""

    model: ChosenModel
    worker: str
    """Its name in the `work` table."""
    space: Space | None
    """Where its vectors go; None for one that only says words."""
    has_text_tower: bool
    device: str
    batch: int
    beside: tuple[str, ...]
    """The other models of its role, by the names under which their words are kept."""
    done: int = 0
    failed: int = 0
    failed_in_a_row: int = 0
    is_broken: bool = False


def worker_name(model: ChosenModel) -> str:
    """Return the name in the `work` table: another model or other options, and all is due."""
    return f"perceive:{model.key()}"


def perceivers(services: Services) -> list[ChosenModel]:
    """Return the models that look and listen."""
    return [model for model in services.workers.chosen if model.kinds]


def perceiving(services: Services) -> list[str]:
    """Return the names of their workers."""
    return [worker_name(model) for model in perceivers(services)]


async def may_work(run: StepRun, model: ChosenModel) -> bool:
    """Tell whether a model may work now: big ones wait for the night, but not the first time."""
    if not model.is_big or run.may_run_big:
        return True
    async with run.services.database.read() as session:
        return await get_fact(session, f"ingested:{model.role}") is None


async def count_waiting(run: StepRun, started: datetime) -> int:
    """Return how many items the models that may work wait for, without loading one."""
    waiting = 0
    for model in perceivers(run.services):
        if await may_work(run, model):
            async with run.services.database.read() as session:
                name = worker_name(model)
                waiting += await count_due(session, name, started, Item.media_hash, model.kinds)
    return waiting


async def start_models(
    run: StepRun, started: datetime, outcome: Outcome
) -> AsyncIterator[Perceiver]:
    """Yield the models that have something to do, loaded; the largest choose their place first."""
    services = run.services
    text = next(model for model in services.workers.chosen if model.role == "text")
    for model in sorted(perceivers(services), key=lambda m: -m.card.vram_gigabytes):
        name = worker_name(model)
        async with services.database.read() as session:
            due = await count_due(session, name, started, Item.media_hash, model.kinds)
        if not due or not await may_work(run, model):
            continue
        if model.problem:
            outcome.problems.append(model.problem)
            continue
        if text.is_big:  # it only idles now: what it holds of a GPU is wanted
            await services.workers.text.close()
        try:
            about = await services.workers.models[model.name].call("about")
        except (WorkerFailed, WorkerDied) as error:
            problem = f"{model.name} could not be loaded: {reason_of(error)}"
            services.board.failed(model, problem)
            outcome.problems.append(problem)
            continue
        log.info("%s runs on %s: %s", model.name, about["device"], about["reason"])
        services.board.loaded(model, about)
        services.board.begin(model, due)
        async with services.database.write() as session:
            await note_model(session, services, model)
        space = Space(about["space"], about["dimensions"]) if about["dimensions"] else None
        yield Perceiver(
            model, name, space, bool(about.get("has_text_tower")), str(about["device"]),
            model.family.batch,
            tuple(m.producer for m in perceivers(services) if m.role == model.role and m != model),
        )  # fmt: skip


async def conclude(services: Services, perceiver: Perceiver, started: datetime) -> None:
    """Put the space in use when all is done, or when there is no other of its role."""
    model = perceiver.model
    async with services.database.read() as session:
        left = await count_due(
            session, perceiver.worker, started, Item.media_hash, model.kinds
        )  # fmt: skip
        used = await spaces_in_use(session)
    chosen = {m.name for m in perceivers(services) if m.role == model.role}
    others = [u for u in used if u.role == model.role and u.model not in chosen]
    async with services.database.write() as session:
        if left and (others or perceiver.is_broken):
            return  # search goes on with the old
        if perceiver.space and perceiver.done:
            await use_space(
                session,
                SpaceInUse(
                    perceiver.space, model.role, model.name, model.module,
                    dict(model.options), model.kinds, perceiver.has_text_tower,
                    model.python if model.card.environment else "",
                ),
                instead_of=[u for u in others if not left],
            )  # fmt: skip
        if not left:
            await set_fact(session, f"ingested:{model.role}", {"by": model.name})
    await services.index.refresh()


def reason_of(error: WorkerFailed | WorkerDied) -> str:
    """Return what went wrong, as the worker says it."""
    return error.message if isinstance(error, WorkerFailed) else str(error)


async def note_model(session: AsyncSession, services: Services, model: ChosenModel) -> None:
    """Write down where a model runs and how fast, for other processes and later ones."""
    noted = services.board.note(model)
    if not noted["items"]:  # just loaded: the pace of an earlier run holds
        earlier = await get_fact(session, f"model:{model.name}") or {}
        noted |= {name: earlier.get(name, 0) for name in ("items", "seconds")}
    await set_fact(session, f"model:{model.name}", noted)


async def count_left(session: AsyncSession, model: ChosenModel) -> int:
    """Return how many items a model has not had yet."""
    if model.role != "text":
        name, of = worker_name(model), Item.media_hash
        return await count_due(session, name, now(), of, model.kinds)
    space = await get_fact(session, "text_space") or {}
    is_current = space.get("made_by", model.key()) == model.key()
    name = f"embed:{space.get('name')}" if is_current else "nobody"
    return await count_due(session, name, now(), Item.description_hash)


async def fill_board(services: Services) -> None:
    """Tell the board what other runs noted, and what is left."""
    for model in services.workers.chosen:
        async with services.database.read() as session:
            noted = await get_fact(session, f"model:{model.name}") or {}
            left = await count_left(session, model)
        services.board.recall(model, noted, left)
