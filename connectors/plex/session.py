"""The session that plexapi works with: bounded in time and size, its errors told apart."""

import logging
from typing import Any

import requests

from connectors.base import (
    BadAnswer,
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

_log = logging.getLogger("plexapi")
_log.handlers = [logging.NullHandler()]  # its debug lines hold whole addresses
_log.propagate = False


class StrictSession(requests.Session):
    """Reads answers whole within bounds; raises ConnectorError; repeats only what reads."""

    def __init__(
        self, name: str, url: str, *, verify_tls: bool = True,
        timeout: tuple[float, float] = TIMEOUT, longest: float = LONGEST,
        first_pause: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self._name = name
        self._url = url
        self._timeout = timeout
        self._longest = longest
        self._first_pause = first_pause
        bind(self, verify_tls=verify_tls)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send one request. Raises ConnectorError."""
        options |= {"timeout": self._timeout, "stream": True, "allow_redirects": False}
        return call_patiently(
            str(request.method), lambda: self._send(request, options), self._first_pause
        )

    def _send(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        with told_apart(self._name, self._url):
            answer = super().send(request, **options)
            with answer:
                self._check(answer)
                body = read_bounded(answer, self._name, self._longest)
        if b"<!DOCTYPE" in body[:1000] or b"<!ENTITY" in body[:1000]:
            raise BadAnswer(f"{self._name}'s answer is not of Plex.")
        answer._content = body
        answer._content_consumed = True  # type: ignore[attr-defined]
        answer.encoding = "utf-8"
        return answer

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status < 300:
            return
        if status == 401:
            raise SignInRefused(f"{self._name} does not take the token any more; connect again.")
        if status == 403:
            raise NotAllowed(f"{self._name} does not allow its user to do this.")
        if status == 404:
            raise NotFound(f"{self._name} has no such thing.")
        if status in PASSING or status >= 500:
            raise unavailable(self._name, answer)
        raise Refused(f"{self._name} would not do this ({status}).")
