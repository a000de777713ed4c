"""Who is signed in, and how often signing in was tried.

A session is a random token in the browser's cookie; here only its hash is kept, in memory and in a
file, so that a restart signs nobody out. A changed password signs everybody out.
"""

import hashlib
import json
import logging
import os
import secrets
import time
from collections import defaultdict
from pathlib import Path

log = logging.getLogger(__name__)

LIFETIME = 30 * 86_400
"""Seconds that a session lasts."""
FREE_ATTEMPTS = 5
LONGEST_WAIT = 300.0
ALL_TOGETHER = "*"
TOGETHER_FACTOR = 20
"""Attempts from everywhere are slowed down too, after this many times as many."""


class Sessions:
    """The sessions of one data folder, for one password."""

    def __init__(self, path: Path, password_hash: str) -> None:
        self._path = path
        self._password_hash = password_hash
        self._epoch = hashlib.sha256(b"epoch " + password_hash.encode()).hexdigest()
        self._ends: dict[str, float] = self._load()

    @property
    def password_hash(self) -> str:
        """The hash that a password is checked against."""
        return self._password_hash

    def begin(self) -> str:
        """Return the token of a new session."""
        token = secrets.token_urlsafe(32)
        self._ends[_digest(token)] = time.time() + LIFETIME
        self._save()
        return token

    def is_open(self, token: str | None) -> bool:
        """Tell whether the token is that of a session that has not ended."""
        return bool(token) and self._ends.get(_digest(token or ""), 0) > time.time()

    def end(self, token: str | None) -> None:
        """Sign the browser out that has this token."""
        if self._ends.pop(_digest(token or ""), None):
            self._save()

    def _load(self) -> dict[str, float]:
        try:
            saved = json.loads(self._path.read_text(encoding="ascii"))
            if saved["epoch"] != self._epoch:  # another password was in force
                return {}
            return {str(key): float(end) for key, end in saved["ends"].items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read, everyone signs in anew: %s", self._path, error)
            return {}

    def _save(self) -> None:
        self._ends = {key: end for key, end in self._ends.items() if end > time.time()}
        partial = self._path.with_name(self._path.name + ".partial")
        try:
            partial.unlink(missing_ok=True)
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                json.dump({"epoch": self._epoch, "ends": self._ends}, file)
            partial.replace(self._path)
        except OSError as error:
            log.warning("Sessions last until the next start only: %s", error)


class Attempts:
    """Failed sign-ins, by address and all together; each further one waits twice as long."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = defaultdict(lambda: (0, 0.0))

    def seconds_to_wait(self, address: str) -> float:
        """Return how long this address must wait before it may try again."""
        waits = (
            self._wait(address, FREE_ATTEMPTS),
            self._wait(ALL_TOGETHER, FREE_ATTEMPTS * TOGETHER_FACTOR),
        )
        return max(0.0, *waits)

    def note_failure(self, address: str) -> None:
        """Count a wrong password."""
        if len(self._failures) > 10_000:  # a flood of addresses must not fill the memory
            self._failures = defaultdict(
                lambda: (0, 0.0), {ALL_TOGETHER: self._failures[ALL_TOGETHER]}
            )
        for key in (address, ALL_TOGETHER):
            count, _ = self._failures[key]
            self._failures[key] = (count + 1, time.monotonic())

    def note_success(self, address: str) -> None:
        """Forget the failures of an address that knew the password after all."""
        self._failures.pop(address, None)
        self._failures.pop(ALL_TOGETHER, None)

    def _wait(self, key: str, free: int) -> float:
        count, last = self._failures.get(key, (0, 0.0))
        if count < free:
            return 0.0
        delay = min(LONGEST_WAIT, 2.0 ** min(20, count - free))
        return last + delay - time.monotonic()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
