"""Jellyfin's live events, over real sockets to the stand-in."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from connectors.base import Refused, SignInRefused
from connectors.jellyfin import JellyfinServer
from connectors.server import Account, ItemsChanged, LiveEvent, Played, Resync, StatesChanged
from tests.stand_ins.faults import Status
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.test_jellyfin_connector import QUICK, furnish, settings_of

Events = AsyncGenerator[LiveEvent, None]


async def sign_in(jellyfin: FakeJellyfin, **users: str) -> list[Account]:
    async with JellyfinServer(settings_of(jellyfin), [], "device", **QUICK) as server:
        return [await server.sign_in(name.lower(), name, word) for name, word in users.items()]


@asynccontextmanager
async def watching(
    jellyfin: FakeJellyfin, accounts: list[Account], **more: Any
) -> AsyncIterator[tuple[JellyfinServer, Events]]:
    options: dict[str, Any] = {"reconnect": (0.01, 0.05), "asking": 0.03, **QUICK, **more}
    async with (
        JellyfinServer(settings_of(jellyfin), accounts, "device", **options) as server,
        aclosing(server.watch(accounts)) as events,
    ):
        yield server, events


async def first(events: Events, kind: type) -> Any:
    """Return the next event of a kind."""
    async with asyncio.timeout(5):
        async for event in events:
            if isinstance(event, kind):
                return event
    return None


async def heard(jellyfin: FakeJellyfin, words: str) -> None:
    """Wait until a client said something to a socket, or asked for it."""
    async with asyncio.timeout(5):
        while words not in json.dumps([jellyfin.heard, [r[1] for r in jellyfin.requests]]):
            await asyncio.sleep(0.01)


async def test_states_and_items_are_told_within_a_moment() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            assert isinstance(await anext(events), Resync)
            jellyfin.set_rating("Anna", ids[0], 4.0)
            changed = await first(events, StatesChanged)
            assert changed.user_id == accounts[0].user_id
            assert {s.item_id: s.rating for s in changed.states}[ids[0]] == 4.0
            library = next(iter(jellyfin.libraries))
            new = jellyfin.add_item(library, "Audio", "New", "/media/music/new.flac")
            assert new in (await first(events, ItemsChanged)).changed
            jellyfin.remove_item(new)
            assert (await first(events, ItemsChanged)).removed == (new,)


async def test_an_administrators_plays_come_from_its_socket() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        accounts = await sign_in(jellyfin, Root="root")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            await heard(jellyfin, "SessionsStart")
            playing = jellyfin.start("Root", ids[0])
            jellyfin.progress(playing, 30)
            await asyncio.sleep(0.05)
            jellyfin.stop(playing, 42)
            played = await first(events, Played)
            assert (played.user_id, played.event.item_id) == (accounts[0].user_id, ids[0])
            assert played.event.seconds == 30  # where it was last: no end is made up
            assert "/Sessions" not in {path for _, path, _ in jellyfin.requests}


async def test_plays_of_those_who_are_told_nothing_are_asked_for_while_they_play() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            await heard(jellyfin, "/Sessions")
            await asyncio.sleep(0.2)
            assert jellyfin.count("GET", "/Sessions") == 1  # nothing plays, nothing is asked
            playing = jellyfin.start("Anna", ids[0])
            jellyfin.progress(playing, 30)
            await first(events, StatesChanged)
            await asyncio.sleep(0.1)
            jellyfin.stop(playing, 42)
            played = await first(events, Played)
            assert (played.event.item_id, played.event.seconds) == (ids[0], 30)
            await asyncio.sleep(0.1)
            asked = jellyfin.count("GET", "/Sessions")
            await asyncio.sleep(0.2)
            assert jellyfin.count("GET", "/Sessions") == asked


async def test_an_administrator_is_told_what_the_others_play() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        accounts = await sign_in(jellyfin, Anna="secret", Root="root")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            await heard(jellyfin, "SessionsStart")
            playing = jellyfin.start("Anna", ids[1])
            await asyncio.sleep(0.05)
            jellyfin.stop(playing, 5)
            played = await first(events, Played)
            assert (played.user_id, played.event.item_id) == (accounts[0].user_id, ids[1])
            assert jellyfin.count("GET", "/Sessions") == 0


async def test_what_plays_on_while_the_connection_is_lost_is_one_play() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.add_user("Root", "root", is_admin=True)
        accounts = await sign_in(jellyfin, Root="root")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            await heard(jellyfin, "SessionsStart")
            playing = jellyfin.start("Root", ids[0])
            await first(events, StatesChanged)
            await asyncio.sleep(0.05)
            jellyfin.heard.clear()
            jellyfin.drop_connections()
            await first(events, Resync)
            await heard(jellyfin, "SessionsStart")
            jellyfin.progress(playing, 50)
            await asyncio.sleep(0.05)
            jellyfin.stop(playing, 51)
            played = await first(events, Played)
            assert (played.event.item_id, played.event.seconds) == (ids[0], 50)


async def test_a_server_that_restarts_is_found_again() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            await jellyfin.stop_serving()
            waiting = asyncio.create_task(first(events, Resync))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            await jellyfin.start_serving()
            assert await waiting
            jellyfin.set_favourite("Anna", ids[0])
            assert await first(events, StatesChanged)


async def test_connecting_again_is_not_done_in_a_hurry() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        jellyfin.faults.add("GET", "/socket", Status(503))
        async with watching(jellyfin, accounts, reconnect=(0.05, 0.4)) as (_, events):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.8):
                    await anext(events)
        assert 2 <= jellyfin.count("GET", "/socket") <= 6


async def test_a_socket_stays_open_as_the_server_wants_it_kept() -> None:
    async with FakeJellyfin(keep_alive=0.2) as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.7):
                    await anext(events)
        assert jellyfin.count("GET", "/socket") == 1
        assert {"MessageType": "KeepAlive"} in jellyfin.heard
        assert ids


async def test_odd_messages_are_passed_over() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            for kind in ("UserDataChanged", "LibraryChanged", "Sessions", "ForceKeepAlive", "New"):
                for data in (None, 3, [], [3], {"UserId": 3}, {"ItemsAdded": 3}, "x"):
                    jellyfin.push(kind, data)
            jellyfin.set_favourite("Anna", ids[0])
            event = await first(events, (StatesChanged, Resync, Played))  # type: ignore[arg-type]
            assert isinstance(event, StatesChanged)


async def test_one_whose_sign_in_has_ended_does_not_silence_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret", Ben="other")
        jellyfin.revoke_tokens("Anna")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            async with asyncio.timeout(5):
                while "sign-in of Anna" not in caplog.text:
                    jellyfin.set_favourite("Ben", ids[0])
                    await first(events, StatesChanged)
            jellyfin.revoke_tokens("Ben")
            jellyfin.drop_connections()
            with pytest.raises(SignInRefused, match="connect again"):
                await first(events, Played)
    assert accounts[0].secrets["token"] not in caplog.text


async def test_there_is_nothing_to_watch_for_nobody() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with watching(jellyfin, []) as (_, events):
            with pytest.raises(Refused):
                await anext(events)


async def test_sockets_leave_connections_to_media() -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        names = [f"User{n}" for n in range(6)]
        for name in names:
            jellyfin.add_user(name, "word")
        accounts = await sign_in(jellyfin, **dict.fromkeys(names, "word"))
        async with watching(jellyfin, accounts) as (server, events):
            for _ in names:
                await first(events, Resync)
            async with asyncio.timeout(2), await server.open_media(ids[0]) as stream:
                assert stream.status == 200


async def test_no_token_is_logged_or_put_into_an_address(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        accounts = await sign_in(jellyfin, Anna="secret")
        async with watching(jellyfin, accounts) as (_, events):
            await first(events, Resync)
            jellyfin.drop_connections()
            await first(events, Resync)
        token = accounts[0].secrets["token"]
        assert token not in caplog.text
        assert token not in str(jellyfin.requests)
