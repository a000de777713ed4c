"""The client library's HTTP, made strict.

As it comes the library repeats a failed POST as a GET and reports success, answers None for a
500, forgets the token at any 401, and does not verify certificates. Here each of these is an
error that says so; reading is tried again where that may help, writing never.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import requests
from jellyfin_apiclient_python import JellyfinClient
from jellyfin_apiclient_python.api import API

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
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
    call_patiently,
    read_bounded,
    told_apart,
    unavailable,
)
from connectors.server import Account
from connectors.server_settings import JellyfinSettings

CLIENT, VERSION = "Anagnorisis", "1"

for _name in ("Jellyfin", "JELLYFIN"):  # the library prints its log otherwise
    _log = logging.getLogger(_name)
    _log.handlers = [logging.NullHandler()]
    _log.propagate = False


class StrictHTTP:
    """What the library's API class calls; `request` takes its dictionaries."""

    def __init__(
        self, client: Any, settings: JellyfinSettings, token: str, device_id: str, *,
        timeout: tuple[float, float] = TIMEOUT, longest: float = LONGEST,
        first_pause: float = 0.5,
    ) -> None:  # fmt: skip
        self.client = client
        self.config = client.config
        self._name = settings.name
        self._url = settings.url
        self._timeout = timeout
        self._longest = longest
        self._first_pause = first_pause
        self._session = requests.Session()
        bind(self._session, verify_tls=settings.verify_tls)
        self._headers = {"Authorization": authorization(device_id, token)}

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def request(self, data: dict[str, Any], *_: Any, **__: Any) -> Any:
        """Make one call; return its JSON, None for an empty answer. Raises ConnectorError."""
        method = str(data.get("type", "GET"))
        return call_patiently(method, lambda: self._call(method, data), self._first_pause)

    def _call(self, method: str, data: dict[str, Any]) -> Any:
        with told_apart(self._name, self._url):
            answer = self._session.request(
                method, f"{self._url}/{data['handler']}",
                params=list(_pairs(data.get("params") or {})), json=data.get("json"),
                data=data.get("data"), headers=self._headers | dict(data.get("headers") or {}),
                timeout=self._timeout, stream=True, allow_redirects=False,
            )  # fmt: skip
            with answer:
                self._check(method, answer)
                body = read_bounded(answer, self._name, self._longest)
        if not body:
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            raise BadAnswer(f"{self._name}'s answer is no JSON.") from error

    def _check(self, method: str, answer: requests.Response) -> None:
        status = answer.status_code
        if status < 300:
            return
        said = "" if status in (401, 403) else self._said(answer)
        if status == 401 and method != "DELETE":
            raise SignInRefused(f"{self._name} does not take the sign-in any more; connect again.")
        if status in (401, 403):  # 401 to DELETE: the user may not delete that
            raise NotAllowed(f"{self._name} does not allow its user to do this.")
        if status == 404:
            raise NotFound(f"{self._name} has no such thing.")
        if status in PASSING:
            raise unavailable(self._name, answer)
        if status >= 500:
            raise ConnectorUnavailable(f"{self._name} failed ({status}{said}).")
        raise Refused(f"{self._name} would not do this ({status}{said}).")

    def _said(self, answer: requests.Response) -> str:
        try:
            text = (answer.raw.read(300, decode_content=True) or b"").decode(errors="replace")
        except (OSError, ValueError, requests.exceptions.RequestException):
            return ""
        return f": {' '.join(text.split())[:120]}" if text.strip() else ""


def make_api(
    settings: JellyfinSettings, account: Account | None, token: str, device_id: str,
    **limits: Any,
) -> tuple[API, StrictHTTP]:  # fmt: skip
    """Return the library's API over a strict HTTP, signed in by `token` ("" for nobody)."""
    client = JellyfinClient()
    device = f"{device_id}-{account.user_id if account else 'shared'}"
    client.config.app(CLIENT, VERSION, CLIENT, device)
    client.config.auth(
        settings.url, account.user_id if account else None, token or None,
        ssl=settings.verify_tls,
    )  # fmt: skip
    client.http = StrictHTTP(client, settings, token, device, **limits)
    return API(client.http), client.http


def authorization(device_id: str, token: str) -> str:
    """Return the header by which every version knows us; the server decodes the values."""
    parts = {"Client": CLIENT, "Device": CLIENT, "DeviceId": device_id, "Version": VERSION}
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
