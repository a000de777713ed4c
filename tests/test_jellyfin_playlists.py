"""Playlists on Jellyfin servers of every version, and what can happen to them."""

from typing import Any

import pytest

from connectors.base import BadAnswer, ConnectorUnavailable, NotAllowed, NotFound
from connectors.jellyfin import JellyfinServer
from connectors.server import Account, Capability
from tests.stand_ins.faults import Body, Cut, Status
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.test_jellyfin_connector import VERSIONS, connected, furnish


async def make(
    server: JellyfinServer, account: Account, ids: list[str], name: str = "Tonight", **more: Any
) -> str:
    options: dict[str, Any] = {"description": "", "is_public": False, **more}
    return await server.create_playlist(account, name, "music", ids, **options)


def writes(jellyfin: FakeJellyfin) -> list[str]:
    return [f"{m} {p}" for m, p, _ in jellyfin.requests if m != "GET"]


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_playlist_is_made_changed_and_read_back(version: str) -> None:
    async with FakeJellyfin(version) as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            made = await server.create_playlist(
                account, "Tonight", "music", ids[:3], description="x", is_public=False
            )
            present = await server.playlist(account, made)
            assert present.item_ids == ids[:3]
            assert await server.set_entries(account, present, "music", ids[:3]) == 0
            assert await server.set_entries(account, present, "music", ids[::-1]) == 1
            assert (await server.playlist(account, made)).item_ids == ids[::-1]
            present = await server.playlist(account, made)
            await server.set_entries(account, present, "music", ids[::-1][:4])
            assert (await server.playlist(account, made)).item_ids == ids[::-1][:4]
            assert [p.name for p in await server.playlists(account)] == ["Tonight"]
            assert not jellyfin.playlist("Tonight").is_public
            await server.delete_playlist(account, made)
            with pytest.raises(NotFound):
                await server.playlist(account, made)


async def test_an_administrator_can_leave_a_mark() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        async with connected(jellyfin, "Root", "root") as (server, account):
            assert Capability.MARK in server.info.capabilities
            (library,) = await server.libraries()
            ids = [i async for page in server.ids(library) for i in page]
            made = await server.create_playlist(
                account, "A", "music", ids, description="[mark]", is_public=False
            )
            assert (await server.playlist(account, made)).description == "[mark]"
            assert (await server.playlists(account))[0].description == "[mark]"


async def test_visibility_is_as_asked_and_told_where_the_version_tells() -> None:
    for version, told in (("10.9.11", None), ("10.10.7", True), ("12.0.0", True)):
        async with FakeJellyfin(version) as jellyfin:
            ids = furnish(jellyfin)
            async with connected(jellyfin) as (server, account):
                made = await make(server, account, ids[:1])
                assert (await server.playlist(account, made)).is_public is (told and False)
                await server.describe_playlist(account, made, is_public=True)
                assert (await server.playlist(account, made)).is_public is told
                assert jellyfin.playlist("Tonight").is_public
                assert jellyfin.playlist_items("Tonight") == ids[:1]


async def test_a_description_is_left_out_where_the_user_may_not_write_one() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            assert Capability.MARK not in server.info.capabilities
            jellyfin.requests.clear()
            made = await make(server, account, ids, description="[mark]")
            await server.describe_playlist(account, made, description="[mark]")
            assert writes(jellyfin) == ["POST /Playlists"]


async def test_a_description_takes_nothing_else_away() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        async with connected(jellyfin, "Root", "root") as (server, account):
            made = await make(server, account, ids, description="one")
            jellyfin.playlist("Tonight").tags = ("mine",)
            await server.describe_playlist(account, made, description="two")
            playlist = jellyfin.playlist("Tonight")
            assert (playlist.name, playlist.tags, playlist.overview) == (
                "Tonight",
                ("mine",),
                "two",
            )
            jellyfin.requests.clear()
            await server.describe_playlist(account, made, description="two")
            assert writes(jellyfin) == []


async def test_a_playlist_whose_description_fails_is_made_once() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        async with connected(jellyfin, "Root", "root") as (server, account):
            jellyfin.faults.add("POST", r"^/Items/", Status(500))
            made = await make(server, account, ids, description="[mark]")
            assert (await server.playlist(account, made)).item_ids == ids


async def test_a_few_more_at_the_end_are_added_and_many_replace() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 60)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids[:10])
            for wanted, path in (
                (ids[:30], f"POST /Playlists/{made}/Items"), (ids[:51], f"POST /Playlists/{made}"),
                (ids[1:51], f"POST /Playlists/{made}"), ([], f"POST /Playlists/{made}"),
                (ids[:5], f"POST /Playlists/{made}"),
            ):  # fmt: skip
                present = await server.playlist(account, made)
                jellyfin.requests.clear()
                assert await server.set_entries(account, present, "music", wanted) == 1
                assert writes(jellyfin) == [path]
                assert jellyfin.playlist_items(made) == wanted


async def test_ten_thousand_entries_are_one_request_and_come_back_in_order() -> None:
    async with FakeJellyfin(checks=False) as jellyfin:  # checking takes most of the time
        ids = furnish(jellyfin, 10_000)
        async with connected(jellyfin, timeout=(1, 20), longest=30) as (server, account):
            made = await make(server, account, ids[:3])
            present = await server.playlist(account, made)
            jellyfin.requests.clear()
            assert await server.set_entries(account, present, "music", ids[::-1]) == 1
            assert (await server.playlist(account, made)).item_ids == ids[::-1]
            assert len(jellyfin.requests) == 1 + 2 + 11


