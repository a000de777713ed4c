"""What Jellyfin's sockets say, and the plays that come of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.jellyfin.live import read_message, share_out, to_event
from connectors.jellyfin.playing import MOST_SESSIONS, Playing
from connectors.server import Account, ItemsChanged, ItemState, StatesChanged

ID, OTHER, USER = "1" * 32, "2" * 32, "a" * 32
ANNA = Account("anna", USER, "Anna", {})
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def session(
    item: str | None = ID, seconds: float | None = 0, *, name: str = "s", user: str = USER
) -> dict[str, Any]:
    playing = {} if item is None else {"NowPlayingItem": {"Id": item}}
    ticks = None if seconds is None else seconds * 10**7
    return {"Id": name, "UserId": user, "PlayState": {"PositionTicks": ticks}, **playing}


def heard(*moments: Sequence[dict[str, Any]]) -> list[tuple[str, float | None, int]]:
    """Return item, seconds and minute of the beginning of what ended."""
    playing = Playing([USER])
    ended = []
    for minute, sessions in enumerate(moments):
        for played in playing.hear(list(sessions), NOON + timedelta(minutes=minute)):
            assert played.user_id == USER
            minutes = (played.event.at - NOON).seconds // 60
            ended.append((played.event.item_id, played.event.seconds, minutes))
    return ended


def test_what_stops_was_played_to_where_it_last_was() -> None:
    assert heard([session()], [session(seconds=61)], []) == [(ID, 61.0, 0)]
    assert heard([session()], [session(seconds=61)], [session(None)]) == [(ID, 61.0, 0)]


def test_what_gives_way_to_another_was_played() -> None:
    assert heard([session(seconds=5)], [session(OTHER)], []) == [(ID, 5.0, 0), (OTHER, None, 1)]


def test_what_is_paused_or_sought_in_goes_on() -> None:
    assert heard([session(seconds=90)], [session(seconds=90)], [session(seconds=40)]) == []


def test_what_is_on_repeat_was_played_each_time() -> None:
    moments = [[session(seconds=170)], [session(seconds=2)], [session(seconds=175)], []]
    assert heard(*moments) == [(ID, 170.0, 0), (ID, 175.0, 1)]


def test_two_rooms_are_told_apart_and_strangers_are_not_listened_to() -> None:
    rooms = [session(name="a", seconds=9), session(OTHER, 8, name="b")]
    assert heard(rooms, [rooms[1]], []) == [(ID, 9.0, 0), (OTHER, 8.0, 0)]
    assert heard([session(user="b" * 32)], []) == []


def test_a_play_keeps_its_key() -> None:
    def key() -> str:
        playing = Playing([USER])
        playing.hear([session()], NOON)
        (played,) = playing.hear([], NOON + timedelta(minutes=9))
        return played.event.key

    assert key() == key()
    assert key().startswith("live:")


@pytest.mark.parametrize("sessions", [None, 3, {}, [None, 3, {}], [{"NowPlayingItem": 3}]])
def test_odd_sessions_are_borne(sessions: Any) -> None:
    assert Playing([USER]).hear(sessions, NOON) == []


def test_only_so_many_sessions_are_followed() -> None:
    playing = Playing([USER])
    playing.hear([session(name=str(n)) for n in range(10_000)], NOON)
    assert len(playing.hear([], NOON)) == MOST_SESSIONS


def test_messages_become_events() -> None:
    data: dict[str, Any] = {
        "UserId": USER,
        "UserDataList": [{"ItemId": ID, "PlayCount": 1}, {}, None],
    }
    event = to_event("UserDataChanged", data, ANNA)
    assert event == StatesChanged(USER, (ItemState(ID, plays=1),))
    data = {"ItemsAdded": [ID], "ItemsUpdated": [OTHER, 5], "ItemsRemoved": ["3" * 32]}
    assert to_event("LibraryChanged", data, ANNA) == ItemsChanged((ID, OTHER), ("3" * 32,))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("UserDataChanged", {"UserId": OTHER, "UserDataList": [{"ItemId": ID}]}),
        ("UserDataChanged", {"UserId": USER}), ("UserDataChanged", None),
        ("LibraryChanged", {"ItemsAdded": [], "FoldersAddedTo": [ID]}), ("LibraryChanged", [1]),
        ("LibraryChanged", {"ItemsAdded": "x"}), ("KeepAlive", None), ("", 0),
        ("ServerShuttingDown", {}),
    ],
)  # fmt: skip
def test_messages_of_no_interest_are_none(kind: str, data: Any) -> None:
    assert to_event(kind, data, ANNA) is None


@pytest.mark.parametrize("message", ["", "x", "[]", "3", "null", '{"MessageType": 3', "[" * 10**5])
def test_odd_messages_are_borne(message: str) -> None:
    assert read_message(message)[0] == ""


def test_an_administrator_hears_for_all_who_are_none() -> None:
    accounts = [Account("", user, user, {}) for user in "abcd"]
    shared = dict(zip("abcd", (users for _, users in share_out(accounts, {"b", "c"})), strict=True))
    assert shared == {"a": set(), "b": {"a", "b", "d"}, "c": {"c"}, "d": set()}
    alone = [users for _, users in share_out(accounts, set())]
    assert alone == [{"a"}, {"b"}, {"c"}, {"d"}]
