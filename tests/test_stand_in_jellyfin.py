"""The stand-in for Jellyfin keeps state, has the quirks of each version, and refuses the rest."""

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
import requests

from tests.stand_ins import openapi
from tests.stand_ins.faults import Status
from tests.stand_ins.jellyfin import VERSIONS, FakeJellyfin
from tests.stand_ins.jellyfin.client import HEADER, Client, client_of

NEW = [version for version in VERSIONS if version != "10.8.13"]
PNG = b"\x89PNG picture"
FIELDS = [
    "Path", "ProviderIds", "Genres", "Tags", "Studios", "Overview", "People", "DateCreated",
    "MediaSources", "Etag", "OriginalTitle", "ParentId", "ProductionLocations", "SortName",
]  # fmt: skip

needs_descriptions = pytest.mark.skipif(
    openapi.load("jellyfin-openapi-10.11.11.json") is None,
    reason=f"no API descriptions at {openapi.DESCRIPTIONS}",
)


def furnish(server: FakeJellyfin) -> list[str]:
    """Two users, three libraries, five tracks, a film and an episode; return the tracks' ids."""
    server.add_user("alice", "secret", is_admin=True)
    server.add_user("bob", "pw")
    music = server.add_library("Music", "music", "/music")
    films = server.add_library("Films", "movies", "/films")
    series = server.add_library("Series", "tvshows", "/tv")
    tracks = [
        server.add_item(
            music, "Audio", f"Track {n}", f"/music/Ann/First/{n}.mp3", runtime=200, size=1000,
            artists=["Ann"], album="First", number=n, genres=["Rock"], year=2001,
            provider_ids={"MusicBrainzTrack": f"mb-{n}"}, lyrics=["la"] if n == 1 else None,
        )
        for n in range(1, 6)
    ]  # fmt: skip
    server.add_item(
        films, "Movie", "Alien", "/films/Alien (1979)/Alien.mkv", runtime=6000, size=5000,
        provider_ids={"Tmdb": "348"}, studios=["Fox"], people=[("S W", "Actor", "Ripley"), "I H"],
        overview="In space.", tags=["ship"], image=PNG, CommunityRating=8.5, CriticRating=90,
        OfficialRating="R", OriginalTitle="Alien", PremiereDate="1979-05-25T00:00:00.0000000Z",
    )  # fmt: skip
    server.add_item(
        series, "Episode", "Pilot", "/tv/Lost/Season 1/1.mkv",
        runtime=2400, series="Lost", disc_or_season=1, number=1,
    )  # fmt: skip
    return tracks


@pytest.fixture
async def server() -> AsyncIterator[FakeJellyfin]:
    async with FakeJellyfin() as server:
        furnish(server)
        yield server


@pytest.fixture
async def alice(server: FakeJellyfin) -> AsyncIterator[Client]:
    async with client_of(server, "alice") as client:
        yield client


# The protocol, of every version


@pytest.mark.parametrize("version", NEW)
async def test_all_that_is_answered_fits_the_description(version: str) -> None:
    async with FakeJellyfin(version) as server:
        tracks = furnish(server)
        film = server.item("Alien").id
        async with client_of(server, "") as nobody:
            await nobody.get("/System/Info/Public")
            await nobody.get("/QuickConnect/Enabled")
        async with client_of(server, "alice") as alice:
            user = server.user("alice").id
            for path in (
                "/System/Info", "/Users/Me", "/Users", f"/Users/{user}", "/UserViews", "/Sessions",
                "/Library/MediaFolders", "/Library/VirtualFolders", "/System/ActivityLog/Entries",
                f"/Items/{film}", f"/Items/{tracks[0]}", f"/Items/{server.item('Lost').id}",
                f"/UserItems/{film}/UserData", f"/Audio/{tracks[0]}/Lyrics",
            ):  # fmt: skip
                await alice.get(path)
            await alice.call("POST", f"/UserItems/{film}/UserData", {"Rating": 7.5})
            await alice.call("POST", f"/UserItems/{film}/Rating", likes=False)
            await alice.call("DELETE", f"/UserItems/{film}/Rating")
            await alice.call("POST", f"/UserFavoriteItems/{film}")
            await alice.call("POST", f"/UserPlayedItems/{film}", datePlayed="2026-01-02T03:04:05Z")
            server.play("alice", film, 3000)
            server.start("bob", tracks[0])
            server.make_playlist("alice", "Mine", tracks)
            found = await alice.get("/Items", recursive=True, fields=FIELDS, userId=user)
            kinds = {item["Type"] for item in found["Items"]}
            assert {"Audio", "MusicAlbum", "Movie", "Series", "Episode", "Playlist"} <= kinds
            assert len(await alice.get("/Sessions")) == 1
            assert (await alice.get("/System/ActivityLog/Entries"))["TotalRecordCount"] == 3