async def test_an_item_may_be_in_it_twice_where_the_version_allows_it() -> None:
    for version, is_allowed in (("10.11.11", False), ("12.0.0", True)):
        async with FakeJellyfin(version) as jellyfin:
            ids = furnish(jellyfin)
            async with connected(jellyfin) as (server, account):
                assert (Capability.DUPLICATES in server.info.capabilities) is is_allowed
                twice = [ids[0], ids[1], ids[0]]
                made = await make(server, account, twice)
                found = (await server.playlist(account, made)).item_ids
                assert found == (twice if is_allowed else ids[:2])


async def test_half_a_batch_that_is_dropped_is_seen_in_what_is_read_back() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 8)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids[:1])
            jellyfin.quirks.drops_half_of_batches = True
            present = await server.playlist(account, made)
            assert await server.set_entries(account, present, "music", ids[::-1]) == 1
            assert (await server.playlist(account, made)).item_ids == ids[::-1][::2]


async def test_what_a_person_does_to_a_playlist_is_seen() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids)
            (listed,) = await server.playlists(account)
            assert (listed.id, listed.count, listed.owner_id) == (made, 5, account.user_id)
            jellyfin.rename_playlist(made, "Mine now")
            assert (await server.playlist(account, made)).name == "Mine now"
            jellyfin.empty_playlist(made)
            assert (await server.playlist(account, made)).entries == ()
            assert (await server.playlists(account))[0].changed != listed.changed
            jellyfin.delete_playlist(made)
            assert await server.playlists(account) == []
            for call in (server.playlist, server.delete_playlist):
                with pytest.raises(NotFound):
                    await call(account, made)


async def test_a_later_playlist_of_the_same_id_is_told_from_the_first() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids)
            before = await server.playlist(account, made)
            jellyfin.delete_playlist(made)
            assert jellyfin.make_playlist("Anna", "Tonight", ids) == made
            assert (await server.playlist(account, made)).created != before.created


async def test_two_of_one_name_are_two() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            one, two = await make(server, account, ids[:1]), await make(server, account, ids[1:])
            assert one != two
            listed = await server.playlists(account)
            assert [p.name for p in listed] == ["Tonight", "Tonight"]
            assert (await server.playlist(account, two)).item_ids == ids[1:]


async def test_others_playlists_are_not_ours_to_change() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        hidden = jellyfin.make_playlist("Ben", "Hidden", ids)
        shown = jellyfin.make_playlist("Ben", "Shown", ids, is_public=True)
        async with connected(jellyfin) as (server, account):
            assert [(p.name, p.owner_id) for p in await server.playlists(account)] == [
                ("Shown", "")
            ]
            with pytest.raises(NotFound):
                await server.playlist(account, hidden)
            present = await server.playlist(account, shown)
            with pytest.raises(NotAllowed):
                await server.set_entries(account, present, "music", ids[:1])
            with pytest.raises(NotAllowed):
                await server.delete_playlist(account, shown)
            assert jellyfin.playlist_items("Shown") == ids


async def test_media_are_never_deleted_in_a_playlists_place() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        async with connected(jellyfin, "Root", "root") as (server, account):
            jellyfin.requests.clear()
            for wrong in (ids[0], "x", "../Items/" + ids[0], ""):
                with pytest.raises(NotFound):
                    await server.delete_playlist(account, wrong)
                with pytest.raises(NotFound):
                    await server.describe_playlist(account, wrong, description="x")
            assert writes(jellyfin) == []
            assert ids[0] in jellyfin.items


async def test_a_playlist_that_changes_between_two_pages_is_read_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.jellyfin.playlists.PAGE", 2)
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 7)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids)

            def shorten(request: Any) -> None:
                if request.query.get("startIndex") == "4" and request.path.endswith("/Items"):
                    jellyfin.before = None
                    jellyfin.remove_item(ids[0])

            jellyfin.before = shorten
            assert (await server.playlist(account, made)).item_ids == ids[1:]

            def grow(request: Any) -> None:
                if request.query.get("startIndex") == "2" and request.path.endswith("/Items"):
                    jellyfin.playlist(made).entries.append(jellyfin.playlist(made).entries[-1])

            jellyfin.quirks.drops_duplicates = False
            jellyfin.before = grow
            with pytest.raises(BadAnswer, match="changes too much"):
                await server.playlist(account, made)


@pytest.mark.parametrize(
    "fault", [Status(502, after=True), Cut(0), Status(500), Body(b"<html>")], ids=str
)
async def test_a_write_that_breaks_off_is_sent_once_and_told(fault: Any) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            made = await make(server, account, ids[:2])
            present = await server.playlist(account, made)
            jellyfin.requests.clear()
            jellyfin.faults.add("POST", r"/Playlists/", fault)
            with pytest.raises(ConnectorUnavailable):
                await server.set_entries(account, present, "music", ids[::-1])
            assert writes(jellyfin) == [f"POST /Playlists/{made}"]


async def test_a_made_playlist_without_an_id_is_a_bad_answer() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            for body in (b"{}", b'{"Id": 3}', b"", b"[]", b'{"Id": "../x"}'):
                jellyfin.faults.clear()
                jellyfin.faults.add("POST", r"/Playlists$", Body(body))
                with pytest.raises(BadAnswer):
                    await make(server, account, ids)
