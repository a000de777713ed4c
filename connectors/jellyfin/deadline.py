"""An end to exchanges that a server would draw out.

A time-out of `requests` begins anew with every byte. Here a whole exchange has a time, heads and
chunk sizes included: when it is up, the socket that the thread waits on is shut down.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import requests
import urllib3

_thread = threading.local()
"""`.exchange`: what this thread has under way."""


class Exchanges:
    """What a session has under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._under_way: set[_Exchange] = set()

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator["_Exchange"]:
        """Make one exchange; `is_cut` of what is yielded tells whether its time was up."""
        exchange = _Exchange()
        timer = threading.Timer(seconds, exchange.cut)
        timer.daemon = True
        with self._lock:
            self._under_way.add(exchange)
        _thread.exchange = exchange
        timer.start()
        try:
            yield exchange
        finally:
            timer.cancel()
            _thread.exchange = None
            with self._lock:
                self._under_way.discard(exchange)

    def cut_all(self) -> None:
        """End what is under way, so that no thread is waited for."""
        with self._lock:
            under_way = list(self._under_way)
        for exchange in under_way:
            exchange.cut()


class _Exchange:
    def __init__(self) -> None:
        self.is_cut = False
        self._sockets: list[Any] = []

    def hold(self, waiting: Any) -> None:
        """Take the socket that is waited on next."""
        self._sockets.append(waiting)
        if self.is_cut:
            self.cut()

    def cut(self) -> None:
        """Shut the socket down; whoever waits on it goes on with an error."""
        self.is_cut = True
        for waiting in self._sockets:
            with contextlib.suppress(OSError, TypeError):  # TypeError: no plain socket
                socket.socket.shutdown(waiting, socket.SHUT_RDWR)


def mount(session: requests.Session) -> None:
    """Let the session's connections say which socket they wait on."""
    for adapter in session.adapters.values():
        assert isinstance(adapter, requests.adapters.HTTPAdapter)
        adapter.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}


def _note(waiting: Any) -> None:
    exchange = getattr(_thread, "exchange", None)
    if exchange is not None and waiting is not None:
        exchange.hold(waiting)


class _Connection(urllib3.connection.HTTPConnection):
    def getresponse(self) -> Any:
        _note(self.sock)
        return super().getresponse()


class _TlsConnection(urllib3.connection.HTTPSConnection):
    def getresponse(self) -> Any:
        _note(self.sock)
        return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _TlsConnection
