"""The client library's HTTP, made strict.

As it comes the library repeats a failed POST as a GET and reports success, answers None for a
500, forgets the token at any 401, and does not verify certificates. Here each of these is an
error that says so; reading is tried again where that may help, writing never.
"""

import hashlib
import json
import logging
import random
import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests
import urllib3
from jellyfin_apiclient_python import JellyfinClient
from jellyfin_apiclient_python.api import API

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    Misconfigured,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.bounded_http import (
    LONGEST,
    PASSING,
    TIMEOUT,
    bind,
    read_bounded,
    told_apart,
    unavailable,
)
from connectors.jellyfin.deadline import Exchanges, mount
from connectors.retrying import ATTEMPTS, LONGEST_PAUSE
from connectors.server_settings import JellyfinSettings

CLIENT, VERSION = "Anagnorisis", "1"
READING = ("GET", "HEAD")

for _name in ("Jellyfin", "JELLYFIN"):  # importing the library lets it print what it logs
    _log = logging.getLogger(_name)
    _log.handlers = [logging.NullHandler()]
    _log.setLevel(logging.WARNING)
    _log.propagate = False
# Its debug lines hold whole addresses, and that of a Quick Connect holds what will be a sign-in.
logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


class ServerFailed(ConnectorUnavailable):
    """The server broke on this very request: the same at once would break it again."""


class StrictHTTP:
    """What the library's API class calls; `request` takes its dictionaries.

    `timeout`: seconds to connect, and between two pieces of an answer (a write has all of
    `longest` for its first piece, since it is not repeated); `longest`: seconds for one exchange;
    `first_pause`: seconds before the first repetition.
    """

    def __init__(
        self, client: Any, settings: JellyfinSettings, token: str, device: str, *,
        timeout: tuple[float, float] = TIMEOUT, longest: float = LONGEST,
        first_pause: float = 0.5,
    ) -> None:  # fmt: skip
        self.client = client
        self.config = client.config
        self._name = settings.name
        self._url = settings.url
        self._token = token
        self._timeout = timeout
        self._longest = longest
        self._first_pause = first_pause
        self._closed = threading.Event()
        self._exchanges = Exchanges()
        self._session = requests.Session()
        bind(self._session, verify_tls=settings.verify_tls)
        mount(self._session)
        self._headers = {
            "Accept": "application/json", "Authorization": authorization(device, token),
        }  # fmt: skip

    def close(self) -> None:
        """Close the connections, cutting off what is under way."""
        self._closed.set()
        self._exchanges.cut_all()
        self._session.close()

    def request(self, data: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Make one call; return its JSON, None for an empty answer. Raises ConnectorError."""
        method = str(data.get("type", "GET")).upper()
        attempts = ATTEMPTS if method in READING else 1
        for attempt in range(1, attempts):
            try:
                return self._decoded(self._exchange(method, data))
            except ServerFailed:
                raise
            except ConnectorUnavailable as error:
                if isinstance(error, _NoJson) or not self._wait(attempt, error.retry_after):
                    raise
        return self._decoded(self._exchange(method, data))

    def _wait(self, attempt: int, asked: float | None) -> bool:
        """Pause before trying again; False where that is of no use now."""
        if asked is not None and asked > LONGEST_PAUSE:
            return False
        pause = self._first_pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
        return not self._closed.wait(max(pause, asked or 0))

    def _exchange(self, method: str, data: dict[str, Any]) -> bytes:
        body, problem = b"", None
        with told_apart(self._name, self._url), self._exchanges.within(self._longest) as exchange:
            try:
                body = self._fetch(method, data)
            except (
                requests.RequestException, urllib3.exceptions.HTTPError, OSError, BadAnswer,
            ) as error:  # fmt: skip
                problem = error
            if exchange.is_cut:  # then even what looks like a short answer is none
                raise ConnectorUnavailable(f"{self._name} does not answer in time.") from None
            if problem is not None:
                raise problem
        return body

    def _fetch(self, method: str, data: dict[str, Any]) -> bytes:
        connect, read = self._timeout
        answer = self._session.request(
            method, f"{self._url}/{data['handler']}",
            params=list(_pairs(data.get("params") or {})), json=data.get("json"),
            data=data.get("data"), headers=self._headers | dict(data.get("headers") or {}),
            timeout=(connect, read if method in READING else self._longest), stream=True,
            allow_redirects=False,
        )  # fmt: skip
        with answer:
            self._check(method, answer)
            return read_bounded(answer, self._name, self._longest)

    def _decoded(self, body: bytes) -> Any:
        if not body:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise _NoJson(f"{self._name}'s answer is no JSON.") from error

    def _check(self, method: str, answer: requests.Response) -> None:
        status = answer.status_code
        if status < 300:
            return
        if status < 400:
            raise Misconfigured(
                f"{self._name} sends its callers elsewhere ({status}): its url should be the "
                "address that Jellyfin itself answers at."
            )
        if status == 401 and method != "DELETE":
            raise SignInRefused(f"{self._name} does not take the sign-in any more; connect again.")
        if status in (401, 403):  # 401 to DELETE: the user may not delete that
            raise NotAllowed(f"{self._name} does not allow its user to do this.")
        if status == 404:
            raise NotFound(f"{self._name} has no such thing.")
        if status in PASSING:
            raise unavailable(self._name, answer)
        if status >= 500:
            raise ServerFailed(f"{self._name} failed ({status}{self._said(answer)}).")
        raise Refused(f"{self._name} would not do this ({status}{self._said(answer)}).")

    def _said(self, answer: requests.Response) -> str:
        """Return the beginning of what the server says to its refusal, without the token."""
        try:
            said = (answer.raw.read(300, decode_content=True) or b"").decode(errors="replace")
        except (OSError, ValueError, requests.RequestException, urllib3.exceptions.HTTPError):
            return ""
        if self._token and self._token[:8] in said:
            return ""
        return f": {' '.join(said.split())[:120]}" if said.strip() else ""


class _NoJson(BadAnswer):
    """Came whole, and will be no better a second time."""


def make_api(
    settings: JellyfinSettings, user_id: str, token: str, device: str, **limits: Any
) -> tuple[API, StrictHTTP]:
    """Return the library's API over a strict HTTP, signed in by `token` ("" for nobody)."""
    client = JellyfinClient()
    client.config.app(CLIENT, VERSION, CLIENT, device)
    client.config.auth(settings.url, user_id or None, token or None, ssl=settings.verify_tls)
    client.http = StrictHTTP(client, settings, token, device, **limits)
    client.jellyfin = API(client.http)
    return client.jellyfin, client.http


def device_of(device_id: str, user_name: str) -> str:
    """Return the id of a user's device: the same for ever, or each sign-in leaves one behind."""
    return hashlib.sha256(f"{device_id}\n{user_name.casefold()}".encode()).hexdigest()[:32]


def authorization(device: str, token: str) -> str:
    """Return the header by which every version knows us; the server decodes the values."""
    parts = {"Client": CLIENT, "Device": CLIENT, "DeviceId": device, "Version": VERSION}
    if token:
        parts["Token"] = token
    values = ", ".join(f'{name}="{quote(value, safe="")}"' for name, value in parts.items())
    return f"MediaBrowser {values}"


def _pairs(params: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the query; lists are repeated, as the API's description has them."""
    for name, value in params.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            if one is not None:
                yield name, str(one).lower() if isinstance(one, bool) else str(one)
