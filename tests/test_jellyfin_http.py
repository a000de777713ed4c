"""What the client library does as it comes, and what ours does instead, on real sockets."""

import asyncio
import contextlib
import logging
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jellyfin_apiclient_python import JellyfinClient

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
from connectors.jellyfin.http import ServerFailed, authorization, device_of, make_api
from connectors.server_settings import JellyfinSettings

TOKEN = "0123456789abcdef-very-secret"
QUICK: dict[str, Any] = {"timeout": (1.0, 0.3), "longest": 0.6, "first_pause": 0.01}


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> bytes:
    lines = [
        f"HTTP/1.1 {status} X", f"Content-Length: {len(body) if length is None else length}",
        "Content-Type: application/json", "Date: Mon, 23 Nov 2026 10:00:00 GMT",
        "Connection: close", *headers,
    ]  # fmt: skip
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


OK = answer(200, b'{"is": "fine"}')


@dataclass
class Listener:
    """Gives its answers one after the other, the last one for ever."""

    answers: list[bytes]
    pause: float = 0
    """Seconds between two bytes."""
    at_once: int = 0
    """Bytes that come before that."""
    url: str = ""
    heads: list[str] = field(default_factory=list)
    tasks: list[Any] = field(default_factory=list)

    @property
    def lines(self) -> list[str]:
        return [head.split(" HTTP/")[0] for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.append(asyncio.current_task())
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            try:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
                said = self.answers[min(len(self.heads), len(self.answers)) - 1]
                writer.write(said[: self.at_once] if self.pause else said)
                for n in range(self.at_once, len(said)) if self.pause else ():
                    writer.write(said[n : n + 1])
                    await asyncio.sleep(self.pause)
                await writer.drain()
            finally:
                writer.close()
                await writer.wait_closed()


@contextlib.asynccontextmanager
async def listening(
    *answers: bytes, pause: float = 0, at_once: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    listener = Listener(list(answers), pause, at_once)
    server = await asyncio.start_server(listener.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    listener.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    async with server:
        yield listener
        for task in listener.tasks:
            task.cancel()
        await asyncio.gather(*listener.tasks)


async def call(listener: Listener, verb: str, *arguments: Any, **limits: Any) -> Any:
    """Make a call with ours, in a thread."""
    verify_tls = limits.pop("verify_tls", True)
    settings = JellyfinSettings(
        kind="jellyfin", name="Home", url=listener.url, verify_tls=verify_tls
    )
    api, http = make_api(settings, "u", TOKEN, "device", **(QUICK | limits))
    try:
        return await asyncio.to_thread(getattr(api, verb), *arguments)
    finally:
        http.close()


def library(listener: Listener) -> Any:
    client = JellyfinClient()
    client.config.app("A", "1", "A", "d")
    client.config.auth(listener.url, "u", TOKEN)
    del client.config.data["auth.ssl"]  # nobody has said anything about certificates
    client.config.data["http.timeout"] = 1
    client.logged_in = True
    client.start()
    return client


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """Return what a server shows whose certificate nobody has signed but itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make a certificate")
    key, made = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
         "-days", "2", "-subj", "/CN=127.0.0.1", "-keyout", key, "-out", made],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    return context


# The library's sins


async def test_the_library_repeats_a_failed_post_as_a_get_and_ours_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "jellyfin_apiclient_python.http.time", SimpleNamespace(sleep=lambda _: None)
    )
    async with listening(answer(502), OK) as listener:
        client = library(listener)
        said = await asyncio.to_thread(client.jellyfin._post, "Playlists/1/Items")
        client.stop()
        assert said == {"is": "fine"}
        assert listener.lines == ["POST /Playlists/1/Items", "GET /Playlists/1/Items"]
    async with listening(answer(502), OK) as listener:
        with pytest.raises(ConnectorUnavailable, match="Home answered 502"):
            await call(listener, "_post", "Playlists/1/Items")
        assert listener.lines == ["POST /Playlists/1/Items"]


async def test_the_library_hides_a_500_and_ours_does_not() -> None:
    async with listening(answer(500, b"no such table")) as listener:
        client = library(listener)
        assert await asyncio.to_thread(client.jellyfin._get, "Items") is None
        client.stop()
        with pytest.raises(ServerFailed, match=r"Home failed \(500: no such table\)"):
            await call(listener, "_get", "Items")
        with pytest.raises(ServerFailed):
            await call(listener, "_post", "Items/1")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_the_library_believes_any_certificate_and_ours_does_not(
    certificate: ssl.SSLContext,
) -> None:
    async with listening(OK, tls=certificate) as listener:
        client = library(listener)
        assert await asyncio.to_thread(client.jellyfin._get, "Items") == {"is": "fine"}
        client.stop()
        with pytest.raises(NotAllowed, match="certificate is not valid"):
            await call(listener, "_get", "Items")
        assert await call(listener, "_get", "Items", verify_tls=False) == {"is": "fine"}


async def test_the_library_forgets_its_token_at_a_401_and_ours_does_not() -> None:
    async with listening(answer(401), OK) as listener:
        client = library(listener)
        with contextlib.suppress(Exception):
            await asyncio.to_thread(client.jellyfin._delete, "Items/1")
        client.stop()
        assert client.config.data["auth.token"] is None
    async with listening(answer(401), OK) as listener:
        settings = JellyfinSettings(kind="jellyfin", name="Home", url=listener.url)
        api, http = make_api(settings, "u", TOKEN, "device", **QUICK)
        with pytest.raises(NotAllowed):  # the user may not delete that
            await asyncio.to_thread(api._delete, "Items/1")
        assert await asyncio.to_thread(api._get, "Items")
        http.close()
        assert TOKEN in listener.heads[1]


async def test_the_library_prints_nothing_and_logs_no_tokens(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for name in ("Jellyfin", "JELLYFIN"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING
    async with listening(OK) as listener:
        await call(listener, "_get", "Items")
    logging.getLogger("Jellyfin.api").error("something")
    assert capfd.readouterr() == ("", "")
    assert TOKEN not in caplog.text


# Ours


@pytest.mark.parametrize(
    ("verb", "status", "expected"),
    [
        ("_get", 301, Misconfigured), ("_get", 400, Refused), ("_get", 401, SignInRefused),
        ("_get", 403, NotAllowed), ("_get", 404, NotFound), ("_get", 405, Refused),
        ("_get", 414, Refused), ("_get", 429, ConnectorUnavailable), ("_get", 500, ServerFailed),
        ("_get", 502, ConnectorUnavailable), ("_get", 503, ConnectorUnavailable),
        ("_get", 504, ConnectorUnavailable), ("_get", 507, ServerFailed),
        ("_post", 401, SignInRefused), ("_delete", 401, NotAllowed), ("_delete", 404, NotFound),
    ],
)  # fmt: skip
async def test_every_status_is_an_error_of_its_kind(
    verb: str, status: int, expected: type[ConnectorError]
) -> None:
    async with listening(answer(status, b"because", "Location: http://127.0.0.1:1/")) as listener:
        with pytest.raises(expected) as problem:
            await call(listener, verb, "Items")
    assert type(problem.value) is expected
    assert "Home" in str(problem.value)


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_reading_is_tried_again_where_it_may_pass(status: int) -> None:
    async with listening(answer(status), answer(status, b"", "Retry-After: 0"), OK) as listener:
        assert await call(listener, "_get", "Items") == {"is": "fine"}
        assert len(listener.lines) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500])
async def test_what_will_not_pass_is_not_tried_again(status: int) -> None:
    async with listening(answer(status), OK) as listener:
        with pytest.raises(ConnectorError):
            await call(listener, "_get", "Items")
        assert len(listener.lines) == 1


@pytest.mark.parametrize("verb", ["_post", "_delete"])
@pytest.mark.parametrize("said", [answer(503), answer(429, b"", "Retry-After: 0"), b""])
async def test_writing_is_never_tried_again(verb: str, said: bytes) -> None:
    async with listening(said, OK) as listener:
        with pytest.raises(ConnectorUnavailable):
            await call(listener, verb, "Items/1")
        assert len(listener.lines) == 1


async def test_a_server_that_asks_for_a_long_pause_is_left_alone() -> None:
    async with listening(answer(429, b"", "Retry-After: 600"), OK) as listener:
        with pytest.raises(ConnectorUnavailable) as problem:
            await call(listener, "_get", "Items")
        assert problem.value.retry_after == 600
        assert len(listener.lines) == 1


async def test_pauses_double_and_are_not_all_the_same() -> None:
    taken = []
    for _ in range(3):
        async with listening(answer(503), answer(503), OK) as listener:
            began = time.monotonic()
            await call(listener, "_get", "Items", first_pause=0.04)
            taken.append(time.monotonic() - began)
    assert min(taken) >= 0.09  # 0.04 + 0.08, a quarter less at the least
    assert len({round(seconds, 4) for seconds in taken}) > 1


@pytest.mark.parametrize(
    ("said", "times"),
    [
        (answer(200, b'{"Items": [', length=100), 3),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}", 3),
        (answer(200, b"<html>"), 1), (answer(200, b"\xff\xfe\x00"), 1),
        (answer(200, b"[" * 100_000), 1),
    ],
    ids=["cut short", "chunk cut short", "a page", "no text", "deeply nested"],
)  # fmt: skip
async def test_nonsense_is_a_bad_answer(said: bytes, times: int) -> None:
    async with listening(said) as listener:
        with pytest.raises(BadAnswer, match="Home"):
            await call(listener, "_get", "Items")
        assert len(listener.lines) == times


async def test_an_answer_without_end_is_not_read_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.bounded_http.LARGEST_ANSWER", 1000)
    async with listening(answer(200, b"[" + b" " * 100_000 + b"]")) as listener:
        with pytest.raises(BadAnswer, match="too large"):
            await call(listener, "_get", "Items")


@pytest.mark.parametrize("verb", ["_get", "_post"])
@pytest.mark.parametrize("at_once", [0, 20, len(OK) - 15], ids=["all", "head", "body"])
async def test_one_byte_now_and_then_does_not_hold_us(verb: str, at_once: int) -> None:
    async with listening(OK, pause=0.05, at_once=at_once) as listener:
        began = time.monotonic()
        with pytest.raises(ConnectorUnavailable, match="does not answer in time"):
            await call(listener, verb, "Items", longest=0.15)
        assert time.monotonic() - began < 1.5


async def test_nobody_there_is_told_with_the_address() -> None:
    async with listening(OK) as listener:
        pass
    with pytest.raises(ConnectorUnavailable, match="Home cannot be reached at http://127"):
        await call(listener, "_get", "Items")


async def test_closing_ends_what_is_under_way() -> None:
    async with listening(OK, pause=5) as listener:
        settings = JellyfinSettings(kind="jellyfin", name="Home", url=listener.url)
        api, http = make_api(settings, "u", TOKEN, "device", timeout=(1, 30), longest=60)
        reading = asyncio.create_task(asyncio.to_thread(api._get, "Items"))
        while not listener.heads:
            await asyncio.sleep(0.01)
        http.close()
        async with asyncio.timeout(1):
            with pytest.raises(ConnectorUnavailable):
                await reading
        assert len(listener.lines) == 1


async def test_a_token_that_the_server_repeats_is_not_passed_on() -> None:
    async with listening(answer(400, f"bad header Token={TOKEN}".encode())) as listener:
        with pytest.raises(Refused) as problem:
            await call(listener, "_get", "Items")
    assert TOKEN[:8] not in str(problem.value)


async def test_lists_are_repeated_and_truths_are_written_as_in_json() -> None:
    async with listening(OK) as listener:
        params = {"ids": ["a", "b&c"], "recursive": True, "userId": None, "limit": 3}
        await call(listener, "_get", "Items", params)
        assert listener.lines == ["GET /Items?ids=a&ids=b%26c&recursive=true&limit=3"]


async def test_who_calls_is_said_in_the_header_of_all_versions() -> None:
    async with listening(OK) as listener:
        await call(listener, "_get", "Items")
        expected = (
            'Authorization: MediaBrowser Client="Anagnorisis", Device="Anagnorisis", '
            f'DeviceId="device", Version="1", Token="{TOKEN}"'
        )
        assert expected in listener.heads[0]
    assert 'DeviceId="a%22%2C%20%C3%A9"' in authorization('a", é', "")


def test_a_user_has_one_device_for_ever() -> None:
    assert device_of("i", "Anna") == device_of("i", "anna") != device_of("i", "Ben")
    assert device_of("i", "Anna") != device_of("j", "Anna")
    assert "Anna" not in device_of("i", "Anna")
