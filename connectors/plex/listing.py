"""The libraries of a server, and what is in them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from xml.etree.ElementTree import Element

from connectors.base import Kind
from connectors.plex.calls import BATCH, Calls
from connectors.plex.paging import Listed, walk
from connectors.plex.parsing import parse_item, whole
from connectors.server import Account, Library, Page, ServerItem

log = logging.getLogger(__name__)

PAGE = 500
"""Items a request, with all their words."""
BIG_PAGE = 1000
"""Items a request, where little is asked of each."""
OVERLAP = timedelta(minutes=5)
"""Asked again, since a server's clock and ours differ."""
TYPES: dict[str, tuple[int, str, Kind]] = {
    "artist": (10, "track", "music"), "movie": (1, "", "videos"), "show": (4, "episode", "videos"),
    "photo": (13, "photo", "images"),
}  # fmt: skip
"""Type of a section: number and name of its leaves' type, and their kind. A film's fields stand
alone, those of others behind the name of their type."""
BARE = {
    "excludeElements": (
        "Media,Genre,Country,Guid,Rating,Collection,Director,Writer,Role,Producer,Similar,Style,"
        "Mood,Format,Image,UltraBlurColors,Label"
    ),
    "excludeFields": "summary,tagline",
    "skipRefresh": 1,
}
"""For answers of which the keys and what the user did are all that matters."""


async def sections(calls: Calls, account: Account | None = None) -> list[Element]:
    """Return the sections that hold leaves of ours and are wanted."""
    wanted = calls.settings.libraries

    def parse(found: Element) -> list[Element]:
        return [
            section
            for section in found
            if section.get("type", "") in TYPES
            and section.get("key")
            and (not wanted or section.get("title", "") in wanted)
        ]

    return await calls.read(account, "/library/sections", parse)


async def libraries(calls: Calls) -> list[Library]:
    """Return the wanted sections with the number of their leaves."""
    found = []
    for section in await sections(calls):
        number, _, kind = TYPES[section.get("type", "")]
        count = await calls.read(None, path_of(section), _total, at=(0, 0), params={"type": number})
        roots = tuple(place.get("path", "") for place in section.findall("Location"))
        changed = section.get("contentChangedAt")
        stamp = f"{changed}/{section.get('updatedAt', '')}/{count}" if changed else ""
        found.append(
            Library(
                f"{section.get('type')}:{section.get('key')}", section.get("title", ""),
                frozenset({kind}), roots, count, stamp,
            )
        )  # fmt: skip
    return found


async def items(
    calls: Calls, library: Library, since: datetime | None, start: str | None
) -> AsyncIterator[Page[ServerItem]]:
    """Yield leaves; listings cut tags short, so what they list is read again by its keys."""
    path, number, prefix = _place_of(library)
    params = {**BARE, "type": number, "sort": f"{prefix or 'movie.'}id:asc"}
    if since is not None:
        params[f"{prefix}updatedAt>>"] = int((since - OVERLAP).timestamp())

    async def ask(first: int, size: int) -> Listed[str]:
        return await calls.read(None, path, _keys, at=(first, size), params=params)

    async for part in walk(ask, PAGE, start):
        entries = await _read_whole(calls, part.entries)
        yield Page(entries, part.next, part.total)


async def _read_whole(calls: Calls, keys: Sequence[str]) -> list[ServerItem]:
    """Read items with all their words, several batches at once; the deleted are left out."""
    parse = partial(_parse_items, calls.name)
    tasks = [
        asyncio.ensure_future(
            calls.read_batches(None, keys[n : n + BATCH], parse, includeGuids=1)
        )
        for n in range(0, len(keys), BATCH)
    ]  # fmt: skip
    try:
        return [item for batch in await asyncio.gather(*tasks) for item in batch]
    finally:
        for task in tasks:
            task.cancel()


async def ids(calls: Calls, library: Library) -> AsyncIterator[Sequence[str]]:
    """Yield the keys of all leaves."""
    path, number, prefix = _place_of(library)
    params = {**BARE, "type": number, "sort": f"{prefix or 'movie.'}id:asc"}

    async def ask(first: int, size: int) -> Listed[str]:
        return await calls.read(None, path, _keys, at=(first, size), params=params)

    async for part in walk(ask, BIG_PAGE):
        yield part.entries


async def existing(calls: Calls, account: Account, item_ids: Sequence[str]) -> set[str]:
    """Return those that are there."""

    def parse(found: Element) -> list[str]:
        return [node.get("ratingKey", "") for node in found]

    return set(await calls.read_batches(account, item_ids, parse, **BARE))


def path_of(section: Element) -> str:
    """Return where a section's leaves are listed."""
    return f"/library/sections/{section.get('key')}/all"


def _place_of(library: Library) -> tuple[str, int, str]:
    kind, _, key = library.id.partition(":")
    number, name, _ = TYPES[kind]
    return f"/library/sections/{key}/all", number, f"{name}." if name else ""


def _total(found: Element) -> int | None:
    return whole(found.get("totalSize") or found.get("size"))


def _keys(found: Element) -> Listed[str]:
    keys = [node.get("ratingKey", "") for node in found]
    return Listed(keys, keys, whole(found.get("totalSize")))


def _parse_items(name: str, found: Element) -> list[ServerItem]:
    entries = []
    for node in found:
        try:
            item = parse_item(node)
        except (TypeError, ValueError, AttributeError) as error:
            log.warning("%s: an item was left out: %r", name, error)
            continue
        entries += [item] if item else []
    return entries
