"""The session that plexapi works with: bounded in time and size, its errors told apart."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
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

_exchange = threading.local()
"""`.sockets`: where this thread's connections leave the socket that they wait on."""


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
        self.headers["Accept-Encoding"] = "gzip, deflate"
        for adapter in self.adapters.values():
            assert isinstance(adapter, requests.adapters.HTTPAdapter)
            adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        """Send one request. Raises ConnectorError."""
        options |= {"timeout": self._timeout, "stream": True, "allow_redirects": False}
        return call_patiently(
            str(request.method), lambda: self._send(request, options), self._first_pause
        )

    def _send(
        self, request: requests.PreparedRequest, options: dict[str, Any]
    ) -> requests.Response:
        with told_apart(self._name, self._url), _hung_up_after(self._longest, self._name):
            answer = super().send(request, **options)
            with answer:
                self._check(answer)
                body = read_bounded(answer, self._name, self._longest)
        if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise BadAnswer(f"{self._name}'s answer is not of Plex.")
        answer._content = body
        answer._content_consumed = True  # type: ignore[attr-defined]
        answer.encoding = "utf-8"
        return answer

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status < 300:
            return
        if status < 400:
            raise Refused(
                f"{self._name} sends its callers elsewhere ({status}): "
                "its address should be the one that Plex itself answers at."
            )
        if status == 401:
            raise SignInRefused(f"{self._name} does not take the token any more; connect again.")
        if status == 403:
            raise NotAllowed(f"{self._name} does not allow its user to do this.")
        if status == 404:
            raise NotFound(f"{self._name} has no such thing.")
        if status in PASSING or status >= 500:
            raise unavailable(self._name, answer)
        raise Refused(f"{self._name} would not do this ({status}).")


@contextlib.contextmanager
def _hung_up_after(seconds: float, name: str) -> Iterator[None]:
    """Cut the exchange off when its time is up: heads and chunk sizes may come byte by byte too."""
    sockets: list[socket.socket] = []
    is_over = threading.Event()

    def hang_up() -> None:
        is_over.set()
        for waiting in sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(waiting, socket.SHUT_RDWR)

    _exchange.sockets = sockets
    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    late = ConnectorUnavailable(f"{name} does not answer in time.")
    try:
        yield
    except (requests.RequestException, urllib3.exceptions.HTTPError, BadAnswer, OSError) as error:
        if is_over.is_set():
            raise late from error
        raise
    finally:
        timer.cancel()
        sockets.clear()
    if is_over.is_set():  # a head that was cut off looks like a whole one
        raise late


def _note_socket(waiting: Any) -> None:
    sockets = getattr(_exchange, "sockets", None)
    if sockets is not None and waiting is not None:
        sockets.append(waiting)


class _Connection(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        _note_socket(self.sock)
        return super().getresponse()


class _TlsConnection(urllib3.connection.HTTPSConnection):
    def getresponse(self) -> Any:
        _note_socket(self.sock)
        return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection

    def _validate_conn(self, conn: Any) -> None:
        """Connect; who turned `verify_tls` off knows it, and is not warned at each call."""
        if conn.is_closed:
            conn.connect()
