"""From what sessions play, told again and again, to plays that have ended."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.jellyfin.values import TICKS, dicts, plain_id, real, text
from connectors.server import Played, PlayEvent

MOST_SESSIONS = 200
BEGINNING = 10.0
"""Seconds within which an item that had come further was begun anew, as on repeat."""


@dataclass(frozen=True, slots=True)
class _Playing:
    user_id: str
    item_id: str
    began: datetime
    seconds: float


class Playing:
    """What some users play now."""

    def __init__(self, user_ids: Collection[str]) -> None:
        self._user_ids = frozenset(user_ids)
        self._known: dict[str, _Playing] = {}

    def __bool__(self) -> bool:
        """Tell whether anything plays."""
        return bool(self._known)

    def hear(self, sessions: Any, at: datetime) -> list[Played]:
        """Take all sessions (SessionInfoDto) as they are at a moment; return what has ended."""
        heard = dict(self._read(session, at) for session in dicts(sessions)[:MOST_SESSIONS])
        heard.pop("", None)
        ended = []
        for session_id, before in self._known.items():
            now = heard.get(session_id)
            if now and not _is_another(before, now):
                heard[session_id] = _Playing(now.user_id, now.item_id, before.began, now.seconds)
            else:
                ended.append(_ended(session_id, before))
        self._known = heard
        return ended

    def _read(self, session: dict[str, Any], at: datetime) -> tuple[str, _Playing]:
        """Return a session's id, "" where it plays nothing of our users'."""
        item, state = session.get("NowPlayingItem"), session.get("PlayState")
        user_id = plain_id(session.get("UserId"))
        item_id = plain_id(item.get("Id")) if isinstance(item, dict) else ""
        ticks = real(state.get("PositionTicks")) if isinstance(state, dict) else None
        is_ours = item_id and user_id in self._user_ids
        seconds = max(0.0, (ticks or 0) / TICKS)
        return text(session.get("Id")) if is_ours else "", _Playing(user_id, item_id, at, seconds)


def _is_another(before: _Playing, now: _Playing) -> bool:
    if (before.user_id, before.item_id) != (now.user_id, now.item_id):
        return True
    return now.seconds < BEGINNING and before.seconds > 3 * BEGINNING


def _ended(session_id: str, play: _Playing) -> Played:
    key = f"live:{session_id}:{play.item_id}:{int(play.began.timestamp())}"
    event = PlayEvent(key, play.item_id, play.began, play.seconds or None)
    return Played(play.user_id, event)
