"""Take in what each account did on a server, and write ratings back where that is wanted."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, update

from connectors import ServerSettings
from connectors.base import ConnectorError, ConnectorUnavailable
from connectors.server import Account as SignedIn
from connectors.server import Capability, ItemState, PlayEvent, Server
from daemon.servers import missing_sign_ins
from daemon.services import Services
from daemon.steps.rating_writer import write_ratings
from daemon.steps.step import StepRun
from daemon.store.models import Source, now
from daemon.store.profiles import find_profile
from daemon.store.server_models import Account
from daemon.store.server_words import find_words, keep_events, keep_states

log = logging.getLogger(__name__)

OVERLAP = timedelta(hours=1)
"""Read again, since a server's clock and ours differ; what is known adds nothing."""
ALL_EVERY = timedelta(hours=20)
"""All states are read each night: what was taken back is seen only so."""
BATCH = 100


class AccountSync:
    """One sync of all accounts of one server."""

    def __init__(
        self, run: StepRun, source: Source, settings: ServerSettings, server: Server
    ) -> None:
        self._run = run
        self._source = source
        self._settings = settings
        self._server = server

    async def sync(self) -> list[str]:
        """Return the problems of single accounts. Raises ConnectorUnavailable."""
        services = self._run.services
        accounts = services.servers.accounts(self._settings.name)
        problems = [
            f"{user} has not signed in: python -m daemon connect '{self._settings.name}' "
            f"--profile '{profile}'"
            for profile, user in missing_sign_ins(self._settings, accounts).items()
        ]
        for signed_in in accounts:
            row = await ensure_account(services, self._source.id, signed_in)
            problem = ""
            try:
                await self._sync_account(row, signed_in)
            except ConnectorUnavailable:
                raise
            except ConnectorError as error:
                problem = f"{signed_in.user_name}: {error}"
                problems.append(problem)
            if problem != row.problem:
                await _change(services, row.id, problem=problem)
        return problems

    async def _sync_account(self, row: Account, account: SignedIn) -> None:
        services, began = self._run.services, now()
        cursor = dict(row.cursor)
        source = self._settings.name
        if Capability.HISTORY in self._server.info.capabilities:
            since = _before(cursor.get("history"))
            async for events in self._server.history(account, since=since):
                await take_events(services, self._source.id, source, row, events)
            cursor["history"] = began.isoformat()
            await _change(services, row.id, cursor=cursor)
        swept = cursor.get("swept")
        is_due = not swept or began - datetime.fromisoformat(swept) > ALL_EVERY
        since = None if is_due else _before(cursor.get("states"))
        seen: set[int] | None = set() if is_due else None
        async for states in self._server.states(account, since=since):
            words = await take_states(services, self._source.id, source, row, states)
            if seen is not None:
                seen.update(words)
        if seen is not None:
            await self._settle_untouched(row, account, seen)
            cursor["swept"] = began.isoformat()
        cursor["states"] = began.isoformat()
        await _change(services, row.id, cursor=cursor)
        if self._settings.write_ratings:
            written = await write_ratings(services, self._server, account, row)
            if written:
                log.info("%s: %d ratings of %s written", source, written, account.profile)

    async def _settle_untouched(self, row: Account, account: SignedIn, seen: set[int]) -> None:
        """Ask for what had a state and was not among those told: a rating was taken back."""
        services = self._run.services
        async with services.database.read() as session:
            silent = await find_words(session, row, without=seen)
        for start in range(0, len(silent), BATCH):
            states = await self._server.states_of(account, silent[start : start + BATCH])
            await take_states(services, self._source.id, self._settings.name, row, states)


async def ensure_account(services: Services, source_id: int, signed_in: SignedIn) -> Account:
    """Return the row of an account; one of another user begins anew."""
    async with services.database.write() as session:
        profile = await find_profile(session, services.settings, signed_in.profile)
        values = {"user_id": signed_in.user_id, "user_name": signed_in.user_name}
        row: Account | None = await session.scalar(
            select(Account).where(Account.source_id == source_id, Account.profile_id == profile.id)
        )
        if row is None:
            row = Account(
                source_id=source_id, profile_id=profile.id, cursor={}, problem="", **values
            )
            session.add(row)
        elif row.user_id != signed_in.user_id:
            row.user_id, row.user_name, row.cursor = *values.values(), {}
        await session.flush()
    return row


async def take_states(
    services: Services, source_id: int, source: str, row: Account, states: Sequence[ItemState]
) -> list[int]:
    """Keep what the server says of items; return their locations."""
    locations: list[int] = []
    for start in range(0, len(states), BATCH):
        locations += await keep_states(
            services.database, services.journal, source_id, source, row,
            states[start : start + BATCH],
        )  # fmt: skip
    return locations


async def take_events(
    services: Services, source_id: int, source: str, row: Account, events: Sequence[PlayEvent]
) -> int:
    """Keep plays; return how many were not known."""
    added = 0
    for start in range(0, len(events), BATCH):
        batch = events[start : start + BATCH]
        added += await keep_events(services.database, source_id, source, row, batch)
    return added


async def _change(services: Services, account_id: int, **values: Any) -> None:
    async with services.database.write() as session:
        await session.execute(update(Account).where(Account.id == account_id).values(**values))


def _before(moment: str | None) -> datetime | None:
    return datetime.fromisoformat(moment) - OVERLAP if moment else None
