"""The stand-in for Plex keeps state, as the real plexapi reads and changes it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from plexapi.exceptions import NotFound

from tests.stand_ins.plex.home import SONGS, Connect, Home, ask, connections, keys, titles, uri


@pytest.fixture
def plex() -> Iterator[Home]:
    plex = Home()
    plex.furnish()
    with plex.run_in_thread():
        yield plex


@pytest.fixture
def connect(plex: Home) -> Iterator[Connect]:
    with connections(plex) as connect:
        yield connect


@pytest.fixture
def server(connect: Connect) -> Any:
    return connect()


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
