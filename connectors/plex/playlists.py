"""Playlists: read, made, and brought to another order with the fewest changes."""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from connectors.base import BadAnswer, Kind, NotFound, Refused
from connectors.edits import plan_edits
from connectors.plex.calls import Calls
from connectors.plex.paging import Listed, walk
from connectors.plex.parsing import parse_entry, parse_playlist, whole
from connectors.server import Account, PlaylistEntry, ServerPlaylist

TYPES: dict[Kind, str] = {"music": "audio", "videos": "video", "images": "photo"}
PAGE = 1000
APPENDED = 200
"""Keys in an address that adds: 2 to 3 KB of the 8 that servers take."""
WHOLE_ANEW = 0.4
"""Share of a playlist's length from which it is emptied and filled instead of edited."""
SLIM = {"excludeElements": "Media,Genre,Guid,Image,UltraBlurColors", "excludeFields": "summary"}


async def list_playlists(calls: Calls, account: Account) -> list[ServerPlaylist]:
    """Return the token's own playlists."""

    def parse(found: Element) -> Listed[ServerPlaylist]:
        listed = [parse_playlist(node, account.user_id) for node in found]
        return Listed([each.id for each in listed], listed, whole(found.get("totalSize")))

    async def ask(first: int, size: int) -> Listed[ServerPlaylist]:
        return await calls.read(account, "/playlists", parse, at=(first, size))

    return [each async for part in walk(ask, PAGE) for each in part.entries]


async def read_playlist(calls: Calls, account: Account, playlist_id: str) -> ServerPlaylist:
    """Return one playlist with its entries in order. Raises NotFound."""
    found = await calls.read(account, f"/playlists/{playlist_id}", list)
    if not found:
        raise NotFound(f"{calls.name} has no playlist {playlist_id}.")
    entries = await _read_entries(calls, account, playlist_id)
    return parse_playlist(found[0], account.user_id, entries)


async def _read_entries(
    calls: Calls, account: Account, playlist_id: str, start: int = 0
) -> list[PlaylistEntry]:
    async def ask(first: int, size: int) -> Listed[PlaylistEntry]:
        def parse(found: Element) -> Listed[PlaylistEntry]:
            entries = [parse_entry(node) for node in found]
            keys = [entry.id or f"at {first + n}" for n, entry in enumerate(entries)]
            return Listed(keys, entries, whole(found.get("totalSize")))

        path = f"/playlists/{playlist_id}/items"
        return await calls.read(account, path, parse, at=(first, size), params=SLIM)

    return [entry async for part in walk(ask, PAGE, str(start)) for entry in part.entries]


async def create_playlist(
    calls: Calls, server_id: str, account: Account, name: str, kind: Kind,
    item_ids: Sequence[str], description: str,
) -> str:  # fmt: skip
    """Make a playlist with the first entries, mark it, and add the rest."""
    if kind not in TYPES:
        raise Refused(f"{calls.name} has no playlists of {kind}.")
    first = {"uri": _uri(server_id, item_ids[:APPENDED])} if item_ids else {}
    made = await calls.send(
        account, "post", "/playlists", type=TYPES[kind], title=name, smart=0, **first
    )
    if not made:
        raise BadAnswer(f"{calls.name} gave no id of the playlist it made.")
    await describe(calls, account, made, description)
    await _append(calls, server_id, account, made, item_ids[APPENDED:])
    return made


async def describe(calls: Calls, account: Account, playlist_id: str, text: str) -> None:
    """Set the summary."""
    await calls.send(account, "put", f"/playlists/{playlist_id}", summary=text)


async def set_entries(
    calls: Calls, server_id: str, account: Account, playlist: ServerPlaylist,
    item_ids: Sequence[str],
) -> int:  # fmt: skip
    """Delete, add and move single entries; where that is much, empty and fill the playlist.

    Each entry is known by its own id, so copies of one item are never taken for each other.
    """
    wanted, present = list(item_ids), list(playlist.entries or ())
    edits = plan_edits([entry.item_id for entry in present], wanted)
    if not len(edits):
        return 0
    is_known = all(entry.id for entry in present)
    if not is_known or len(edits) > WHOLE_ANEW * len(wanted):
        requests = await _clear(calls, account, playlist.id) if present else 0
        if requests or not present:
            return requests + await _append(calls, server_id, account, playlist.id, wanted)
        if not is_known:
            raise Refused(f"{calls.name} cannot change the entries of {playlist.name}.")
    gone = [present[place].id for place in edits.removed]
    await _remove(calls, account, playlist.id, gone)
    there = [entry for entry in present if entry.id not in set(gone)]
    added = [wanted[place] for place in edits.added]
    requests = len(gone) + await _append(calls, server_id, account, playlist.id, added)
    if [entry.item_id for entry in there] + added == wanted:
        return requests
    if added:
        there += await _read_entries(calls, account, playlist.id, len(there))
        requests += 1 + (len(added) - 1) // PAGE
    moves = plan_moves(there, wanted)
    for entry_id, after in moves:
        where = {"after": after} if after else {}
        path = f"/playlists/{playlist.id}/items/{entry_id}/move"
        await calls.send(account, "put", path, **where)
    return requests + len(moves)


def plan_moves(there: Sequence[PlaylistEntry], wanted: Sequence[str]) -> list[tuple[str, str]]:
    """Return the fewest moves, in order: an entry, and the one to put it behind ("": first).

    What is wanted and not there is passed over, and what is there and not wanted stays about.
    """
    edits = plan_edits([entry.item_id for entry in there], wanted)
    at = {place: there[now].id for now, place in (*edits.kept, *edits.moved)}
    moving = {place for _, place in edits.moved}
    moves, before = [], ""
    for place in sorted(at):
        if place in moving:
            moves.append((at[place], before))
        before = at[place]
    return moves


async def _clear(calls: Calls, account: Account, playlist_id: str) -> int:
    """Empty a playlist; return the requests sent, 0 where the server cannot do it."""
    try:
        await calls.send(account, "delete", f"/playlists/{playlist_id}/items")
    except (NotFound, Refused):  # or the playlist is gone: the next call will tell
        return 0
    return 1


async def _remove(
    calls: Calls, account: Account, playlist_id: str, entry_ids: Sequence[str]
) -> None:
    for entry_id in entry_ids:
        try:
            await calls.send(account, "delete", f"/playlists/{playlist_id}/items/{entry_id}")
        except NotFound:
            continue  # somebody was quicker


async def _append(
    calls: Calls, server_id: str, account: Account, playlist_id: str, item_ids: Sequence[str]
) -> int:
    """Add to the end; return the requests sent."""
    starts = range(0, len(item_ids), APPENDED)
    for start in starts:
        uri = _uri(server_id, item_ids[start : start + APPENDED])
        await calls.send(account, "put", f"/playlists/{playlist_id}/items", uri=uri)
    return len(starts)


def _uri(server_id: str, item_ids: Sequence[str]) -> str:
    keys = ",".join(item_ids)
    return f"server://{server_id}/com.plexapp.plugins.library/library/metadata/{keys}"
