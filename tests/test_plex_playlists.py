"""Plex playlists: brought to the wanted order entry by entry, with few requests and none twice."""

import asyncio
from collections.abc import Sequence
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import BadAnswer, ConnectorUnavailable, NotFound, Refused
from connectors.plex.playlists import plan_moves, set_entries
from connectors.server import Account, PlaylistEntry, ServerPlaylist
from tests.stand_ins.faults import Body, Cut, Hang, Status
from tests.stand_ins.plex import FakePlex
from tests.test_plex_connector import connected, furnish, keys

ITEMS = st.lists(st.integers(0, 8).map(str), max_size=14)


def move(there: Sequence[PlaylistEntry], moves: Sequence[tuple[str, str]]) -> list[str]:
    """Do to a list what a server does for each move."""
    order = {entry.id: entry.item_id for entry in there}
    ids = list(order)
    for entry_id, after in moves:
        ids.remove(entry_id)
        ids.insert(ids.index(after) + 1 if after else 0, entry_id)
    return [order[entry_id] for entry_id in ids]


def entries_of(items: Sequence[str]) -> list[PlaylistEntry]:
    return [PlaylistEntry(f"e{n}", item) for n, item in enumerate(items)]


@given(st.permutations(["0", "1", "1", "2", "3", "4", "5", "6", "6"]))
def test_moves_end_at_the_wanted_order_with_as_few_as_can_be(wanted: list[str]) -> None:
    there = entries_of(["0", "1", "1", "2", "3", "4", "5", "6", "6"])
    moves = plan_moves(there, wanted)
    assert move(there, moves) == wanted
    assert len({entry_id for entry_id, _ in moves}) == len(moves)


UNLIKE = st.lists(st.integers(0, 12).map(str), max_size=12, unique=True)


@given(UNLIKE, UNLIKE)
def test_what_is_there_and_wanted_comes_in_order_whatever_else_is_there(
    present: list[str], wanted: list[str]
) -> None:
    """Also where the server dropped entries, or somebody else added some."""
    there = entries_of(present)
    moved = move(there, plan_moves(there, wanted))
    assert sorted(moved) == sorted(present)
    assert [i for i in moved if i in wanted] == [i for i in wanted if i in present]


class Memory:
    """Does what a server would do to one playlist, without a server; counts what it was sent."""

    name = "Memory"

    def __init__(self, items: Sequence[str], *, can_clear: bool = True) -> None:
        self.entries = entries_of(items)
        self.sent = 0
        self._can_clear = can_clear
        self._next = 1000

    @property
    def playlist(self) -> ServerPlaylist:
        return ServerPlaylist("1", "P", entries=tuple(self.entries))

    async def read(
        self, account: object, path: str, parse: Any, *, at: tuple[int, int], params: object
    ) -> Any:
        self.sent += 1
        found = Element("MediaContainer", totalSize=str(len(self.entries)))
        for entry in self.entries[at[0] : at[0] + at[1]]:
            SubElement(found, "Track", playlistItemID=entry.id, ratingKey=entry.item_id)
        return parse(found)

    async def send(
        self, account: object, method: str, path: str, *, uri: str = "", after: str = ""
    ) -> None:
        self.sent += 1
        entry_id = path.removesuffix("/move").removeprefix("/playlists/1/items").strip("/")
        ids = [entry.id for entry in self.entries]
        if method == "delete" and not entry_id:
            if not self._can_clear:
                raise NotFound("no such thing")
            self.entries = []
        elif method == "delete":
            del self.entries[ids.index(entry_id)]
        elif entry_id:
            moved = self.entries.pop(ids.index(entry_id))
            ids.remove(entry_id)
            self.entries.insert(ids.index(after) + 1 if after else 0, moved)
        else:
            for item in uri.rpartition("/")[2].split(","):
                self._next += 1
                self.entries.append(PlaylistEntry(f"e{self._next}", item))


@given(ITEMS, ITEMS, st.booleans())
def test_whatever_is_sent_the_playlist_ends_as_wanted(
    present: list[str], wanted: list[str], can_clear: bool
) -> None:
    server: Any = Memory(present, can_clear=can_clear)
    account = Account("me", "1", "me", {})
    requests = asyncio.run(set_entries(server, "id", account, server.playlist, wanted))
    assert [entry.item_id for entry in server.entries] == wanted
    assert server.sent - requests in (0, 1)  # a clearing that was refused is not counted
    sent = server.sent
    assert asyncio.run(set_entries(server, "id", account, server.playlist, wanted)) == 0
    assert server.sent == sent


LISTS = [
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], 1),  # at the end: no move
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9], 1),
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [9, 0, 1, 2, 3, 4, 5, 6, 7, 8], 1),
    ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 10, 5, 6, 7, 8, 9], 4),  # and a look at its id
    ([0, 1, 0, 2, 0, 3, 4, 5, 6, 7], [1, 0, 2, 0, 3, 4, 5, 6, 7, 0], 1),
    ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0], 2),
    ([0, 1, 2], [3, 4, 5], 2),  # emptied and filled
    ([0, 1, 2], [], 1),
    ([], [0, 1], 1),
]


