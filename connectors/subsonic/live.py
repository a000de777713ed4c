"""From looks at what is playing to plays.

Servers drop an entry when its song should be over (Navidrome), some minutes after it began
(supysonic: three), or when the next one begins. How far a song went is known only from the last,
or when it was seen up to its end.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.server import Played, PlayEvent
from connectors.subsonic.parsing import real, text

STALE = 600.0
"""Seconds after which an entry of unknown length is taken for a leftover."""
GRACE = 90.0
"""Seconds by which a server may be late with dropping an entry; minutes are told whole."""


@dataclass
class _Playing:
    began: datetime
    seen: datetime
    minutes: float
    duration: float | None


class NowPlaying:
    """Remembers what was playing at the last look."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = dict(users)
        """User name on the server to the user's id."""
        self._playing: dict[tuple[str, str], _Playing] = {}

    def look(
        self, entries: Iterable[dict[str, Any]], now: datetime, *, every: float, gap: bool = False
    ) -> list[Played]:
        """Return the plays that ended since the last look, `every` seconds ago.

        `gap`: looks in between failed, so ends are not known.
        """
        played: list[Played] = []
        here = {(text(e.get("username")), text(e.get("id"))): e for e in entries if not _stale(e)}
        here = {key: entry for key, entry in here.items() if key[0] in self._users and key[1]}
        starts: dict[str, datetime] = {}
        for key, entry in here.items():
            minutes = real(entry.get("minutesAgo")) or 0.0
            known = self._playing.get(key)
            is_again = known is not None and _began_again(known, minutes, now)
            if known and not is_again:
                known.seen, known.minutes = now, minutes
                continue
            if known:
                played.append(self._end(key, known, None if gap else now))
            began = now - timedelta(minutes=int(minutes))
            starts[key[0]] = max(began, known.seen) if known else began
            self._playing[key] = _Playing(began, now, minutes, real(entry.get("duration")))
        for key in [key for key in self._playing if key not in here]:
            known = self._playing.pop(key)
            ended = starts.get(key[0])
            if ended is None and known.duration and not gap:
                seen = (known.seen - known.began).total_seconds()
                is_over = seen + every + GRACE >= known.duration
                ended = known.began + timedelta(seconds=known.duration) if is_over else None
            played.append(self._end(key, known, None if gap else ended))
        return played

    def _end(self, key: tuple[str, str], known: _Playing, ended: datetime | None) -> Played:
        user, item_id = key
        seconds = None
        if ended is not None:
            seconds = max((ended - known.began).total_seconds(), 0.0)
            seconds = min(seconds, known.duration) if known.duration else seconds
        event_key = f"live:{user}:{item_id}:{int(known.began.timestamp())}"
        return Played(self._users[user], PlayEvent(event_key, item_id, known.began, seconds))


def _began_again(known: _Playing, minutes: float, now: datetime) -> bool:
    """Tell whether the same song was begun anew. Seeking resets the clock of some servers too."""
    passed = (now - known.began).total_seconds()
    return minutes + 1 <= known.minutes and passed >= 0.5 * (known.duration or 0)


def _stale(entry: dict[str, Any]) -> bool:
    passed = 60 * (real(entry.get("minutesAgo")) or 0.0)
    return passed > (real(entry.get("duration")) or STALE) + GRACE
