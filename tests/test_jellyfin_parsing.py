"""From Jellyfin's JSON, as it is and as it should not be, to what we keep."""

from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.base import Metadata
from connectors.jellyfin.parsing import (
    parse_entries,
    parse_item,
    parse_lyrics,
    parse_playlist,
    parse_row_state,
    parse_state,
)
from connectors.jellyfin.plays import _parse_report
from connectors.jellyfin.values import Misshapen, moment, plain_id, rows_of, text
from connectors.server import (
    Account,
    ItemState,
    PlaylistEntry,
    ServerItem,
)

ID, OTHER, USER = "1" * 32, "2" * 32, "a" * 32
ANNA = Account("anna", USER, "Anna", {})
NONSENSE: list[Any] = [None, "", "x", -1, 1e300, float("nan"), True, [], [None], {}, {"Name": 3}]

TRACK = {
    "Id": ID, "Type": "Audio", "Name": "Rain", "Path": "/media/music/rain.flac",
    "Etag": "e1", "DateCreated": "2024-05-06T07:08:09.1234567Z", "RunTimeTicks": 1_850_000_000,
    "Artists": ["The Lamps", "The Lamps", "A Guest"], "Album": "Lights", "AlbumArtist": "The Lamps",
    "IndexNumber": 3, "ParentIndexNumber": 1, "Genres": ["Jazz"], "Tags": ["night", "calm"],
    "Studios": [{"Name": "Label", "Id": OTHER}], "ProductionYear": 2019, "Overview": "Quiet.",
    "People": [{"Name": "C. Poser", "Type": "Composer"}], "CommunityRating": 7.5,
    "ProviderIds": {"MusicBrainzTrack": "t", "MusicBrainzRecording": "r", "MusicBrainzAlbum": "a",
                    "MusicBrainzArtist": "p", "MusicBrainzAlbumArtist": "q", "AcoustId": "f",
                    "MusicBrainzReleaseGroup": "g", "AudioDbAlbum": "9", "Isrc": None},
    "MediaSources": [{"Path": "/media/music/rain.flac", "Size": 31_000_000, "MediaStreams": [
        {"Type": "Audio", "Language": "eng", "IsDefault": True}]}],
}  # fmt: skip


def parse(**changes: Any) -> ServerItem:
    item = parse_item(TRACK | changes)
    assert item is not None
    return item


def test_a_track_comes_with_all_its_words() -> None:
    item = parse()
    assert (item.id, item.kind, item.path) == (ID, "music", "/media/music/rain.flac")
    assert (item.size, item.stamp, item.has_real_path) == (31_000_000, "e1", True)
    assert item.added_at == datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)
    assert item.metadata == Metadata(
        title="Rain", artists=("The Lamps", "A Guest"), album="Lights", album_artist="The Lamps",
        track=3, disc=1, genres=("Jazz",), keywords=("night", "calm"), people=("C. Poser",),
        studios=("Label",), year=2019, duration=185.0, overview="Quiet.", language="eng",
        community_rating=7.5,
        provider_ids={
            "musicbrainz_track": "t", "musicbrainz_recording": "r", "musicbrainz_album": "a",
            "musicbrainz_artist": "p", "musicbrainz_albumartist": "q", "acoustid": "f",
            "musicbrainz_releasegroup": "g",
        },
    )  # fmt: skip


def test_an_episode_has_a_season_and_no_track() -> None:
    metadata = parse(Type="Episode", SeriesName="The House", ProviderIds={"Tvdb": 7}).metadata
    assert (metadata.series, metadata.season, metadata.episode) == ("The House", 1, 3)
    assert (metadata.track, metadata.disc) == (None, None)
    assert metadata.provider_ids == {"tvdb": "7"}


def test_a_film_names_directors_first_and_keeps_what_critics_say() -> None:
    people = [
        {"Name": "First Star", "Type": "Actor", "Role": "Hero"},
        {"Name": "Second Star", "Type": "Actor"}, {"Name": "Pen", "Type": "Writer"},
        {"Name": "Boss", "Type": "Director"}, {"Name": "First Star", "Type": "Producer"},
        {"Name": "Odd", "Type": None}, {"Type": "Actor"}, None,
    ]  # fmt: skip
    item = parse(
        Type="Movie", People=people, OfficialRating="PG-13", CriticRating=83, OriginalTitle="Pluie",
        Taglines=["It rains."], ProductionLocations=["France", "Italy"],
        PremiereDate="2019-03-04T00:00:00.0000000Z",
    )  # fmt: skip
    assert item.metadata.people == ("Boss", "First Star", "Second Star", "Pen", "Odd")
    assert item.metadata.extra == {
        "certificate": "PG-13", "critics": "83", "original title": "Pluie",
        "tagline": "It rains.", "made in": "France, Italy", "premiere": "2019-03-04",
    }  # fmt: skip
    assert item.metadata.votes is None