@pytest.mark.parametrize(("present", "wanted", "requests"), LISTS)
async def test_lists_are_brought_to_each_other_in_place(
    present: list[int], wanted: list[int], requests: int
) -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 11))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", [ids[n] for n in present], description="", is_public=False
            )
            before = await server.playlist(account, made)
            sent = len(plex.requests)
            answer = await server.set_entries(account, before, "music", [ids[n] for n in wanted])
            assert answer == requests == len(plex.requests) - sent
            after = await server.playlist(account, made)
            assert after.item_ids == [ids[n] for n in wanted]
            assert (after.id, after.name, after.created) == (made, "P", before.created)


async def test_what_was_not_touched_keeps_its_entry() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 20))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids, description="", is_public=False
            )
            before = await server.playlist(account, made)
            await server.set_entries(account, before, "music", [ids[19], *ids[:19]])
            after = await server.playlist(account, made)
            assert set(after.entries or ()) == set(before.entries or ())


async def test_a_list_of_thousands_takes_few_requests() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 2300))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids[:2250], description="", is_public=False
            )
            present = await server.playlist(account, made)
            assert present.item_ids == ids[:2250]
            wanted = [*ids[:1000], ids[2299], *ids[1001:2250]]
            assert await server.set_entries(account, present, "music", wanted) == 4
            assert (await server.playlist(account, made)).item_ids == wanted


@pytest.mark.parametrize(
    "fault",
    [Status(503, after=True), Hang(1, after=True), Cut(0), Body(b"?"), Status(500)],
    ids=str,
)
async def test_a_write_that_broke_off_is_told_and_never_repeated(fault: object) -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 10))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids[:9], description="", is_public=False
            )
            present = await server.playlist(account, made)
            plex.faults.add("PUT", r"/items$", fault)  # type: ignore[arg-type]
            before = plex.count("PUT", "/playlists")
            with pytest.raises(ConnectorUnavailable):
                await server.set_entries(account, present, "music", ids)
            assert plex.count("PUT", "/playlists") == before + 1
            plex.faults.clear()
            present = await server.playlist(account, made)  # as whoever writes does: look, go on
            await server.set_entries(account, present, "music", ids)
            assert (await server.playlist(account, made)).item_ids == ids


async def test_an_entry_that_somebody_removed_meanwhile_is_no_problem() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 10))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids, description="", is_public=False
            )
            present = await server.playlist(account, made)
            (playlist,) = plex.playlists_of(plex.owner)
            plex.remove_entry(playlist, 3)
            await server.set_entries(account, present, "music", [*ids[:3], *ids[4:]])
            assert (await server.playlist(account, made)).item_ids == [*ids[:3], *ids[4:]]


async def test_a_playlist_that_was_deleted_meanwhile_is_named() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 10))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids[:5], description="", is_public=False
            )
            present = await server.playlist(account, made)
            plex.delete_playlist(plex.playlists_of(plex.owner)[0])
            for wanted in (ids[:6], ids[5:]):
                with pytest.raises(NotFound):
                    await server.set_entries(account, present, "music", wanted)
            with pytest.raises(NotFound):
                await server.playlist(account, made)
            with pytest.raises(NotFound):
                await server.delete_playlist(account, made)


async def test_a_server_that_cannot_empty_a_playlist_has_it_edited_entry_by_entry() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 10))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids[:5], description="", is_public=False
            )
            present = await server.playlist(account, made)
            plex.faults.add("DELETE", r"/items$", Status(404))
            await server.set_entries(account, present, "music", ids[:3:-1])
            assert (await server.playlist(account, made)).item_ids == ids[:3:-1]


async def test_what_a_server_drops_is_left_out_and_the_rest_is_in_order() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 12))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids[:10], description="", is_public=False
            )
            plex.quirks.drops_half_of_batch = True
            present = await server.playlist(account, made)
            await server.set_entries(
                account, present, "music", [ids[10], *ids[:5], ids[11], *ids[5:10]]
            )
            assert (await server.playlist(account, made)).item_ids == [ids[10], *ids[:10]]


async def test_two_playlists_of_one_name_are_told_apart() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 4))
        async with connected(plex) as (server, account):
            made = [
                await server.create_playlist(
                    account, "P", "music", [ids[n]], description=f"[{n}]", is_public=False
                )
                for n in (0, 1)
            ]
            listed = {p.id: p for p in await server.playlists(account)}
            assert [listed[i].description for i in made] == ["[0]", "[1]"]
            assert listed[made[0]].entries is None
            await server.describe_playlist(account, made[1], description="other")
            await server.describe_playlist(account, made[0], is_public=True)
            listed = {p.id: p for p in await server.playlists(account)}
            assert [listed[i].description for i in made] == ["[0]", "other"]
            assert [listed[i].count for i in made] == [1, 1]


async def test_books_have_no_playlists_and_a_made_list_without_id_is_told() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 4))
        async with connected(plex) as (server, account):
            how = {"description": "", "is_public": False}
            with pytest.raises(Refused):
                await server.create_playlist(account, "P", "text", ids, **how)  # type: ignore[arg-type]
            plex.faults.add(
                "POST", "/playlists", Body(b"<MediaContainer/>", "application/xml"), times=1
            )
            with pytest.raises(BadAnswer):
                await server.create_playlist(account, "P", "music", ids, **how)  # type: ignore[arg-type]
            assert plex.playlists_of(plex.owner) == []