@pytest.mark.parametrize("version", NEW)
async def test_a_playlist_is_made_read_replaced_moved_and_deleted(version: str) -> None:
    async with FakeJellyfin(version) as server:
        tracks = furnish(server)
        async with client_of(server, "alice") as alice:
            body = {"Name": "Mine", "Ids": tracks[:2], "MediaType": "Audio", "IsPublic": False}
            made = (await alice.call("POST", "/Playlists", body))["Id"]
            await alice.call("POST", f"/Playlists/{made}/Items", expect=204, ids=tracks[2:4])
            assert await alice.playlist(made) == tracks[:4]
            await alice.call("POST", f"/Playlists/{made}", {"Ids": tracks[::-1]}, 204)
            assert await alice.playlist(made) == tracks[::-1]
            if version != "10.9.11":
                shown = await alice.get(f"/Playlists/{made}")
                assert shown == {"OpenAccess": False, "Shares": [], "ItemIds": tracks[::-1]}
            entries = (await alice.get(f"/Playlists/{made}/Items"))["Items"]
            last = entries[-1]["PlaylistItemId"]
            await alice.call("POST", f"/Playlists/{made}/Items/{last}/Move/1", expect=204)
            assert (await alice.playlist(made))[1] == tracks[0]
            entries = (await alice.get(f"/Playlists/{made}/Items"))["Items"]
            gone = entries[1]["PlaylistItemId"]
            await alice.call("DELETE", f"/Playlists/{made}/Items", expect=204, entryIds=[gone])
            assert await alice.playlist(made) == tracks[:0:-1]
            await alice.call("DELETE", f"/Items/{made}", expect=204)
            await alice.call("GET", f"/Playlists/{made}/Items", expect=404)


async def test_the_oldest_version_has_the_old_routes_and_no_replacing() -> None:
    async with FakeJellyfin("10.8.13", expect_violations=True) as server:
        tracks = furnish(server)
        async with client_of(server, "alice") as alice:
            user = server.user("alice").id
            found = await alice.get(f"/Users/{user}/Items", recursive=True, fields=FIELDS)
            assert found["TotalRecordCount"] == 10
            await alice.get(f"/Users/{user}/Items/{tracks[0]}")
            await alice.get(f"/Users/{user}/Views")
            await alice.call("POST", f"/Users/{user}/FavoriteItems/{tracks[0]}")
            await alice.get("/QuickConnect/Initiate")
            made = (await alice.call("POST", "/Playlists", {"Name": "Old", "Ids": tracks}))["Id"]
            assert server.violations == []
            await alice.call("POST", f"/Playlists/{made}", {"Ids": []}, 404)
            await alice.call("GET", "/UserViews", expect=404)


# What is refused


@needs_descriptions
@pytest.mark.parametrize(
    ("method", "path", "query", "body", "status"),
    [
        ("GET", "/Nothing", {}, None, 404),
        ("PUT", "/Items", {}, None, 404),
        ("GET", "/Users/%s/Items", {}, None, 404),
        ("GET", "/Items", {"bogus": "1"}, None, 400),
        ("GET", "/Items", {"limit": "many"}, None, 400),
        ("GET", "/Items", {"userId": "alice"}, None, 400),
        ("GET", "/Items", {"fields": "Path,Etag"}, None, 400),
        ("GET", "/Items", {"fields": "Everything"}, None, 400),
        ("GET", "/Items", {"recursive": "perhaps"}, None, 400),
        ("GET", "/Items/17", {}, None, 400),
        ("POST", "/Playlists/%s", {}, None, 400),
        ("POST", "/Playlists/%s", {}, {"Ids": ["17"]}, 400),
        ("POST", "/Playlists/%s", {}, {"Titles": []}, 400),
        ("POST", "/UserItems/%s/UserData", {}, {"Rating": "good"}, 400),
        ("POST", "/UserFavoriteItems/%s", {}, {"IsFavorite": True}, 400),
    ],
)
async def test_what_the_description_does_not_allow_is_refused_and_noted(
    method: str, path: str, query: dict[str, str], body: object, status: int
) -> None:
    server = FakeJellyfin()
    with pytest.raises(AssertionError):  # noqa: PT012 - leaving the context is what raises
        async with server:
            track = furnish(server)[0]
            path = path.replace("%s", track)
            async with client_of(server, "alice") as alice:
                await alice.call(method, path, body, status, **query)
    assert len(server.violations) == 1


