"""The session that plexapi works with: bounded in time and size, its errors told apart."""

import logging
import time
from typing import Any

import requests
import urllib3

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)

LARGEST_ANSWER = 64 << 20
"""Bytes."""
ATTEMPTS = 3
PASSING = (408, 429, 502, 503, 504)

_log = logging.getLogger("plexapi")
_log.handlers = [logging.NullHandler()]  # its debug lines hold whole addresses
_log.propagate = False


class StrictSession(requests.Session):
    """Reads answers whole within bounds; raises ConnectorError; repeats only what reads."""

    def __init__(
        self, name: str, url: str, *, verify_tls: bool = True,
        timeout: tuple[float, float] = (3.05, 30.0), longest: float = 120.0,
        first_pause: float = 0.5,
    ) -> None:  # fmt: skip
        super().__init__()
        self._name = name
        self._url = url
        self._timeout = timeout
        self._longest = longest
        self._first_pause = first_pause
        self.trust_env = False
        self.verify = verify_tls
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=4, pool_block=True, max_retries=0)
        self.mount("http://", adapter)
        self.mount("https://", adapter)

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send one request. Raises ConnectorError."""
        options |= {"timeout": self._timeout, "stream": True, "allow_redirects": False}
        attempts = ATTEMPTS if request.method in ("GET", "HEAD") else 1
        for attempt in range(1, attempts + 1):
            try:
                return self._send(request, options)
            except ConnectorUnavailable as error:
                wait = error.retry_after or self._first_pause * 2 ** (attempt - 1)
                if attempt == attempts or wait > 30:
                    raise
                time.sleep(wait)
        raise AssertionError

    def _send(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        try:
            answer = super().send(request, **options)
            with answer:
                self._check(answer)
                body = self._read(answer)
        except requests.exceptions.SSLError as error:
            raise NotAllowed(f"{self._name}'s certificate is not valid (verify_tls).") from error
        except (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError) as error:
            raise ConnectorUnavailable(f"{self._name} does not answer in time.") from error
        except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError) as error:
            raise BadAnswer(f"{self._name}'s answer broke off.") from error
        except requests.exceptions.RequestException as error:
            raise ConnectorUnavailable(f"{self._name} cannot be reached at {self._url}.") from error
        answer._content = body
        answer._content_consumed = True  # type: ignore[attr-defined]
        answer.encoding = "utf-8"
        return answer

    def _read(self, answer: requests.Response) -> bytes:
        deadline = time.monotonic() + self._longest
        promised = answer.headers.get("Content-Length", "")
        body = bytearray()
        while chunk := answer.raw.read1(1 << 16, decode_content=True):
            body += chunk
            if len(body) > LARGEST_ANSWER:
                raise BadAnswer(f"{self._name}'s answer is too large.")
            if time.monotonic() > deadline:
                raise ConnectorUnavailable(f"{self._name} does not answer in time.")
        is_plain = "Content-Encoding" not in answer.headers
        if is_plain and promised.isdecimal() and len(body) < int(promised):
            raise BadAnswer(f"{self._name}'s answer broke off.")
        if b"<!DOCTYPE" in body[:1000] or b"<!ENTITY" in body[:1000]:
            raise BadAnswer(f"{self._name}'s answer is not of Plex.")
        return bytes(body)

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
            wait = answer.headers.get("Retry-After", "")
            raise ConnectorUnavailable(
                f"{self._name} answered {status}.", float(wait) if wait.isdecimal() else None
            )
        raise Refused(f"{self._name} would not do this ({status}).")
