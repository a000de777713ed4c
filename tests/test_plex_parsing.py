"""What is made of Plex's XML; whatever is missing, odd or hostile is left out."""

from datetime import UTC, datetime
from xml.etree.ElementTree import Element, fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.plex.parsing import (
    is_touched,
    moment,
    parse_entry,
    parse_event,
    parse_item,
    parse_playlist,
    parse_state,
    real,
    whole,
)
from connectors.server import ItemState, PlayEvent, PlaylistEntry, ServerItem

TRACK = """
<Track ratingKey="7" guid="plex://track/5d07" type="track" title="Song" index="3" parentIndex="2"
  grandparentTitle="Various Artists" parentTitle="Hits" originalTitle="The Band" parentYear="1999"
  summary="Loud." duration="61500" addedAt="1700000000" updatedAt="1700000100" viewCount="2"
  skipCount="1" lastViewedAt="1700000200" userRating="8.0" lastRatedAt="1700000300">
  <Media id="1" duration="61500"><Part id="2" key="/library/parts/2/1/f.flac"
    file="/media/Hits/03.flac" size="12345"/></Media>
  <Genre tag="Rock"/><Genre tag="Pop"/><Style tag="Garage"/><Mood tag="Wild"/><Mood tag="Garage"/>
  <Guid id="mbid://0f1e"/>
</Track>"""

FILM = """
<Video ratingKey="9" guid="plex://movie/5d77" type="movie" title="Alien" originalTitle="Alien!"
  studio="Fox" year="1979" summary="In space." rating="9.3" audienceRating="9.1"
  contentRating="R" tagline="Nobody hears." duration="7000000" updatedAt="5">
  <Media id="1" width="1280" height="720" target="Optimized for TV"><Part file="/opt/a.mp4"
    size="1"/></Media>
  <Media id="2" width="1920" height="1080"><Part file="/films/a-1.mkv" size="99"/>
    <Part file="/films/a-2.mkv" size="98"/></Media>
  <Genre tag="Horror"/><Director tag="R S"/><Writer tag="D O"/><Role tag="S W" role="Ripley"/>
  <Role tag="R S"/><Country tag="UK"/><Country tag="USA"/><Collection tag="Aliens"/>
  <Label tag="classic"/>
  <Guid id="imdb://tt0078748"/><Guid id="tmdb://348"/><Guid id="tvdb://2"/><Guid id="imdb://tt2"/>
</Video>"""

EPISODE = """
<Video ratingKey="11" type="episode" title="Pilot" grandparentTitle="Lost" parentTitle="Season 2"
  parentIndex="2" index="7" guid="com.plexapp.agents.thetvdb://73739/2/7?lang=en" rating="8.5"
  viewOffset="90000" duration="2400000" lastViewedAt="1700000200"/>"""

PHOTO = """
<Photo ratingKey="13" type="photo" title="Beach" parentTitle="2020" year="2020">
  <Media width="4000" height="3000" make="Canon" model="R5" lens="50mm"><Part file="/p/b.jpg"
    size="7"/></Media><Tag tag="Sea"/></Photo>"""


NUMBERS_AND_NAMES = [
    "title", "year", "index", "parentIndex", "duration", "rating", "audienceRating", "viewCount",
    "viewOffset", "guid", "userRating", "addedAt", "updatedAt", "lastViewedAt", "skipCount",
]  # fmt: skip


def item(xml: str) -> ServerItem:
    found = parse_item(fromstring(xml))
    assert found is not None
    return found


def test_a_track_says_who_and_where() -> None:
    track = item(TRACK)
    words = track.metadata
    assert (track.id, track.kind, track.stamp) == ("7", "music", "1700000100")
    assert (track.path, track.size, track.has_real_path) == ("/media/Hits/03.flac", 12345, True)
    assert track.added_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert (words.title, words.artists, words.album_artist) == (
        "Song", ("The Band",), "Various Artists",
    )  # fmt: skip
    assert (words.album, words.track, words.disc, words.year) == ("Hits", 3, 2, 1999)
    assert (words.genres, words.keywords) == (("Rock", "Pop"), ("Garage", "Wild"))
    assert (words.duration, words.overview) == (61.5, "Loud.")
    assert (words.series, words.season, words.episode) == ("", None, None)


def test_a_tracks_mbid_is_of_the_track_on_a_release_and_no_recording() -> None:
    assert item(TRACK).metadata.provider_ids == {
        "musicbrainz_track": "0f1e", "plex": "track/5d07",
    }  # fmt: skip
    own = item('<Track ratingKey="1" type="track" guid="mbid://77"/>')
    assert own.metadata.provider_ids == {"musicbrainz_track": "77"}


def test_a_film_says_everything_of_its_original_version() -> None:
    film = item(FILM)
    words = film.metadata
    assert (film.kind, film.path, film.size) == ("videos", "/films/a-1.mkv", 99)
    assert (words.width, words.height, words.duration) == (1920, 1080, 7000.0)
    assert words.people == ("R S", "S W", "D O")
    assert (words.studios, words.year, words.community_rating) == (("Fox",), 1979, 9.1)
    assert words.keywords == ("classic", "Aliens")
    assert words.extra == {
        "certificate": "R", "critics": "9.3", "tagline": "Nobody hears.",
        "original title": "Alien!", "country": "UK, USA",
    }  # fmt: skip
    assert words.provider_ids == {
        "imdb": "tt0078748", "tmdb": "348", "tvdb": "2", "plex": "movie/5d77",
    }  # fmt: skip
    assert words.artists == ()


def test_an_episode_has_its_numbers_and_no_id_of_its_series() -> None:
    words = item(EPISODE).metadata
    assert (words.series, words.season, words.episode) == ("Lost", 2, 7)
    assert (words.community_rating, words.album, words.track) == (8.5, "", None)
    assert words.provider_ids == {}


