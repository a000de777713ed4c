"""The Jellyfin connector against a stand-in that keeps to Jellyfin's own API descriptions."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    Misconfigured,
    NotAllowed,
    NotFound,
    SignInRefused,
)
from connectors.jellyfin import JellyfinServer
from connectors.server import Account, Capability
from connectors.server_settings import JellyfinSettings
from tests.stand_ins.faults import Body, Cut, Fault, Hang, Status
from tests.stand_ins.jellyfin import FakeJellyfin

VERSIONS = ("10.9.11", "10.10.7", "10.11.11", "12.0.0")
QUICK: dict[str, Any] = {"timeout": (1.0, 0.4), "longest": 1.5, "first_pause": 0.01}


def furnish(jellyfin: FakeJellyfin, count: int = 5) -> list[str]:
    jellyfin.add_user("Anna", "secret")
    jellyfin.add_user("Ben", "other")
    library = jellyfin.add_library("Music", "music", "/media/music")
    return [
        jellyfin.add_item(
            library, "Audio", f"Track {n}", f"/media/music/{n}.flac", runtime=60.5 + n,
            size=1000 + n, genres=("Jazz",), tags=("night",), overview=f"About {n}.",
            artists=("Anna Band",), album="First", provider_ids={"MusicBrainzRecording": f"r{n}"},
        )
        for n in range(count)
    ]  # fmt: skip


def settings_of(jellyfin: FakeJellyfin, **more: Any) -> JellyfinSettings:
    return JellyfinSettings(
        kind="jellyfin", name="Home", url=jellyfin.url, users={"anna": "Anna"}, **more
    )


@asynccontextmanager
async def connected(
    jellyfin: FakeJellyfin, user: str = "Anna", password: str = "secret", **limits: Any
) -> AsyncIterator[tuple[JellyfinServer, Account]]:
    settings, limits = settings_of(jellyfin), QUICK | limits
    async with JellyfinServer(settings, [], "device", **limits) as server:
        account = await server.sign_in("anna", user, password)
    async with JellyfinServer(settings, [account], "device", **limits) as server:
        yield server, account


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_library_comes_with_all_its_words(version: str) -> None:
    async with FakeJellyfin(version) as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            (library,) = await server.libraries()
            assert library.count == 5
            assert library.kinds == frozenset({"music"})
            pages = [page async for page in server.items(library)]
            items = [item for page in pages for item in page.entries]
            assert [item.id for item in items] == ids
            first = items[0]
            assert first.path == "/media/music/0.flac"
            assert (first.size, first.metadata.duration) == (1000, 60.5)
            assert first.metadata.provider_ids == {"musicbrainz_recording": "r0"}
            assert first.metadata.keywords == ("night",)
            assert first.stamp
            assert [i async for page in server.ids(library) for i in page] == ids
            assert await server.existing(account, [*ids[:2], "0" * 32]) == set(ids[:2])


@pytest.mark.parametrize("version", VERSIONS)
async def test_ratings_favourites_and_plays_come_and_go(version: str) -> None:
    async with FakeJellyfin(version) as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            assert (await server.rate(account, ids[0], 7.5)).rating == 7.5
            assert (await server.rate(account, ids[0], None)).rating is None
            assert (await server.set_favourite(account, ids[1], True)).is_favourite
            jellyfin.play("Anna", ids[2], 20)
            jellyfin.set_rating("Anna", ids[3], 2.0)
            states = {s.item_id: s async for page in server.states(account) for s in page}
            assert set(states) == set(ids[1:4])
            assert states[ids[2]].plays == 1
            assert states[ids[3]].rating == 2.0
            await asyncio.sleep(0)
            since = datetime.now(UTC) + timedelta(hours=1)
            late = [s.item_id async for page in server.states(account, since=since) for s in page]
            assert set(late) <= set(states)


async def test_only_what_has_changed_is_asked_for() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        furnish(jellyfin)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            later = datetime.now(UTC) + timedelta(hours=1)
            assert [page async for page in server.items(library, since=later)] == []


async def test_quick_connect_signs_in() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        furnish(jellyfin)
        async with JellyfinServer(settings_of(jellyfin), [], "device", **QUICK) as server:
            link = await server.begin_link("anna")
            jellyfin.approve(link.code, "Anna")
            account = await link.wait(5)
            assert account.user_name == "Anna"
            await server.check(account)
            jellyfin.revoke_tokens("Anna")
            with pytest.raises(SignInRefused):
                await server.check(account)


async def test_an_old_server_is_refused_with_a_reason() -> None:
    async with FakeJellyfin("10.8.13") as jellyfin:
        with pytest.raises(Misconfigured, match=r"10\.8.*10\.9 is the oldest"):
            await JellyfinServer(settings_of(jellyfin), [], "d", **QUICK).__aenter__()


async def test_an_api_key_reads_the_library() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        settings = settings_of(jellyfin, api_key=jellyfin.add_api_key())
        async with JellyfinServer(settings, [], "device", **QUICK) as server:
            (library,) = await server.libraries()
            items = [item async for page in server.items(library) for item in page.entries]
            assert [item.id for item in items] == ids


async def test_media_and_covers_are_passed_on_in_parts() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, _):
            try:
                stream = await server.open_media(ids[0], "bytes=0-9")
            except NotFound:
                pytest.skip("the stand-in has no such file")
            async with stream:
                body = b"".join([chunk async for chunk in stream.chunks()])
                assert (stream.status, len(body)) == (206, 10)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Status(401), SignInRefused),
        (Status(403), NotAllowed),
        (Status(404), NotFound),
        (Status(429, {"Retry-After": "60"}), ConnectorUnavailable),
        (Status(500), ConnectorUnavailable),
        (Status(503), ConnectorUnavailable),
        (Hang(1), ConnectorUnavailable),
        (Cut(0.5), ConnectorUnavailable),
        (Cut(0), ConnectorUnavailable),
        (Body(b"<html>"), BadAnswer),
        (Body(b"[1, 2]"), BadAnswer),
        (Body(b'{"Items": 3}'), BadAnswer),
        (Body(b""), BadAnswer),
    ],
    ids=str,
)
async def test_every_failure_is_told_apart_and_no_token_is_told(
    fault: Fault, expected: type[ConnectorError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeJellyfin("10.11.11") as jellyfin:
        furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"/Items$", fault)
            with pytest.raises(expected) as problem:
                [page async for page in server.items(library)]
            jellyfin.faults.clear()
    token = account.secrets["token"]
    assert "Home" in str(problem.value) or isinstance(problem.value, BadAnswer)
    assert token not in str(problem.value)
    assert token not in caplog.text
    assert token not in repr(account)


async def test_what_may_pass_is_tried_again_but_only_reading() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            (library,) = await server.libraries()
            jellyfin.faults.add("GET", r"/Items$", Status(503, {"Retry-After": "0"}), times=2)
            assert [page async for page in server.items(library)]
            jellyfin.faults.add("POST", r"/Playlists$", Status(502), times=1)
            with pytest.raises(ConnectorUnavailable):
                await server.create_playlist(
                    account, "A", "music", ids, description="", is_public=False
                )
            assert await server.playlists(account) == []


async def test_a_total_that_changes_while_paging_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.jellyfin.connector.PAGE", 2)
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.quirks.total_shifts = True
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            items = [item.id async for page in server.items(library) for item in page.entries]
            assert items == ids


async def test_an_interrupted_reading_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.jellyfin.connector.PAGE", 2)
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, _):
            (library,) = await server.libraries()
            page = await anext(aiter(server.items(library)))
            rest = [i.id async for p in server.items(library, start=page.next) for i in p.entries]
            assert rest == ids[2:]


async def test_a_500_is_an_error_and_not_an_empty_answer() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        async with connected(jellyfin) as (server, account):
            jellyfin.faults.add("POST", r"/UserFavoriteItems/", Status(500))
            with pytest.raises(ConnectorUnavailable, match="500"):
                await server.set_favourite(account, ids[0], True)


async def test_a_401_to_a_delete_does_not_sign_anyone_out() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        made = jellyfin.make_playlist("Ben", "Ben's", ids, is_public=True)
        async with connected(jellyfin) as (server, account):
            with pytest.raises((NotAllowed, NotFound)):
                await server.delete_playlist(account, made)
            await server.check(account)
            assert await server.libraries()


async def test_the_reporting_plugin_gives_a_history() -> None:
    async with FakeJellyfin("10.11.11") as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.quirks.has_playback_reporting = True
        jellyfin.add_user("Root", "root", is_admin=True)
        jellyfin.play("Root", ids[0], 25, at=datetime.now(UTC) - timedelta(hours=1))
        async with connected(jellyfin, "Root", "root") as (server, account):
            assert Capability.HISTORY in server.info.capabilities
            events = [event async for page in server.history(account) for event in page]
            assert [(e.item_id, e.seconds) for e in events] == [(ids[0], 25)]
