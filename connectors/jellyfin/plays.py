"""What users did: states, the reporting plugin's history, ratings and favourites."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import BadAnswer, ConnectorError, NotFound
from connectors.jellyfin.calls import Calls, checked
from connectors.jellyfin.listing import read_batches, read_rows
from connectors.jellyfin.parsing import KINDS, parse_row_state
from connectors.jellyfin.values import mapping, plain_id
from connectors.server import Account, ItemState, PlayEvent

DATED, UNDATED = ("IsPlayed", "IsResumable"), ("IsFavorite", "Likes", "Dislikes")
"""Filters that only touched items pass."""
LONGEST_PLAYING = timedelta(days=1)
"""A playing has the date of its beginning; what ends now may have begun so long ago."""
REPORTED = 1000
"""Rows of the plugin's table a request."""
REPORTS = "user_usage_stats/submit_custom_query"
STILL_PLAYING = 90
"""Seconds after which a row that has not grown is taken for complete; it grows every 20."""
BEGAN = (
    "CAST(CASE WHEN DateCreated LIKE '%Z' THEN strftime('%s', DateCreated) "
    "ELSE strftime('%s', DateCreated, 'utc') END AS INTEGER)"
)
"""Seconds since 1970: newer plugins write UTC, older ones the server's local time, which the
server itself knows best how to read."""


async def states(
    calls: Calls, account: Account, since: datetime | None
) -> AsyncIterator[Sequence[ItemState]]:
    """Yield touched items, some of them twice.

    User data have no date of change: what was played lately comes first in the lists of plays,
    the other lists are small.
    """
    for name in (*DATED, *UNDATED):
        query: dict[str, Any] = {
            "userId": account.user_id, "recursive": True, "includeItemTypes": list(KINDS),
            "filters": [name], "enableUserData": True, "sortBy": ["SortName"],
        }  # fmt: skip
        if name in DATED:
            query |= {"sortBy": ["DatePlayed", "SortName"], "sortOrder": ["Descending"]}
        async for rows in read_rows(calls, account, query):
            found = _states(rows)
            yield found
            if name in DATED and since is not None and _is_before(found, since - LONGEST_PLAYING):
                break


def _states(rows: Sequence[dict[str, Any]]) -> list[ItemState]:
    return [state for row in rows if (state := parse_row_state(row))]


def _is_before(found: Sequence[ItemState], moment: datetime) -> bool:
    """Tell whether a page that goes back in time has come to a moment."""
    last = found[-1].last_played if found else None
    return last is None or last < moment


async def states_of(calls: Calls, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
    """Return the present states of these items."""
    return _states(await read_batches(calls, account, item_ids, enableUserData=True))


# The Playback Reporting plugin


async def has_reports(calls: Calls) -> bool:
    """Tell whether the plugin is installed, may be asked, and understands what it will be asked."""
    if not calls.may_administer():
        return False
    try:
        await _ask_reports(calls, "0" * 32, 0, 0, 1)
    except ConnectorError:
        return False  # whatever it is: it must not keep the rest of the server away
    return True


async def history(
    calls: Calls, account: Account, since: datetime | None
) -> AsyncIterator[Sequence[PlayEvent]]:
    """Yield what the plugin noted, in its own order; what still goes on is left for later."""
    begin = int((since - LONGEST_PLAYING).timestamp()) if since else 0
    last, count = 0, REPORTED
    while count == REPORTED:
        rows = await _ask_reports(calls, account.user_id, begin, last, REPORTED)
        count = len(rows)
        if events := [event for row in rows if (event := _parse_report(row))]:
            yield events
        number = _number(rows[-1][0]) if rows and rows[-1] else None
        if number is None or number <= last:
            return
        last = number


async def _ask_reports(
    calls: Calls, user_id: str, begin: int, last: int, limit: int
) -> list[list[Any]]:
    if not plain_id(user_id):
        return []
    sql = (  # nothing in it but numbers and an id of letters and digits
        f"SELECT ROWID, {BEGAN}, ItemId, PlayDuration FROM PlaybackActivity "  # noqa: S608
        f"WHERE UserId = '{plain_id(user_id)}' AND ROWID > {last:d} AND {BEGAN} >= {begin:d} "
        f"AND {BEGAN} + PlayDuration < CAST(strftime('%s', 'now') AS INTEGER) - {STILL_PLAYING} "
        f"ORDER BY ROWID LIMIT {limit:d}"
    )
    said = await calls.post(
        calls.administrator(), REPORTS, {"CustomQueryString": sql, "ReplaceUserId": False}, mapping
    )
    rows = said.get("results")
    if not isinstance(rows, list) or (not rows and "error" in str(said.get("message")).lower()):
        raise BadAnswer(f"The reporting plugin of {calls.name} does not understand the question.")
    return [row for row in rows if isinstance(row, list)]


def _parse_report(row: Sequence[Any]) -> PlayEvent | None:
    """Return a row of the plugin's table: rowid, beginning, item, seconds.

    The plugin knows its rows by date, user and item: it numbers them anew when it loads a backup.
    """
    if len(row) < 4:
        return None
    began, item_id, seconds = _number(row[1]), plain_id(row[2]), _number(row[3])
    if not item_id or began is None or not 0 < began < 1 << 36:
        return None
    at = datetime.fromtimestamp(began, UTC)
    length = float(seconds) if seconds is not None and seconds >= 0 else None
    return PlayEvent(f"report:{began}:{item_id}", item_id, at, length)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError, OverflowError):
        return None


# What is written


async def rate(calls: Calls, account: Account, item_id: str, rating: float | None) -> ItemState:
    """Give or clear the number; the server's own pages show only favourites."""
    path = f"UserItems/{checked(item_id, calls.name)}"
    if rating is None:  # null would be left alone
        await calls.delete(account, f"{path}/Rating", userId=account.user_id)
    else:
        body = {"Rating": rating}
        await calls.post(account, f"{path}/UserData", body, userId=account.user_id)
    return await _read_back(calls, account, item_id)


async def set_favourite(
    calls: Calls, account: Account, item_id: str, is_favourite: bool
) -> ItemState:
    """Make an item a favourite, or not."""
    path = f"UserFavoriteItems/{checked(item_id, calls.name)}"
    if is_favourite:
        await calls.post(account, path, userId=account.user_id)
    else:
        await calls.delete(account, path, userId=account.user_id)
    return await _read_back(calls, account, item_id)


async def _read_back(calls: Calls, account: Account, item_id: str) -> ItemState:
    found = await states_of(calls, account, [item_id])
    if not found:
        raise NotFound(f"{calls.name} has no item {item_id}.")
    return found[0]
