"""The Subsonic connector: what a real supysonic has not, and every failure."""

import asyncio
import json
import logging
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    Misconfigured,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.server import Account, Library, Played, Resync, ServerPlaylist
from connectors.server_settings import SubsonicSettings
from connectors.subsonic import SubsonicServer
from connectors.subsonic.client import Client, salted
from daemon.store.models import Play
from tests.household import Household, run_step
from tests.servers import connect, write
from tests.stand_ins.faults import Body, Cut, Drip, Fault, Hang, Status
from tests.stand_ins.subsonic import FakeSubsonic
from tests.test_server_sync import count

QUICK: dict[str, Any] = {"timeout": 0.4, "longest": 0.6, "first_pause": 0.01, "watch_every": 0.05}


def settings_of(subsonic: FakeSubsonic) -> SubsonicSettings:
    return SubsonicSettings(kind="subsonic", name="Home", url=subsonic.url, users={"me": "anna"})


@asynccontextmanager
async def connected(subsonic: FakeSubsonic) -> AsyncIterator[tuple[SubsonicServer, Account]]:
    for n in range(4):
        subsonic.add_song(f"s{n}", f"Track {n}", duration=60 + n, size=1000 + n)
    async with SubsonicServer(settings_of(subsonic), [], "d", **QUICK) as server:
        account = await server.sign_in("me", "anna", "secret")
    async with SubsonicServer(settings_of(subsonic), [account], "d", **QUICK) as server:
        yield server, account


async def make(server: SubsonicServer, account: Account, ids: list[str]) -> ServerPlaylist:
    made = await server.create_playlist(
        account, "Evening", "music", ids, description="[m]", is_public=False
    )
    return await server.playlist(account, made)


async def titles(server: SubsonicServer, library: Library) -> list[str]:
    pages = [page async for page in server.items(library)]
    return [item.metadata.title for page in pages for item in page.entries]


def own_certificate(folder: Path) -> ssl.SSLContext:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def test_what_signs_in_is_a_salted_token_and_not_the_password() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        assert set(account.secrets) == {"u", "s", "t"}
        await server.check(account)
        subsonic.users["anna"] = "another"
        with pytest.raises(SignInRefused):
            await server.check(account)


async def test_a_password_is_sent_only_where_nobody_can_read_it() -> None:
    async with FakeSubsonic() as subsonic:
        subsonic.switches.knows_tokens = False
        async with SubsonicServer(settings_of(subsonic), [], "d", **QUICK) as server:
            account = await server.sign_in("me", "anna", "secret")
            assert account.secrets["p"].startswith("enc:")
            server._client.may_send_passwords = lambda: False  # type: ignore[method-assign]
            with pytest.raises(Misconfigured, match="https"):
                await server.sign_in("me", "anna", "secret")
    assert not Client("A", "http://nas:4533").may_send_passwords()
    assert Client("A", "https://nas:4533").may_send_passwords()


@pytest.mark.parametrize("as_text", [True, False])
async def test_numbers_may_come_as_text(as_text: bool) -> None:
    async with FakeSubsonic() as subsonic:
        subsonic.switches.numbers_as_text = as_text
        async with connected(subsonic) as (server, _):
            (library,) = await server.libraries()
            assert library.count == 4
            (page,) = [page async for page in server.items(library)]
            assert [item.metadata.duration for item in page.entries] == [60, 61, 62, 63]
            assert not page.entries[0].has_real_path


async def test_plays_lately_are_found_at_a_few_requests() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        subsonic.songs["s1"] |= {"playCount": 2, "played": "2026-11-20T10:00:00.123456789Z"}
        since = datetime(2026, 11, 19, tzinfo=UTC)
        states = [s async for page in server.states(account, since=since) for s in page]
        assert [(s.item_id, s.plays) for s in states] == [("s1", 2)]
        assert states[0].last_played is not None


async def test_what_stops_playing_was_played() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        subsonic.playing.append({"username": "anna", "id": "s2", "minutesAgo": 0})
        async with asyncio.timeout(10):
            async with aclosing(server.watch([account])) as events:
                assert isinstance(await anext(events), Resync)
                asyncio.get_running_loop().call_later(0.3, subsonic.playing.clear)
                played = await anext(events)
        assert isinstance(played, Played)
        assert played.event.item_id == "s2"