def test_of_several_versions_the_one_that_is_named_counts() -> None:
    sources = [
        {"Path": "/films/a 1080p.mkv", "Size": 1},
        {"Path": "/films/a 4k.mkv", "Size": 2, "MediaStreams": [
            {"Type": "Audio", "Language": "fre"},
            {"Type": "Audio", "Language": "ger", "IsDefault": True},
            {"Type": "Video", "Width": 3840, "Height": 2160}]},
    ]  # fmt: skip
    item = parse(Type="Movie", Path="/films/a 4k.mkv", MediaSources=sources)
    assert (item.size, item.metadata.language) == (2, "ger")
    assert (item.metadata.width, item.metadata.height) == (3840, 2160)
    assert parse(Path=None, MediaSources=sources).path == "/films/a 1080p.mkv"


def test_a_picture_says_what_took_it() -> None:
    item = parse(Type="Photo", Width=4000, Height=3000, CameraMake="Kilo", CameraModel="K1")
    assert item.kind == "images"
    assert (item.metadata.width, item.metadata.extra["camera"]) == (4000, "Kilo K1")


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("Book", "text"), ("AudioBook", "music"), ("MusicVideo", "videos"), ("Video", "videos")],
)
def test_every_leaf_is_of_one_of_our_kinds(kind: str, expected: str) -> None:
    assert parse(Type=kind).kind == expected


@pytest.mark.parametrize("kind", ["MusicAlbum", "Series", "Season", "BoxSet", "Trailer", None, 3])
def test_what_is_no_leaf_is_left_out(kind: Any) -> None:
    assert parse_item(TRACK | {"Type": kind}) is None


def test_an_episode_that_is_only_announced_is_left_out() -> None:
    assert parse_item(TRACK | {"Type": "Episode", "LocationType": "Virtual"}) is None


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
@pytest.mark.parametrize("name", [name for name in TRACK if name not in ("Id", "Type")])
def test_any_field_may_be_nonsense(name: str, nonsense: Any) -> None:
    assert parse(**{name: nonsense}).metadata.as_dict() is not None


@pytest.mark.parametrize("nonsense", [*NONSENSE, "../../System/Shutdown", "1" * 31, "ü" * 32])
def test_what_has_no_id_is_left_out(nonsense: Any) -> None:
    assert parse_item(TRACK | {"Id": nonsense}) is None


def test_an_item_may_be_all_but_empty() -> None:
    assert parse_item({"Id": ID, "Type": "Audio"}) == ServerItem(ID, "music", Metadata())
    assert parse_item({}) is None


def test_lyrics_are_lines() -> None:
    said = {"Lyrics": [{"Text": "One", "Start": 5}, {"Text": ""}, {"Start": 3}, 7, {"Text": "Two"}]}
    assert parse_lyrics(said) == "One\n\n\nTwo"
    assert parse_lyrics({"Lyrics": None}) == ""
    assert len(parse_lyrics({"Lyrics": [{"Text": "x" * 10**6}]})) == 32_768
    with pytest.raises(Misshapen):
        parse_lyrics([])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-05-06T07:08:09.1234567Z", datetime(2024, 5, 6, 7, 8, 9, 123456, UTC)),
        ("2024-05-06T07:08:09Z", datetime(2024, 5, 6, 7, 8, 9, 0, UTC)),
        ("2024-05-06T07:08:09.5", datetime(2024, 5, 6, 7, 8, 9, 500000, UTC)),
        ("2024-05-06T07:08:09.1234567+02:00", datetime(2024, 5, 6, 5, 8, 9, 123456, UTC)),
        ("2024-05-06T07:08:09-03:00", datetime(2024, 5, 6, 10, 8, 9, 0, UTC)),
        ("2024-05-06", datetime(2024, 5, 6, tzinfo=UTC)),
        ("0001-01-01T00:00:00.0000000Z", None), ("0001-01-01T00:00:00+05:00", None),
        ("9999-12-31T23:59:59.9999999-05:00", None), ("yesterday", None), ("", None), (5, None),
        (None, None), ("2024-13-40T00:00:00Z", None),
    ],
)  # fmt: skip
def test_moments_are_read_in_utc(value: Any, expected: datetime | None) -> None:
    assert moment(value) == expected


