"""Calls of the Subsonic API: signed in, bounded in time and size, errors told apart."""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    Misconfigured,
    NotAllowed,
    Refused,
    SignInRefused,
)
from connectors.retrying import retry
from connectors.streams import ServerStream, open_stream
from connectors.subsonic.answers import Answer, ApiRefused, VersionRefused, error_of, read_answer

VERSION = "1.16.1"
CLIENT = "anagnorisis"
LARGEST_ANSWER = 64 << 20
"""Bytes."""
LARGEST_ERROR = 1 << 16
LONGEST = 120.0
"""Seconds for one whole answer."""
MISSING = 10
UNKNOWN_TOKEN = (MISSING, 41)
"""Errors of servers that know no salted tokens."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
SECRETS = ("t", "s", "p")
SLOW = ("createPlaylist", "getPlaylist", "getPlaylists", "updatePlaylist")
"""Calls that may be silent for long: supysonic reads a list of 10,000 in 23 s."""

Params = Mapping[str, str | int | list[str] | list[int]]
Signature = dict[str, str]


class CallRefused(Refused):
    """The server, or a proxy before it, does not know the call or will not take its form."""


def salted(password: str, user: str) -> Signature:
    """Return what signs in with a token: md5(password + salt), as the API wants it."""
    salt = secrets.token_hex(8)
    return {"u": user, "s": salt, "t": hashlib.md5((password + salt).encode()).hexdigest()}


def encoded(password: str, user: str) -> Signature:
    """Return what signs in with the password itself, in hexadecimal."""
    return {"u": user, "p": "enc:" + password.encode().hex()}


class Client:
    """Calls one server."""

    def __init__(
        self, name: str, url: str, *, verify_tls: bool = True, timeout: float = 30.0,
        longest: float = LONGEST, first_pause: float = 0.5,
    ) -> None:  # fmt: skip
        self.name = name
        self._url = url
        self._verify_tls = verify_tls
        self._patience = aiohttp.ClientTimeout(total=longest, sock_connect=5)
        self._timeout = aiohttp.ClientTimeout(total=longest, sock_connect=5, sock_read=timeout)
        self._first_pause = first_pause
        self._session: aiohttp.ClientSession | None = None
        self.version = VERSION
        """What we say we speak: ours, or an older one that the server asked for."""
        self.posts = True
        """Whether the server reads parameters in a body; else a URL must hold them all."""

    def may_send_passwords(self) -> bool:
        """Tell whether nobody on the way could read one."""
        parts = urlsplit(self._url)
        return parts.scheme == "https" or parts.hostname in LOOPBACK

    async def open(self) -> None:
        """Make the session. It keeps no cookies: they would mix up people."""
        connector = aiohttp.TCPConnector(limit_per_host=4, ssl=self._verify_tls)
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, cookie_jar=jar)

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def greet(self, signature: Signature) -> Answer:
        """Ping, and learn whether the server reads parameters in a body."""
        try:
            return await self.read(signature, "ping")
        except (ApiRefused, CallRefused) as error:
            if isinstance(error, ApiRefused) and error.code != MISSING:
                raise
            self.posts = False
            try:
                return await self.read(signature, "ping")
            except ConnectorError:
                self.posts = True
                raise error from None

    async def read(self, signature: Signature, method: str, **params: Any) -> Answer:
        """Call a method that changes nothing; try again what may pass."""
        return await retry(
            lambda: self.call(signature, method, **params), first_pause=self._first_pause
        )

    async def call(self, signature: Signature, method: str, **params: Any) -> Answer:
        """Call a method once, or again in the version that the server asks for."""
        try:
            return await self._call(signature, method, params)
        except VersionRefused as error:
            if not error.spoken or error.spoken == self.version:
                raise
            self.version = error.spoken
        return await self._call(signature, method, params)

    async def stream(
        self, signature: Signature, method: str, params: Params, byte_range: str | None = None
    ) -> ServerStream:
        """Open what a method answers with: media, a picture. What came instead is raised."""
        assert self._session is not None
        stream = await open_stream(
            self._session, self.name, self._address(method),
            params=dict(self._sign(signature, params)), byte_range=byte_range,
        )  # fmt: skip
        kind = stream.headers.get("Content-Type", "")
        if not kind.startswith(("application/json", "text/xml", "application/xml", "text/html")):
            return stream
        body = bytearray()
        async with stream:
            async for chunk in stream.chunks():
                body += chunk
                if len(body) > LARGEST_ERROR:
                    break
        if code := re.search(rb'<error[^>]*\bcode="(\d+)"', body):
            raise error_of(self.name, int(code[1]), "it did not send the media")
        read_answer(self.name, bytes(body), _secrets(signature))
        raise BadAnswer(f"{self.name} sent no media.")

    async def _call(self, signature: Signature, method: str, params: Params) -> Answer:
        assert self._session is not None
        signed = self._sign(signature, params)
        form: dict[str, Any] = {"data": signed} if self.posts else {"params": signed}
        timeout = self._patience if method in SLOW else self._timeout
        try:
            async with self._session.request(
                "POST" if self.posts else "GET", self._address(method), **form,
                timeout=timeout, allow_redirects=False,
            ) as answer:  # fmt: skip
                self._check_status(answer)
                body = await self._read(answer)
        except TimeoutError as error:
            raise ConnectorUnavailable(f"{self.name} does not answer in time.") from error
        except aiohttp.ClientPayloadError as error:
            raise BadAnswer(f"{self.name}'s answer broke off.") from error
        except aiohttp.ClientSSLError as error:
            raise NotAllowed(f"{self.name}'s certificate is not valid (verify_tls).") from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            raise ConnectorUnavailable(
                f"{self.name} cannot be reached at {self._url}: {type(error).__name__}."
            ) from error
        return read_answer(self.name, body, _secrets(signature))

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise BadAnswer(f"{self.name}'s answer is too large.")
        return bytes(body)

    def _address(self, method: str) -> str:
        return f"{self._url}/rest/{method}.view"

    def _sign(self, signature: Signature, params: Params) -> list[tuple[str, str]]:
        if "p" in signature and not self.may_send_passwords():
            raise Misconfigured(
                f"{self.name} knows no tokens, so the password itself would be sent for all on "
                "the way to read. Use its https address."
            )
        signed = {**signature, "v": self.version, "c": CLIENT, "f": "json", **params}
        return [
            (name, str(value))
            for name, values in signed.items()
            for value in (values if isinstance(values, list) else [values])
        ]

    def _check_status(self, answer: aiohttp.ClientResponse) -> None:
        status = answer.status
        if status == 200:
            return
        if status == 401:
            raise SignInRefused(f"{self.name} does not take the sign-in; connect it again.")
        if status == 403:
            raise NotAllowed(f"{self.name} does not allow this.")
        if status in (404, 501):
            raise CallRefused(f"{self.name} does not know this call. Is {self._url} right?")
        if status in (408, 429) or status >= 500:
            wait = answer.headers.get("Retry-After", "")
            raise ConnectorUnavailable(
                f"{self.name} answered {status}.", float(wait) if wait.isdecimal() else None
            )
        raise CallRefused(f"{self.name} answered {status}. Is {self._url} right?")


def _secrets(signature: Signature) -> list[str]:
    return [signature[name] for name in SECRETS if signature.get(name)]