@pytest.mark.parametrize("rating", [(0.0, 2.0), (7.3, 8.0), (10.0, 10.0), (None, None)])
async def test_a_rating_is_given_in_stars(rating: tuple[float | None, float | None]) -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        assert (await server.rate(account, "s0", rating[0])).rating == rating[1]


@pytest.mark.parametrize("version", ["1.16.1", "1.12.0"])
async def test_a_playlist_is_made_also_where_its_id_is_not_told(version: str) -> None:
    async with FakeSubsonic() as subsonic:
        subsonic.switches.version = version
        async with connected(subsonic) as (server, account):
            subsonic.playlists["x"] = {"id": "x", "name": "A", "owner": "anna", "entry": []}
            made = await server.create_playlist(
                account, "A", "music", ["s1", "s0"], description="[m]", is_public=False
            )
            assert made != "x"
            assert (await server.playlist(account, made)).item_ids == ["s1", "s0"]
            with pytest.raises(Refused):
                await server.create_playlist(
                    account, "B", "videos", [], description="", is_public=False
                )


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Status(401), SignInRefused),
        (Status(403), NotAllowed),
        (Status(404), Refused),
        (Status(429, {"Retry-After": "60"}), ConnectorUnavailable),
        (Status(500), ConnectorUnavailable),
        (Status(503), ConnectorUnavailable),
        (Hang(1), ConnectorUnavailable),
        (Cut(0.5), ConnectorUnavailable),
        (Cut(0), ConnectorUnavailable),
        (Body(b"<html>"), BadAnswer),
        (Body(b"[1]"), BadAnswer),
        (Body(b'{"subsonic-response": 3}'), BadAnswer),
        (Body(b'{"subsonic-response": {"status": "failed"}}'), Refused),
        (Body(b'{"subsonic-response": {"status": "failed", "error": {"code": 50}}}'), NotAllowed),
        (Body(b'{"subsonic-response": {"status": "failed", "error": {"code": 70}}}'), NotFound),
        (Body(b""), BadAnswer),
        (Drip(0.1), ConnectorUnavailable),
    ],
    ids=str,
)
async def test_every_failure_is_told_apart_and_nothing_secret_is_told(
    fault: Fault, expected: type[ConnectorError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        (library,) = await server.libraries()
        subsonic.faults.add("*", "search3|getAlbumList2", fault)
        with pytest.raises(expected) as problem:
            [page async for page in server.items(library)]
        for secret in ("secret", account.secrets["t"]):
            assert secret not in str(problem.value) + caplog.text


@pytest.mark.parametrize(
    "fault", [Status(500), Hang(0.8, after=True), Cut(0.5), Body(b"{")], ids=str
)
async def test_a_write_that_breaks_off_is_not_sent_again(fault: Fault) -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        made = await make(server, account, ["s0"])
        subsonic.requests.clear()
        subsonic.faults.add("*", "createPlaylist|setRating|deletePlaylist", fault)
        with pytest.raises(ConnectorUnavailable):
            await server.set_entries(account, made, "music", ["s1"])
        with pytest.raises(ConnectorUnavailable):
            await server.rate(account, "s0", 8.0)
        with pytest.raises(ConnectorUnavailable):
            await server.delete_playlist(account, made.id)
        assert len(subsonic.faults.met) == 3


async def test_reading_is_tried_again_where_it_may_pass() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, _):
        (library,) = await server.libraries()
        for fault in (Status(503), Cut(0.5), Body(b"[]"), Status(429, {"Retry-After": "0"})):
            subsonic.faults.add("*", "search3", fault, times=2)
            assert len(await titles(server, library)) == 4


async def test_a_server_that_is_not_there_is_told() -> None:
    settings = SubsonicSettings(
        kind="subsonic", name="Home", url="http://127.0.0.1:9", users={"me": "anna"}
    )  # fmt: skip
    account = Account("me", "anna", "anna", salted("secret", "anna"))
    with pytest.raises(ConnectorUnavailable, match="Home cannot be reached") as problem:
        async with SubsonicServer(settings, [account], "d", **QUICK):
            pass
    assert account.secrets["t"] not in str(problem.value)


async def test_a_certificate_that_is_not_valid_is_refused_unless_it_is_said_not_to(
    tmp_path: Path,
) -> None:
    async with FakeSubsonic(tls=own_certificate(tmp_path)) as subsonic:
        account = Account("me", "anna", "anna", salted("secret", "anna"))
        with pytest.raises(NotAllowed, match="verify_tls"):
            async with SubsonicServer(settings_of(subsonic), [account], "d", **QUICK):
                pass
        settings = settings_of(subsonic).model_copy(update={"verify_tls": False})
        async with SubsonicServer(settings, [account], "d", **QUICK) as server:
            await server.check(account)


async def test_people_are_not_mixed_up_by_cookies() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        subsonic.faults.add("*", "ping", Status(200, {"Set-Cookie": "session=anna"}), times=1)
        with pytest.raises(BadAnswer):
            await server._client.call(dict(account.secrets), "ping")
        seen: list[str] = []
        subsonic.before = seen.append
        await server.check(account)
        assert seen == ["ping"]
        assert server._client._session is not None
        assert len(server._client._session.cookie_jar) == 0


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, _):
        (library,) = await server.libraries()
        monkeypatch.setattr("connectors.subsonic.client.LARGEST_ANSWER", 100)
        with pytest.raises(BadAnswer, match="too large"):
            await titles(server, library)


