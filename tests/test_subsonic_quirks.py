"""Subsonic servers of other makes: each deviation that was met or read of is a switch here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import BadAnswer, Misconfigured, NotAllowed, NotFound, Refused
from connectors.server import Account, Library, ServerItem
from connectors.server_settings import SubsonicSettings
from connectors.subsonic import SubsonicServer
from tests.stand_ins.faults import Status
from tests.stand_ins.subsonic import FakeSubsonic, Switches

QUICK: dict[str, Any] = {"timeout": 2.0, "longest": 5.0, "first_pause": 0.01}
SINCE = datetime(2026, 11, 19, tzinfo=UTC)
DATE = "2026-11-20T10:00:00Z"


class House:
    """A stand-in with a connector that is signed in there."""

    def __init__(self, subsonic: FakeSubsonic, server: SubsonicServer, account: Account) -> None:
        self.subsonic, self.server, self.account = subsonic, server, account

    async def items(self, library: Library | None = None) -> list[ServerItem]:
        if library is None:
            (library,) = await self.server.libraries()
        pages = [page async for page in self.server.items(library)]
        return [item for page in pages for item in page.entries]

    async def make(self, ids: list[str], name: str = "Evening") -> str:
        return await self.server.create_playlist(
            self.account, name, "music", ids, description="[m]", is_public=False
        )

    async def replace(self, playlist_id: str, ids: list[str]) -> list[str]:
        present = await self.server.playlist(self.account, playlist_id)
        await self.server.set_entries(self.account, present, "music", ids)
        return (await self.server.playlist(self.account, playlist_id)).item_ids


@asynccontextmanager
async def house(
    songs: int = 4, settings: dict[str, Any] | None = None, **switches: Any
) -> AsyncIterator[House]:
    subsonic = FakeSubsonic(switches=Switches(**switches))
    for n in range(songs):
        subsonic.add_song(f"s{n}", f"Track {n}", album=f"Album {n // 3:04}")
    async with subsonic:
        said = SubsonicSettings(
            kind="subsonic", name="Home", url=subsonic.url, users={"me": "anna"},
            **(settings or {}),
        )  # fmt: skip
        async with SubsonicServer(said, [], "d", **QUICK) as server:
            account = await server.sign_in("me", "anna", "secret")
        async with SubsonicServer(said, [account], "d", **QUICK) as server:
            subsonic.requests.clear()
            subsonic.asked.clear()
            yield House(subsonic, server, account)


# Signing in


async def test_a_version_that_the_server_does_not_take_is_lowered_to_its_own() -> None:
    async with house(version="1.13.0", takes_newer_clients=False) as home:
        await home.server.check(home.account)
        assert home.subsonic.requests == ["ping"]
        assert len(await home.items()) == 4


async def test_a_server_of_before_2012_is_too_old() -> None:
    with pytest.raises(Misconfigured, match="too old"):
        async with house(version="1.7.0"):
            pass


async def test_where_bodies_are_not_read_the_url_holds_all_in_batches() -> None:
    async with house(songs=250, reads_bodies=False) as home:
        ids = [f"s{n}" for n in range(250)]
        made = await home.make(ids)
        assert await home.replace(made, ids[::-1]) == ids[::-1]
        assert await home.replace(made, []) == []
        assert {method for method, *_ in home.subsonic.asked} == {"GET"}
        assert max(length for *_, length in home.subsonic.asked) < 8000


async def test_where_bodies_are_read_nothing_secret_is_in_a_url() -> None:
    async with house() as home:
        await home.items()
        assert {method for method, *_ in home.subsonic.asked} == {"POST"}
        assert max(length for *_, length in home.subsonic.asked) < 40


async def test_without_tokens_the_password_goes_no_further_when_the_address_changes() -> None:
    async with house(knows_tokens=False) as home:
        assert "p" in home.account.secrets
        home.server._client._url = "http://nas:4533"
        with pytest.raises(Misconfigured, match="https"):
            await home.server.check(home.account)
        with pytest.raises(Misconfigured, match="https"):
            await home.server.open_media("s0")


# Listing


@pytest.mark.parametrize("songs", [0, 1, 3, 4, 499, 500, 501, 1000, 1203])
@pytest.mark.parametrize("by_search", [True, False])
async def test_all_songs_are_listed_once_by_search_or_by_albums(
    songs: int, by_search: bool
) -> None:
    async with house(songs=songs, lists_by_search=by_search) as home:
        found = [item.id for item in await home.items()]
        assert sorted(found) == sorted(f"s{n}" for n in range(songs))
        ids = [i async for page in home.server.ids(Library("all", "", frozenset())) for i in page]
        assert sorted(ids) == sorted(found)


@pytest.mark.parametrize("by_search", [True, False])
async def test_a_listing_goes_on_where_it_was_broken_off(by_search: bool) -> None:
    async with house(songs=1203 if by_search else 303, lists_by_search=by_search) as home:
        (library,) = await home.server.libraries()
        pages = [page async for page in home.server.items(library)]
        for n, page in enumerate(pages[:-1]):
            rest = [p async for p in home.server.items(library, start=page.next)]
            ids = [item.id for p in rest for item in p.entries]
            assert ids == [item.id for p in pages[n + 1 :] for item in p.entries]


async def test_a_full_listing_costs_a_request_for_each_500_songs() -> None:
    async with house(songs=1203) as home:
        (library,) = await home.server.libraries()
        home.subsonic.requests.clear()
        await home.items(library)
        assert home.subsonic.requests == ["search3"] * 3


async def test_pages_may_be_smaller_than_was_asked_for() -> None:
    async with house(songs=450, largest_page=100) as home:
        assert len(await home.items()) == 450


async def test_a_server_that_knows_no_offset_is_not_asked_for_ever() -> None:
    async with house(songs=600, knows_offset=False) as home:
        with pytest.raises(BadAnswer, match="again and again"):
            await home.items()


async def test_one_odd_song_does_not_end_the_listing() -> None:
    async with house(songs=1200) as home:
        home.subsonic.songs["s7"] = {"id": None, "path": "x"}
        home.subsonic.songs["s8"] = 7  # type: ignore[assignment]
        assert len(await home.items()) == 1198


async def test_songs_that_come_while_paging_are_met_then_or_at_the_next_reading() -> None:
    async with house(songs=1200) as home:
        (library,) = await home.server.libraries()
        pages = home.server.items(library)
        first = await anext(pages)
        home.subsonic.add_song("late", "Late")
        rest = [item.id async for page in pages for item in page.entries]
        assert {item.id for item in first.entries} | {*rest} >= {f"s{n}" for n in range(1200)}
        home.subsonic.scanned = "2026-11-02T00:00:00Z"
        (again,) = await home.server.libraries()
        assert again.stamp != library.stamp
        assert "late" in {item.id for item in await home.items(again)}


async def test_an_album_that_is_deleted_while_its_songs_are_asked_for_is_left_out() -> None:
    async with house(songs=9, lists_by_search=False) as home:

        def lose(method: str) -> None:
            if method == "getAlbum":
                for n in (3, 4, 5):
                    home.subsonic.songs.pop(f"s{n}", None)

        home.subsonic.before = lose
        assert len(await home.items()) == 6


@pytest.mark.parametrize("code", [0, 10, 70])
async def test_a_search_that_is_refused_and_no_albums_either_is_told_not_taken_for_empty(
    code: int,
) -> None:
    async with house(songs=0) as home:
        home.subsonic.refuses["search3"] = code
        with pytest.raises((Refused, NotFound)):
            await home.items()


# Libraries


async def test_a_count_that_the_listing_does_not_have_is_not_told() -> None:
    async with house(scanned_more=3) as home:
        (library,) = await home.server.libraries()
        assert library.count is None
        home.subsonic.switches.scanned_more = 0
        (library,) = await home.server.libraries()
        assert library.count == 4


async def test_while_the_server_scans_nothing_is_known_of_changes() -> None:
    async with house() as home:
        home.subsonic.is_scanning = True
        (library,) = await home.server.libraries()
        assert (library.stamp, library.count) == ("", None)


@pytest.mark.parametrize("code", [0, 50, 70])
async def test_where_scans_are_not_told_of_the_date_of_the_index_counts(code: int) -> None:
    async with house() as home:
        home.subsonic.refuses["getScanStatus"] = code
        (library,) = await home.server.libraries()
        assert (library.stamp, library.count) == ("1761955200000", None)
        home.subsonic.refuses["getIndexes"] = code
        (library,) = await home.server.libraries()
        assert library.stamp == ""
        assert len(await home.items()) == 4


async def test_music_folders_are_libraries_whose_names_begin_the_paths() -> None:
    async with house() as home:
        home.subsonic.folders = {"1": "Music", "2": "Live"}
        home.subsonic.add_song("x", "X", folder="2", path="Band/x.flac")
        one, two = await home.server.libraries()
        assert (one.name, two.name, two.roots) == ("Music", "Live", ("/Live",))
        assert len(await home.items(one)) == 4
        (item,) = await home.items(two)
        assert item.path == "/Live/Band/x.flac"


async def test_only_the_libraries_of_the_settings_are_taken() -> None:
    async with house(settings={"libraries": ("Live",)}) as home:
        assert await home.server.libraries() == []
        home.subsonic.folders = {"1": "Music", "2": "Live"}
        home.subsonic.add_song("x", "X", folder="2")
        (library,) = await home.server.libraries()
        assert [item.id for item in await home.items(library)] == ["x"]
        home.subsonic.switches.tells_folders_apart = False
        with pytest.raises(Misconfigured, match="libraries"):
            async with SubsonicServer(
                home.server._settings, [home.account], "d", **QUICK
            ) as another:
                await another.libraries()


async def test_folders_that_a_search_does_not_keep_to_are_one_library() -> None:
    async with house(tells_folders_apart=False) as home:
        home.subsonic.folders = {"1": "Music", "2": "Live"}
        (library,) = await home.server.libraries()
        assert len(await home.items(library)) == 4


async def test_real_paths_of_navidrome_are_known_by_being_absolute() -> None:
    async with house() as home:
        assert not (await home.items())[0].has_real_path
        home.subsonic.switches.real_paths = True
        item = (await home.items())[0]
        assert (item.path, item.has_real_path) == ("/music/Band/First/Track 0.flac", True)


# What is there, and what was done


async def test_what_was_found_once_is_known_until_the_next_scan() -> None:
    async with house(songs=1200) as home:
        ids = [f"s{n}" for n in range(1200)]
        assert await home.server.existing(home.account, [*ids, "gone"]) == set(ids)
        assert home.subsonic.requests.count("search3") == 3
        home.subsonic.requests.clear()
        assert await home.server.existing(home.account, ids[:700]) == set(ids[:700])
        assert home.subsonic.requests == ["getScanStatus"]
        del home.subsonic.songs["s5"]
        home.subsonic.scanned = "2026-11-02T00:00:00Z"
        assert await home.server.existing(home.account, ids) == set(ids) - {"s5"}


@pytest.mark.parametrize("code", [10, 70])
async def test_few_ids_are_asked_for_one_by_one_however_a_missing_one_is_told(code: int) -> None:
    async with house(missing_code=code) as home:
        assert await home.server.existing(home.account, ["s1", "gone"]) == {"s1"}
        assert home.subsonic.requests.count("getSong") == 2


async def test_a_server_that_fails_is_not_taken_for_one_that_lost_a_song() -> None:
    async with house() as home:
        home.subsonic.refuses["getSong"] = 0
        with pytest.raises(Refused):
            await home.server.existing(home.account, ["s1"])


async def test_plays_on_more_albums_than_a_page_holds_are_all_found() -> None:
    async with house(songs=600) as home:
        for n in range(0, 600, 3):
            home.subsonic.songs[f"s{n}"] |= {"playCount": 1, "played": DATE}
        since = [s async for p in home.server.states(home.account, since=SINCE) for s in p]
        assert len(since) == 200
        later = datetime(2026, 11, 21, tzinfo=UTC)
        home.subsonic.requests.clear()
        assert [s async for p in home.server.states(home.account, since=later) for s in p] == []
        assert home.subsonic.requests == ["getStarred2", "getAlbumList2"]


async def test_a_server_without_lists_of_stars_and_plays_is_read_all_the_same() -> None:
    async with house() as home:
        home.subsonic.refuses |= {"getStarred2": 70, "getAlbumList2": 0}
        assert [s async for p in home.server.states(home.account, since=SINCE) for s in p] == []


async def test_a_star_that_is_refused_for_being_there_is_no_failure() -> None:
    async with house(stars_twice=False) as home:
        for _ in range(2):
            assert (await home.server.set_favourite(home.account, "s1", True)).is_favourite
        home.subsonic.refuses["unstar"] = 0
        with pytest.raises(Refused):
            await home.server.set_favourite(home.account, "s1", False)


# Playlists


@pytest.mark.parametrize(
    "switches",
    [{"most_parameters": 1000}, {"refuses_long_forms": True}, {"reads_bodies": False}, {}],
    ids=str,
)
async def test_long_lists_arrive_whole_on_servers_that_cut_forms(switches: dict[str, Any]) -> None:
    async with house(songs=50, **switches) as home:
        ids = [f"s{n * 7 % 50}" for n in range(2600)]
        made = await home.make(ids)
        assert (await home.server.playlist(home.account, made)).item_ids == ids
        assert await home.replace(made, ids[::-1]) == ids[::-1]


async def test_a_list_that_the_server_halves_is_left_as_it_is_for_the_caller_to_see() -> None:
    async with house(songs=50, drops_half_of_lists=True) as home:
        ids = [f"s{n % 50}" for n in range(1200)]
        made = await home.make(ids)
        assert (await home.server.playlist(home.account, made)).item_ids == ids[::2]


async def test_a_list_that_was_taken_and_not_made_is_told() -> None:
    async with house(version="1.12.0", drops_lists=True) as home:
        with pytest.raises(Refused, match="does not have it"):
            await home.make(["s0"])


async def test_of_two_new_lists_of_one_name_ours_is_that_with_our_songs() -> None:
    async with house(version="1.12.0") as home:

        def somebody_else(method: str) -> None:
            if method == "createPlaylist":
                home.subsonic.before = None
                home.subsonic.playlists["x"] = {
                    "id": "x", "name": "Evening", "owner": "anna", "entry": []
                }  # fmt: skip

        home.subsonic.before = somebody_else
        made = await home.make(["s2", "s1"])
        assert made != "x"
        assert home.subsonic.playlists["x"]["entry"] == []


async def test_a_list_is_emptied_also_where_an_empty_one_is_taken_for_none_given() -> None:
    async with house(songs=600) as home:
        ids = [f"s{n}" for n in range(600)]
        made = await home.make(ids)
        assert await home.replace(made, []) == []
        home.subsonic.switches.clears_by_empty_list = True
        assert await home.replace(made, ids) == ids


async def test_a_smart_list_of_the_server_and_one_of_another_user_are_not_changed() -> None:
    async with house() as home:
        made = await home.make(["s0"])
        home.subsonic.playlists[made]["readonly"] = True
        for attempt in (home.replace(made, ["s1"]), home.replace(made, [])):
            with pytest.raises(NotAllowed):
                await attempt
        with pytest.raises(NotAllowed):
            await home.server.delete_playlist(home.account, made)
        assert (await home.server.playlist(home.account, made)).item_ids == ["s0"]


async def test_a_list_is_made_also_where_it_cannot_be_described() -> None:
    async with house() as home:
        home.subsonic.refuses["updatePlaylist"] = 0
        made = await home.make(["s0"])
        assert (await home.server.playlist(home.account, made)).item_ids == ["s0"]


async def test_what_changed_in_a_list_is_seen_where_the_server_tells() -> None:
    async with house() as home:
        made = await home.make(["s0"])
        (before,) = await home.server.playlists(home.account)
        await home.replace(made, ["s1"])
        (after,) = await home.server.playlists(home.account)
        assert before.changed != after.changed != ""
        home.subsonic.switches.tells_changed = False
        (after,) = await home.server.playlists(home.account)
        assert after.changed == ""


async def test_objects_that_are_empty_may_come_as_text() -> None:
    async with house(songs=0, empty_as_text=True) as home:
        assert await home.items() == []
        assert await home.server.playlists(home.account) == []


# Media


async def test_where_nobody_may_download_the_file_is_streamed() -> None:
    async with house(may_download=False) as home:
        async with await home.server.open_media("s1", "bytes=0-4") as stream:
            assert b"".join([chunk async for chunk in stream.chunks()]) == b"media"
        assert home.subsonic.requests == ["download", "stream"]


async def test_a_page_in_place_of_media_is_no_media() -> None:
    async with house() as home:
        page = Status(200, {"Content-Type": "text/html"}, b"<html>sign in</html>")
        home.subsonic.faults.add("*", "download", page)
        with pytest.raises(BadAnswer):
            await home.server.open_media("s1")
        xml = b'<subsonic-response status="failed"><error code="70"/></subsonic-response>'
        home.subsonic.faults.clear()
        home.subsonic.faults.add("*", "download", Status(200, {"Content-Type": "text/xml"}, xml))
        with pytest.raises(NotFound):
            await home.server.open_media("s1")
