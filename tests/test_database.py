"""Transactions: readers never wait and see one state, writers take turns, also across processes."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from daemon.store.database import BUSY_TIMEOUT_MS, Database, open_database
from daemon.store.migrate import upgrade
from daemon.store.models import (
    Fact,
    Item,
    Profile,
    Rating,
    new_id,
    now,
    parse_public_id,
    public_id,
)
from tests.verbs import ROOT


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    path = tmp_path / "anagnorisis.db"
    upgrade(path, tmp_path / "backups")
    async with open_database(path) as database:
        yield database


async def count(database: Database) -> int:
    async with database.read() as session:
        return await session.scalar(select(func.count()).select_from(Profile)) or 0


@pytest.mark.parametrize(("durable", "synchronous"), [(False, 1), (True, 2)])
async def test_a_durable_write_waits_for_the_disk(
    database: Database, durable: bool, synchronous: int
) -> None:
    async with database.write(durable=durable) as session:
        pragmas = {
            name: await session.scalar(text(f"PRAGMA {name}"))
            for name in ("synchronous", "journal_mode", "foreign_keys", "busy_timeout")
        }
    assert pragmas == {
        "synchronous": synchronous, "journal_mode": "wal", "foreign_keys": 1,
        "busy_timeout": BUSY_TIMEOUT_MS,
    }  # fmt: skip


async def test_a_reader_sees_one_state_while_others_write(database: Database) -> None:
    async with database.write() as session:
        session.add(Profile(name="anna"))
    async with database.read() as reader:
        assert await reader.scalar(select(func.count()).select_from(Profile)) == 1
        async with database.write() as session:
            session.add(Profile(name="ben"))
            await session.flush()
            assert await count(database) == 1, "not before the commit"
        assert await reader.scalar(select(func.count()).select_from(Profile)) == 1
        assert await count(database) == 2


async def test_a_reader_cannot_write(database: Database) -> None:
    async with database.read() as session:
        with pytest.raises(OperationalError, match="readonly"):
            await session.execute(text("DELETE FROM profile"))


async def test_a_write_that_raises_is_undone_and_the_next_one_goes_on(database: Database) -> None:
    with suppress(RuntimeError):
        async with database.write() as session:
            session.add(Profile(name="anna"))
            await session.flush()
            raise RuntimeError
    assert await count(database) == 0
    async with database.write(durable=True) as session:
        session.add(Profile(name="ben"))
    assert await count(database) == 1


async def test_a_write_that_is_cancelled_is_undone_and_holds_up_no_one(database: Database) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            session.add(Profile(name="anna"))
            await session.flush()
            begun.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(write())
    await begun.wait()
    waiting = asyncio.create_task(write())
    await asyncio.sleep(0.05)
    for one in (waiting, task):
        one.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)
    async with asyncio.timeout(5), database.write(durable=True) as session:
        session.add(Profile(name="ben"))
    async with database.read() as session:
        assert list(await session.scalars(select(Profile.name))) == ["ben"]


async def test_what_nothing_refers_to_cannot_be_referred_to(database: Database) -> None:
    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        async with database.write() as session:
            session.add(Rating(profile_id=1, item_id=1, value=5, origin="person", rated_at=now()))


async def test_writes_of_many_tasks_take_turns(database: Database) -> None:
    async with database.write() as session:
        session.add(Fact(name="count", value={"n": 0}))

    async def add_one(durable: bool) -> None:
        async with database.write(durable=durable) as session:
            fact = await session.get_one(Fact, "count")
            await asyncio.sleep(0)
            fact.value = {"n": fact.value["n"] + 1}

    await asyncio.gather(*(add_one(n % 2 == 0) for n in range(60)))
    async with database.read() as session:
        assert (await session.get_one(Fact, "count")).value == {"n": 60}


COUNT = """
import asyncio, sys
from pathlib import Path
from daemon.store.database import open_database
from daemon.store.models import Fact

async def main():
    async with open_database(Path(sys.argv[1])) as database:
        for n in range(40):
            async with database.write(durable=n % 2 == 0) as session:
                fact = await session.get_one(Fact, "count")
                fact.value = {"n": fact.value["n"] + 1}

asyncio.run(main())
"""


async def test_writers_of_several_processes_lose_nothing(database: Database) -> None:
    async with database.write() as session:
        session.add(Fact(name="count", value={"n": 0}))
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", COUNT, str(database.path), cwd=ROOT
        )
        for _ in range(3)
    ]
    seen = []
    while any(process.returncode is None for process in processes):
        async with database.read() as session:
            seen.append((await session.get_one(Fact, "count")).value["n"])
        await asyncio.sleep(0.005)
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert seen == sorted(seen)
    async with database.read() as session:
        assert (await session.get_one(Fact, "count")).value == {"n": 120}


async def test_a_writer_waits_for_one_in_another_process(database: Database) -> None:
    with closing(sqlite3.connect(database.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()

        async def write() -> float:
            async with database.write() as session:
                session.add(Profile(name="anna"))
            return time.monotonic() - started

        task = asyncio.create_task(write())
        await asyncio.sleep(0.3)
        assert await count(database) == 0, "readers do not wait"
        assert not task.done()
        other.execute("COMMIT")
        assert 0.3 <= await task < 5


async def test_a_database_opened_for_questions_only_is_not_written(database: Database) -> None:
    async with open_database(database.path, query_only=True) as looking:
        with pytest.raises(OperationalError, match="readonly"):
            async with looking.write() as session:
                session.add(Profile(name="anna"))
    assert await count(database) == 0


async def test_times_keep_their_moment_whatever_their_zone(database: Database) -> None:
    moment = datetime(2026, 1, 31, 20, 15, 30, 123456, tzinfo=timezone(timedelta(hours=5.5)))
    async with database.write() as session:
        session.add(Profile(name="anna", created_at=moment))
    async with database.read() as session:
        found = await session.scalar(select(Profile.created_at))
    assert found == moment
    assert found.tzinfo is UTC


async def test_ids_are_new_sort_by_time_and_read_back(database: Database) -> None:
    ids = []
    for _ in range(5):
        ids.append(new_id())
        await asyncio.sleep(0.002)
    assert sorted(set(ids)) == ids
    assert max(ids) < 1 << 63
    assert [parse_public_id(public_id(item_id)) for item_id in ids] == ids
    async with database.write() as session:
        session.add(Item(id=ids[0], kind="text", title="one"))
    async with database.read() as session:
        assert await session.scalar(select(Item.id)) == ids[0]


def test_ids_of_one_moment_differ() -> None:
    """Chance alone gives one twice: half of all first syncs of 50,000 files broke on it."""
    assert len({new_id() for _ in range(20_000)}) == 20_000


@pytest.mark.parametrize(
    "words",
    ["", "0", "-1", "+1", "0x1f", "1F", " 1f", "1f ", "1_f", "zz", "01", "f" * 17, "\uff11"],
)
def test_other_words_are_no_ids(words: str) -> None:
    assert parse_public_id(words) is None
