"""Navidrome's smart playlists, taken over."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.playlist_settings import PlaylistSettings
from daemon.rules import parse_rule
from daemon.rules.nsp import NAMES, NspError, import_nsp

OPERATORS = ("is", "isNot", "gt", "lt", "before", "after", "contains", "notContains", "startsWith",
             "endsWith", "inTheRange", "inTheLast", "notInTheLast", "isMissing",
             "isPresent")  # fmt: skip
dates = st.dates().map(str)


def imported(**given: Any) -> dict[str, Any]:
    return import_nsp(json.dumps(given), "File")


def test_a_whole_playlist_is_taken_over() -> None:
    made = imported(
        name="80s, loved", comment="All the best",
        all=[
            {"is": {"loved": True}},
            {"inTheRange": {"year": [1981, 1990]}},
            {"any": [{"gt": {"rating": 3}}, {"notInTheLast": {"lastPlayed": 30}}]},
            {"isNot": {"genre": "Christmas"}},
            {"notContains": {"title": "live"}},
        ],
        sort="-rating,title", limit=25,
    )  # fmt: skip
    assert made == {
        "name": "80s, loved", "kind": "music", "about": "All the best", "limit": "25 tracks",
        "where": "favourite and year between 1981 and 1990 and (rating > 6 or last_played > 30 days"
        ' ago) and not genre = "Christmas" and not title contains "live"',
        "order": "rating desc, title asc",
    }  # fmt: skip
    assert PlaylistSettings(**made).rule == parse_rule(made["where"])


@pytest.mark.parametrize(
    ("condition", "where"),
    [
        ({"is": {"loved": False}}, "not favourite"),
        ({"is": {"artist": "Björk"}}, 'artist = "Björk"'),
        ({"lt": {"duration": 180}}, "duration < 3 min"),
        ({"before": {"dateAdded": "2024-05-01"}}, "added < 2024-05-01"),
        ({"inTheLast": {"dateadded": 7}}, "added < 7 days ago"),
        ({"startsWith": {"filepath": "Jazz/"}}, 'path starts with "Jazz/"'),
        ({"all": [{"is": {"year": 1999}}]}, "year = 1999"),
        ({"is": {"dateadded": "2024-05-01"}}, "added between 2024-05-01 and 2024-05-01"),
        ({"isNot": {"dateadded": "2024-05-01"}}, "not added between 2024-05-01 and 2024-05-01"),
        ({"after": {"daterated": "2024-05-01"}}, "rated_at > 2024-05-01"),
        (
            {"inTheRange": {"lastplayed": ["2020-01-01", "2021-01-01"]}},
            "last_played between 2020-01-01 and 2021-01-01",
        ),
        ({"is": {"rating": 0}}, "unrated"),
        ({"isNot": {"rating": 0}}, "not unrated"),
        ({"lt": {"rating": 3}}, "rating < 6 or unrated"),
        ({"endsWith": {"albumartist": "Band"}}, 'album_artist ends with "Band"'),
        ({"isMissing": {"genre": True}}, "genre is unknown"),
        ({"isPresent": {"lyrics": True}}, "lyrics is known"),
        ({"isMissing": {"genre": False}}, "genre is known"),
    ],
)
def test_conditions(condition: dict[str, Any], where: str) -> None:
    assert imported(any=[condition])["where"] == where


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "not JSON"),
        ("[]", "no smart playlist"),
        ('{"all": []}', "empty"),
        ('{"all": [{"is": {"bpm": 120}}]}', "nothing here like Navidrome's field bpm"),
        ('{"all": [{"resembles": {"title": "x"}}]}', "resembles is not known"),
        ('{"all": [{"inPlaylist": {"id": "x"}}]}', "known by their names"),
        ('{"all": [{"gt": {"year": "soon"}}]}', '"soon" cannot be used'),
        ('{"all": [{"gt": {"title": 3}}]}', "cannot be used"),
        ('{"all": [{"is": {"year": 1}}], "sort": "comment"}', "sorted by comment"),
        ('{"all": [{"is": {"year": 1}}], "limit": "many"}', 'no number of tracks: "many"'),
        ('{"all": [{"is": {"year": 1}}], "limit": -5}', "no number of tracks: -5"),
        ('{"all": [{"is": {"year": 1}}], "limit": Infinity}', "no number of tracks"),
        ('{"all": [{"gt": {"loved": true}}]}', "gt loved: true cannot be used"),
        ('{"all": [{"gt": {"year": NaN}}]}', "gt year: NaN cannot be used"),
        ('{"all": [{"gt": {"year": 1e300}}]}', "too large"),
        ('{"all": [{"is": {"genre": null}}]}', "is genre: null cannot be used"),
        ('{"all": [{"is": {"title": "\\ud800"}}]}', "is no character"),
        ('{"all": [{"inTheRange": {"title": ["a", "b"]}}]}', "cannot be used"),
        ('{"all": [{"inTheRange": {"year": [1990, 1980]}}]}', "cannot be used"),
        ('{"all": [{"inTheLast": {"lastplayed": -3}}]}', "cannot be used"),
        ('{"all": [{"is": {"title": "' + "x" * 4000 + '"}}]}', "longer than 4000"),
        ('{"all": [5]}', "no condition: 5"),
    ],
)
def test_what_cannot_be_taken_over_is_told(given: str, message: str) -> None:
    with pytest.raises(NspError, match=message):
        import_nsp(given)


@given(st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(
        st.sampled_from(["all", "any", "is", "gt", "title", "year", "loved", "inTheRange"]), part,
        max_size=2,
    ),
) | st.dictionaries(
    st.sampled_from(OPERATORS), st.dictionaries(
        st.sampled_from(sorted(NAMES)),
        st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5)
        | st.lists(st.floats() | st.integers() | dates, min_size=2, max_size=2) | dates,
        min_size=1, max_size=1,
    ), min_size=1, max_size=1,
))  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_nothing_but_an_nsp_error_comes_of_nonsense(value: Any) -> None:
    try:
        made = import_nsp(json.dumps({"all": [value]}))
    except NspError:
        return
    assert parse_rule(made["where"])
