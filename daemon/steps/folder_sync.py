"""Sync one mounted folder: the worker walks and compares, here is decided and stored."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from connectors.base import FileFacts
from connectors.folder.settings import FolderSettings
from daemon.identity.resolver import Outcome, Resolver, mark_gone, renew_presence
from daemon.steps.step import StepFailed, StepRun
from daemon.store.models import Location, Source, UnreadableLocation, now
from daemon.store.profiles import default_profile
from daemon.store.ratings import FILE, PERSON, NewRating, file_words, rate_many
from daemon.workers.worker import Worker, WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

KNOWN_PAGE = 5000
BATCH = 64
READ_TIMEOUT = 300.0
"""Seconds for a batch; a file that takes its batch past it is read alone, then set aside."""
ALONE_TIMEOUT = 60.0


# The + keeps SQLite from the index on the source, after which it would sort all rows each page.
_PRESENT = """
    SELECT id, path, size, mtime_ns, companions FROM location
    WHERE +source_id = ? AND gone_at IS NULL AND id > ? ORDER BY id LIMIT ?
"""
_UNREADABLE = "SELECT path, size, mtime_ns, companions FROM unreadable_location WHERE source_id = ?"


@dataclass
class Found:
    """What a sync came to, over all sources."""

    outcome: Outcome = field(default_factory=Outcome)
    gone: int = 0
    unreadable: int = 0
    growing: int = 0

    def __str__(self) -> str:
        counts = {
            "new": self.outcome.new, "changed": self.outcome.changed, "moved": self.outcome.moved,
            "further copies": self.outcome.joined, "gone": self.gone,
            "unreadable": self.unreadable, "still growing": self.growing,
        }  # fmt: skip
        return ", ".join(f"{n} {what}" for what, n in counts.items() if n) or "nothing new"


class FolderSync:
    """One scan of one folder."""

    def __init__(
        self, run: StepRun, source: Source, settings: FolderSettings, found: Found
    ) -> None:
        self._run = run
        self._database = run.services.database
        self._source = source
        self._settings = settings
        self._found = found
        self._root = bytes(settings.path)

    async def sync(self, under: Sequence[bytes] | None) -> str:
        """Scan, all or only some sub-folders; return what is wrong, "" if nothing.

        Raises StepFailed where the folder cannot be read.
        """
        async with self._run.services.workers.files.take() as worker:
            try:
                counts = await self._scan(worker, under)
                pending = [row async for row in _taken(worker, "new")]
                changed = [row async for row in _taken(worker, "changed")]
                vanished = [row[0] async for row in _taken(worker, "gone")]
            except WorkerFailed as error:
                raise StepFailed(error.message) from error
            except WorkerDied as error:
                raise StepFailed(f"The scan of {self._source.name} broke off: {error}") from error
        set_aside = await self._forget_unreadable(vanished)
        lost = set(vanished) - set_aside
        resolver = Resolver(self._source.id, self._settings.media, lost)
        await self._read_all([*changed, *pending], resolver)
        return await self._conclude(resolver) or _unlisted(counts)

    async def _scan(self, worker: Worker, under: Sequence[bytes] | None) -> dict[str, Any]:
        await worker.call(
            "begin_scan", self._root, self._settings.media, list(self._settings.ignore),
            None if under is None else list(under),
        )  # fmt: skip
        await self._hand_over(worker)
        counts: dict[str, Any] = await worker.call("walk")
        return counts

    async def _hand_over(self, worker: Worker) -> None:
        """Tell the worker what is known; it takes in one page while the next is read."""
        handing: asyncio.Task[Any] | None = None
        async for page in self._known_pages():
            if handing:
                await handing
            handing = asyncio.create_task(worker.call("add_known", page))
        if handing:
            await handing

    async def _known_pages(self) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Yield (path, size, mtime, companions) rows of present files, then of unreadable ones."""
        last = 0
        while rows := await self._fetch(_PRESENT, self._source.id, last, KNOWN_PAGE):
            last = rows[-1][0]
            yield [row[1:] for row in rows]
        yield await self._fetch(_UNREADABLE, self._source.id)

    async def _fetch(self, statement: str, *values: int) -> list[tuple[Any, ...]]:
        """Return plain rows: for tens of thousands, making objects of them is half the time."""
        async with self._database.read() as session:
            connection = await (await session.connection()).get_raw_connection()
            driver = connection.driver_connection
            assert driver is not None
            return list(await driver.execute_fetchall(statement, values))

    async def _forget_unreadable(self, vanished: Sequence[bytes]) -> set[bytes]:
        """Forget unreadable files that are no longer there; return their paths."""
        ours = UnreadableLocation.source_id == self._source.id
        async with self._database.read() as session:
            known = set(await session.scalars(select(UnreadableLocation.path).where(ours)))
        forgotten = known.intersection(vanished)
        if forgotten:
            async with self._database.write() as session:
                for path in forgotten:
                    await session.execute(
                        delete(UnreadableLocation).where(ours, UnreadableLocation.path == path)
                    )
        return forgotten

    async def _read_all(self, rows: Sequence[Any], resolver: Resolver) -> None:
        """Read new and changed files in all workers, and store them batch by batch."""
        progress = self._run.progress
        await self._run.report(total=(progress.total or 0) + len(rows), message=self._source.name)
        batches = [rows[n : n + BATCH] for n in range(0, len(rows), BATCH)]
        limit = asyncio.Semaphore(2 * len(self._run.services.workers.files.workers))

        async def read(batch: Sequence[Any]) -> list[dict[str, Any]]:
            async with limit:
                return await self._read(batch)

        tasks: list[asyncio.Task[list[dict[str, Any]]]] = []
        try:
            upcoming = iter(batches)
            for batch in upcoming:
                tasks.append(asyncio.create_task(read(batch)))
                if len(tasks) >= 8:
                    await self._store(await tasks.pop(0), resolver)
            while tasks:
                await self._store(await tasks.pop(0), resolver)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """Read a batch; where it kills or stops the worker, one by one, to find the culprit."""
        files = self._run.services.workers.files
        arguments = (self._root, self._settings.media)
        try:
            batch: list[dict[str, Any]] = await files.call(
                "read_files", *arguments, list(rows), timeout=READ_TIMEOUT
            )
            return batch
        except (WorkerDied, WorkerFailed) as error:
            log.warning("Reading a batch of %s failed: %s", self._source.name, error)
        results = []
        for row in rows:
            try:
                results += await files.call("read_files", *arguments, [row], timeout=ALONE_TIMEOUT)
            except (WorkerDied, WorkerFailed) as error:
                results.append(_unreadable(row, f"Reading it failed: {error}"))
        return results

    async def _store(self, results: Sequence[dict[str, Any]], resolver: Resolver) -> None:
        unreadable = [result for result in results if "unreadable" in result]
        facts = [FileFacts.from_dict(r) for r in results if "soft_hash" in r]
        async with self._database.write() as session:
            paths = [result["path"] for result in results]
            await session.execute(
                delete(UnreadableLocation).where(
                    UnreadableLocation.source_id == self._source.id,
                    UnreadableLocation.path.in_(paths),
                )
            )
            for result in unreadable:
                await session.execute(
                    insert(UnreadableLocation).values(
                        source_id=self._source.id, path=result["path"], size=result["size"],
                        mtime_ns=result["mtime_ns"], companions=result["companions"],
                        reason=result["unreadable"],
                    )
                )  # fmt: skip
            outcome = await resolver.settle(session, facts)
        await self._import_ratings(facts, outcome.items)
        self._found.outcome.add(outcome)
        self._found.unreadable += len(unreadable)
        self._found.growing += sum("growing" in result for result in results)
        for result in unreadable:
            log.warning("Set aside %r: %s", result["path"], result["unreadable"])
        await self._run.report(done=self._run.progress.done + len(results))

    async def _import_ratings(self, batch: Sequence[FileFacts], items: dict[bytes, int]) -> None:
        """Take the file's own word, unless a person has spoken or it is known."""
        said = {items[f.path]: f.rating for f in batch if f.rating is not None}
        if not said:
            return
        services = self._run.services
        async with self._database.read() as session:
            profile = await default_profile(session, services.settings)
            known = await file_words(session, profile.id, list(said))
        news = [
            NewRating(item_id, value, now())
            for item_id, value in said.items()
            if known.get(item_id, ...) not in (PERSON, value)
        ]
        if news:
            await rate_many(self._database, services.journal, profile.id, news, origin=FILE)

    async def _conclude(self, resolver: Resolver) -> str:
        """Mark gone what is gone, unless so much is missing that a broken mount is likelier."""
        gone = sorted(resolver.vanished)
        async with self._database.read() as session:
            known = await session.scalar(
                select(func.count()).where(
                    Location.source_id == self._source.id, Location.gone_at.is_(None)
                )
            )
        accepted = self._source.name in self._run.options.get("accept_loss", ())
        if len(gone) * 2 > (known or 0) and not accepted:
            return (
                f"{len(gone)} of {known} known files are missing. That looks like a broken mount, "
                "so nothing was marked gone. If they are really gone, confirm it: "
                f"run sync --accept-loss '{self._source.name}'."
            )
        for start in range(0, len(gone), 500):
            async with self._database.write() as session:
                batch = gone[start : start + 500]
                resolver.touched |= await mark_gone(session, self._source.id, batch)
        touched = sorted(resolver.touched)
        for start in range(0, len(touched), 500):
            async with self._database.write() as session:
                await renew_presence(session, touched[start : start + 500])
        self._found.gone += len(gone)
        return ""


async def _taken(worker: Worker, what: str) -> Any:
    while rows := await worker.call("take", what, KNOWN_PAGE):
        for row in rows:
            yield row


def _unreadable(row: Any, reason: str) -> dict[str, Any]:
    path, size, mtime_ns, companions = row
    return {
        "path": path, "size": size, "mtime_ns": mtime_ns, "companions": companions,
        "unreadable": reason,
    }  # fmt: skip


def _unlisted(counts: dict[str, Any]) -> str:
    folders = counts.get("unlisted") or []
    if not folders:
        return ""
    names = ", ".join(folder.decode(errors="replace") or "." for folder in folders[:3])
    return f"{len(folders)} sub-folders could not be listed ({names})"
