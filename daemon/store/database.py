"""Open the database and hand out transactions.

SQLite in WAL mode: readers never wait. Writers take turns inside this process by a lock, and
between processes by BEGIN IMMEDIATE with a busy time-out; so keep writes short (under 100 ms).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

BUSY_TIMEOUT_MS = 10_000


class Database:
    """`read()` and `write()` open a session in a transaction; leaving it commits."""

    def __init__(self, path: Path, *, query_only: bool = False) -> None:
        self.path = path
        url = f"sqlite+aiosqlite:///{path}"
        self._reader = _engine(url, "BEGIN", "NORMAL", query_only=True, pool_size=4)
        self._writer = _engine(url, "BEGIN IMMEDIATE", "NORMAL", query_only=query_only, pool_size=1)
        self._durable = _engine(url, "BEGIN IMMEDIATE", "FULL", query_only=query_only, pool_size=1)
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """Yield a session that sees one consistent state and cannot write."""
        async with async_sessionmaker(self._reader, expire_on_commit=False)() as session:
            yield session

    @asynccontextmanager
    async def write(self, *, durable: bool = False) -> AsyncIterator[AsyncSession]:
        """Yield a session in the only write transaction; commit at its end.

        `durable`: on disk when this returns. Otherwise a power cut (not a kill) may lose the
        last moments, never consistency.
        """
        engine = self._durable if durable else self._writer
        async with (
            self._turn,
            async_sessionmaker(engine, expire_on_commit=False).begin() as session,
        ):
            yield session

    async def close(self) -> None:
        """Close every connection."""
        for engine in (self._reader, self._writer, self._durable):
            await engine.dispose()


@asynccontextmanager
async def open_database(path: Path, *, query_only: bool = False) -> AsyncIterator[Database]:
    """Yield the database at `path`, already migrated (`daemon.store.migrate.upgrade`)."""
    database = Database(path, query_only=query_only)
    try:
        yield database
    finally:
        await database.close()


def fold(value: Any) -> str | None:
    """Return text without regard to case, in every script; SQLite's own `lower` knows ASCII."""
    if value is None:
        return None
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).casefold()


def _engine(
    url: str, begin: str, synchronous: str, *, query_only: bool, pool_size: int
) -> AsyncEngine:
    engine = create_async_engine(url, pool_size=pool_size, max_overflow=4 if pool_size > 1 else 0)

    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the begin event below begins, not the driver
        connection.create_function("fold", 1, fold, deterministic=True)
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        if not query_only:
            cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA query_only = {int(query_only)}")
        cursor.close()

    def start_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine.sync_engine, "connect", set_pragmas)
    event.listen(engine.sync_engine, "begin", start_transaction)
    return engine