@needs_descriptions
async def test_an_answer_that_the_description_does_not_allow_is_noted() -> None:
    async with FakeJellyfin(expect_violations=True) as server:
        track = furnish(server)[0]
        server.change_item(track, IndexNumber="one")
        async with client_of(server, "alice") as alice:
            await alice.get("/Items", ids=[track])
            assert "'one' is not of type 'integer'" in server.violations[0]
            server.change_item(track, IndexNumber=1, MediaType="Smell")
            await alice.get("/Items", ids=[track])
            assert "'Smell' is not one of" in server.violations[1]


async def test_without_descriptions_the_stand_in_has_a_list_of_its_own() -> None:
    async with FakeJellyfin(expect_violations=True) as server:
        server.description = None
        track = furnish(server)[0]
        async with client_of(server, "alice") as alice:
            await alice.get("/Items", ids=[track], fields=["Path"])
            assert server.violations == []
            await alice.call("GET", "/Nothing", expect=404)
            await alice.call("GET", "/Items", expect=400, bogus=1)
            await alice.call("GET", "/Items", expect=400, limit="many")
            await alice.call("GET", "/Items", expect=400, fields="Path,Etag")
            await alice.call("GET", "/Items", expect=400, ids="17")
            await alice.call("GET", "/Items/17", expect=400)
            assert len(server.violations) == 6


async def test_old_routes_answer_where_they_are_switched_on() -> None:
    async with FakeJellyfin(legacy_routes=True) as server:
        furnish(server)
        async with client_of(server, "alice") as alice:
            found = await alice.get(f"/Users/{server.user('alice').id}/Items", recursive=True)
            assert found["TotalRecordCount"] == 10


async def test_a_request_line_over_8_kb_is_too_long(server: FakeJellyfin, alice: Client) -> None:
    made = server.make_playlist("alice", "Long")
    ids = [f"{n:032x}" for n in range(230)]
    await alice.call("POST", f"/Playlists/{made}/Items", expect=414, ids=ids)
    await alice.call("POST", f"/Playlists/{made}/Items", expect=204, ids=ids[:100])


# Signing in


async def test_a_password_gives_a_token_that_signing_out_ends(server: FakeJellyfin) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        nobody = Client(session)
        await nobody.call("GET", "/Users/Me", expect=401)
        wrong = {"Username": "bob", "Pw": "wrong"}
        await nobody.call("POST", "/Users/AuthenticateByName", wrong, 401)
        right = {"username": "Bob", "Pw": "pw"}  # as the client library writes it
        answer = await nobody.call("POST", "/Users/AuthenticateByName", right)
        assert answer["ServerId"] == server.server_id
        assert answer["User"]["Policy"]["IsAdministrator"] is False
        bob = Client(session, answer["AccessToken"])
        assert (await bob.get("/Users/Me"))["Name"] == "bob"
        await bob.call("GET", "/Library/VirtualFolders", expect=403)
        await bob.call("GET", "/Items", expect=403, userId=server.user("alice").id)
        again = await nobody.call("POST", "/Users/AuthenticateByName", right)
        await bob.call("GET", "/Users/Me", expect=401)  # the device has a newer token
        await Client(session, again["AccessToken"]).call("POST", "/Sessions/Logout", expect=204)
        assert server.tokens == {}
        server.quirks.login_fails_with_500 = True
        await nobody.call("POST", "/Users/AuthenticateByName", right, 500)


async def test_quick_connect_waits_for_its_code(server: FakeJellyfin) -> None:
    async with client_of(server, "") as nobody:
        waiting = await nobody.call("POST", "/QuickConnect/Initiate")
        assert waiting["DeviceName"] == "désk"
        secret = waiting["Secret"]
        assert not (await nobody.get("/QuickConnect/Connect", secret=secret))["Authenticated"]
        body = {"Secret": secret}
        await nobody.call("POST", "/Users/AuthenticateWithQuickConnect", body, 401)
        server.approve(waiting["Code"], "bob")
        assert (await nobody.get("/QuickConnect/Connect", secret=secret))["Authenticated"]
        answer = await nobody.call("POST", "/Users/AuthenticateWithQuickConnect", body)
        assert answer["User"]["Name"] == "bob"
        await nobody.call("GET", "/QuickConnect/Connect", expect=404, secret=secret)
        server.quirks.quick_connect = False
        assert await nobody.get("/QuickConnect/Enabled") is False
        await nobody.call("POST", "/QuickConnect/Initiate", expect=401)


