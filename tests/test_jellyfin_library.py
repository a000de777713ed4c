"""Reading the library of a Jellyfin server that changes, fails, or is not quite as promised."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    NotFound,
    SignInRefused,
)
from connectors.jellyfin import JellyfinServer
from connectors.server import Library
from tests.stand_ins.faults import Body, Cut, Status
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.test_jellyfin_connector import QUICK, connected, furnish, settings_of


@pytest.fixture
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.jellyfin.connector.PAGE", 3)
    monkeypatch.setattr("connectors.jellyfin.listing.IDS_PAGE", 3)


async def read_ids(server: JellyfinServer, library: Library, **how: Any) -> list[str]:
    return [item.id async for page in server.items(library, **how) for item in page.entries]


async def test_every_library_of_ours_is_there_and_no_other() -> None:
    async with FakeJellyfin() as jellyfin:
        jellyfin.add_user("Anna", "secret", is_admin=True)
        kinds = {
            "music": {"music"}, "movies": {"videos"}, "tvshows": {"videos"},
            "musicvideos": {"videos"}, "homevideos": {"videos", "images"},
            "books": {"text", "music"}, "": {"music", "videos", "images", "text"},
        }  # fmt: skip
        for collection in (*kinds, "boxsets"):
            library = jellyfin.add_library(f"My {collection}", collection, f"/media/{collection}")
        films = next(i for i, lib in jellyfin.libraries.items() if lib.name == "My movies")
        jellyfin.add_item(films, "Movie", "A", "/media/movies/a.mkv", runtime=5000.0)
        series = next(i for i, lib in jellyfin.libraries.items() if lib.name == "My tvshows")
        jellyfin.add_item(
            series, "Episode", "Pilot", "/media/tvshows/S/Season 1/1.mkv", series="S",
            disc_or_season=1, number=1,
        )  # fmt: skip
        async with connected(jellyfin) as (server, _):
            found = {library.name: library for library in await server.libraries()}
            assert {name: set(lib.kinds) for name, lib in found.items()} == {
                f"My {collection}": held for collection, held in kinds.items()
            }
            assert found["My movies"].roots == ("/media/movies",)
            assert (found["My movies"].count, found["My tvshows"].count) == (1, 1)
            (page,) = [page async for page in server.items(found["My tvshows"])]
            assert (page.entries[0].metadata.series, page.entries[0].metadata.episode) == ("S", 1)
        assert library


async def test_only_the_libraries_of_the_settings_are_taken() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        jellyfin.add_library("Old music", "music", "/media/old")
        settings = settings_of(jellyfin, libraries=("Old music",), api_key=jellyfin.add_api_key())
        async with JellyfinServer(settings, [], "device", **QUICK) as server:
            assert [library.name for library in await server.libraries()] == ["Old music"]


async def test_a_key_that_is_not_taken_is_named() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        settings = settings_of(jellyfin, api_key="made-up")
        async with JellyfinServer(settings, [], "device", **QUICK) as server:
            with pytest.raises(SignInRefused, match="Home does not take the api_key") as problem:
                await server.libraries()
    assert "made-up" not in str(problem.value)


async def test_a_user_reads_what_that_user_may_see() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        secret = jellyfin.add_library("Secret", "music", "/media/secret")
        hidden = jellyfin.add_item(secret, "Audio", "Hidden", "/media/secret/1.mp3")
        jellyfin.user("Anna").libraries = (next(iter(jellyfin.libraries)),)
        async with connected(jellyfin) as (server, account):
            assert [library.name for library in await server.libraries()] == ["Music"]
            assert await server.existing(account, [*ids, hidden]) == set(ids)


async def test_lyrics_are_asked_for_only_where_there_are_some() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        library = next(iter(jellyfin.libraries))
        for n in range(3):
            jellyfin.add_item(library, "Audio", f"Song {n}", f"/m/{n}.mp3", lyrics=("La", f"{n}"))
        async with connected(jellyfin) as (server, _):
            (music,) = await server.libraries()
            jellyfin.faults.add("GET", r"/Lyrics$", Status(500), skip=2)
            jellyfin.requests.clear()
            (page,) = [page async for page in server.items(music)]
            words = sorted(i.metadata.lyrics for i in page.entries if i.metadata.lyrics)
            assert len(words) == 2  # and the third, which breaks the server, has none
            assert words[0].startswith("La\n")
            assert sum(path.endswith("/Lyrics") for _, path, _ in jellyfin.requests) == 3


@pytest.mark.usefixtures("_small_pages")
async def test_what_is_deleted_while_paging_makes_nothing_else_disappear() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 14)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()

            def remove(request: Any) -> None:
                if request.query.get("limit") == "6":  # three known ones, three new ones
                    jellyfin.before = None
                    for gone in ids[:2]:
                        jellyfin.remove_item(gone)

            jellyfin.before = remove
            assert set(await read_ids(server, library)) >= set(ids[2:])
            assert ids[0] not in jellyfin.items


async def sweep(server: JellyfinServer, library: Library) -> list[str]:
    return [item_id async for page in server.ids(library) for item_id in page]


@pytest.mark.usefixtures("_small_pages")
async def test_a_sweep_of_ids_loses_nothing_to_deletions() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 14)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            asked = 0

            def remove(request: Any) -> None:
                nonlocal asked
                asked += request.path == "/Items"
                if asked == 3:
                    jellyfin.remove_item(ids[0])
                    asked += 1

            jellyfin.before = remove
            assert set(await sweep(server, library)) >= set(ids[1:])


@pytest.mark.usefixtures("_small_pages")
async def test_a_break_in_the_middle_is_told_and_reading_goes_on_from_there() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 10)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"^/Items$", Cut(0.5), skip=2)
            pages = server.items(library)
            read = [await anext(pages), await anext(pages)]
            with pytest.raises(ConnectorUnavailable):
                await anext(pages)
            assert [item.id for page in read for item in page.entries] == ids[:6]
            jellyfin.faults.clear()
            jellyfin.requests.clear()
            assert await read_ids(server, library, start=read[1].next) == ids[6:]
            assert len(jellyfin.requests) == 2


async def test_ids_that_are_all_others_now_are_found_to_be_gone() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            (library,) = await server.libraries()
            (place,) = [page.next async for page in server.items(library)]
            jellyfin.reissue_all_ids()
            assert await server.existing(account, ids) == set()
            assert await server.states_of(account, ids) == []
            (library,) = await server.libraries()
            assert len(await read_ids(server, library, start=place)) == 5


async def test_many_ids_are_asked_for_in_addresses_that_servers_take() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 3)
        async with connected(jellyfin) as (server, account):
            jellyfin.requests.clear()
            asked = [*ids, *(f"{n:032x}" for n in range(240)), "x", "", "../Users"]
            assert await server.existing(account, asked) == set(ids)
            assert len(jellyfin.requests) == 3


async def test_one_odd_item_does_not_cost_the_page() -> None:
    item = {"Id": "5" * 32, "Type": "Audio", "Name": "A"}
    rows = [None, {}, 3, {"Id": 7, "Type": "Audio"}, {"Id": "../x", "Type": "Audio"}, item]
    body = json.dumps({"TotalRecordCount": 6, "Items": rows})
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"^/Items$", Body(body.encode()))
            assert await read_ids(server, library) == ["5" * 32]


@pytest.mark.parametrize(
    "body",
    [b"3", b'"x"', b"[]", b"{}", b'{"Items": null}', b'{"Items": {"a": 1}}', b"null", b"\xff", b""],
)
async def test_an_answer_of_another_shape_is_a_bad_answer_wherever_it_comes(body: bytes) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"/(Items|UserViews|Playlists)", Body(body))

            async def drain(pages: Any) -> None:
                async for _ in pages:
                    pass

            for call in (
                server.libraries(), drain(server.items(library)), drain(server.ids(library)),
                drain(server.states(account)), server.existing(account, ids),
                server.states_of(account, ids), server.playlists(account),
            ):  # fmt: skip
                with pytest.raises(BadAnswer):
                    await call


async def test_the_folders_of_libraries_are_no_condition() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        async with connected(jellyfin, "Root", "root") as (server, _):
            for fault in (Status(403), Status(500), Body(b"3"), Body(b'[3, {"Locations": 3}]')):
                jellyfin.faults.clear()
                jellyfin.faults.add("GET", "/Library/VirtualFolders", fault)
                assert [library.roots for library in await server.libraries()] == [()]


async def test_the_loop_is_free_while_a_large_page_is_understood() -> None:
    async with FakeJellyfin(checks=False) as jellyfin:
        furnish(jellyfin, 3)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"^/Items$", Status(503), times=1)
            reading = asyncio.create_task(read_ids(server, library))
            beats = 0
            while not reading.done():
                await asyncio.sleep(0.001)
                beats += 1
            assert len(await reading) == 3
            assert beats > 3  # the pause before the second try is spent in a thread


async def test_media_come_from_the_file_itself_and_wrong_ids_lead_nowhere() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        library = next(iter(jellyfin.libraries))
        sung = jellyfin.add_item(
            library, "Audio", "B", "/m/b.mp3", content=b"0123456789", image=b"\x89PNG picture"
        )
        async with connected(jellyfin) as (server, _):
            for wanted, status, body in (
                (None, 200, b"0123456789"), ("bytes=2-4", 206, b"234"), ("bytes=50-", 416, b""),
            ):  # fmt: skip
                async with await server.open_media(sung, wanted) as stream:
                    assert stream.status == status
                    assert b"".join([chunk async for chunk in stream.chunks()]) == body
            async with await server.open_artwork(sung, 300) as stream:
                assert stream.headers["Content-Type"] == "image/png"
            jellyfin.requests.clear()
            for wrong in ("x", "../../System/Shutdown", ""):
                with pytest.raises(NotFound):
                    await server.open_media(wrong)
                with pytest.raises(NotFound):
                    await server.rate(_, wrong, 3.0)
            assert jellyfin.requests == []
            with pytest.raises(NotFound):
                await server.open_artwork("0" * 32, 300)


# Plays


async def test_reports_are_read_in_the_servers_own_time_and_when_they_are_complete() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.quirks.has_playback_reporting = True
        jellyfin.add_user("Root", "root", is_admin=True)
        now = datetime.now(UTC)
        jellyfin.play("Root", ids[0], 25, at=now - timedelta(hours=2))
        jellyfin.play("Root", ids[1], 30, at=now - timedelta(seconds=40))  # may go on yet
        jellyfin.play("Anna", ids[2], 30, at=now - timedelta(hours=2))
        user = jellyfin.user("Root").id
        newer = f"{now - timedelta(hours=3):%Y-%m-%d %H:%M:%S}Z"  # as newer plugins write it
        for date in (newer, "not a date"):
            jellyfin.reports.execute(
                "INSERT INTO PlaybackActivity VALUES (?,?,?,?,?,?,?,?,?)",
                (date, user, ids[3], "Audio", "x", "x", "x", "x", 50),
            )
        async with connected(jellyfin, "Root", "root") as (server, account):
            events = [event async for page in server.history(account) for event in page]
            told = [(e.item_id, e.seconds, round((now - e.at).total_seconds())) for e in events]
            assert [(i, s) for i, s, _ in told] == [(ids[0], 25), (ids[3], 50)]
            assert [
                abs(ago - hours * 3600) <= 1 for (*_, ago), hours in zip(told, (2, 3), strict=True)
            ]
            since = now + timedelta(days=2)
            assert [page async for page in server.history(account, since=since)] == []


async def test_a_plugin_that_is_broken_costs_only_its_history() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.quirks.has_playback_reporting = True
        jellyfin.add_user("Root", "root", is_admin=True)
        jellyfin.faults.add("POST", "/user_usage_stats/", Status(500))
        async with connected(jellyfin, "Root", "root") as (server, account):
            assert "history" not in server.info.capabilities
            assert [page async for page in server.history(account)] == []
            assert await server.libraries()
        jellyfin.faults.clear()
        jellyfin.reports.execute("DROP TABLE PlaybackActivity")
        async with connected(jellyfin, "Root", "root") as (server, _):
            assert "history" not in server.info.capabilities
        assert ids


@pytest.mark.usefixtures("_small_pages")
async def test_plays_since_are_the_latest_pages_and_words_are_all() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin, 20)
        now = datetime.now(UTC)
        for n, item in enumerate(ids[:12]):
            jellyfin.play("Anna", item, 20, at=now - timedelta(days=3 * n))
        jellyfin.set_favourite("Anna", ids[15])
        jellyfin.set_rating("Anna", ids[16], 3.0)
        jellyfin.set_rating("Anna", ids[17], 9.0)
        async with connected(jellyfin) as (server, account):
            since = now - timedelta(hours=1)
            jellyfin.requests.clear()
            pages = [page async for page in server.states(account, since=since)]
            late = {state.item_id for page in pages for state in page}
            assert {ids[0], *ids[15:18]} <= late <= {*ids[:3], *ids[15:18]}
            assert len(jellyfin.requests) == 5
            whole = {s.item_id async for page in server.states(account) for s in page}
            assert whole == {*ids[:12], *ids[15:18]}
