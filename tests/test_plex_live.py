"""Plex's notifications: what is new, and who played what how far."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from connectors.base import Refused, SignInRefused
from connectors.plex import PlexServer
from connectors.server import Account, ItemsChanged, LiveEvent, Played, Resync
from tests.stand_ins.faults import Status
from tests.stand_ins.plex import FakePlex
from tests.test_plex_connector import QUICK, connected, furnish, keys, settings_of

PATIENCE = 5.0


class Heard:
    """Events as they come: they are listened to all the time, as the daemon does."""

    def __init__(self, events: Any) -> None:
        self._events = events
        self._waiting: asyncio.Queue[LiveEvent] = asyncio.Queue()

    async def listen(self) -> None:
        async for event in self._events:
            self._waiting.put_nowait(event)

    async def next(self) -> LiveEvent:
        return await asyncio.wait_for(self._waiting.get(), PATIENCE)


@asynccontextmanager
async def listening(plex: FakePlex, *others: Account) -> AsyncIterator[Heard]:
    async with connected(plex) as (_, account):
        pass
    async with (
        PlexServer(
            settings_of(plex), [*others, account], "device", reconnect=(0.01, 0.05), **QUICK
        ) as server,
        aclosing(server.watch([*others, account])) as events,
    ):
        heard = Heard(events)
        task = asyncio.create_task(heard.listen())
        try:
            assert isinstance(await heard.next(), Resync)
            yield heard
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_items_that_came_changed_and_went_are_told() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with listening(plex) as heard:
            plex.push_timeline(tracks[0], 0)  # only begun
            plex.push_timeline(tracks[0].parent, 5)  # an album is no item
            plex.push_timeline(tracks[1], 5)
            assert await heard.next() == ItemsChanged((keys(tracks)[1],), ())
            plex.remove_item(tracks[2])
            assert await heard.next() == ItemsChanged((), (keys(tracks)[2],))


async def test_a_play_is_told_with_whose_it_was_and_how_far_it_went() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        anna = plex.add_user("Anna")
        async with listening(plex, Account("her", "user:anna", "anna", {"token": "-"})) as heard:
            hers, mine = (
                plex.start_playing(anna, tracks[0]),
                plex.start_playing(plex.owner, tracks[1]),
            )
            plex.report_progress(hers, 20)
            plex.report_progress(mine, 30)
            await asyncio.sleep(0.2)  # it is asked whose the sessions are while they play
            plex.stop_playing(mine, 31)
            plex.stop_playing(hers, 10)
            first, second = await heard.next(), await heard.next()
            assert isinstance(first, Played)
            assert isinstance(second, Played)
            assert (first.user_id, first.event.item_id) == ("1", keys(tracks)[1])
            assert (first.event.seconds, first.event.is_finished) == (31.0, None)
            assert (second.user_id, second.event.seconds) == ("user:anna", 20.0)
            assert first.event.key != second.event.key
            assert first.event.at.tzinfo is not None


async def test_the_next_track_of_a_session_ends_the_one_before() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with listening(plex) as heard:
            session = plex.start_playing(plex.owner, tracks[0], 5)
            await asyncio.sleep(0.2)
            session.item = tracks[1]
            plex.report_progress(session, 1)
            played = await heard.next()
            assert isinstance(played, Played)
            assert (played.event.item_id, played.event.seconds) == (keys(tracks)[0], 5.0)
            plex.stop_playing(session, 8)
            played = await heard.next()
            assert isinstance(played, Played)
            assert (played.user_id, played.event.item_id) == ("1", keys(tracks)[1])


@pytest.mark.parametrize(
    "text",
    [
        "no JSON", "[]", "null", '"text"', "{}", '{"NotificationContainer": 3}',
        '{"NotificationContainer": {"TimelineEntry": 5}}',
        '{"NotificationContainer": {"TimelineEntry": ["x", null, {"state": {}}]}}',
        '{"NotificationContainer": {"PlaySessionStateNotification": [{}, 7, {"sessionKey": []}]}}',
        "[" * 100_000,
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
async def test_odd_messages_are_passed_over(text: str) -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with listening(plex) as heard:
            plex.push_text(text)
            plex.push_timeline(tracks[0], 5)
            assert await heard.next() == ItemsChanged((keys(tracks)[0],), ())


async def test_what_other_libraries_and_sessions_without_a_user_say_is_passed_over() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with listening(plex) as heard:
            entry = {
                "identifier": "com.plexapp.plugins.other",
                "itemID": "1",
                "state": 5,
                "type": 1,
            }
            container = {"type": "timeline", "TimelineEntry": [entry]}
            plex.push_text(json.dumps({"NotificationContainer": container}))
            plex.faults.add("GET", "/status/sessions$", Status(403))
            session = plex.start_playing(plex.owner, tracks[0])
            plex.stop_playing(session, 8)
            plex.push_timeline(tracks[0], 5)
            assert await heard.next() == ItemsChanged((keys(tracks)[0],), ())


async def test_a_connection_that_was_cut_is_made_again_and_again() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with listening(plex) as heard:
            for _ in range(3):
                plex.drop_connections()
                assert isinstance(await heard.next(), Resync)
            await plex.stop_serving()
            waiting = asyncio.ensure_future(heard.next())
            await asyncio.sleep(0.1)
            await plex.start_serving()
            assert isinstance(await waiting, Resync)
            plex.push_timeline(tracks[0], 5)
            assert isinstance(await heard.next(), ItemsChanged)


@pytest.mark.parametrize(("status", "expected"), [(401, SignInRefused), (403, Refused)])
async def test_who_may_not_listen_is_told_at_once(status: int, expected: type[Exception]) -> None:
    async with FakePlex() as plex, connected(plex) as (server, account):
        plex.faults.add("GET", "/websockets/", Status(status))
        async with aclosing(server.watch([account])) as events:
            with pytest.raises(expected) as problem:
                await anext(events)
        assert account.secrets["token"] not in str(problem.value)


async def test_nobody_cannot_listen() -> None:
    async with FakePlex() as plex, connected(plex) as (server, _):
        with pytest.raises(Refused):
            server.watch([])
