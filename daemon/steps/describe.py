"""Say in words what every item is: from its tags, its sidecar and text, and by models."""

import asyncio
import logging
import os
import posixpath
import re
from collections.abc import Sequence

from connectors.base import Metadata
from daemon.services import Services
from daemon.steps.former_models import drop_former
from daemon.steps.perceive import perceive
from daemon.steps.step import Step, StepIncomplete, StepRun
from daemon.store.descriptions import renew, save_parts
from daemon.store.models import Item, now
from daemon.store.places import file_places
from daemon.store.work import count_due, find_due, mark_done, mark_failed
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

WORKER = "describe:files@1"
BATCH = 50
TEXT_TIMEOUT = 120.0


async def describe(run: StepRun) -> str:
    """Say in words what is new or has changed; then let the models look and listen."""
    lines = [await _describe_files(run)]
    perceived = await perceive(run)
    lines += [perceived.summary, await drop_former(run)]
    summary = "; ".join(filter(None, lines))
    if perceived.problems:
        raise StepIncomplete(summary, "; ".join(perceived.problems))
    return summary


async def _describe_files(run: StepRun) -> str:
    services = run.services
    started = now()
    async with services.database.read() as session:
        total = await count_due(session, WORKER, started)
    await run.report(done=0, total=total)
    done = failed = away = 0
    after = (False, 0)
    while not run.is_over():
        async with services.database.read() as session:
            rows = await find_due(session, WORKER, started, after=after, limit=BATCH)
            places = await file_places(session, [row.Item.id for row in rows])
        if not rows:
            break
        after = (bool(rows[-1].seen), rows[-1].Item.id)
        items = [row.Item for row in rows]
        failed_here, away_here = await _describe_batch(services, items, places)
        failed, away = failed + failed_here, away + away_here
        done += len(rows) - away_here
        await run.report(done=done)
    left = total - done - away
    return f"{done - failed} described" + "".join([
        f", {failed} failed" if failed else "",
        f", {away} out of reach" if away else "",
        f", {left} left for {run.next_time}" if left > 0 else "",
    ])  # fmt: skip


async def _describe_batch(
    services: Services, items: Sequence[Item], places: dict[int, list[tuple[bytes, bytes]]]
) -> tuple[int, int]:
    """Describe and store a batch; return how many failed, and how many are out of reach.

    The latter stay due, and what is said of them stays.
    """
    parts: dict[int, dict[str, str]] = {}
    errors: dict[int, str] = {}
    away: set[int] = set()

    async def read(item_id: int, place: tuple[bytes, bytes]) -> None:
        try:
            parts[item_id]["text"] = await services.workers.files.call(
                "read_text", *place, timeout=TEXT_TIMEOUT
            )
        except WorkerFailed as error:
            if error.kind == "ConnectorUnavailable":
                away.add(item_id)
            else:
                errors[item_id] = error.message
        except WorkerDied as error:
            errors[item_id] = str(error)

    for item in items:
        paths = [path for _, path in places.get(item.id, ())]
        parts[item.id] = {**describe_words(item, paths), "sidecar": item.sidecar}
    texts = [(i.id, places[i.id][0]) for i in items if i.kind == "text" and i.id in places]
    await asyncio.gather(*(read(*text) for text in texts))
    items = [item for item in items if item.id not in away]
    if not items:
        return 0, len(away)
    async with services.database.write() as session:
        await save_parts(
            session,
            [item.id for item in items],
            [(item.id, producer, t) for item in items for producer, t in parts[item.id].items()],
        )
        await renew(session, items)
        well = {item.id: item.input_hash for item in items if item.id not in errors}
        if well:
            await mark_done(session, WORKER, well)
        for item in items:
            if item.id in errors:
                await mark_failed(session, WORKER, item.id, item.input_hash, errors[item.id])
                log.warning("%s could not be read for words: %s", item.title, errors[item.id])
    return len(errors), len(away)


def describe_words(item: Item, paths: Sequence[bytes]) -> dict[str, str]:
    """Return what the file and the path say, and apart from it what only servers say."""
    if item.own_facts is None:
        return {"tags": describe_metadata(Metadata.from_dict(item.facts), item.title, paths)}
    if not item.own_facts:
        return {"server": describe_metadata(Metadata.from_dict(item.facts), item.title, paths)}
    own = item.own_facts
    more = {name: value for name, value in item.facts.items() if value != own.get(name)}
    return {
        "tags": describe_metadata(Metadata.from_dict(own), item.title, paths),
        "server": describe_metadata(Metadata.from_dict(more), "", ()),
    }


def describe_metadata(metadata: Metadata, title: str, paths: Sequence[bytes]) -> str:
    """Return sentences about what is known, and the folder's name."""
    names = metadata.artists or metadata.people[:3]
    lines = [
        _sentence(metadata.title or title, "by", names) if metadata.title or title else "",
        _labelled("Album", metadata.album),
        _labelled("Series", metadata.series),
        _labelled("Genre", ", ".join(metadata.genres)),
        _labelled("Keywords", ", ".join(metadata.keywords)),
        _labelled("People", ", ".join(metadata.people)),
        _labelled("Studio", ", ".join(metadata.studios)),
        _labelled("Year", str(metadata.year or "")),
        _labelled("Language", metadata.language),
        *(_labelled(label.capitalize(), value) for label, value in metadata.extra.items()),
        metadata.overview,
        metadata.lyrics,
        _labelled("Folder", ", ".join(_path_words(paths[0])) if paths else ""),
    ]
    return "\n".join(line for line in lines if line)


def _sentence(title: str, word: str, names: Sequence[str]) -> str:
    return f"{title} {word} {', '.join(names)}" if names else title


def _labelled(label: str, value: str) -> str:
    return f"{label}: {value}" if value else ""


def _path_words(path: bytes) -> list[str]:
    """Return the folders' names as words; people sort by folders."""
    folders = os.fsencode(posixpath.dirname(path)).decode(errors="replace").split("/")
    return [re.sub(r"[\W_]+", " ", folder).strip() for folder in folders if folder.strip()]


STEP = Step("describe", "Describe in words", "gpu", describe)