@pytest.mark.parametrize(
    ("guid", "expected"),
    [
        ("com.plexapp.agents.imdb://tt0111161?lang=en", {"imdb": "tt0111161"}),
        ("com.plexapp.agents.themoviedb://278?lang=en", {"tmdb": "278"}),
        ("com.plexapp.agents.none://x", {}),
        ("local://9", {}),
        ("imdb://", {}),
        ("://", {}),
        ("", {}),
    ],
)
def test_the_agents_of_old_name_films_in_the_guid(guid: str, expected: dict[str, str]) -> None:
    film = item(f'<Video ratingKey="1" type="movie" guid="{guid}"/>')
    assert film.metadata.provider_ids == expected


def test_a_photo_says_where_it_belongs_and_what_took_it() -> None:
    words = item(PHOTO).metadata
    assert words.extra == {"album": "2020", "camera": "Canon R5 50mm"}
    assert (words.width, words.height, words.keywords) == (4000, 3000, ("Sea",))


@pytest.mark.parametrize(
    "xml",
    [
        '<Directory ratingKey="1" type="show"/>',
        '<Directory ratingKey="1" type="photo album"/>',
        '<Video type="movie"/>',
        '<Video ratingKey="" type="movie"/>',
        "<Video/>",
    ],
)
def test_what_is_no_leaf_of_ours_is_left_out(xml: str) -> None:
    assert parse_item(fromstring(xml)) is None


def test_numbers_that_are_none_are_left_out() -> None:
    odd = item(
        '<Video ratingKey="1" type="movie" year="soon" duration="-" rating="1e400" addedAt="never"'
        ' index="NaN"><Media width="wide"><Part size="huge"/></Media></Video>'
    )
    words = odd.metadata
    assert (words.year, words.duration, words.community_rating) == (None, None, None)
    assert (words.width, odd.size, odd.added_at, odd.path) == (None, None, None, "")
    assert item('<Video ratingKey="1" type="movie" rating="11"/>').metadata.community_rating is None


@given(st.one_of(st.none(), st.text(), st.floats(), st.integers()))
def test_no_value_breaks_the_reading_of_numbers_and_moments(value: object) -> None:
    number, count, at = real(value), whole(value), moment(value)
    assert number is None or abs(number) < 1e15
    assert count is None or isinstance(count, int)
    assert at is None or at.tzinfo is UTC


@given(
    st.sampled_from(["track", "movie", "episode", "clip", "photo"]),
    st.dictionaries(
        st.sampled_from(NUMBERS_AND_NAMES),
        st.text(max_size=20),
    ),
)
def test_no_attribute_breaks_the_reading_of_an_item(kind: str, said: dict[str, str]) -> None:
    node = Element("Video", {"ratingKey": "1", "type": kind} | said)
    assert parse_item(node) is not None
    assert parse_state(node).item_id == "1"


def test_a_state_is_told_with_moments_in_utc() -> None:
    assert parse_state(fromstring(TRACK)) == ItemState(
        "7", plays=2, skips=1, last_played=datetime(2023, 11, 14, 22, 16, 40, tzinfo=UTC),
        rating=8.0, rated_at=datetime(2023, 11, 14, 22, 18, 20, tzinfo=UTC),
    )  # fmt: skip


def test_a_video_is_finished_when_it_was_seen_and_is_not_being_seen_again() -> None:
    def state(said: str) -> ItemState:
        return parse_state(fromstring(f'<Video ratingKey="1" type="movie" {said}/>'))

    assert state('viewCount="1"').is_finished is True
    assert state('viewCount="1" viewOffset="5000"').is_finished is False
    assert state('viewOffset="5000"').position == 5.0
    assert state("").is_finished is False
    assert not is_touched(state(""))
    assert is_touched(state('userRating="0.0"'))
    assert state('userRating="11"').rating is None


def test_an_entry_of_the_history_was_played_to_its_end() -> None:
    node = fromstring(
        '<Track historyKey="/status/sessions/history/5" ratingKey="7" viewedAt="1700000000"/>'
    )
    at = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert parse_event(node) == PlayEvent("history:/status/sessions/history/5", "7", at, None, True)


@pytest.mark.parametrize("lacking", ["historyKey", "ratingKey", "viewedAt"])
def test_plays_of_deleted_media_and_odd_entries_are_passed_over(lacking: str) -> None:
    said = {"historyKey": "/status/sessions/history/5", "ratingKey": "7", "viewedAt": "1700000000"}
    del said[lacking]
    assert parse_event(Element("Track", said)) is None


def test_a_playlist_changes_its_stamp_with_its_time_or_length() -> None:
    def stamp(said: str) -> str:
        return parse_playlist(fromstring(f'<Playlist ratingKey="3" {said}/>'), "1").changed

    stamps = {
        stamp('updatedAt="1" leafCount="2"'), stamp('updatedAt="2" leafCount="2"'),
        stamp('updatedAt="1" leafCount="3"'),
    }  # fmt: skip
    assert len(stamps) == 3


def test_a_playlists_entries_are_known_by_their_own_ids() -> None:
    entries = [
        parse_entry(fromstring(f'<Track playlistItemID="{n}" ratingKey="7"/>')) for n in (1, 2)
    ]
    node = fromstring('<Playlist ratingKey="3" title="A" summary="[m]" addedAt="9" leafCount="2"/>')
    playlist = parse_playlist(node, "1", entries)
    assert playlist.entries == (PlaylistEntry("1", "7"), PlaylistEntry("2", "7"))
    assert (playlist.description, playlist.created, playlist.count) == ("[m]", "9", 2)
    assert playlist.is_public is None
