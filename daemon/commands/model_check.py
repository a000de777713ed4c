"""What `doctor` says of the models; with --gpu each is loaded and shown a sample."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np

from daemon.chosen_models import ChosenModel
from daemon.commands.finding import Finding
from daemon.services import Services
from daemon.steps.perceivers import fill_board
from daemon.workers.board import ModelState
from daemon.workers.worker import WorkerDied, WorkerFailed

SAMPLE_TEXT = "A quiet harbour in the rain. " * 40
SAMPLE_QUERY = "a harbour at 7"


async def examine_models(services: Services, *, thoroughly: bool) -> AsyncIterator[Finding]:
    """Yield a finding for each model of the settings."""
    await fill_board(services)
    states = {state.name: state for state in services.board.states()}
    for model in services.workers.chosen:
        about = "text model" if model.role == "text" else f"{model.role} model {model.name}"
        if model.problem:
            yield Finding(about, False, model.problem)
        elif thoroughly:
            yield await _try(services, model, about)
        elif model.role == "text":
            yield await _ask(services, model, about, states[model.name])
        else:
            yield Finding(about, True, _tell(states[model.name]))


def _tell(state: ModelState) -> str:
    """Say where a model is loaded, its memory, its pace, and what is left for it."""
    where = f"on {state.device}: {state.reason}" if state.device else ""
    if state.is_loaded:
        vram = f", {state.vram >> 20} MiB of VRAM" if state.vram else ""
        where = f"loaded {where}; {state.memory >> 20} MiB of memory{vram}"
    else:
        where = f"not loaded, last {where}" if where else "not loaded yet"
    pace = f", {state.pace.per_minute:.0f} a minute" if state.pace.per_minute else ""
    left = f", some {state.minutes_left:.0f} min" if state.minutes_left else ""
    return f"{where}; {state.left} items left{pace}{left}"


async def _ask(services: Services, model: ChosenModel, about: str, state: ModelState) -> Finding:
    was = _tell(state)
    try:
        said = await services.workers.models[model.name].call("about")
    except (WorkerFailed, WorkerDied) as error:
        return Finding(about, False, str(error))
    return Finding(about, True, f"{said['space']} on {said['device']}: {said['reason']}; {was}")


async def _try(services: Services, model: ChosenModel, about: str) -> Finding:
    """Load a model and let it work on a sample of each kind; CUDA is expected."""
    scratch = services.workers.scratch
    scratch.mkdir(parents=True, exist_ok=True)
    worker = services.workers.models[model.name]
    begun = time.monotonic()
    try:
        said = await worker.call("about")
        loaded = time.monotonic() - begun
        told = await _show_sample(worker, model, scratch)
        if said["has_text_tower"]:
            await worker.call("embed_query", SAMPLE_QUERY)
            told += "; answers queries"
        said = await worker.call("about")
    except (WorkerFailed, WorkerDied) as error:
        return Finding(about, False, str(error))
    finally:
        await worker.close()
    took = time.monotonic() - begun - loaded
    where = f"on {said['device']} ({said['reason']})"
    vram = f", {said['vram'] >> 20} MiB of VRAM" if said.get("vram") else ""
    is_well = said["device"] == "cuda" or not model.is_big
    return Finding(
        about, is_well, f"{where}: loaded in {loaded:.1f} s, {took:.1f} s for samples{vram}; {told}"
    )


async def _show_sample(worker: Any, model: ChosenModel, scratch: Path) -> str:
    if model.role == "text":
        chunks = (await worker.call("chunk", [SAMPLE_TEXT]))[0]
        data = await worker.call("embed", chunks)
        return f"{len(chunks)} chunks, {len(data)} bytes of vectors"
    items = [_sample(model, kind, scratch) for kind in model.kinds]
    try:
        answer = await worker.call("perceive", items)
    finally:
        for item in items:
            for name in ("sound", "pictures"):
                if item[name]:
                    Path(item[name]).unlink(missing_ok=True)
    said = [
        f"{i['kind']}: {w[:200] or 'no words'}" for i, w in zip(items, answer["words"], strict=True)
    ]
    return f"{sum(answer['rows'])} vectors; " + "; ".join(said)


def _sample(model: ChosenModel, kind: str, scratch: Path) -> dict[str, str]:
    """Return a made item: a chord that is plucked, a sunset of two colours, a text."""
    item = {
        "kind": kind,
        "sound": "",
        "pictures": "",
        "text": SAMPLE_TEXT if kind == "text" else "",
    }
    for number, view in enumerate(model.family.views[kind]):
        path = scratch / f"sample-{model.name.replace('/', '-')}-{kind}-{number}.npy"
        if "rate" in view:
            seconds = np.arange(int(view["rate"] * view["seconds"])) / view["rate"]
            waves = [np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277.2, 329.6)]
            pluck = np.exp(-3 * (seconds % 1.0))
            np.save(path, (np.sum(waves, axis=0) * pluck / 4)[None].astype(np.float32))
            item["sound"] = str(path)
        else:
            size = int(view["size"])
            frame = np.zeros((size * 2 // 3, size, 3), np.uint8)
            frame[: len(frame) // 2] = (250, 140, 60)
            frame[len(frame) // 2 :] = (30, 50, 110)
            np.save(path, frame[None])
            item["pictures"] = str(path)
    return item