@pytest.mark.parametrize(("version", "status"), [("10.11.11", 200), ("12.0.0", 401)])
async def test_old_ways_to_show_a_token_end_with_12(version: str, status: int) -> None:
    async with FakeJellyfin(version) as server:
        furnish(server)
        token = server.sign_in("alice")
        for headers in (
            {"X-Emby-Token": token},
            {"X-Emby-Authorization": f'{HEADER}, Token="{token}"'},
            {"Authorization": f'Emby Client="x", Token="{token}"'},
        ):
            async with (
                aiohttp.ClientSession(server.url) as session,
                session.get("/Users/Me", headers=headers) as answer,
            ):
                assert answer.status == status, headers


async def test_an_api_key_reads_and_cannot_write_playlists(server: FakeJellyfin) -> None:
    made = server.make_playlist("bob", "Mine", [server.item("Track 1").id])
    bob = server.user("bob").id
    async with client_of(server) as key:
        found = await key.get("/Items", recursive=True)
        assert "UserData" not in found["Items"][0]
        found = await key.get("/Items", recursive=True, userId=bob)
        assert "UserData" in found["Items"][0]
        await key.get(f"/Playlists/{made}/Items", userId=bob)
        assert "Guid can't be empty" in await key.call(
            "POST", f"/Playlists/{made}", {"Ids": []}, 400
        )
        await key.call("GET", f"/Playlists/{made}", expect=400)
        await key.call("GET", "/Users/Me", expect=400)
        await key.call("DELETE", f"/Playlists/{made}/Items", expect=204, entryIds=["x"])
        server.quirks.key_removes_entries = False
        await key.call("DELETE", f"/Playlists/{made}/Items", expect=400, entryIds=["x"])


# Listings


async def test_listings_are_filtered_sorted_and_paged(server: FakeJellyfin, alice: Client) -> None:
    music = next(iter(server.libraries))
    names = [f"Track {n}" for n in range(1, 6)]
    assert await alice.listing(includeItemTypes=["Audio"]) == names
    assert await alice.listing(parentId=music) == ["First", *names]
    assert await alice.listing(parentId=server.item("First").id) == names
    assert await alice.listing(excludeItemTypes=["Audio", "Episode", "Movie"]) == [
        "First", "Lost", "Season 1",
    ]  # fmt: skip
    assert await alice.listing(searchTerm="ali") == ["Alien"]
    assert await alice.listing(sortBy=["SortName"], sortOrder=["Descending"], limit=1) == names[4:]
    page = await alice.get(
        "/Items", recursive=True, includeItemTypes=["Audio"], startIndex=1, limit=2,
        enableTotalRecordCount=False, enableUserData=False, enableImages=False,
    )  # fmt: skip
    assert [item["Name"] for item in page["Items"]] == names[1:3]
    assert (page["TotalRecordCount"], page["StartIndex"]) == (2, 1)  # only the page is counted
    assert {"UserData", "ImageTags", "Path"} & page["Items"][0].keys() == set()
    unknown = "0" * 32
    ids = [server.item("Track 3").id, unknown, server.item("Alien").id]
    assert await alice.listing(ids=ids) == ["Alien", "Track 3"]  # no order, no word of the unknown


async def test_a_user_sees_only_their_libraries(server: FakeJellyfin) -> None:
    films = list(server.libraries)[1]
    server.add_user("carl", libraries=[films])
    async with client_of(server, "carl") as carl:
        assert await carl.listing() == ["Alien"]
        views = await carl.get("/UserViews")
        assert [view["Id"] for view in views["Items"]] == [films]
        await carl.call("GET", f"/Items/{server.item('Track 1').id}", expect=404)


async def test_listings_follow_what_a_user_did(server: FakeJellyfin, alice: Client) -> None:
    base = datetime(2026, 1, 1, tzinfo=UTC)
    server.play("alice", "Track 2", at=base)
    server.play("alice", "Track 4", at=base + timedelta(days=1))
    server.play("alice", "Alien", 3000, at=base)
    server.set_favourite("alice", "Pilot")
    server.set_rating("alice", "Track 1", 6.5)
    server.set_rating("alice", "Track 5", 6)
    server.set_rating("bob", "Track 3", 10)
    audio = ["Audio"]
    assert await alice.listing(isPlayed=True, sortBy=["DatePlayed"], sortOrder=["Descending"]) == [
        "Track 4", "Track 2",
    ]  # fmt: skip
    assert await alice.listing(isPlayed=False, includeItemTypes=audio) == [
        "Track 1", "Track 3", "Track 5",
    ]  # fmt: skip
    assert await alice.listing(filters=["IsResumable"]) == ["Alien"]
    assert await alice.listing(isFavorite=True) == ["Pilot"]
    assert await alice.listing(filters=["Likes"]) == ["Track 1"]
    assert await alice.listing(filters=["Dislikes"]) == ["Track 5"]


