"""A change in a mounted folder is taken in within seconds, without anyone asking."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import select

from daemon.jobs.file_events import watching
from daemon.jobs.runner import Runner, running
from daemon.services import Services
from daemon.store.models import Item, JobRun
from tests.household import Household, run_step
from tests.media import make_audio, write
from tests.watches import counted


async def titles(services: Services) -> set[str]:
    async with services.database.read() as session:
        return set(await session.scalars(select(Item.title).where(Item.gone_at.is_(None))))


async def eventually(services: Services, wanted: set[str], *, within: float = 20) -> None:
    deadline = time.monotonic() + within
    while await titles(services) != wanted:
        assert time.monotonic() < deadline, await titles(services)
        await asyncio.sleep(0.1)


@asynccontextmanager
async def at_work(services: Services) -> AsyncIterator[None]:
    """Run what is queued, and watch; entered when the watch stands."""
    runner = Runner(services)
    with counted() as watches:
        async with running(runner), watching(services, runner):
            await watches.until(1)
            yield


async def test_new_moved_and_deleted_files_are_noticed(household: Household) -> None:
    folder = household.folder("music")
    for name in ("a", "b", "c"):
        make_audio(folder / "Album" / f"{name}.mp3", frequency=ord(name) * 4, title=name)
    async with household.open() as services:
        await run_step(services, "sync")
        async with at_work(services):
            make_audio(folder / "Album" / "d.mp3", frequency=700, title="d")
            await eventually(services, {"a", "b", "c", "d"})
            (folder / "Other").mkdir()
            (folder / "Album" / "a.mp3").rename(folder / "Other" / "a.mp3")
            (folder / "Album" / "b.mp3").unlink()
            await eventually(services, {"a", "c", "d"})
        async with services.database.read() as session:
            runs = (await session.scalars(select(JobRun).where(JobRun.step == "sync"))).all()
            items = (await session.scalars(select(Item))).all()
        assert {run.origin for run in runs} == {"files"}
        assert all(run.options["under"] for run in runs)
        assert len(items) == 4  # the moved one is no fifth


async def test_a_file_that_grows_is_taken_in_when_it_is_whole(household: Household) -> None:
    folder = household.folder("music")
    make_audio(folder / "first.mp3", title="first")
    make_audio(household.home / "whole.mp3", seconds=3, frequency=333, title="whole")
    content = (household.home / "whole.mp3").read_bytes()
    async with household.open() as services:
        await run_step(services, "sync")
        async with at_work(services):
            await asyncio.to_thread(_grow, folder / "second.mp3", content)
            await eventually(services, {"first", "whole"})


def _grow(path: Path, content: bytes) -> None:
    size = len(content) // 20 + 1
    for end in range(size, len(content) + size, size):
        write(path, content[:end])
        time.sleep(0.1)
