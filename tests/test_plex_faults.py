"""Plex servers that fail, dawdle, lie or change while they are read."""

import asyncio
import contextlib
import gzip
import logging
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import plexapi
import pytest
from aiohttp import web

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.plex import PlexServer
from connectors.server import Account, Library
from connectors.server_settings import PlexSettings
from tests.stand_ins.faults import Body, Status
from tests.stand_ins.plex import FakePlex
from tests.test_plex_connector import QUICK, connected, furnish, keys, settings_of

OWNER = Account("me", "1", "owner", {"token": "very-secret"})


@contextlib.asynccontextmanager
async def answering(
    head: bytes, body: bytes = b"", pause: float = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[PlexSettings]:
    """Serve these bytes to whoever comes: with a pause, one by one."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if pause:
                for n in range(len(head)):
                    writer.write(head[n : n + 1])
                    await writer.drain()
                    await asyncio.sleep(pause)
            else:
                writer.write(head)
            while body:
                writer.write(body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        url = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        yield PlexSettings(kind="plex", name="Plex", url=url, users={"me": "owner"})
    finally:
        server.close()


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


async def open_and_fail(settings: PlexSettings, **limits: Any) -> ConnectorError:
    with pytest.raises(ConnectorError) as problem:
        async with PlexServer(settings, [OWNER], "device", **(QUICK | limits)):
            pass
    assert "very-secret" not in str(problem.value)
    return problem.value


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 400,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"0" * 400,
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b" " * 400,
    ],
    ids=["head", "chunk size", "body"],
)
async def test_one_byte_at_a_time_holds_nobody(head: bytes) -> None:
    async with answering(head, pause=0.01) as settings:
        begin = time.monotonic()
        problem = await open_and_fail(settings, longest=0.2)
        assert time.monotonic() - begin < 2
        assert isinstance(problem, ConnectorUnavailable)
        assert "in time" in str(problem)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.bounded_http.LARGEST_ANSWER", 1 << 20)
    async with answering(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536) as settings:
        assert "too large" in str(await open_and_fail(settings))


async def test_a_small_answer_that_unpacks_to_much_is_cut_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.bounded_http.LARGEST_ANSWER", 1 << 20)
    bomb = gzip.compress(bytes(8 << 20))
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n" % len(bomb)
    )
    async with answering(head + bomb) as settings:
        assert isinstance(await open_and_fail(settings), BadAnswer)


async def test_a_server_that_is_not_there_is_named() -> None:
    async with FakePlex() as plex:
        settings = settings_of(plex)
    problem = await open_and_fail(settings)
    assert isinstance(problem, ConnectorUnavailable)
    assert "cannot be reached" in str(problem)


async def test_callers_are_not_sent_elsewhere() -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with answering(head) as settings:
        assert isinstance(await open_and_fail(settings), Refused)


@pytest.mark.parametrize(
    "body",
    [
        b"<MediaContainer",
        b"<a/>",
        b" " * 2000 + b"<!DOCTYPE a [<!ENTITY b 'bbbb'>]><a>&b;</a>",
        "<!DOCTYPE a><MediaContainer/>".encode("utf-16"),
        b"\xff\xfe\xff",
        b"[]",
    ],
)
async def test_an_answer_that_is_not_of_plex_is_no_library(body: bytes) -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with connected(plex) as (server, _):
            plex.faults.add("GET", "/sections$", Body(body, "application/xml"))
            with pytest.raises(BadAnswer):
                await server.libraries()


@pytest.mark.parametrize("status", [202, 206, 299, 400, 405, 414, 418, 599])
async def test_statuses_that_plexapi_does_not_know_are_errors_of_ours(status: int) -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with connected(plex) as (server, _):
            plex.faults.add("GET", "/sections$", Status(status))
            with pytest.raises(ConnectorError) as problem:
                await server.libraries()
            assert "http" not in str(problem.value)


async def test_a_busy_server_is_left_alone_for_as_long_as_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("connectors.bounded_http.time.sleep", pauses.append)
    async with FakePlex() as plex:
        furnish(plex)
        async with connected(plex) as (server, account):
            plex.faults.add("GET", "/sections$", Status(429, {"Retry-After": "7"}), times=1)
            assert len(await server.libraries()) == 1
            assert pauses == [7.0]
            plex.faults.add("GET", "/sections$", Status(503, {"Retry-After": "900"}), times=1)
            with pytest.raises(ConnectorUnavailable) as problem:
                await server.check(account)
            assert problem.value.retry_after == 900
            assert pauses == [7.0]


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_what_will_not_pass_is_not_asked_again(status: int) -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with connected(plex) as (server, _):
            plex.faults.add("GET", "/sections$", Status(status))
            plex.requests.clear()
            with pytest.raises((SignInRefused, NotAllowed, NotFound)):
                await server.libraries()
            assert len(plex.requests) == 1


async def test_a_rating_that_broke_off_is_not_sent_twice() -> None:
    async with FakePlex() as plex:
        (key, *_) = keys(furnish(plex))
        async with connected(plex) as (server, account):
            plex.faults.add("PUT", "/rate$", Status(503, after=True))
            with pytest.raises(ConnectorUnavailable):
                await server.rate(account, key, 7)
            assert plex.count("PUT", "/:/rate") == 1
            plex.faults.clear()
            (state,) = await server.states_of(account, [key])
            assert state.rating == 7


# Changes while reading


async def test_items_that_go_between_two_calls_take_nothing_else_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.plex.listing.PAGE", 20)
    async with FakePlex() as plex:
        tracks = furnish(plex, 100)

        def remove(request: web.Request) -> None:
            if request.path.startswith("/library/metadata/") and len(tracks) > 60:
                for track in [tracks.pop(0) for _ in range(10)]:
                    plex.remove_item(track)

        async with connected(plex) as (server, _):
            (library,) = await server.libraries()
            plex.before = remove
            read = [i.id async for page in server.items(library) for i in page.entries]
            assert set(keys(tracks)) <= set(read)
            plex.before = None
            ids = [i async for page in server.ids(library) for i in page]
            assert ids == keys(tracks)


async def test_reading_goes_on_where_it_broke(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.plex.listing.PAGE", 10)
    async with FakePlex() as plex:
        tracks = furnish(plex, 40)
        async with connected(plex) as (server, _):
            (library,) = await server.libraries()
            plex.faults.add("GET", "/all$", Status(503), skip=2)
            read: list[str] = []
            place = None
            with contextlib.suppress(ConnectorUnavailable):
                async for page in server.items(library):
                    read += [item.id for item in page.entries]
                    place = page.next
            assert len(read) == 15
            plex.faults.clear()
            for track in tracks[:12]:
                plex.remove_item(track)
            plex.requests.clear()
            async for page in server.items(library, start=place):
                read += [item.id for item in page.entries]
            assert set(keys(tracks[12:])) <= set(read)


async def test_a_library_that_is_gone_is_not_an_empty_one() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with connected(plex) as (server, _):
            with pytest.raises(NotFound):
                [page async for page in server.items(Library("artist:99", "x", frozenset()))]


async def test_ids_that_are_none_are_never_put_into_an_address() -> None:
    async with FakePlex() as plex:
        (key, *_) = keys(furnish(plex))
        async with connected(plex) as (server, account):
            odd = [key, "", "../accounts", "1/../../accounts", "٣"]
            assert await server.existing(account, odd) == {key}
            assert [s.item_id for s in await server.states_of(account, odd)] == [key]
            for name in odd[1:]:
                with pytest.raises(NotFound):
                    await server.open_media(name)


# What must never happen


async def test_plexapi_reads_nothing_again_of_itself() -> None:
    assert os.environ["PLEXAPI_PLEXAPI_AUTORELOAD"] == "false"
    assert plexapi.CONFIG.get("plexapi.autoreload", True, bool) is False
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 30))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "P", "music", ids, description="", is_public=False
            )
            plex.requests.clear()
            await server.playlist(account, made)
            [s async for s in server.states(account)]
            [s async for s in server.history(account)]
            single = [path for _, path, _ in plex.requests if path.startswith("/library/metadata/")]
            assert single == []
            assert len(plex.requests) == 5


async def test_plex_tv_is_asked_nothing_while_a_server_is_read_and_written() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex))
        settings = settings_of(plex)
        async with PlexServer(settings, [], "device", plex_tv=plex.plex_tv.url, **QUICK) as server:
            account = await server.sign_in("me", plex.owner.name, plex.owner.token)
        async with PlexServer(
            settings, [account], "device", plex_tv=plex.plex_tv.url, **QUICK
        ) as server:
            for library in await server.libraries():
                [page async for page in server.items(library)]
            made = await server.create_playlist(
                account, "P", "music", ids, description="m", is_public=False
            )
            await server.playlist(account, made)
            await server.rate(account, ids[0], 3)
        assert plex.plex_tv.requests == []


async def test_tokens_are_in_headers_only_and_in_no_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said: list[str] = []
    identified: set[str | None] = set()

    def note(request: web.Request) -> None:
        said.append(str(request.rel_url))
        identified.add(request.headers.get("X-Plex-Client-Identifier"))

    async with FakePlex() as plex:
        ids = keys(furnish(plex))
        plex.before = note
        async with connected(plex) as (server, account):
            (library,) = await server.libraries()
            [page async for page in server.items(library)]
            await server.rate(account, ids[0], 3)
            plex.revoke(plex.owner)
            with pytest.raises(SignInRefused) as problem:
                await server.check(account)
            assert account.secrets["token"] not in f"{problem.value!r} {account!r}"
            assert account.secrets["token"] not in caplog.text + " ".join(said)
    assert identified - {None} == {"device"}


async def test_a_certificate_that_is_not_valid_is_refused_unless_the_settings_allow_it(
    tmp_path: Path,
) -> None:
    context = own_certificate(tmp_path)
    head = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 400
    async with answering(head, pause=0.01, tls=context) as settings:
        problem = await open_and_fail(settings)
        assert isinstance(problem, NotAllowed)
        assert "verify_tls" in str(problem)
        lax = settings.model_copy(update={"verify_tls": False})
        assert "in time" in str(await open_and_fail(lax, longest=0.2))  # bounded there too
