"""Sync one media server: its libraries, and what each account did there."""

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update

from connectors import ServerSettings
from connectors.base import ConnectorError
from connectors.paths import PathMap
from connectors.server import Capability, Library, Server, ServerItem
from daemon.identity.resolver import mark_gone, renew_presence
from daemon.identity.server_resolver import ServerResolver
from daemon.steps.account_sync import AccountSync
from daemon.steps.folder_sync import Found
from daemon.steps.step import StepFailed, StepRun
from daemon.store.models import Location, Source, now

log = logging.getLogger(__name__)

WRITE_BATCH = 50
"""Items a transaction, so that it stays short."""
FEW_CHANGES = 1000
"""Changed items that are held to look at together; with more, the whole library is read."""
WHOLE_EVERY = timedelta(days=7)
"""A library is read whole now and then, whatever the server says of changes."""
LOOKED_UP = 1000
"""Ids that seem gone are asked for one by one, up to so many."""


class ServerSync:
    """One sync of one server."""

    def __init__(
        self, run: StepRun, source: Source, settings: ServerSettings, found: Found
    ) -> None:
        self._run = run
        self._services = run.services
        self._database = run.services.database
        self._source = source
        self._settings = settings
        self._found = found
        self._paths = PathMap(settings.path_map)
        self._details: dict[str, Any] = dict(source.details or {})

    async def sync(self) -> str:
        """Take in what is new; return what is wrong, "" if nothing. Raises StepFailed."""
        name = self._settings.name
        try:
            server = await self._services.servers.open(name)
            problems = await self._sync_libraries(server)
            problems += await AccountSync(self._run, self._source, self._settings, server).sync()
        except ConnectorError as error:
            await self._services.servers.forget(name)
            raise StepFailed(str(error)) from error
        return "; ".join(problems)

    async def _sync_libraries(self, server: Server) -> list[str]:
        began = now()
        libraries = await server.libraries()
        info = server.info
        self._details |= {"id": info.id, "name": info.name, "version": info.version}
        problems = []
        for library in libraries:
            problem = await self._sync_library(server, library, began)
            problems += [f"{library.name}: {problem}"] if problem else []
        problem = await self._retire_libraries([library.id for library in libraries])
        await self._save_details()
        return problems + ([problem] if problem else [])

    async def _sync_library(self, server: Server, library: Library, began: datetime) -> str:
        marks = self._details.setdefault("libraries", {})
        mark = marks.get(library.id, {})
        read_at = _moment(mark.get("read_at"))
        is_due = read_at is None or began - read_at > WHOLE_EVERY
        known = await self._count(library)
        surplus = mark.get("surplus", 0)
        count_fits = library.count is None or library.count == known + surplus
        if not is_due and library.stamp and library.stamp == mark.get("stamp") and count_fits:
            return ""
        changes: list[ServerItem] | None = None
        if not is_due and Capability.CHANGES in server.info.capabilities:
            changes = await self._read_changes(server, library, _moment(mark["changed_at"]))
        problem = ""
        if changes is not None:
            new = await self._count_unknown(library, changes)
            sweep = None
            if library.count is not None and known + new + surplus != library.count:
                sweep = await self._sweep_ids(server, library)
            await self._settle(library, changes, sweep)
        else:
            sweep = await self._sweep_ids(server, library) if known else None
            await self._read_whole(server, library, sweep)
            read_at = began
        if sweep is not None:
            problem = await self._mark_gone(server, library, sweep)
        if not problem:
            known = await self._count(library)
            marks[library.id] = {
                "name": library.name, "stamp": library.stamp, "changed_at": began.isoformat(),
                "read_at": (read_at or began).isoformat(),
                # what it counts and does not list, such as episodes that are only announced
                "surplus": (library.count or 0) - known if library.count is not None else 0,
            }  # fmt: skip
            self._run.checkpoint.pop(self._place(library), None)
            await self._save_details()
        return problem

    async def _read_changes(
        self, server: Server, library: Library, since: datetime | None
    ) -> list[ServerItem] | None:
        """Return what has changed; None where it is so much that all is read instead."""
        changes: list[ServerItem] = []
        async for page in server.items(library, since=since):
            changes += page.entries
            if len(changes) > FEW_CHANGES:
                return None
        return changes

    async def _read_whole(self, server: Server, library: Library, sweep: int | None) -> None:
        """Read all pages; one that was stored need not be read again after a break."""
        place = self._place(library)
        start = self._run.checkpoint.get(place)
        if library.count is not None:
            total = (self._run.progress.total or 0) + library.count
            await self._run.report(total=total, message=self._settings.name)
        async for page in server.items(library, start=start):
            await self._settle(library, page.entries, sweep)
            if page.next is not None:
                self._run.checkpoint[place] = page.next
            await self._run.report(done=self._run.progress.done + len(page.entries))

    async def _settle(
        self, library: Library, items: Sequence[ServerItem], sweep: int | None
    ) -> None:
        resolver = ServerResolver(
            self._source.id, self._paths, sweep, has_lost=await self._has_lost(sweep)
        )
        for start in range(0, len(items), WRITE_BATCH):
            async with self._database.write() as session:
                batch = items[start : start + WRITE_BATCH]
                self._found.outcome.add(await resolver.settle(session, library.id, batch))

    async def _has_lost(self, sweep: int | None) -> bool:
        lost: Any = Location.gone_at.is_not(None)
        if sweep is not None:
            lost = or_(lost, Location.sweep != sweep, Location.sweep.is_(None))
        async with self._database.read() as session:
            found = await session.scalar(
                select(Location.id)
                .where(Location.source_id == self._source.id, Location.library.is_not(None), lost)
                .limit(1)
            )
        return found is not None

    async def _sweep_ids(self, server: Server, library: Library) -> int:
        """Mark what is there with a number of this reading; return the number."""
        sweep = time.time_ns() // 1000
        async for ids in server.ids(library):
            for start in range(0, len(ids), 500):
                paths = [i.encode() for i in ids[start : start + 500]]
                async with self._database.write() as session:
                    await session.execute(
                        update(Location)
                        .where(Location.source_id == self._source.id, Location.path.in_(paths))
                        .values(sweep=sweep)
                    )
        return sweep

    async def _mark_gone(self, server: Server, library: Library, sweep: int) -> str:
        """Mark gone what the reading did not meet, unless that is more than can be believed."""
        ours: Any = (Location.source_id == self._source.id) & (Location.library == library.id)
        present = ours & Location.gone_at.is_(None)
        unmet = or_(Location.sweep.is_(None), Location.sweep != sweep)
        async with self._database.read() as session:
            total = await session.scalar(select(func.count()).where(present)) or 0
            gone = list(await session.scalars(select(Location.path).where(present, unmet)))
        if gone and len(gone) <= LOOKED_UP and (accounts := self._accounts()):
            ids = [path.decode() for path in gone if not path.startswith(b"\0")]
            still = await server.existing(accounts[0], ids)
            gone = [path for path in gone if path.decode() not in still]
        if len(gone) * 2 > total and self._source.name not in self._run.options.get(
            "accept_loss", ()
        ):
            return (
                f"{len(gone)} of {total} known items are missing on the server, so nothing was "
                "marked gone. If they are really gone, confirm it: "
                f"run sync --accept-loss '{self._source.name}'."
            )
        await self._lose(gone)
        return ""

    async def _retire_libraries(self, present: Sequence[str]) -> str:
        """Mark gone the items of libraries that are no longer there, or no longer wanted."""
        ours: Any = (Location.source_id == self._source.id) & Location.gone_at.is_(None)
        async with self._database.read() as session:
            total = await session.scalar(select(func.count()).where(ours)) or 0
            gone = list(
                await session.scalars(
                    select(Location.path).where(ours, Location.library.not_in(list(present)))
                )
            )
        if not gone:
            return ""
        if len(gone) * 2 > total and self._source.name not in self._run.options.get(
            "accept_loss", ()
        ):
            return (
                f"libraries with {len(gone)} of {total} known items are no longer there, so "
                "nothing was marked gone. If that is right, confirm it: "
                f"run sync --accept-loss '{self._source.name}'."
            )
        await self._lose(gone)
        return ""

    async def _lose(self, paths: Sequence[bytes]) -> None:
        for start in range(0, len(paths), 500):
            async with self._database.write() as session:
                items = await mark_gone(session, self._source.id, paths[start : start + 500])
                await renew_presence(session, sorted(items))
        self._found.gone += len(paths)

    async def _count(self, library: Library) -> int:
        async with self._database.read() as session:
            count = await session.scalar(
                select(func.count()).where(
                    Location.source_id == self._source.id, Location.library == library.id,
                    Location.gone_at.is_(None),
                )
            )  # fmt: skip
        return count or 0

    async def _count_unknown(self, library: Library, items: Sequence[ServerItem]) -> int:
        known = 0
        paths = list({item.id.encode() for item in items})
        async with self._database.read() as session:
            for start in range(0, len(paths), 500):
                known += (
                    await session.scalar(
                        select(func.count()).where(
                            Location.source_id == self._source.id,
                            Location.library == library.id,
                            Location.path.in_(paths[start : start + 500]),
                            Location.gone_at.is_(None),
                        )
                    )
                    or 0
                )
        return len(paths) - known

    async def _save_details(self) -> None:
        async with self._database.write() as session:
            await session.execute(
                update(Source).where(Source.id == self._source.id).values(details=self._details)
            )

    def _accounts(self) -> list[Any]:
        return self._services.servers.accounts(self._settings.name)

    def _place(self, library: Library) -> str:
        return f"page {self._source.name} {library.id}"


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