@pytest.mark.parametrize("version", NEW)
async def test_only_one_of_two_ways_to_ask_for_changes_works_everywhere(version: str) -> None:
    async with FakeJellyfin(version) as server:
        furnish(server)
        moment = datetime.now(UTC).isoformat()
        server.change_item(server.item("Alien").id, Overview="New.")
        works = version in ("10.11.11", "12.0.0")
        async with client_of(server, "alice") as alice:
            assert await alice.listing(minDateLastSavedForUser=moment) == ["Alien"]
            assert await alice.listing(minDateLastSaved=moment) == ["Alien"] * works


async def test_ids_come_from_paths_and_user_data_outlive_them(
    server: FakeJellyfin, alice: Client
) -> None:
    track = server.item("Track 1").id
    made = server.make_playlist("alice", "Mine", [track])
    server.set_rating("alice", track, 9)
    moved = server.rename_path(track, "/music/Ann/First/01.mp3")
    assert moved != track
    await alice.call("GET", f"/Items/{track}", expect=404)
    assert (await alice.get(f"/Items/{moved}"))["UserData"]["Rating"] == 9
    assert await alice.playlist(made) == []
    assert server.rename_path(moved, "/music/Ann/First/1.mp3") == track
    assert await alice.playlist(made) == [track]

    new = server.reissue_all_ids()
    assert await alice.playlist(made) == [new[track]]
    assert (await alice.get(f"/Items/{new[track]}"))["AlbumId"] == server.item("First").id
    assert await alice.listing(ids=[track]) == []

    server.remove_item(server.item("First").id)
    assert await alice.listing(includeItemTypes=["Audio"]) == []


async def test_a_total_can_shift_and_things_can_happen_between_pages(
    server: FakeJellyfin, alice: Client
) -> None:
    server.quirks.total_shifts = True
    pages = [await alice.get("/Items", recursive=True, startIndex=n, limit=5) for n in (0, 5)]
    assert pages[0]["TotalRecordCount"] != pages[1]["TotalRecordCount"]
    server.before = lambda request: server.remove_item(server.item("Alien").id)
    assert "Alien" not in await alice.listing()


# User data


async def test_a_rating_is_given_liked_and_taken_back(server: FakeJellyfin, alice: Client) -> None:
    path = f"/UserItems/{server.item('Alien').id}"
    data = await alice.call("POST", f"{path}/UserData", {"Rating": 7.5})
    assert (data["Rating"], data["Likes"]) == (7.5, True)
    assert (await alice.call("POST", f"{path}/UserData", {"Rating": None}))["Rating"] == 7.5
    data = await alice.call("POST", f"{path}/Rating", likes=False)
    assert (data["Rating"], data["Likes"]) == (1, False)
    assert "Rating" not in await alice.call("DELETE", f"{path}/Rating")
    bob = server.user("bob").id
    await alice.call("POST", f"{path}/UserData", {"Rating": 3}, userId=bob)
    assert server.user_data("bob", "Alien").rating == 3


async def test_a_play_counts_when_it_begins(server: FakeJellyfin, alice: Client) -> None:
    track, film = server.item("Track 1").id, server.item("Alien").id
    session = server.start("alice", track)
    data = await alice.get(f"/UserItems/{track}/UserData")
    assert (data["PlayCount"], data["Played"]) == (1, True)  # after no second at all
    server.stop(session, 3)
    server.play("alice", film, 3000)
    data = await alice.get(f"/UserItems/{film}/UserData")
    assert (data["Played"], data["PlayedPercentage"]) == (False, 50)
    server.play("alice", film, finished=True)
    data = await alice.get(f"/UserItems/{film}/UserData")
    assert (data["PlayCount"], data["Played"], data["PlaybackPositionTicks"]) == (2, True, 0)
    log = (await alice.get("/System/ActivityLog/Entries", limit=3))["Items"]
    assert [entry["Type"] for entry in log] == [
        "VideoPlaybackStopped", "VideoPlayback", "VideoPlaybackStopped",
    ]  # fmt: skip
    await alice.call("DELETE", f"/UserPlayedItems/{film}")
    assert server.user_data("alice", film).plays == 0


