"""doctor: is everything as it should be, and what to do where it is not."""

import argparse
import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path

from sqlalchemy import func, select, text

from daemon.commands.command import DONE, FAILED, Verbs, add_verb, answer
from daemon.commands.finding import Finding
from daemon.commands.model_check import examine_models
from daemon.commands.server_check import examine_servers
from daemon.services import Services
from daemon.settings import Settings
from daemon.steps.perceivers import perceiving
from daemon.store.models import Item, Source
from daemon.store.overview import find_set_aside

LITTLE_SPACE = 1 << 30

NO_SOURCES = (
    "none in the settings, and no folder TYPE/LABEL in ANAGNORISIS_MEDIA (/mnt/media without it; "
    "`make run` takes ./media)"
)


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(
        verbs, "doctor", doctor, "check settings, folders, servers, models, disk", answers=True
    )
    parser.add_argument(
        "--gpu", action="store_true", help="load every model, and let it work on samples"
    )


async def doctor(services: Services, arguments: argparse.Namespace) -> int:
    """Check everything; the exit status tells whether all is well."""
    findings = [finding async for finding in _examine(services, thoroughly=arguments.gpu)]
    rows = [
        {"state": "ok" if f.is_well else "PROBLEM", "about": f.about, "message": f.message}
        for f in findings
    ]
    if arguments.json:
        answer(rows, as_json=True, columns=())
    else:
        for row in rows:
            print(f"{row['state']:8} {row['about']}: {row['message']}")
    return DONE if all(finding.is_well for finding in findings) else FAILED


async def _examine(services: Services, *, thoroughly: bool) -> AsyncIterator[Finding]:
    for finding in _examine_data_folder(services.settings):
        yield finding
    yield await _examine_database(services)
    if not services.settings.sources:
        yield Finding("sources", True, NO_SOURCES)
    for folder in services.settings.folders:
        yield await asyncio.to_thread(_examine_folder, folder.name, folder.path)
    async for finding in examine_servers(services):
        yield finding
    async for finding in _examine_sources(services):
        yield finding
    async for finding in examine_models(services, thoroughly=thoroughly):
        yield finding
    yield await _examine_set_aside(services)
    year = time.localtime().tm_year
    yield Finding("clock", year >= 2026, time.strftime("%Y-%m-%d %H:%M %Z"))


def _examine_data_folder(settings: Settings) -> list[Finding]:
    folder = settings.data_dir
    free = shutil.disk_usage(folder).free
    return [
        Finding("settings", True, "they are valid"),
        Finding("data folder", os.access(folder, os.W_OK), f"{folder} can be written"
                if os.access(folder, os.W_OK) else f"{folder} cannot be written: check its owner"),
        Finding("disk", free > LITTLE_SPACE, f"{free / 1e9:.1f} GB free in {folder}"),
    ]  # fmt: skip


async def _examine_database(services: Services) -> Finding:
    async with services.database.read() as session:
        verdict = await session.scalar(text("PRAGMA quick_check"))
        items = await session.scalar(select(func.count(Item.id)).where(Item.gone_at.is_(None)))
    if verdict != "ok":
        return Finding("database", False, f"it is damaged ({verdict}): restore a backup")
    return Finding("database", True, f"{items} items")


def _examine_folder(name: str, path: Path) -> Finding:
    try:
        entries = sum(1 for _ in os.scandir(path))
    except OSError as error:
        return Finding(f"folder {name}", False, f"{path}: {error.strerror}. Is it mounted?")
    return Finding(f"folder {name}", True, f"{path}, {entries} entries")


async def _examine_sources(services: Services) -> AsyncIterator[Finding]:
    async with services.database.read() as session:
        troubled = await session.scalars(
            select(Source).where(Source.in_settings, Source.problem != "")
        )
        for source in troubled:
            yield Finding(f"source {source.name}", False, source.problem)


async def _examine_set_aside(services: Services) -> Finding:
    async with services.database.read() as session:
        _, total = await find_set_aside(session, perceiving(services))
    return Finding("set aside", True, f"{total} files; the Jobs page says why" if total else "none")
