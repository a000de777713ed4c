"""The library: its views, their leaves in pages, and which ids there still are."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.base import BadAnswer, ConnectorError, Kind, NotAllowed, NotFound, Refused
from connectors.jellyfin.calls import BATCH, Calls
from connectors.jellyfin.http import ServerFailed
from connectors.jellyfin.paging import Listed, walk
from connectors.jellyfin.parsing import KINDS, parse_item, parse_lyrics
from connectors.jellyfin.values import listing, mapping, plain_id, rows_of, text, whole
from connectors.server import Account, Library, Page, ServerItem

log = logging.getLogger(__name__)

IDS_PAGE = 1000
OVERLAP = timedelta(minutes=5)
FIELDS = (
    "DateCreated", "Etag", "Genres", "MediaSources", "OriginalTitle", "Overview", "Path", "People",
    "ProductionLocations", "ProviderIds", "Studios", "Taglines", "Tags", "Width", "Height",
)  # fmt: skip
HOLDS: dict[str, frozenset[Kind]] = {
    "music": frozenset({"music"}), "movies": frozenset({"videos"}),
    "tvshows": frozenset({"videos"}), "musicvideos": frozenset({"videos"}),
    "homevideos": frozenset({"videos", "images"}), "photos": frozenset({"videos", "images"}),
    "books": frozenset({"text", "music"}), "": frozenset(KINDS.values()),
    "unknown": frozenset(KINDS.values()),
}  # fmt: skip
"""What a library of each collection type holds; "": a mixed one."""
SMALL = {"enableImages": False, "enableUserData": False}
STABLE = {"sortBy": ["DateCreated", "SortName"], "sortOrder": ["Ascending"]}
"""What is added comes at the end."""


async def libraries(calls: Calls) -> list[Library]:
    """Return the user's views that hold leaves of ours."""
    reader, user_id = calls.reader()
    if user_id:
        views = await calls.read(reader, "UserViews", rows_of, userId=user_id)
    else:
        views = await calls.read(reader, "Library/MediaFolders", rows_of)
    roots = await _roots(calls)
    found = []
    for view in views:
        library_id, name = plain_id(view.get("Id")), text(view.get("Name"))
        kinds = HOLDS.get(text(view.get("CollectionType")))
        wanted = calls.settings.libraries
        if not library_id or kinds is None or (wanted and name not in wanted):
            continue
        library = Library(library_id, name, kinds, roots.get(library_id, ()))
        query = _query(library, user_id)
        count = await calls.read(
            reader, "Items", lambda said: whole(mapping(said).get("TotalRecordCount")), limit=0,
            enableTotalRecordCount=True, **query,
        )  # fmt: skip
        found.append(replace(library, count=count))
    return found


async def _roots(calls: Calls) -> dict[str, tuple[str, ...]]:
    """Return the folders of each library, where someone may ask for them."""
    if not calls.may_administer():
        return {}
    try:
        folders = await calls.read(calls.administrator(), "Library/VirtualFolders", listing)
    except (BadAnswer, NotAllowed, NotFound, Refused, ServerFailed) as error:
        log.info("%s does not tell the folders of its libraries: %s", calls.name, error)
        return {}
    roots = {}
    for folder in folders:
        places = folder.get("Locations")
        texts = (text(place) for place in places) if isinstance(places, list) else ()
        roots[plain_id(folder.get("ItemId"))] = tuple(place for place in texts if place)
    return roots


def _query(library: Library, user_id: str) -> dict[str, Any]:
    leaves = [leaf for leaf, kind in KINDS.items() if kind in library.kinds]
    query: dict[str, Any] = {
        "parentId": library.id, "recursive": True, "includeItemTypes": leaves,
    }  # fmt: skip
    return query | ({"userId": user_id} if user_id else {})


