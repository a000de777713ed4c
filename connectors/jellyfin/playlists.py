"""Playlists: read, made, and given other entries in place."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from connectors.base import BadAnswer, ConnectorError, Kind, NotAllowed, NotFound, Refused
from connectors.jellyfin.calls import Calls, checked
from connectors.jellyfin.http import ServerFailed
from connectors.jellyfin.listing import read_rows
from connectors.jellyfin.parsing import parse_entries, parse_playlist
from connectors.jellyfin.values import mapping, plain_id, whole
from connectors.server import Account, PlaylistEntry, ServerPlaylist

log = logging.getLogger(__name__)

MEDIA_TYPES: dict[Kind, str] = {
    "music": "Audio", "videos": "Video", "images": "Photo", "text": "Book"
}  # fmt: skip
PAGE = 1000
FEW = 20
"""Entries at the end that are added, rather than the whole list replaced."""
MOST_ENTRIES = 1_000_000
READINGS = 3
"""How often a playlist is read that changes while it is read."""
SHOWS_SHARING = (10, 10)
"""The first version with GET /Playlists/{id}."""


async def list_playlists(calls: Calls, account: Account) -> list[ServerPlaylist]:
    """Return the playlists that the user sees."""
    query = {
        "userId": account.user_id, "recursive": True, "includeItemTypes": ["Playlist"],
        "fields": ["CanDelete", "ChildCount", "DateCreated", "Etag", "Overview"],
        "sortBy": ["SortName"], "enableUserData": False,
    }  # fmt: skip
    found: dict[str, ServerPlaylist] = {}
    async for rows in read_rows(calls, account, query):
        found |= {plain_id(row["Id"]): _parse(calls, account, row) for row in rows}
    return list(found.values())


def _parse(calls: Calls, account: Account, row: dict[str, Any]) -> ServerPlaylist:
    return parse_playlist(row, account, is_admin=account.user_id in calls.admins)


async def read_playlist(calls: Calls, account: Account, playlist_id: str) -> ServerPlaylist:
    """Return one playlist with its entries in order. Raises NotFound."""
    found = _parse(calls, account, await _read_dto(calls, account, playlist_id))
    is_public = await _read_sharing(calls, account, found.id)
    before: list[PlaylistEntry] | None = None
    for _ in range(READINGS):
        entries, is_sound = await _read_entries(calls, account, found.id)
        if is_sound or entries == before:
            return replace(found, entries=tuple(entries), count=len(entries), is_public=is_public)
        before = entries
    raise BadAnswer(f"{found.name} at {calls.name} changes too much to be read now.")


async def _read_dto(calls: Calls, account: Account, playlist_id: str) -> dict[str, Any]:
    """Return the playlist as an item, and nothing that is none: what follows may delete it."""
    path = f"Items/{checked(playlist_id, calls.name)}"
    row = await calls.read(account, path, mapping, userId=account.user_id)
    if row.get("Type") != "Playlist" or plain_id(row.get("Id")) != plain_id(playlist_id):
        raise NotFound(f"{calls.name} has no playlist {playlist_id}.")
    return row


async def _read_sharing(calls: Calls, account: Account, playlist_id: str) -> bool | None:
    """Tell whether everyone sees it; None where the version does not tell."""
    if calls.version < SHOWS_SHARING:
        return None
    try:
        said = await calls.read(account, f"Playlists/{playlist_id}", mapping)
    except (BadAnswer, NotAllowed, NotFound, Refused, ServerFailed):
        return None  # no reason not to read it
    is_open = said.get("OpenAccess")
    return is_open if isinstance(is_open, bool) else None


async def _read_entries(
    calls: Calls, account: Account, playlist_id: str
) -> tuple[list[PlaylistEntry], bool]:
    """Return all entries, and whether the totals of the pages agree with that.

    An item may be in it twice under the same ids, so pages cannot be joined by what they share.
    """
    entries: list[PlaylistEntry] = []
    total: int | None = None
    is_sound = True
    while True:
        page, now = await calls.read(
            account, f"Playlists/{playlist_id}/Items",
            lambda said: (parse_entries(said), whole(said.get("TotalRecordCount"))),
            userId=account.user_id, startIndex=len(entries), limit=PAGE, enableImages=False,
            enableUserData=False,
        )  # fmt: skip
        is_sound = is_sound and (not entries or now == total)
        entries, total = entries + page, now
        if len(page) < PAGE:
            return entries, is_sound and (total is None or total == len(entries))
        if len(entries) > MOST_ENTRIES:
            raise BadAnswer(f"A playlist of {calls.name} has no end.")


async def create_playlist(
    calls: Calls, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
    description: str, is_public: bool,
) -> str:  # fmt: skip
    """Make a playlist; the server would make it public unless told not to."""
    body = {
        "Name": name, "Ids": list(item_ids), "UserId": account.user_id,
        "MediaType": MEDIA_TYPES[kind], "IsPublic": is_public,
    }  # fmt: skip
    said = await calls.post(account, "Playlists", body, mapping)
    playlist_id = plain_id(said.get("Id"))
    if not playlist_id:
        raise BadAnswer(f"{calls.name} gave no id of the playlist it made.")
    try:
        await describe_playlist(calls, account, playlist_id, description, None)
    except ConnectorError as error:  # it is made, and without its id it would be made again
        log.warning("%s: %s has no description: %s", calls.name, name, error)
    return playlist_id


async def set_entries(
    calls: Calls, account: Account, playlist: ServerPlaylist, item_ids: Sequence[str]
) -> int:
    """Replace the content in one request, or add a few at the end; return the requests sent."""
    present, wanted = playlist.item_ids, list(item_ids)
    if present == wanted:
        return 0
    path = f"Playlists/{checked(playlist.id, calls.name)}"
    more = wanted[len(present) :]
    if present and wanted[: len(present)] == present and len(more) <= FEW:
        await calls.post(account, f"{path}/Items", ids=more, userId=account.user_id)
    else:
        await calls.post(account, path, {"Ids": wanted})
    return 1


async def describe_playlist(
    calls: Calls, account: Account, playlist_id: str, description: str | None,
    is_public: bool | None,
) -> None:  # fmt: skip
    """Set who sees it, and, as an administrator, the overview."""
    if is_public is not None:
        path = f"Playlists/{checked(playlist_id, calls.name)}"
        await calls.post(account, path, {"IsPublic": is_public})
    if description is not None and account.user_id in calls.admins:
        item = await _read_dto(calls, account, playlist_id)
        if item.get("Overview") != description:  # the whole item is written, or what lacks is lost
            await calls.post(account, f"Items/{playlist_id}", {**item, "Overview": description})


async def delete_playlist(calls: Calls, account: Account, playlist_id: str) -> None:
    """Delete a playlist, and nothing else: media are deleted in the same way. Raises NotFound."""
    await _read_dto(calls, account, playlist_id)
    await calls.delete(account, f"Items/{playlist_id}")
