"""The stand-in for Plex keeps state, is read by the real plexapi, and refuses the rest."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element

import aiohttp
import pytest
import requests
from PIL import Image
from plexapi.exceptions import BadRequest, NotFound, Unauthorized
from plexapi.myplex import MyPlexAccount, MyPlexPinLogin, MyPlexResource
from plexapi.server import PlexServer

from tests.media import picture_bytes
from tests.stand_ins.faults import Status
from tests.stand_ins.openapi import DESCRIPTIONS
from tests.stand_ins.plex import FakePlex, calls, description
from tests.stand_ins.plex.records import Item, User

SONGS = "/library/sections/1/all?type=10"
IDENTIFIED = {"X-Plex-Client-Identifier": "test"}

Connect = Callable[..., Any]


class Home(FakePlex):
    """A stand-in with five tracks, a film, an episode and a photo, and two users."""

    def furnish(self) -> None:
        """Fill it."""
        self.anna = self.add_user("anna")
        music = self.add_section("Music", "artist", ["/music", "/more"])
        films = self.add_section("Films", "movie", "/films")
        series = self.add_section("Series", "show", "/tv")
        photos = self.add_section("Photos", "photo", "/photos")
        ann = self.add_artist(music, "Ann & <Bob>", genres=["Rock", "Pop", "Jazz"])
        album = self.add_album(ann, "First", year=2001, styles=["a", "b", "c"])
        self.tracks = [
            self.add_track(
                album, n, f"Track {n}", f"/music/Ann/First/{n}.mp3", duration=200.5,
                content=b"0123456789", guids=["mbid://recording"], moods=["x", "y", "z"],
                added_at=1000 + n, updated_at=2000 + n,
            )
            for n in range(1, 6)
        ]  # fmt: skip
        self.film = self.add_movie(
            films, "Alien", ["/films/Alien-1.mkv", "/films/Alien-2.mkv"], duration=6000,
            summary="In\nspace.", year=1979, studio="Fox", rating=9.3, audienceRating=9.1,
            contentRating="R", guids=["imdb://tt0078748", "tmdb://348"], directors=["R S"],
            roles=[("S W", "Ripley"), "I H", "J H"], thumb=picture_bytes((300, 200)),
        )  # fmt: skip
        show = self.add_show(series, "Lost")
        self.episode = self.add_episode(show, 2, 7, "Pilot", "/tv/Lost/2x07.mkv", duration=2400)
        self.photo = self.add_photo(photos, "Beach", "/photos/beach.jpg", year=2020)


@pytest.fixture
def plex() -> Iterator[Home]:
    plex = Home()
    plex.furnish()
    with plex.run_in_thread():
        yield plex


@pytest.fixture
def connect(plex: Home) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(user: User | None = None) -> Any:
            session = stack.enter_context(requests.Session())
            return PlexServer(plex.url, (user or plex.owner).token, session)

        yield connect


@pytest.fixture
def server(connect: Connect) -> Any:
    return connect()


def titles(items: Any) -> list[str]:
    return [str(item.get("title") if isinstance(item, Element) else item.title) for item in items]


def keys(items: list[Item]) -> str:
    return ",".join(str(item.rating_key) for item in items)


def uri(plex: FakePlex, items: list[Item]) -> str:
    root = f"server://{plex.machine_identifier}/com.plexapp.plugins.library"
    return f"{root}/library/metadata/{keys(items)}"


def ask(plex: FakePlex, method: str, path: str, **options: Any) -> requests.Response:
    headers = IDENTIFIED | {"X-Plex-Token": plex.owner.token} | options.pop("headers", {})
    return requests.request(method, plex.url + path, headers=headers, timeout=5, **options)


# The library, as plexapi reads it


def test_plexapi_reads_the_server_and_its_libraries(plex: Home, server: Any) -> None:
    assert server.machineIdentifier == plex.machine_identifier
    assert server.friendlyName == "Stand-in"
    sections = server.library.sections()
    assert [(s.title, s.type) for s in sections] == [
        ("Music", "artist"), ("Films", "movie"), ("Series", "show"), ("Photos", "photo"),
    ]  # fmt: skip
    assert sections[0].locations == ["/music", "/more"]
    assert [account.name for account in server.systemAccounts()] == ["", "owner", "anna"]


def test_plexapi_reads_items_of_every_kind(plex: Home, server: Any) -> None:
    film = server.fetchItem(plex.film.rating_key)
    assert (film.title, film.year, film.studio) == ("Alien", 1979, "Fox")
    assert (film.summary, film.rating, film.audienceRating) == ("In\nspace.", 9.3, 9.1)
    assert [part.file for part in film.media[0].parts] == [
        "/films/Alien-1.mkv", "/films/Alien-2.mkv",
    ]  # fmt: skip
    assert [guid.id for guid in film.guids] == ["imdb://tt0078748", "tmdb://348"]
    assert (film.roles[0].tag, film.roles[0].role) == ("S W", "Ripley")
    track = server.fetchItem(plex.tracks[2].rating_key)
    assert (track.index, track.parentIndex, track.duration) == (3, 1, 200500)
    assert (track.parentTitle, track.grandparentTitle) == ("First", "Ann & <Bob>")
    assert (track.media[0].parts[0].size, track.media[0].container) == (10, "mp3")
    episode = server.fetchItem(plex.episode.rating_key)
    assert (episode.grandparentTitle, episode.parentIndex, episode.index) == ("Lost", 2, 7)
    assert titles(server.library.section("Photos").searchPhotos()) == ["Beach"]
    album = server.library.section("Music").searchAlbums()[0]
    assert titles(album.tracks()) == [track.title for track in plex.tracks]
    assert titles(server.library.section("Series").get("Lost").episodes()) == ["Pilot"]


def test_listings_come_in_pages_with_a_total(plex: Home, server: Any) -> None:
    page = server.fetchItems(SONGS, container_start=2, container_size=2, maxresults=2)
    assert titles(page) == ["Track 3", "Track 4"]
    assert page.totalSize == 5
    query = "&X-Plex-Container-Start=4&X-Plex-Container-Size=3"
    last = server.query(SONGS + query)
    assert (titles(last), last.get("totalSize"), last.get("offset")) == (["Track 5"], "5", "4")
    none = server.query(
        SONGS, headers={"X-Plex-Container-Start": "0", "X-Plex-Container-Size": "0"}
    )
    assert (len(none), none.get("size"), none.get("totalSize")) == (0, "0", "5")
    everything = server.query(SONGS)
    assert (len(everything), everything.get("totalSize")) == (5, None)


def test_listings_show_two_tags_of_a_kind_and_guids_when_asked(plex: Home, server: Any) -> None:
    listed = server.query(SONGS)[0]
    assert (len(listed.findall("Mood")), listed.findall("Guid")) == (2, [])
    listed = server.query(SONGS + "&includeGuids=1")[0]
    assert [guid.get("id") for guid in listed.findall("Guid")] == ["mbid://recording"]
    full = server.query(f"/library/metadata/{plex.tracks[0].rating_key}")[0]
    assert (len(full.findall("Mood")), len(full.findall("Guid"))) == (3, 1)
    plex.quirks.tags_in_listings = None
    assert len(server.query(SONGS)[0].findall("Mood")) == 3
    less = server.query(SONGS + "&excludeElements=Media,Mood&excludeFields=summary")[0]
    assert ([child.tag for child in less], less.get("summary")) == ([], None)


def test_a_batch_of_ids_leaves_out_what_is_unknown(plex: Home, server: Any) -> None:
    known = keys(plex.tracks[:2])
    assert titles(server.query(f"/library/metadata/{known},99999")) == ["Track 1", "Track 2"]
    with pytest.raises(NotFound):
        server.query("/library/metadata/99999")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("updatedAt>>=2003", "45"),
        ("updatedAt>=2003", "345"),
        ("updatedAt<<=2003", "12"),
        ("addedAt%3E%3E=1004", "5"),
        ("addedAt>>=-1d", ""),
        ("lastViewedAt>>=5000", "2"),
        ("lastRatedAt>>=5000", "3"),
        ("userRating>>=6", "3"),
        ("track.userRating>>=6", "3"),
        ("userRating=8", "3"),
        ("viewCount>=1", "2"),
        ("unwatched=1", "1345"),
        ("title==Track 4", "4"),
        ("title=ck 4", "4"),
        ("mood=x&updatedAt>>=2004", "5"),
        ("artist.genre=rock", "12345"),
        ("sort=updatedAt:desc&limit=2", "54"),
        ("sort=lastViewedAt:desc,titleSort:desc", "25431"),
    ],
)
def test_listings_take_conditions_and_orders(
    plex: Home, server: Any, query: str, found: str
) -> None:
    plex.play(plex.owner, plex.tracks[1], at=6000)
    plex.rate(plex.owner, plex.tracks[2], 8, at=6000)
    plex.rate(plex.anna, plex.tracks[3], 9, at=6000)
    got = server.query(f"{SONGS}&{query}")
    assert "".join(title[-1] for title in titles(got)) == found


def test_plexapi_searches_with_its_own_filters(plex: Home, server: Any) -> None:
    plex.rate(plex.owner, plex.tracks[2], 8)
    music = server.library.section("Music")
    filters = {"updatedAt>>": datetime.fromtimestamp(2002, UTC), "userRating>>": 5}
    assert titles(music.search(libtype="track", filters=filters)) == ["Track 3"]
    found = music.search(libtype="track", sort="addedAt:desc", maxresults=2)
    assert titles(found) == ["Track 5", "Track 4"]


def test_an_item_that_changes_is_found_by_its_new_time(plex: Home, server: Any) -> None:
    before = server.query("/library/sections")[0].get("contentChangedAt")
    assert titles(server.query(f"{SONGS}&updatedAt>>=2100")) == []
    plex.update_item(plex.tracks[0], title="Better", moods=["calm"], year=1999)
    found = server.query(f"{SONGS}&updatedAt>>=2100")
    assert (titles(found), found[0].get("year")) == (["Better"], "1999")
    assert server.query("/library/sections")[0].get("contentChangedAt") != before


# What users did


def test_ratings_are_given_and_taken_back(plex: Home, server: Any) -> None:
    track = server.fetchItem(plex.tracks[0].rating_key)
    track.rate(7.5)
    node = server.query(track.key)[0]
    assert node.get("userRating") == "7.5"
    assert abs(int(node.get("lastRatedAt")) - plex.now) < 5
    track.rate(None)
    assert server.query(track.key)[0].get("userRating") is None
    path = f"/:/rate?identifier=com.plexapp.plugins.library&key={track.ratingKey}"
    assert ask(plex, "PUT", f"{path}&rating=3&ratedAt=4000").status_code == 200
    assert plex.state(plex.owner, plex.tracks[0]).last_rated_at == 4000
    assert plex.state(plex.anna, plex.tracks[0]).user_rating is None


@pytest.mark.parametrize("rest", ["rating=11", "rating=x", "", "rating=5&ratedAt=99999999999"])
def test_a_rating_that_is_none_is_refused(plex: Home, rest: str) -> None:
    key = plex.film.rating_key
    path = f"/:/rate?identifier=com.plexapp.plugins.library&key={key}&{rest}"
    assert ask(plex, "PUT", path).status_code == 400


def test_plays_count_when_they_were_finished(plex: Home, server: Any) -> None:
    plex.play(plex.owner, plex.film, 3000, at=5000)
    node = server.query(f"/library/metadata/{plex.film.rating_key}")[0]
    assert (node.get("viewOffset"), node.get("viewCount")) == ("3000000", None)
    assert node.get("lastViewedAt") == "5000"
    plex.play(plex.owner, plex.film, 5900, at=6000)
    node = server.query(f"/library/metadata/{plex.film.rating_key}")[0]
    assert (node.get("viewOffset"), node.get("viewCount")) == (None, "1")
    assert node.get("lastViewedAt") == "6000"
    plex.play(plex.owner, plex.tracks[0], 3)
    assert plex.state(plex.owner, plex.tracks[0]).last_viewed_at is None
    plex.skip(plex.owner, plex.tracks[0])
    assert server.query(SONGS)[0].get("skipCount") == "1"
    assert [view.item for view in plex.views] == [plex.film]


def test_marking_as_played_makes_no_history(plex: Home, server: Any) -> None:
    film = server.fetchItem(plex.film.rating_key)
    film.markPlayed()
    assert plex.state(plex.owner, plex.film).view_count == 1
    assert server.history() == []
    film.markUnplayed()
    assert plex.state(plex.owner, plex.film).view_count == 0
    film.updateProgress(60_000)
    assert plex.state(plex.owner, plex.film).view_offset == 60_000
    server.library.section("Series").get("Lost").markPlayed()
    assert plex.state(plex.owner, plex.episode).view_count == 1


def test_the_owner_sees_all_history_and_others_their_own(plex: Home, connect: Connect) -> None:
    plex.play(plex.owner, plex.tracks[0], at=5000)
    plex.play(plex.anna, plex.tracks[1], at=7000)
    plex.play(plex.anna, plex.film, at=6000)
    server = connect()
    assert titles(server.history()) == ["Track 2", "Alien", "Track 1"]
    assert titles(server.history(accountID=2)) == ["Track 2", "Alien"]
    since = datetime.fromtimestamp(6000, UTC)
    assert titles(server.history(mindate=since)) == ["Track 2", "Alien"]
    assert titles(server.history(librarySectionID=2)) == ["Alien"]
    assert titles(connect(plex.anna).history()) == ["Track 2", "Alien"]
    entry = server.history()[0]
    assert (entry.accountID, entry.ratingKey) == (2, plex.tracks[1].rating_key)
    page = server.query("/status/sessions/history/all?X-Plex-Container-Size=1")
    assert (titles(page), page.get("totalSize")) == (["Track 1"], "3")


def test_history_of_deleted_media_has_no_rating_key(plex: Home, server: Any) -> None:
    plex.play(plex.owner, plex.film)
    plex.remove_item(plex.film)
    node = server.query("/status/sessions/history/all")[0]
    assert (node.get("title"), node.get("ratingKey"), node.get("key")) == ("Alien", None, None)


# Playlists


def test_plexapi_makes_changes_and_deletes_a_playlist(plex: Home, server: Any) -> None:
    items = server.fetchItems(SONGS)
    playlist = server.createPlaylist("Mine", items=items[:3])
    (kept,) = plex.playlists_of(plex.owner)
    assert (playlist.ratingKey, playlist.playlistType) == (kept.rating_key, "audio")
    playlist.addItems([items[0], items[4]])
    assert kept.titles == ["Track 1", "Track 2", "Track 3", "Track 1", "Track 5"]
    playlist.reload()
    assert (playlist.leafCount, titles(playlist.items())) == (5, kept.titles)
    playlist.removeItems(items[0])
    assert kept.titles == ["Track 2", "Track 3", "Track 1", "Track 5"]
    playlist.reload()
    playlist.moveItem(items[4])
    assert kept.titles == ["Track 5", "Track 2", "Track 3", "Track 1"]
    playlist.moveItem(items[1], after=items[2])
    assert kept.titles == ["Track 5", "Track 3", "Track 2", "Track 1"]
    playlist.editTitle("Other").editSummary("[mark]")
    assert (kept.title, kept.summary) == ("Other", "[mark]")
    assert server.playlist("Other").summary == "[mark]"
    playlist.delete()
    assert plex.playlists_of(plex.owner) == []
    with pytest.raises(NotFound):
        server.query(playlist.key)


def test_one_entry_of_two_equal_ones_is_removed_and_moved_by_its_id(
    plex: Home, server: Any
) -> None:
    one, two = plex.tracks[:2]
    kept = plex.create_playlist(plex.owner, "Mine", [one, two, one])
    path = f"/playlists/{kept.rating_key}/items"
    ids = [node.get("playlistItemID") for node in server.query(path)]
    assert len(set(ids)) == 3
    assert ask(plex, "PUT", f"{path}/{ids[2]}/move").status_code == 200
    assert [entry.id for entry in kept.entries] == [int(ids[n]) for n in (2, 0, 1)]
    assert ask(plex, "PUT", f"{path}/{ids[2]}/move?after={ids[1]}").status_code == 200
    assert kept.titles == ["Track 1", "Track 2", "Track 1"]
    assert ask(plex, "DELETE", f"{path}/{ids[2]}").status_code == 200
    assert [entry.id for entry in kept.entries] == [int(ids[0]), int(ids[1])]
    assert ask(plex, "DELETE", f"{path}/{ids[2]}").status_code == 404
    assert ask(plex, "PUT", f"{path}/None/move").status_code == 404
    assert ask(plex, "DELETE", path).status_code == 200
    assert (kept.entries, server.query(path).get("size")) == ([], "0")


def test_playlists_may_be_blank_and_share_a_title(plex: Home, server: Any) -> None:
    for _ in range(2):
        answer = ask(plex, "POST", "/playlists?type=audio&title=Twin&smart=0")
        assert answer.status_code == 200
    assert [p.leafCount for p in server.playlists(title="Twin")] == [0, 0]
    plex.quirks.blank_playlists = False
    assert ask(plex, "POST", "/playlists?type=audio&title=Twin").status_code == 400
    assert ask(plex, "POST", "/playlists?type=audio").status_code == 400


def test_playlists_belong_to_the_account_of_the_token(plex: Home, connect: Connect) -> None:
    kept = plex.create_playlist(plex.anna, "Anna's", plex.tracks)
    assert connect().playlists() == []
    assert titles(connect(plex.anna).playlists()) == ["Anna's"]
    assert ask(plex, "GET", f"/playlists/{kept.rating_key}/items").status_code == 404
    assert ask(plex, "DELETE", f"/playlists/{kept.rating_key}").status_code == 404


def test_a_playlist_takes_one_type_of_this_server_only(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine", plex.tracks[:1])
    path = f"/playlists/{kept.rating_key}/items"
    film, elsewhere = uri(plex, [plex.film]), "server://other/com.plexapp.plugins.library"
    assert ask(plex, "PUT", path, params={"uri": film}).status_code == 400
    elsewhere += f"/library/metadata/{plex.tracks[0].rating_key}"
    assert ask(plex, "PUT", path, params={"uri": elsewhere}).status_code == 400
    smart = plex.create_playlist(plex.owner, "Smart", is_smart=True)
    path = f"/playlists/{smart.rating_key}/items"
    assert ask(plex, "PUT", path, params={"uri": uri(plex, plex.tracks)}).status_code == 400
    video = server.createPlaylist("Video", items=server.fetchItems([plex.film.rating_key]))
    video.addItems(server.fetchItem(plex.episode.rating_key))
    assert plex.playlists[video.ratingKey].titles == ["Alien", "Pilot"]


def test_what_is_unknown_in_a_batch_is_left_out_without_a_word(plex: Home) -> None:
    kept = plex.create_playlist(plex.owner, "Mine")
    path = f"/playlists/{kept.rating_key}/items"
    answer = ask(plex, "PUT", path, params={"uri": uri(plex, plex.tracks[:2]) + ",99999"})
    assert (answer.status_code, kept.titles) == (200, ["Track 1", "Track 2"])
    plex.quirks.drops_half_of_batch = True
    answer = ask(plex, "PUT", path, params={"uri": uri(plex, plex.tracks[:4])})
    assert 'leafCountAdded="4"' in answer.text
    assert kept.titles[2:] == ["Track 1", "Track 3"]


def test_edits_by_hand_show_in_count_and_time(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine", plex.tracks)
    seen = []

    def look() -> None:
        node = server.query("/playlists")[0]
        seen.append((node.get("title"), node.get("leafCount"), int(node.get("updatedAt"))))
        plex.advance(10)

    look()
    plex.reorder_playlist(kept, [4, 3, 2, 1, 0])
    look()
    plex.rename_playlist(kept, "Renamed")
    look()
    plex.empty_playlist(kept)
    look()
    assert [(title, count) for title, count, _ in seen] == [
        ("Mine", "5"), ("Mine", "5"), ("Renamed", "5"), ("Renamed", "0"),
    ]  # fmt: skip
    assert len({moment for _, _, moment in seen}) == 4
    plex.delete_playlist(kept)
    assert server.playlists() == []


# Databases that change under the client


def test_rating_keys_are_reissued_to_other_items(plex: Home, server: Any) -> None:
    plex.rate(plex.owner, plex.tracks[0], 9)
    plex.play(plex.owner, plex.tracks[0])
    kept = plex.create_playlist(plex.owner, "Mine", plex.tracks)
    old = {item.rating_key: item for item in plex.items.values()}
    plex.reissue_all_ids()
    assert set(old) == set(plex.items)
    assert all(plex.items[key] is not item for key, item in old.items())
    assert server.query(f"{SONGS}&userRating>>=5")[0].get("title") == "Track 1"
    assert server.query("/status/sessions/history/all")[0].get("ratingKey") == str(
        plex.tracks[0].rating_key
    )
    assert kept.entries == []
    plex.reissue_all_ids(reuse=False, forget_playlists=True, forget_users=True)
    assert not set(old) & set(plex.items)
    assert (plex.playlists, server.history()) == ({}, [])


def test_a_backup_is_restored_as_it_was(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine", plex.tracks)
    backup = plex.back_up()
    plex.delete_playlist(kept)
    plex.remove_item(plex.tracks[0])
    assert (len(server.query(SONGS)), server.playlists()) == (4, [])
    plex.restore(backup)
    assert (len(server.query(SONGS)), server.playlists()[0].leafCount) == (5, 5)


def test_what_is_removed_leaves_playlists_too(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine", plex.tracks)
    plex.remove_item(plex.tracks[1])
    assert kept.titles == ["Track 1", "Track 3", "Track 4", "Track 5"]
    assert len(server.query(SONGS)) == 4
    plex.remove_section(plex.sections[1])
    assert titles(server.library.sections()) == ["Films", "Series", "Photos"]
    assert kept.entries == []


def test_a_total_changes_while_paging(plex: Home, server: Any) -> None:
    plex.quirks.total_drifts = True
    paged = SONGS + "&X-Plex-Container-Size=2"
    totals = [server.query(paged).get("totalSize") for _ in range(3)]
    assert len(set(totals)) == 3
    plex.quirks.total_drifts = False
    plex.before = lambda request: plex.remove_item(plex.tracks.pop())
    assert [server.query(paged).get("totalSize") for _ in range(2)] == ["4", "3"]


# Who may


def test_without_a_right_token_nothing_is_told(plex: Home, connect: Connect) -> None:
    for token in ("", "wrong"):
        answer = ask(plex, "GET", "/library/sections", headers={"X-Plex-Token": token})
        assert answer.status_code == 401
    assert ask(plex, "GET", "/identity", headers={"X-Plex-Token": ""}).status_code == 200
    server = connect()
    assert ask(plex, "GET", f"/?X-Plex-Token={plex.owner.token}").status_code == 200
    plex.revoke(plex.owner)
    with pytest.raises(Unauthorized):
        server.query("/")


def test_shared_users_see_what_was_shared(plex: Home, connect: Connect) -> None:
    guest = plex.add_user("guest", sections=[plex.sections[2]])
    server = connect(guest)
    assert titles(server.library.sections()) == ["Films"]
    for path in (SONGS, f"/library/metadata/{plex.tracks[0].rating_key}"):
        with pytest.raises(NotFound):
            server.query(path)
    for path in ("/library", "/accounts", "/status/sessions"):
        with pytest.raises(BadRequest, match="403"):
            server.query(path)


def test_a_client_has_to_name_itself(plex: Home) -> None:
    plex.expect_violations = True
    headers = {"X-Plex-Token": plex.owner.token}
    path = f"{plex.url}/library/sections"
    assert requests.get(path, headers=headers, timeout=5).status_code == 400
    plex.quirks.needs_client_identifier = False
    assert requests.get(path, headers=headers, timeout=5).status_code == 200


def test_a_url_that_is_too_long_is_refused(plex: Home) -> None:
    kept = plex.create_playlist(plex.owner, "Mine")
    many = {"uri": uri(plex, plex.tracks) + ",123456" * 1000}
    answer = ask(plex, "PUT", f"/playlists/{kept.rating_key}/items", params=many)
    assert (answer.status_code, kept.entries) == (414, [])


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/library/sectionz", 404),
        ("GET", "/library/all", 404),
        ("DELETE", "/library/sections", 405),
        ("GET", "/:/rate", 405),
        ("GET", f"{SONGS}&startIndex=3", 400),
        ("GET", f"{SONGS}&colour>>=3", 400),
        ("PUT", "/playlists/1/items?ids=3", 400),
    ],
)
def test_what_nobody_knows_is_refused_and_raised_in_the_end(
    method: str, path: str, status: int
) -> None:
    plex = Home()
    plex.furnish()
    with pytest.raises(AssertionError, match=r"known|has no parameters"), plex.run_in_thread():
        assert ask(plex, method, path).status_code == status


def test_without_a_description_the_own_list_still_holds() -> None:
    plex = Home(checks=False)
    plex.furnish()
    more_names = ("&includeGuids=1", "&startIndex=3")
    with pytest.raises(AssertionError, match="no parameters startIndex"), plex.run_in_thread():
        assert [ask(plex, "GET", SONGS + more).status_code for more in more_names] == [200, 400]


def test_the_description_knows_all_but_the_named_exceptions() -> None:
    known = description.load()
    if known is None:
        pytest.skip(f"no {description.NAME} at {DESCRIPTIONS}")
    refused = [known.refuse(route, set(route.names)) for route in calls.ROUTES]
    assert [reason for reason in refused if reason] == []


def test_no_exception_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    known = description.load()
    if known is None:
        pytest.skip(f"no {description.NAME} at {DESCRIPTIONS}")
    excepted = {*description.ROUTES_LACKED, *description.NAMES_LACKED}
    for table in (description.ROUTES_LACKED, description.NAMES_LACKED):
        monkeypatch.setattr(description, next(n for n in dir(description)
                                              if getattr(description, n) is table), {})  # fmt: skip
    refused = {(r.method, r.template) for r in calls.ROUTES if known.refuse(r, set(r.names))}
    assert refused == excepted


# Files, live events, signing in


def test_files_and_images_are_served(plex: Home, server: Any) -> None:
    part = server.fetchItem(plex.tracks[0].rating_key).media[0].parts[0]
    url = server.url(part.key, includeToken=True)
    assert requests.get(url, timeout=5).content == b"0123456789"
    some = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=5)
    assert (some.status_code, some.content) == (206, b"234")
    assert some.headers["Content-Range"] == "bytes 2-4/10"
    rest = requests.get(url, headers={"Range": "bytes=-3"}, timeout=5)
    assert rest.content == b"789"
    assert requests.get(url, headers={"Range": "bytes=20-"}, timeout=5).status_code == 416
    assert requests.get(plex.url + part.key, timeout=5).status_code == 401
    film = server.fetchItem(plex.film.rating_key)
    assert requests.get(film.thumbUrl, timeout=5).content == plex.film.thumb
    for over, size in ((False, (60, 40)), (True, (90, 60))):
        url = server.transcodeImage(film.thumb, 60, 60, minSize=over)
        assert Image.open(io.BytesIO(requests.get(url, timeout=5).content)).size == size
    missing = f"/photo/:/transcode?url=/library/metadata/{plex.photo.rating_key}/thumb/1"
    assert ask(plex, "GET", f"{missing}&width=9&height=9").status_code == 404


async def test_listeners_hear_of_plays_and_of_items() -> None:
    plex = Home()
    plex.furnish()
    async with plex, aiohttp.ClientSession() as session:
        url = f"{plex.url}/:/websockets/notifications"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await session.ws_connect(url, headers={"X-Plex-Token": "wrong"})
        headers = {"X-Plex-Token": plex.owner.token}
        async with session.ws_connect(url, headers=headers) as socket:
            playing = plex.start_playing(plex.anna, plex.film, 10)
            message = (await socket.receive_json())["NotificationContainer"]
            assert (message["type"], message["size"]) == ("playing", 1)
            (told,) = message["PlaySessionStateNotification"]
            assert (told["ratingKey"], told["viewOffset"]) == (str(plex.film.rating_key), 10_000)
            async with session.get(
                f"{plex.url}/status/sessions", headers=headers | IDENTIFIED
            ) as answer:
                assert '<User id="2" title="anna"' in await answer.text()
            assert plex.stop_playing(playing, 6000) is not None
            message = (await socket.receive_json())["NotificationContainer"]
            assert message["PlaySessionStateNotification"][0]["state"] == "stopped"
            assert (plex.sessions, len(plex.views)) == ({}, 1)
            plex.remove_item(plex.film)
            message = (await socket.receive_json())["NotificationContainer"]
            (entry,) = message["TimelineEntry"]
            assert (entry["itemID"], entry["state"]) == (told["ratingKey"], 9)
            plex.drop_connections()
            assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
        headers = {"X-Plex-Token": plex.anna.token}
        async with session.ws_connect(url, headers=headers) as socket:
            plex.add_movie(plex.sections[2], "New", "/films/New.mkv")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.05)


def test_plexapi_reads_running_sessions(plex: Home, server: Any) -> None:
    plex.start_playing(plex.anna, plex.tracks[0], 5)
    (session,) = server.sessions()
    assert (session.title, session.usernames, session.viewOffset) == ("Track 1", ["anna"], 5000)
    assert session.player.state == "playing"


@pytest.fixture
def plex_tv(plex: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    root = f"{plex.plex_tv.url}/api/v2"
    monkeypatch.setattr(MyPlexPinLogin, "PINS", f"{root}/pins")
    monkeypatch.setattr(MyPlexAccount, "key", f"{root}/user")
    monkeypatch.setattr(MyPlexResource, "key", f"{root}/resources?includeHttps=1&includeRelay=1")
    return root


@pytest.mark.usefixtures("plex_tv")
def test_plexapi_signs_in_by_pin_and_finds_the_servers_token(plex: Home) -> None:
    with requests.Session() as session:
        login = MyPlexPinLogin(session=session)
        assert len(login.pin) == 4
        assert login.checkLogin() is False
        plex.plex_tv.approve(login.pin, plex.anna)
        assert login.checkLogin() is True
        account = MyPlexAccount(token=login.token, session=session)
        assert account.username == "anna"
        (resource,) = account.resources()
        assert resource.clientIdentifier == plex.machine_identifier
        assert (resource.owned, resource.accessToken) == (False, plex.anna.token)
        assert [connection.uri for connection in resource.connections] == [plex.url]
        assert login.token != plex.anna.token


def test_a_pin_runs_out_and_is_seen_by_its_client_only(plex: Home, plex_tv: str) -> None:
    with requests.Session() as session:
        login = MyPlexPinLogin(session=session, oauth=True)
        code = login._getCode()
        assert len(code) == 24
        other = requests.get(f"{plex_tv}/pins/{login._id}", headers=IDENTIFIED, timeout=5)
        assert other.status_code == 404
        plex.plex_tv.expire(code)
        assert (login.checkLogin(), login.expired) == (False, True)
    json = {"Accept": "application/json"} | IDENTIFIED
    made = requests.post(f"{plex_tv}/pins", data={"strong": "true"}, headers=json, timeout=5)
    assert (made.status_code, len(made.json()["code"])) == (201, 24)
    assert made.json()["authToken"] is None
    assert requests.get(f"{plex_tv}/user", headers=IDENTIFIED, timeout=5).status_code == 401


# Faults


def test_faults_come_before_or_after_the_deed(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine")
    path = f"/playlists/{kept.rating_key}/items"
    plex.faults.add("PUT", path, Status(503), times=1)
    plex.faults.add("PUT", path, Status(503, after=True), times=1)
    wanted = {"uri": uri(plex, plex.tracks[:2])}
    counts = []
    for _ in range(3):
        status = ask(plex, "PUT", path, params=wanted).status_code
        counts.append((status, len(kept.entries)))
    assert counts == [(503, 0), (503, 2), (200, 4)]
    assert plex.count("PUT", "/playlists") == 3
    assert plex.requests[-1] == ("PUT", path, {"uri": [wanted["uri"]]})


async def test_a_server_goes_down_and_comes_back_with_its_state() -> None:
    async with Home() as plex, aiohttp.ClientSession() as session:
        plex.furnish()
        headers = IDENTIFIED | {"X-Plex-Token": plex.owner.token}
        await plex.stop_serving()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(plex.url, headers=headers)
        await plex.start_serving()
        async with session.get(plex.url + SONGS, headers=headers) as answer:
            assert 'size="5"' in await answer.text()


def test_a_page_of_a_large_library_costs_no_more_than_a_page(plex: Home, server: Any) -> None:
    album = plex.add_album(plex.tracks[0].parent.parent, "Large")  # type: ignore[union-attr, arg-type]
    for n in range(20_000):
        plex.add_track(album, n, f"Song {n:05}", f"/music/{n}.mp3")
    paged = f"{SONGS}&sort=titleSort&X-Plex-Container-Size=100&X-Plex-Container-Start="
    assert server.query(f"{paged}0").get("totalSize") == "20005"
    begin = datetime.now(UTC)
    for start in range(0, 20_000, 4000):
        assert titles(server.query(f"{paged}{start}"))[0] == f"Song {start:05}"
    assert datetime.now(UTC) - begin < timedelta(seconds=1)