async def test_what_the_server_says_of_an_error_is_told_without_the_token() -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        subsonic.refuses["getPlaylists"] = 0
        with pytest.raises(Refused, match="told to refuse") as problem:
            await server.playlists(account)
        assert account.secrets["t"] not in str(problem.value)


@pytest.mark.parametrize(
    ("method", "part", "nonsense"),
    [
        ("getScanStatus", "scanStatus", [1]),
        ("getMusicFolders", "musicFolders", 7),
        ("search3", "searchResult3", {"song": "none"}),
        ("getStarred2", "starred2", "x"),
        ("getAlbumList2", "albumList2", {"album": 7}),
        ("getPlaylists", "playlists", [[]]),
        ("getPlaylist", "playlist", {"id": "p", "entry": 7}),
        ("getPlaylist", "playlist", {}),
        ("getSong", "song", ["s0"]),
        ("getSong", "song", {"id": "another"}),
    ],
)
async def test_nonsense_is_a_bad_answer_wherever_it_comes(
    method: str, part: str, nonsense: Any
) -> None:
    async with FakeSubsonic() as subsonic, connected(subsonic) as (server, account):
        await make(server, account, ["s0"])
        await read_everything(server, account)
        body = json.dumps({"subsonic-response": {"status": "ok", part: nonsense}}).encode()
        subsonic.faults.add("*", f"/{method}.view", Body(body))
        with pytest.raises(BadAnswer, match="Home"):
            await read_everything(server, account)


async def read_everything(server: SubsonicServer, account: Account) -> None:
    (library,) = await server.libraries()
    await titles(server, library)
    since = datetime(2026, 11, 19, tzinfo=UTC)
    assert [page async for page in server.states(account, since=since)]
    for playlist in await server.playlists(account):
        await server.playlist(account, playlist.id)
    await server.states_of(account, ["s0"])


async def test_the_whole_way_with_counts_and_a_list_that_is_dropped_by_half(
    household: Household,
) -> None:
    async with FakeSubsonic() as subsonic:
        for n in range(6):
            subsonic.add_song(f"s{n}", f"Track {n}", duration=60 + n, size=1000 + n, playCount=n)
        household.also(servers=[settings_of(subsonic)])
        async with household.open() as services:
            await connect(services, "Home")
            assert await run_step(services, "sync") == "6 new"
            assert await count(services, Play) == 15
            subsonic.requests.clear()
            assert await run_step(services, "sync") == "nothing new"
            assert len(subsonic.requests) <= 6
            assert await count(services, Play) == 15
            subsonic.switches.drops_half_of_lists = True
            assert (await write(services)).state == "failed"
            subsonic.switches.drops_half_of_lists = False
            assert (await write(services)).state == "written"
            assert len(subsonic.playlists) == 1