async def items(
    calls: Calls, library: Library, since: datetime | None, start: str | None, size: int
) -> AsyncIterator[Page[ServerItem]]:
    """Yield the leaves with all their words, oldest first."""
    reader, user_id = calls.reader()
    query = _query(library, user_id) | STABLE | SMALL | {"fields": list(FIELDS)}
    if since is not None:
        # The only filter by change that every version has; of the metadata, not of user data.
        at = since.astimezone(UTC) - OVERLAP
        query["minDateLastSavedForUser"] = f"{at:%Y-%m-%dT%H:%M:%SZ}"

    def parse(said: Any) -> Listed[tuple[ServerItem, bool] | None]:
        rows = rows_of(said)
        keys = [plain_id(row.get("Id")) for row in rows]
        parsed = [_parse(calls.name, row) for row in rows]
        return Listed(keys, parsed, whole(said.get("TotalRecordCount")))

    async def ask(first: int, limit: int) -> Listed[tuple[ServerItem, bool] | None]:
        return await calls.read(
            reader, "Items", parse, startIndex=first, limit=limit, enableTotalRecordCount=True,
            **query,
        )  # fmt: skip

    async for part in walk(ask, size, start):
        found = [entry for entry in part.entries if entry is not None]
        sung = [item.id for item, has_lyrics in found if has_lyrics]
        lyrics = dict(zip(sung, await _read_lyrics(calls, reader, sung), strict=True))
        entries = [_with_lyrics(item, lyrics.get(item.id, "")) for item, _ in found]
        yield Page(entries, part.next, part.total)


def _parse(name: str, row: dict[str, Any]) -> tuple[ServerItem, bool] | None:
    try:
        item = parse_item(row)
    except (TypeError, ValueError, AttributeError) as error:
        log.warning("%s: item %s was left out: %r", name, text(row.get("Id"))[:40], error)
        return None
    return (item, row.get("HasLyrics") is True) if item else None


async def _read_lyrics(calls: Calls, reader: Account | None, ids: Sequence[str]) -> list[str]:
    """Return the words of songs that have some, a few at a time."""
    limit = asyncio.Semaphore(4)

    async def read(item_id: str) -> str:
        async with limit:
            try:
                return await calls.read(reader, f"Audio/{item_id}/Lyrics", parse_lyrics)
            except (BadAnswer, NotAllowed, NotFound, Refused, ServerFailed) as error:
                log.info("%s: no lyrics of %s: %s", calls.name, item_id, error)
                return ""

    return await _gathered([read(item_id) for item_id in ids])


async def _gathered(reads: Sequence[Any]) -> list[Any]:
    """Await all; where one fails the others are dropped."""
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return list(await asyncio.gather(*tasks))
    except ConnectorError:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


def _with_lyrics(item: ServerItem, lyrics: str) -> ServerItem:
    return replace(item, metadata=replace(item.metadata, lyrics=lyrics)) if lyrics else item


async def ids(calls: Calls, library: Library) -> AsyncIterator[Sequence[str]]:
    """Yield the ids of all leaves, as `items` has them."""
    reader, user_id = calls.reader()
    async for rows in read_rows(calls, reader, _query(library, user_id) | STABLE | SMALL):
        yield [plain_id(row["Id"]) for row in rows if row.get("LocationType") != "Virtual"]


async def read_rows(
    calls: Calls, account: Account | None, query: dict[str, Any]
) -> AsyncIterator[Sequence[dict[str, Any]]]:
    """Yield the rows of a long listing that have an id."""

    def parse(said: Any) -> Listed[dict[str, Any]]:
        rows = rows_of(said)
        return Listed([plain_id(row.get("Id")) for row in rows], rows, None)

    async def ask(first: int, limit: int) -> Listed[dict[str, Any]]:
        return await calls.read(
            account, "Items", parse, startIndex=first, limit=limit,
            enableTotalRecordCount=False, **{"enableImages": False, **query},
        )  # fmt: skip

    async for part in walk(ask, IDS_PAGE):
        yield [row for row in part.entries if plain_id(row.get("Id"))]


async def read_batches(
    calls: Calls, account: Account, item_ids: Sequence[str], **query: Any
) -> list[dict[str, Any]]:
    """Return the rows of these items; the server leaves unknown ones out."""
    wanted = list(dict.fromkeys(item_id for item_id in item_ids if plain_id(item_id)))
    found: list[dict[str, Any]] = []
    for start in range(0, len(wanted), BATCH):
        found += await calls.read(
            account, "Items", rows_of, ids=wanted[start : start + BATCH],
            userId=account.user_id, enableImages=False, enableTotalRecordCount=False, **query,
        )  # fmt: skip
    return found


async def existing(calls: Calls, account: Account, item_ids: Sequence[str]) -> set[str]:
    """Return those that are there and that the user may see."""
    rows = await read_batches(calls, account, item_ids, enableUserData=False)
    return {plain_id(row.get("Id")) for row in rows} & set(item_ids)