def test_values_that_are_none_are_no_text() -> None:
    values: tuple[Any, ...] = (False, True, None, [], 1.5, 7, "a\0b", float("inf"))
    assert [text(v) for v in values] == ["", "", "", "", "1.5", "7", "ab", ""]
    assert plain_id("11111111-1111-1111-1111-11111111111A") == "1" * 31 + "a"


@pytest.mark.parametrize("said", [None, [], 3, "x", {}, {"Items": None}, {"Items": {"a": 1}}])
def test_a_page_of_another_shape_is_told(said: Any) -> None:
    with pytest.raises(Misshapen):
        rows_of(said)


# What users did


def test_a_state_tells_how_far_it_went() -> None:
    data = {
        "PlaybackPositionTicks": 6_000_000_000, "PlayCount": 2, "IsFavorite": True, "Rating": 7.5,
        "LastPlayedDate": "2024-05-06T07:08:09Z", "Played": False,
    }  # fmt: skip
    assert parse_state(ID, data, "videos") == ItemState(
        ID, plays=2, last_played=datetime(2024, 5, 6, 7, 8, 9, 0, UTC), position=600.0,
        is_finished=False, is_favourite=True, rating=7.5,
    )  # fmt: skip


def test_only_of_videos_does_played_mean_to_the_end() -> None:
    played = {"Played": True, "PlayCount": 1}
    assert parse_state(ID, played, "videos").is_finished is True
    assert parse_state(ID, played, "music").is_finished is None
    assert parse_state(ID, played, None).is_finished is None
    again = played | {"PlaybackPositionTicks": 10**9}
    assert parse_state(ID, again, "videos").is_finished is False


@pytest.mark.parametrize("nonsense", NONSENSE, ids=repr)
@pytest.mark.parametrize("name", ["PlaybackPositionTicks", "PlayCount", "Rating", "IsFavorite"])
def test_a_state_bears_nonsense(name: str, nonsense: Any) -> None:
    state = parse_state(ID, {name: nonsense}, "videos")
    assert state.rating is None or 0 <= state.rating <= 10
    assert state.position is None or state.position > 0


def test_a_row_without_user_data_says_nothing() -> None:
    assert parse_row_state({"Id": ID, "Type": "Audio"}) is None
    assert parse_row_state({"Id": ID, "UserData": [1]}) is None
    assert parse_row_state({"UserData": {}}) is None
    assert parse_row_state({"Id": ID, "UserData": {}}) == ItemState(ID)


def test_a_report_is_known_by_when_and_what() -> None:
    event = _parse_report(["7", "1700000000", ID, "95"])
    assert event is not None
    assert event.key == f"report:1700000000:{ID}"
    assert (event.at, event.seconds) == (datetime.fromtimestamp(1_700_000_000, UTC), 95.0)


@pytest.mark.parametrize(
    "row",
    [[], ["7"], ["7", "", ID, "9"], ["7", None, ID, "9"], ["7", "1e9x", ID, "9"],
     ["7", "1700000000", "", "9"], ["7", "9" * 30, ID, "9"], ["7", "-5", ID, "9"]],
)  # fmt: skip
def test_a_report_without_date_or_item_is_left_out(row: list[Any]) -> None:
    assert _parse_report(row) is None


def test_a_report_without_a_length_is_a_play_all_the_same() -> None:
    event = _parse_report(["7", "1700000000", ID, ""])
    assert event is not None
    assert event.seconds is None


# Playlists


def test_a_playlist_that_may_be_deleted_is_the_users_own_unless_that_is_an_administrator() -> None:
    row = {
        "Id": ID, "Name": "Tonight", "CanDelete": True, "Overview": "[mark]", "ChildCount": 3,
        "DateCreated": "2024-05-06T07:08:09.1234567Z", "Etag": "e",
    }  # fmt: skip
    playlist = parse_playlist(row, ANNA, is_admin=False)
    assert (playlist.owner_id, playlist.description, playlist.count) == (USER, "[mark]", 3)
    assert (playlist.created, playlist.changed) == ("2024-05-06T07:08:09.1234567Z", "e")
    assert parse_playlist(row, ANNA, is_admin=True).owner_id == ""
    assert parse_playlist(row | {"CanDelete": False}, ANNA, is_admin=False).owner_id == ""


def test_no_entry_of_a_playlist_is_left_out() -> None:
    said = {"Items": [{"Id": ID, "PlaylistItemId": "p"}, {"Id": OTHER}, None]}
    assert parse_entries(said) == [
        PlaylistEntry("p", ID), PlaylistEntry(OTHER, OTHER), PlaylistEntry("", ""),
    ]  # fmt: skip