async def test_the_reporting_plugin_is_there_or_not(server: FakeJellyfin, alice: Client) -> None:
    await alice.call("GET", "/user_usage_stats/type_filter_list", expect=404)
    server.quirks.has_playback_reporting = True
    await alice.get("/user_usage_stats/type_filter_list")
    server.play("bob", "Track 1", 17)
    query = "SELECT ROWID, ItemId, PlayDuration FROM PlaybackActivity ORDER BY DateCreated"
    body = {"CustomQueryString": query, "ReplaceUserId": False}
    found = await alice.call("POST", "/user_usage_stats/submit_custom_query", body)
    assert found["results"] == [["1", server.item("Track 1").id, "17"]]
    assert "colums" in found
    body["CustomQueryString"] = "SELECT Title"
    found = await alice.call("POST", "/user_usage_stats/submit_custom_query", body)
    assert "no such column" in found["message"]


# Playlists


async def test_a_playlist_is_public_unless_said_otherwise(server: FakeJellyfin) -> None:
    async with client_of(server, "alice") as alice, client_of(server, "bob") as bob:
        body = {"Name": "Open", "MediaType": "Audio"}
        made = (await alice.call("POST", "/Playlists", body))["Id"]
        assert await bob.playlist(made) == []
        await bob.call("POST", f"/Playlists/{made}", {"Ids": []}, 403)
        await bob.call("DELETE", f"/Items/{made}", expect=401)  # where 403 is meant
        await alice.call("POST", f"/Playlists/{made}", {"IsPublic": False}, 204)
        await bob.call("GET", f"/Playlists/{made}/Items", expect=404)
        assert await bob.listing(includeItemTypes=["Playlist"]) == []
        share = f"/Playlists/{made}/Users/{server.user('bob').id}"
        await alice.call("POST", share, {"CanEdit": True}, 204)
        await bob.call("POST", f"/Playlists/{made}", {"Name": "Ours"}, 204)
        assert await alice.get(share) == {"UserId": server.user("bob").id, "CanEdit": True}
        assert len(await alice.get(f"/Playlists/{made}/Users")) == 1
        await alice.call("DELETE", share, expect=204)
        await bob.call("GET", f"/Playlists/{made}/Items", expect=404)


@pytest.mark.parametrize(("version", "keeps"), [("10.10.7", False), ("12.0.0", True)])
async def test_duplicates_are_dropped_before_12(version: str, keeps: bool) -> None:
    async with FakeJellyfin(version) as server:
        one, two = furnish(server)[:2]
        made = server.make_playlist("alice", "Mine")
        async with client_of(server, "alice") as alice:
            await alice.call("POST", f"/Playlists/{made}", {"Ids": [one, two, one]}, 204)
            assert await alice.playlist(made) == ([one, two, one] if keeps else [one, two])
            await alice.call("DELETE", f"/Playlists/{made}/Items", expect=204, entryIds=[one])
            assert await alice.playlist(made) == [two]  # all of them
            if keeps:
                path = f"/Playlists/{made}/Items"
                await alice.call("POST", path, expect=204, ids=[one], position=0)
                assert await alice.playlist(made) == [one, two]


async def test_places_have_random_ids_that_change_before_10_10() -> None:
    async with FakeJellyfin("10.9.11") as server:
        tracks = furnish(server)
        made = server.make_playlist("alice", "Mine", tracks)
        path = f"/Playlists/{made}/Items"
        async with client_of(server, "alice") as alice:
            before = [e["PlaylistItemId"] for e in (await alice.get(path))["Items"]]
            await alice.call("POST", f"{path}/{before[0]}/Move/4", expect=204)
            after = [e["PlaylistItemId"] for e in (await alice.get(path))["Items"]]
            assert set(before).isdisjoint(after)
            await alice.call("POST", f"{path}/{before[0]}/Move/4", expect=400)
            assert await alice.playlist(made) == [*tracks[1:], tracks[0]]


async def test_10_10_moves_to_the_wrong_place() -> None:
    async with FakeJellyfin("10.10.7") as server:
        tracks = furnish(server)
        made = server.make_playlist("alice", "Mine", tracks)
        async with client_of(server, "alice") as alice:
            path = f"/Playlists/{made}/Items/{tracks[4]}/Move/0"
            await alice.call("POST", path, expect=204)
            assert (await alice.playlist(made)).index(tracks[4]) == 1


