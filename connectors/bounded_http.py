"""What the connectors on `requests` share: bounds, errors told apart, reading tried again."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests
import urllib3

from connectors.base import BadAnswer, ConnectorUnavailable, NotAllowed
from connectors.retrying import ATTEMPTS, LONGEST_PAUSE

T = TypeVar("T")

LARGEST_ANSWER = 64 << 20
"""Bytes."""
TIMEOUT = (3.05, 30.0)
"""Seconds to connect, and between two pieces of an answer."""
LONGEST = 120.0
"""Seconds for a whole answer: one byte a second must not hold us for ever."""
PASSING = (408, 429, 502, 503, 504)


def bind(session: requests.Session, *, verify_tls: bool) -> None:
    """Give a session few connections, no retries of its own, and no settings of the machine."""
    session.trust_env = False
    session.verify = verify_tls
    adapter = requests.adapters.HTTPAdapter(pool_maxsize=4, pool_block=True, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)


def read_bounded(answer: requests.Response, name: str, longest: float) -> bytes:
    """Read a streamed answer whole. Raises BadAnswer, ConnectorUnavailable."""
    deadline = time.monotonic() + longest
    promised = answer.headers.get("Content-Length", "")
    body = bytearray()
    while chunk := answer.raw.read1(1 << 16, decode_content=True):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise BadAnswer(f"{name}'s answer is too large.")
        if time.monotonic() > deadline:
            raise ConnectorUnavailable(f"{name} does not answer in time.")
    is_plain = "Content-Encoding" not in answer.headers
    if is_plain and promised.isdecimal() and len(body) < int(promised):
        raise BadAnswer(f"{name}'s answer broke off.")
    return bytes(body)


@contextmanager
def told_apart(name: str, url: str) -> Iterator[None]:
    """Turn what `requests` raises into our errors; its own messages may hold a token."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise NotAllowed(f"{name}'s certificate is not valid (verify_tls).") from error
    except (requests.exceptions.Timeout, urllib3.exceptions.ReadTimeoutError) as error:
        raise ConnectorUnavailable(f"{name} does not answer in time.") from error
    except (requests.exceptions.ChunkedEncodingError, urllib3.exceptions.HTTPError) as error:
        raise BadAnswer(f"{name}'s answer broke off.") from error
    except requests.exceptions.RequestException as error:
        raise ConnectorUnavailable(f"{name} cannot be reached at {url}.") from error


def unavailable(name: str, answer: requests.Response) -> ConnectorUnavailable:
    """Return the error of a status that may pass, with the wait that the server asks for."""
    wait = answer.headers.get("Retry-After", "")
    return ConnectorUnavailable(
        f"{name} answered {answer.status_code}.", float(wait) if wait.isdecimal() else None
    )


def call_patiently(method: str, call: Callable[[], T], first_pause: float) -> T:
    """Return `call()`; where it only reads, try again what may pass. Blocks."""
    attempts = ATTEMPTS if method in ("GET", "HEAD") else 1
    for attempt in range(1, attempts):
        try:
            return call()
        except ConnectorUnavailable as error:
            wait = first_pause * 2 ** (attempt - 1)
            if error.retry_after is not None:
                if error.retry_after > LONGEST_PAUSE:
                    raise
                wait = max(wait, error.retry_after)
            time.sleep(wait)
    return call()
