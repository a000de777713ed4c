"""Compare the sources with the catalogue, and take in what is new, changed, moved or gone."""

import logging
from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.dialects.sqlite import insert

from connectors import FolderSettings, ServerSettings
from daemon.services import Services
from daemon.steps.folder_sync import FolderSync, Found
from daemon.steps.server_sync import ServerSync
from daemon.steps.step import Step, StepFailed, StepIncomplete, StepRun
from daemon.store.journal_replay import replay_journal
from daemon.store.models import Source, now

log = logging.getLogger(__name__)


async def sync(run: StepRun) -> str:
    """Sync source by source, so that one that is missing does not hold up the others."""
    await register_sources(run.services)
    wanted = run.options.get("under")
    finished = run.checkpoint.setdefault("finished", [])
    found, problems = Found(), []
    async for source, settings in _sources(run.services):
        under = wanted.get(source.name) if wanted else None
        if source.name in finished or (wanted and under is None):
            continue
        folders = [bytes.fromhex(folder) for folder in under] if under else None
        try:
            if isinstance(settings, FolderSettings):
                problem = await FolderSync(run, source, settings, found).sync(folders)
            else:
                problem = await ServerSync(run, source, settings, found).sync()
        except StepFailed as error:
            problem = str(error)
        await _note(run.services, source, problem)
        if problem:
            log.warning("%s: %s", source.name, problem)
            problems.append(f"{source.name}: {problem}")
        finished.append(source.name)
        await run.report(message=str(found))
    restored = await replay_journal(run.services.database, run.services.journal)
    summary = f"{found}; {restored} ratings put back from the journal" if restored else str(found)
    if problems:
        raise StepIncomplete(summary, "; ".join(problems))
    return summary


async def register_sources(services: Services, *, are_all: bool = True) -> None:
    """Make the source rows those of the settings.

    `are_all`: what the settings do not name is not served any more. A verb may have been given
    other settings than the daemon, so it only adds.
    """
    async with services.database.write() as session:
        if are_all:
            await session.execute(update(Source).values(in_settings=False))
        for source in services.settings.sources or ():
            values: dict[str, Any] = {"kind": source.kind, "in_settings": True}
            if isinstance(source, FolderSettings):
                values |= {"media": source.media, "root": bytes(source.path)}
            await session.execute(
                insert(Source)
                .values(name=source.name, **values)
                .on_conflict_do_update(index_elements=["name"], set_=values)
            )


async def _sources(
    services: Services,
) -> AsyncIterator[tuple[Source, FolderSettings | ServerSettings]]:
    async with services.database.read() as session:
        rows: Sequence[Any] = (await session.scalars(select(Source).order_by(Source.id))).all()
    by_name = {source.name: source for source in services.settings.sources or ()}
    for source in rows:
        if source.name in by_name:
            yield source, by_name[source.name]


async def _note(services: Services, source: Source, problem: str) -> None:
    async with services.database.write() as session:
        await session.execute(
            update(Source)
            .where(Source.id == source.id)
            .values(problem=problem, **({} if problem else {"synced_at": now()}))
        )


STEP = Step("sync", "Sync the sources", "io", sync)