async def test_unknown_items_vanish_and_folders_are_opened(
    server: FakeJellyfin, alice: Client
) -> None:
    made = server.make_playlist("alice", "Mine")
    album, film = server.item("First").id, server.item("Alien").id
    body = {"Ids": ["0" * 32, film, album]}
    await alice.call("POST", f"/Playlists/{made}", body, 204)
    assert await alice.playlist(made) == [
        film,
        *(server.item(f"Track {n}").id for n in range(1, 6)),
    ]
    unknown = {"Name": "Unsaid", "Ids": ["0" * 32]}
    await alice.call("POST", "/Playlists", unknown, 400)  # no media type, and no item to tell it


async def test_a_list_of_an_old_name_has_the_old_id(server: FakeJellyfin, alice: Client) -> None:
    first = server.make_playlist("alice", "Mine")
    second = server.make_playlist("alice", "Mine")
    assert first != second
    fields = ["DateCreated"]
    before = (await alice.get("/Items", ids=[first], fields=fields))["Items"][0]
    server.delete_playlist(first)
    assert server.make_playlist("alice", "Mine") == first
    after = (await alice.get("/Items", ids=[first], fields=fields))["Items"][0]
    assert before["DateCreated"] != after["DateCreated"]


async def test_replacing_can_break_off_in_the_middle_and_writing_can_lose_half(
    server: FakeJellyfin, alice: Client
) -> None:
    tracks = [server.item(f"Track {n}").id for n in range(1, 6)]
    made = server.make_playlist("alice", "Mine", tracks)
    server.quirks.crashes_between_saves = 1
    await alice.call("POST", f"/Playlists/{made}", {"Ids": tracks}, 500)
    assert await alice.playlist(made) == []
    server.quirks.drops_half_of_batches = True
    await alice.call("POST", f"/Playlists/{made}", {"Ids": tracks}, 204)
    assert await alice.playlist(made) == tracks[::2]


async def test_people_rename_empty_and_fill_their_playlists(
    server: FakeJellyfin, alice: Client
) -> None:
    track = server.item("Track 1").id
    made = server.make_playlist("alice", "Mine", [track])
    server.rename_playlist("Mine", "Theirs")
    assert await alice.listing(includeItemTypes=["Playlist"]) == ["Theirs"]
    server.empty_playlist("Theirs")
    assert await alice.playlist(made) == []
    server.add_by_hand("Theirs", track)
    assert server.playlist_items("Theirs") == [track]
    item = await alice.get(f"/Items/{made}")
    await alice.call("POST", f"/Items/{made}", item | {"Overview": "Marked."}, 204)
    assert (await alice.get(f"/Items/{made}"))["Overview"] == "Marked."


# Media


async def test_media_are_streamed_in_parts_and_pictures_need_no_token(
    server: FakeJellyfin, alice: Client
) -> None:
    track, film = server.items[server.item("Track 1").id], server.item("Alien").id
    track.content = bytes(range(100))
    async with aiohttp.ClientSession(server.url) as session:
        headers = {"Range": "bytes=10-19"}
        path = f"/Audio/{track.id}/stream"
        async with session.get(path, params={"static": "true"}, headers=headers) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == "bytes 10-19/100"
            assert await answer.read() == bytes(range(10, 20))
        async with session.get(f"/Items/{film}/Images/Primary") as answer:
            assert await answer.read() == PNG
            tag = answer.headers["ETag"]
        path = f"/Items/{film}/Images/Primary"
        async with session.get(path, headers={"If-None-Match": tag}) as answer:
            assert answer.status == 304
        async with session.get(f"/Items/{film}/Download") as answer:
            assert answer.status == 401
        picture = base64.b64encode(PNG)
        headers = {"Content-Type": "image/png", **alice.headers}
        path = f"/Items/{track.id}/Images/Primary"
        async with session.post(path, data=picture, headers=headers) as answer:
            assert answer.status == 204
    assert track.image == PNG
    await alice.call("GET", f"/Audio/{server.item('Track 2').id}/Lyrics", expect=404)
    await alice.get(f"/Items/{film}/Download")


# Events


async def test_sockets_are_told_what_their_user_did(server: FakeJellyfin, alice: Client) -> None:
    async with client_of(server, "bob") as bob, alice.socket() as hers, bob.socket() as his:
        server.set_rating("alice", "Track 1", 8)
        server.set_favourite("alice", "Track 2")
        told = await hers.receive_json(timeout=5)
        assert told["MessageType"] == "UserDataChanged"
        listed = {data["ItemId"] for data in told["Data"]["UserDataList"]}  # gathered, with parents
        assert listed == {server.item(name).id for name in ("Track 1", "Track 2", "First")}
        server.set_rating("bob", "Track 1", 1)
        told = await his.receive_json(timeout=5)
        assert told["Data"]["UserId"] == server.user("bob").id


