"""What users did: states, history, ratings."""

import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from connectors.base import NotAllowed, NotFound, Refused, SignInRefused
from connectors.plex.calls import OWNER, Calls, is_key
from connectors.plex.listing import BARE, BIG_PAGE, OVERLAP, TYPES, path_of, sections
from connectors.plex.paging import Listed, walk
from connectors.plex.parsing import is_touched, parse_event, parse_state, whole
from connectors.server import Account, ItemState, PlayEvent

log = logging.getLogger(__name__)

LIBRARY = "com.plexapp.plugins.library"


async def states(
    calls: Calls, account: Account, since: datetime | None
) -> AsyncIterator[Sequence[ItemState]]:
    """Yield touched leaves: all, or those that were played, rated or left in the middle since.

    A skip alone changes no date: it is seen when all are read.
    """
    for section in await sections(calls, account):
        number, name, kind = TYPES[section.get("type", "")]
        prefix = f"{name}." if name else ""
        params = {**BARE, "type": number, "sort": f"{prefix or 'movie.'}id:asc"}
        if since is None:
            async for found in _list_states(calls, account, section, params):
                yield found
            continue
        moment = int((since - OVERLAP).timestamp())
        narrowed = {"lastViewedAt>>": moment, "lastRatedAt>>": moment}
        if kind == "videos":
            narrowed["viewOffset>>"] = 0
        for field, value in narrowed.items():
            try:
                async for found in _list_states(
                    calls, account, section, {**params, f"{prefix}{field}": value}
                ):
                    yield found
            except Refused as error:  # an older server may not know the field
                log.info("%s: %s", calls.name, error)


async def _list_states(
    calls: Calls, account: Account, section: Element, params: dict[str, Any]
) -> AsyncIterator[Sequence[ItemState]]:
    async def ask(first: int, size: int) -> Listed[ItemState]:
        return await calls.read(
            account, path_of(section), _parse_states, at=(first, size), params=params
        )

    async for part in walk(ask, BIG_PAGE):
        touched = [state for state in part.entries if is_touched(state)]
        if touched:
            yield touched


def _parse_states(found: Element) -> Listed[ItemState]:
    read = [parse_state(node) for node in found]
    return Listed([state.item_id for state in read], read, whole(found.get("totalSize")))


async def states_of(calls: Calls, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
    """Return the present states of these items."""

    def parse(found: Element) -> list[ItemState]:
        return [parse_state(node) for node in found]

    return await calls.read_batches(account, item_ids, parse, **BARE)


async def history(
    calls: Calls, account: Account, since: datetime | None
) -> AsyncIterator[Sequence[PlayEvent]]:
    """Yield the user's plays, newest first. The owner sees all, others at most their own."""
    params: dict[str, Any] = {"sort": "viewedAt:desc"}
    if since is not None:
        params["viewedAt>"] = int(since.timestamp())
    if is_key(account.user_id):
        params["accountID"] = account.user_id

    async def ask(first: int, size: int) -> Listed[PlayEvent | None]:
        path = "/status/sessions/history/all"
        return await calls.read(account, path, _parse_events, at=(first, size), params=params)

    try:
        async for part in walk(ask, BIG_PAGE):
            yield [event for event in part.entries if event]
    except (NotAllowed, SignInRefused):
        if account.user_id == OWNER:
            raise
        await calls.read(account, "/library/sections", len)  # is the token taken at all?
        log.info("%s shows %s no history", calls.name, account.user_name)


def _parse_events(found: Element) -> Listed[PlayEvent | None]:
    keys = [node.get("historyKey", "") for node in found]
    return Listed(keys, [parse_event(node) for node in found], whole(found.get("totalSize")))


async def rate(calls: Calls, account: Account, item_id: str, rating: float | None) -> ItemState:
    """Give or clear a rating; return what the server has then."""
    value = -1 if rating is None else rating
    await calls.send(account, "put", "/:/rate", key=item_id, identifier=LIBRARY, rating=value)
    found = await states_of(calls, account, [item_id])
    if not found:
        raise NotFound(f"{calls.name} has no item {item_id}.")
    return found[0]


async def find_user_id(calls: Calls, account: Account, user: str) -> str:
    """Return the id by which the history names the user; only the owner may ask."""

    def parse(found: Element) -> list[tuple[str, str]]:
        return [(node.get("name", ""), node.get("id", "")) for node in found]

    async def look(asking: Account) -> str | None:
        try:
            known = await calls.read(asking, "/accounts", parse)
        except (NotAllowed, NotFound, Refused, SignInRefused):
            return None
        named = (key for name, key in known if name.casefold() == user.casefold() and is_key(key))
        return next(named, "")

    own = await look(account)
    if own is not None:
        return own or OWNER
    owner = next((a for a in calls.accounts if a.user_id == OWNER), None)
    return (await look(owner) if owner else "") or f"user:{user}"


async def find_player(calls: Calls, account: Account, session_key: str) -> tuple[str, str]:
    """Return id and name of whose session it is; ("", "") if it is over."""

    def parse(found: Element) -> tuple[str, str]:
        for node in found:
            user = node.find("User")
            if node.get("sessionKey") == session_key and user is not None:
                return user.get("id", ""), user.get("title", "")
        return "", ""

    return await calls.read(account, "/status/sessions", parse)
