"""Calls of the Subsonic API: signed in, bounded in time and size, errors told apart."""

import asyncio
import hashlib
import json
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
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.retrying import retry
from connectors.streams import ServerStream, open_stream

VERSION = "1.16.1"
CLIENT = "anagnorisis"
LARGEST_ANSWER = 64 << 20
"""Bytes."""
LONGEST = 120.0
"""Seconds for one whole answer."""
UNKNOWN_TOKEN = (10, 41)
"""Errors of servers that know no salted tokens."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")

Params = Mapping[str, str | int | list[str]]
Signature = dict[str, str]


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
        self._timeout = aiohttp.ClientTimeout(total=longest, sock_connect=5, sock_read=timeout)
        self._first_pause = first_pause
        self._session: aiohttp.ClientSession | None = None
        self.version = VERSION

    def may_send_passwords(self) -> bool:
        """Tell whether nobody on the way could read one."""
        parts = urlsplit(self._url)
        return parts.scheme == "https" or parts.hostname in LOOPBACK

    async def open(self) -> None:
        """Make the session."""
        connector = aiohttp.TCPConnector(limit_per_host=4, ssl=self._verify_tls)
        self._session = aiohttp.ClientSession(connector=connector)

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None

    async def read(self, signature: Signature, method: str, **params: Any) -> dict[str, Any]:
        """Call a method that changes nothing; try again what may pass."""
        return await retry(
            lambda: self.call(signature, method, params), first_pause=self._first_pause
        )

    async def call(self, signature: Signature, method: str, params: Params) -> dict[str, Any]:
        """Call a method once, its parameters in the body; return the answer's content."""
        assert self._session is not None
        form = self._sign(signature, params)
        try:
            async with self._session.post(
                f"{self._url}/rest/{method}.view", data=form, timeout=self._timeout,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                self._check_status(answer)
                body = await answer.content.read(LARGEST_ANSWER + 1)
                while len(body) <= LARGEST_ANSWER and (more := await answer.content.read(1 << 20)):
                    body += more
        except TimeoutError as error:
            raise ConnectorUnavailable(f"{self.name} does not answer in time.") from error
        except aiohttp.ClientPayloadError as error:
            raise BadAnswer(f"{self.name}'s answer broke off.") from error
        except (aiohttp.ClientError, asyncio.IncompleteReadError) as error:
            raise ConnectorUnavailable(
                f"{self.name} cannot be reached at {self._url}: {type(error).__name__}."
            ) from error
        if len(body) > LARGEST_ANSWER:
            raise BadAnswer(f"{self.name}'s answer is too large.")
        return self._content(body)

    async def stream(
        self, signature: Signature, method: str, params: Params, byte_range: str | None = None
    ) -> ServerStream:
        """Open what a method answers with: media, a picture."""
        assert self._session is not None
        query = {k: v for k, v in self._sign(signature, params) if k != "f"}
        url = f"{self._url}/rest/{method}.view"
        stream = await open_stream(
            self._session, self.name, url, params=query, byte_range=byte_range
        )
        kind = stream.headers.get("Content-Type", "")
        if kind.startswith(("application/json", "text/xml", "application/xml")):
            await stream.__aexit__(None, None, None)
            raise NotFound(f"{self.name} has no such media.")
        return stream

    def _sign(self, signature: Signature, params: Params) -> list[tuple[str, str]]:
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
        if status == 404:
            raise Refused(f"{self.name} does not know this call. Is {self._url} right?")
        if status in (408, 429) or status >= 500:
            wait = answer.headers.get("Retry-After", "")
            raise ConnectorUnavailable(
                f"{self.name} answered {status}.", float(wait) if wait.isdecimal() else None
            )
        raise Refused(f"{self.name} answered {status}. Is {self._url} right?")

    def _content(self, body: bytes) -> dict[str, Any]:
        try:
            answer = json.loads(body)["subsonic-response"]
            status = answer["status"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadAnswer(f"{self.name}'s answer is not of the Subsonic API.") from error
        if status == "ok":
            return dict(answer)
        raise self._error(answer.get("error"))

    def _error(self, error: Any) -> ConnectorError:
        told = error if isinstance(error, dict) else {}
        try:
            code = int(told.get("code", 0))
        except (TypeError, ValueError):
            code = 0
        message = f"{self.name}: {str(told.get('message', 'it failed'))[:200]}"
        if code == 40:
            return SignInRefused(f"{self.name} does not take the user name or password.")
        if code == 50:
            return NotAllowed(message)
        if code == 70:
            return NotFound(message)
        if code in (20, 30):
            return Misconfigured(f"{message} (the versions of the API do not fit)")
        refused = Refused(message)
        refused.code = code  # type: ignore[attr-defined]
        return refused