async def test_sockets_are_told_of_items_and_sessions(server: FakeJellyfin, alice: Client) -> None:
    async with alice.socket() as socket:
        music = next(iter(server.libraries))
        new = server.add_item(music, "Audio", "New", "/music/new.mp3", runtime=100)
        server.remove_item(server.item("Alien").id)
        told = await socket.receive_json(timeout=5)
        assert told["MessageType"] == "LibraryChanged"
        assert told["Data"]["ItemsAdded"] == [new]
        assert len(told["Data"]["ItemsRemoved"]) == 1
        await socket.send_json({"MessageType": "SessionsStart", "Data": "0,60000"})
        assert (await socket.receive_json(timeout=5))["Data"] == []
        session = server.start("bob", new)
        told = await socket.receive_json(timeout=5)
        assert told["Data"][0]["NowPlayingItem"]["Id"] == new
        server.progress(session, 42)
        told = await socket.receive_json(timeout=5)
        assert told["Data"][0]["PlayState"]["PositionTicks"] == 420_000_000
        server.stop(session, 50)
        assert (await socket.receive_json(timeout=5))["Data"] == []


async def test_sessions_are_not_told_to_those_who_are_no_administrators(
    server: FakeJellyfin,
) -> None:
    async with client_of(server, "bob") as bob, bob.socket() as socket:
        await socket.send_json({"MessageType": "SessionsStart", "Data": "0,60000"})
        await socket.send_json({"MessageType": "KeepAlive"})
        assert (await socket.receive_json(timeout=5))["MessageType"] == "KeepAlive"
        server.push("ServerRestarting")
        assert (await socket.receive_json(timeout=5))["MessageType"] == "ServerRestarting"


async def test_a_key_has_a_socket_that_hears_nothing(server: FakeJellyfin) -> None:
    async with client_of(server) as key, key.socket() as socket:
        server.set_rating("alice", "Track 1", 8)
        server.add_item(next(iter(server.libraries)), "Audio", "New", "/music/new.mp3")
        with pytest.raises(TimeoutError):
            await socket.receive_json(timeout=0.1)


async def test_sockets_are_cut_off_and_close_without_keep_alive(
    server: FakeJellyfin, alice: Client
) -> None:
    async with alice.socket() as socket:
        server.drop_connections()
        message = await socket.receive(timeout=5)
        assert message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    server.quirks.keep_alive = 0.1
    async with alice.socket() as socket:
        assert (await socket.receive(timeout=5)).type is aiohttp.WSMsgType.CLOSE
    async with aiohttp.ClientSession(server.url) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect("/socket")


# Running


async def test_it_counts_requests_fails_when_told_and_comes_back_on_its_port() -> None:
    server = FakeJellyfin()
    async with server:
        furnish(server)
        server.faults.add("GET", "/Items", Status(503), times=1)
        async with client_of(server, "alice") as alice:
            await alice.call("GET", "/Items", expect=503)
            await alice.get("/Items", limit=1)
        assert server.count("GET", "/Items") == 2
        assert server.requests[-1] == ("GET", "/Items", {"limit": ["1"]})
        url = server.url
        await server.stop_serving()
        async with client_of(server, "alice") as alice:
            with pytest.raises(aiohttp.ClientConnectorError):
                await alice.get("/Items")
        await server.start_serving()
        assert server.url == url
        async with client_of(server, "alice") as alice:
            await alice.get("/Items", limit=1)


def test_it_serves_from_a_thread_and_large_libraries_quickly() -> None:
    server = FakeJellyfin(checks=False)
    server.add_user("alice")
    music = server.add_library("Music", "music", "/music")
    for n in range(2000):
        server.add_item(music, "Audio", f"{n:04}", f"/music/{n}.mp3")
    headers = {"Authorization": f'{HEADER}, Token="{server.sign_in("alice")}"'}
    with server.run_in_thread():
        query = {"recursive": "true", "startIndex": "1500", "limit": "500"}
        answer = requests.get(f"{server.url}/Items", query, headers=headers, timeout=5).json()
    assert [item["Name"] for item in answer["Items"]] == [f"{n:04}" for n in range(1500, 2000)]


async def test_what_breaks_in_the_stand_in_is_not_hidden() -> None:
    async with FakeJellyfin(expect_violations=True) as server:
        furnish(server)
        server.quirks.has_playback_reporting = True
        async with client_of(server, "alice") as alice:
            path = "/user_usage_stats/submit_custom_query"
            await alice.call("POST", path, {"Wrong": 1}, 500)
        assert "KeyError" in server.violations[0]
