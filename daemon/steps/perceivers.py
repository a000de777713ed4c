"""The models that look and listen: which may work now, and what holds once they have."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from daemon.chosen_models import ChosenModel
from daemon.services import Services
from daemon.steps.step import StepRun
from daemon.store.facts import get_fact, set_fact
from daemon.store.models import Item, now
from daemon.store.work import count_due
from daemon.vectors.index import Space, SpaceInUse, spaces_in_use, use_space
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)


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


async def may_work(run: StepRun, model: ChosenModel) -> bool:
    """Tell whether a model may work now: big ones wait for the night, but not the first time."""
    if not model.is_big or run.may_run_big:
        return True
    async with run.services.database.read() as session:
        return await get_fact(session, f"ingested:{model.role}") is None


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
    pace = next(s.pace for s in services.board.states() if s.name == model.name)
    async with services.database.write() as session:
        await set_fact(session, f"pace:{model.name}",
                       {"items": pace.items, "seconds": round(pace.seconds, 3)})  # fmt: skip
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


async def count_left(services: Services, model: ChosenModel) -> int:
    """Return how many items a model has not had yet."""
    async with services.database.read() as session:
        return await count_due(session, worker_name(model), now(), Item.media_hash, model.kinds)


async def fill_board(services: Services) -> None:
    """Tell the board what earlier runs measured, and what is left."""
    for model in perceivers(services):
        async with services.database.read() as session:
            pace = await get_fact(session, f"pace:{model.name}") or {"items": 0, "seconds": 0.0}
        left = await count_left(services, model)
        services.board.take_pace(model.name, pace["items"], pace["seconds"], left)
