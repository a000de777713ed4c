"""From what Subsonic servers send to what the rest of the program knows."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import BadAnswer, ConnectorError, NotAllowed, NotFound, SignInRefused
from connectors.server import ServerItem
from connectors.subsonic.answers import Answer, ApiRefused, VersionRefused, read_answer
from connectors.subsonic.parsing import (
    is_touched,
    moment,
    parse_playlist,
    parse_song,
    parse_state,
    whole,
)

NAVIDROME: dict[str, Any] = {
    "id": "0a1b", "isDir": False, "title": "Rain", "album": "Weather", "artist": "Ann & Bo",
    "track": 3, "discNumber": 1, "year": 1999, "genre": "Folk", "coverArt": "mf-0a1b",
    "size": 31457280, "contentType": "audio/flac", "suffix": "flac", "duration": 215,
    "bitRate": 1011, "path": "Ann & Bo/Weather/01-03 - Rain.flac", "playCount": 4,
    "played": "2026-11-20T10:00:00.123456789Z", "created": "2025-02-01T08:00:00Z",
    "starred": "2026-10-01T08:00:00Z", "userRating": 4, "type": "music", "isVideo": False,
    "bpm": 92, "comment": "recorded at home", "musicBrainzId": "4f0c…", "isrc": ["DEA123"],
    "genres": [{"name": "Folk"}, {"name": "Chamber"}], "moods": ["calm"],
    "artists": [{"id": "a", "name": "Ann"}, {"id": "b", "name": "Bo"}],
    "displayAlbumArtist": "Ann", "albumArtists": [{"id": "a", "name": "Ann"}],
    "contributors": [{"role": "composer", "artist": {"id": "c", "name": "Cy"}}],
}  # fmt: skip
SUPYSONIC: dict[str, Any] = {
    "id": "5f9c", "parent": "2", "isDir": False, "title": "Rain", "album": "Weather",
    "artist": "Ann", "track": 3, "size": 1000, "duration": 215, "path": "Ann/rain.mp3",
    "isVideo": False, "discNumber": 1, "created": "2025-02-01T08:00:00", "genre": "Folk",
    "starred": "2026-10-01T08:00:00",
}  # fmt: skip


def parsed(song: dict[str, Any], **more: str) -> ServerItem:
    item = parse_song(song, **more)
    assert item is not None
    return item


def test_all_that_a_song_says_is_kept() -> None:
    item = parsed(NAVIDROME, server="navidrome")
    assert item.metadata.as_dict() == {
        "title": "Rain", "artists": ("Ann", "Bo"), "album": "Weather", "album_artist": "Ann",
        "track": 3, "disc": 1, "genres": ("Folk", "Chamber"), "keywords": ("calm",),
        "people": ("Cy",), "year": 1999, "duration": 215.0,
        "provider_ids": {"musicbrainz_recording": "4f0c…", "isrc": "DEA123"},
        "extra": {"tempo": "92", "comment": "recorded at home"},
    }  # fmt: skip
    assert (item.size, item.added_at) == (31457280, datetime(2025, 2, 1, 8, tzinfo=UTC))


def test_numbers_may_come_as_text_and_lists_as_single_values() -> None:
    odd = {**NAVIDROME, "duration": "215", "size": "31457280", "year": "1999", "isrc": "DEA123"}
    odd |= {"track": "3", "discNumber": "1", "bpm": "92", "moods": "calm"}
    assert parsed(odd) == parsed(NAVIDROME)


@pytest.mark.parametrize(
    ("server", "path", "root", "expected"),
    [
        ("", "Ann/rain.mp3", "", ("/Ann/rain.mp3", True)),
        ("gonic", "Ann/rain.mp3", "Disk 2", ("/Disk 2/Ann/rain.mp3", True)),
        ("navidrome", "Ann/Weather/01 - Rain.mp3", "", ("/Ann/Weather/01 - Rain.mp3", False)),
        ("Navidrome", "/music/rain.mp3", "", ("/music/rain.mp3", True)),
        ("lms", "Ann/Weather/Rain.mp3", "", ("/Ann/Weather/Rain.mp3", False)),
        ("", "D:\\Music\\rain.mp3", "x", ("D:\\Music\\rain.mp3", True)),
        ("", "\\\\nas\\music\\rain.mp3", "x", ("\\\\nas\\music\\rain.mp3", True)),
        ("", "", "", ("", False)),
        ("", None, "", ("", False)),
    ],
)
def test_a_path_is_held_for_real_unless_the_server_makes_paths_up(
    server: str, path: Any, root: str, expected: tuple[str, bool]
) -> None:
    item = parsed({"id": "a", "path": path}, server=server, root=root)
    assert (item.path, item.has_real_path) == expected


def test_a_stamp_changes_with_what_is_described_and_not_with_what_people_do() -> None:
    stamp = parsed(NAVIDROME).stamp
    assert parsed({**NAVIDROME, "playCount": 5, "userRating": 1, "starred": None}).stamp == stamp
    changes: list[dict[str, Any]] = [{"title": "Snow"}, {"size": 1}, {"path": "x"}, {"genres": []}]
    for change in changes:
        assert parsed(NAVIDROME | change).stamp != stamp


def test_what_a_person_did_is_read_in_our_scale() -> None:
    state = parse_state(NAVIDROME)
    assert (state.plays, state.rating, state.is_favourite) == (4, 8.0, True)
    assert state.last_played == datetime(2026, 11, 20, 10, 0, 0, 123456, tzinfo=UTC)
    assert state.rated_at is None  # the star has a date, the rating none
    only_starred = {k: v for k, v in NAVIDROME.items() if k != "userRating"}
    assert parse_state(only_starred).rated_at == datetime(2026, 10, 1, 8, tzinfo=UTC)


def test_a_star_dated_in_the_servers_own_time_has_no_date() -> None:
    state = parse_state(SUPYSONIC)
    assert (state.is_favourite, state.rated_at, state.plays) == (True, None, None)


@pytest.mark.parametrize(
    "song",
    [{}, {"id": "a", "isDir": True}, {"id": None}, {"id": "a", "isVideo": "true"}, {"id": True}],
)
def test_what_is_no_song_is_left_out(song: dict[str, Any]) -> None:
    assert parse_song(song) is None


def test_odd_values_are_left_out() -> None:
    odd: Any = {"id": "a", "duration": "x", "year": [1], "genres": 3, "size": -1, "artists": "no",
                "created": "never", "userRating": 99, "playCount": True, "starred": 7}  # fmt: skip
    assert parsed(odd).metadata.as_dict() == {}
    assert parse_state(odd).rating == 10.0
    assert not is_touched(parse_state({"id": "a", "starred": "false", "userRating": 0}))
    assert parse_playlist({"id": 3, "entry": [None, {"id": "a"}, 7]}).item_ids == ["a"]


def test_a_playlist_may_lack_nearly_everything() -> None:
    playlist = parse_playlist({"id": "p"})
    assert (playlist.is_public, playlist.changed, playlist.entries) == (None, "", None)
    full = parse_playlist(
        {"id": 7, "name": "A", "owner": "anna", "public": "true", "comment": "[m]",
         "songCount": "2", "entry": [{"id": 1}, {"id": 1}]}
    )  # fmt: skip
    assert (full.id, full.is_public, full.count, full.item_ids) == ("7", True, 2, ["1", "1"])


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "id", "artist"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(sorted(NAVIDROME)), ANYTHING))
def test_no_song_however_odd_breaks_the_reading(song: dict[str, Any]) -> None:
    parse_song(song)
    parse_state(song)
    parse_playlist({**song, "entry": [song]})


@given(ANYTHING)
def test_numbers_and_moments_are_read_or_left_out(value: Any) -> None:
    number = whole(value)
    assert number is None or number >= 0
    found = moment(value)
    assert found is None or found.tzinfo is UTC


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (40, SignInRefused), (50, NotAllowed), (70, NotFound), (30, VersionRefused),
        (0, ApiRefused), ("10", ApiRefused), ("x", ApiRefused), (None, ApiRefused),
        (60, ApiRefused),
    ],
)  # fmt: skip
def test_errors_are_told_apart_by_their_code(code: Any, expected: type[ConnectorError]) -> None:
    error = {"code": code, "message": "no s3cret"}
    body = {"subsonic-response": {"status": "failed", "version": "1.15.0", "error": error}}
    with pytest.raises(expected) as problem:
        read_answer("Home", json.dumps(body).encode(), ["s3cret"])
    assert "Home" in str(problem.value)
    assert "s3cret" not in str(problem.value)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"7", b'{"subsonic-response": {}}'])
def test_an_answer_of_something_else_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(BadAnswer):
        read_answer("Home", body, [])


def test_a_part_that_is_missing_is_empty_and_one_that_is_nonsense_is_told() -> None:
    answer = Answer("Home", {"a": "", "b": {"c": [{"id": 1}, 2]}, "d": 7, "e": {"id": 1}})
    assert answer.part("a").many("x") == answer.part("missing").many("x") == []
    assert answer.part("b").many("c") == [{"id": 1}, {}]
    assert answer.many("e") == [{"id": 1}]
    with pytest.raises(BadAnswer, match="d"):
        answer.part("d")
    with pytest.raises(BadAnswer, match="d"):
        answer.many("d")
