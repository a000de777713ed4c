"""What is playing, looked at now and then, becomes plays."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import Refused, SignInRefused
from connectors.server import Account, Played, Resync
from connectors.server_settings import SubsonicSettings
from connectors.subsonic import SubsonicServer
from connectors.subsonic.live import NowPlaying
from tests.stand_ins.faults import Status
from tests.stand_ins.subsonic import FakeSubsonic

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
QUICK: dict[str, Any] = {"timeout": 1.0, "longest": 2.0, "first_pause": 0.01, "watch_every": 0.02}


def entry(song: str, minutes: float = 0, user: str = "anna", duration: Any = 200) -> dict[str, Any]:
    return {"username": user, "id": song, "minutesAgo": minutes, "duration": duration}


class Looking:
    """Looks every 30 seconds of a clock of its own."""

    def __init__(self) -> None:
        self.playing = NowPlaying({"anna": "u1", "ben": "u2"})
        self.now = START

    def look(self, *entries: dict[str, Any], after: float = 30, gap: bool = False) -> list[Played]:
        self.now += timedelta(seconds=after)
        return self.playing.look(entries, self.now, every=30, gap=gap)


def told(played: list[Played]) -> list[tuple[str, str, float | None]]:
    return [(p.user_id, p.event.item_id, p.event.seconds) for p in played]


def test_a_song_that_was_seen_up_to_its_end_was_played_whole() -> None:
    looking = Looking()
    assert looking.look(entry("a"), after=0) == []
    for minute in (0, 1, 1, 2, 2, 3):
        assert looking.look(entry("a", minute)) == []
    (played,) = looking.look()
    assert told([played]) == [("u1", "a", 200.0)]
    assert played.event.at == START
    assert looking.look() == []


def test_a_song_that_another_took_the_place_of_went_as_far_as_that() -> None:
    looking = Looking()
    looking.look(entry("a"), after=0)
    looking.look(entry("a", 0))
    assert told(looking.look(entry("b"))) == [("u1", "a", 60.0)]


def test_how_far_a_song_went_is_not_made_up() -> None:
    looking = Looking()
    looking.look(entry("a"), after=0)
    assert told(looking.look()) == [("u1", "a", None)]  # a server that forgets after minutes


def test_a_song_that_had_begun_before_the_first_look_began_when_the_server_says() -> None:
    looking = Looking()
    looking.look(entry("a", 2.0), after=0)
    (played,) = looking.look(entry("b"))
    assert played.event.at == START - timedelta(minutes=2)
    assert played.event.seconds == 150.0


def test_a_song_that_begins_again_was_played_before() -> None:
    looking = Looking()
    looking.look(entry("a"), after=0)
    for minute in (1, 2, 3):
        assert looking.look(entry("a", minute), after=60) == []
    (first,) = looking.look(entry("a", 0), after=30)
    looking.look(entry("a", 0))
    (second,) = looking.look(entry("b"))
    assert first.event.seconds == 200.0
    assert first.event.key != second.event.key


def test_seeking_is_not_beginning_again() -> None:
    looking = Looking()
    looking.look(entry("a", 0, duration=600), after=0)
    looking.look(entry("a", 1, duration=600), after=70)
    assert looking.look(entry("a", 0, duration=600)) == []


def test_people_are_told_apart_and_strangers_left_out() -> None:
    looking = Looking()
    looking.look(entry("a"), entry("a", user="ben"), entry("a", user="eve"), after=0)
    assert told(looking.look(entry("a", user="ben"), entry("c"))) == [("u1", "a", 30.0)]
    assert told(looking.look(entry("c"), entry("c", user="ben"))) == [("u2", "a", 60.0)]


def test_what_a_server_forgot_to_drop_is_no_play() -> None:
    looking = Looking()
    assert looking.look(entry("a", 50), after=0) == []
    assert looking.look() == []
    assert looking.look(entry("b", 50, duration=3600)) == []
    assert told(looking.look()) == [("u1", "b", None)]


def test_after_a_gap_no_end_is_known() -> None:
    looking = Looking()
    looking.look(entry("a"), after=0)
    assert told(looking.look(entry("b"), after=600, gap=True)) == [("u1", "a", None)]


@pytest.mark.parametrize(
    "odd",
    [{}, {"username": "anna"}, {"id": "a"}, {"username": None, "id": 7}, {"minutesAgo": "x"},
     {"username": "anna", "id": "a", "minutesAgo": [], "duration": {}}],
)  # fmt: skip
def test_odd_entries_break_nothing(odd: dict[str, Any]) -> None:
    looking = Looking()
    looking.look(odd, after=0)
    assert [seconds for *_, seconds in told(looking.look())] in ([], [None])


async def connected(subsonic: FakeSubsonic) -> tuple[SubsonicServer, Account]:
    settings = SubsonicSettings(
        kind="subsonic", name="Home", url=subsonic.url, users={"me": "anna"}
    )  # fmt: skip
    async with SubsonicServer(settings, [], "d", **QUICK) as server:
        account = await server.sign_in("me", "anna", "secret")
    return SubsonicServer(settings, [account], "d", **QUICK), account


async def test_after_a_break_the_connection_is_told_of_again() -> None:
    async with FakeSubsonic() as subsonic, asyncio.timeout(10):
        server, account = await connected(subsonic)
        async with server, aclosing(server.watch([account])) as events:
            assert isinstance(await anext(events), Resync)
            subsonic.playing.append(entry("a"))
            task = asyncio.create_task(anext(events))
            await asyncio.sleep(0.1)
            subsonic.faults.add("*", "getNowPlaying", Status(503))
            subsonic.playing[:] = [entry("b")]
            await asyncio.sleep(0.1)
            subsonic.faults.clear()
            assert isinstance(await task, Resync)
            played = await anext(events)
            assert isinstance(played, Played)
            assert (played.event.item_id, played.event.seconds) == ("a", None)


@pytest.mark.parametrize(
    ("code", "expected"), [(0, Refused), (70, Refused), (40, SignInRefused)], ids=str
)
async def test_a_server_that_does_not_tell_what_is_playing_is_not_asked_again(
    code: int, expected: type[Exception]
) -> None:
    async with FakeSubsonic() as subsonic:
        server, account = await connected(subsonic)
        async with server, aclosing(server.watch([account])) as events:
            subsonic.refuses["getNowPlaying"] = code
            with pytest.raises(expected):
                await anext(events)
