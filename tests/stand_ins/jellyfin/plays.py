"""What users did: counts, positions, ratings, favourites, the activity log, the plugin's table."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from tests.stand_ins.jellyfin.media import Media
from tests.stand_ins.jellyfin.quirks import Quirks
from tests.stand_ins.jellyfin.records import (
    MEDIA_TYPES,
    Item,
    LogEntry,
    Playing,
    User,
    UserData,
    now,
    random_id,
)

TICKS = 10_000_000
"""In a second."""


class Plays(Media):
    """Everything that is kept per user and item."""

    def __init__(self, version: str, name: str, quirks: Quirks) -> None:
        super().__init__(version, name, quirks)
        self.data: dict[str, dict[str, UserData]] = {}
        """By user id, by the item's key."""
        self.log: list[LogEntry] = []
        self.playing: dict[str, Playing] = {}
        """By session id."""
        self.reports = sqlite3.connect(":memory:", check_same_thread=False)
        self.reports.execute(
            "CREATE TABLE PlaybackActivity (DateCreated DATETIME NOT NULL, UserId TEXT, "
            "ItemId TEXT, ItemType TEXT, ItemName TEXT, PlaybackMethod TEXT, ClientName TEXT, "
            "DeviceName TEXT, PlayDuration INT)"
        )
        self._keys: tuple[int, dict[str, list[Item]]] = (-1, {})

    def user_data(self, user: str, item: str) -> UserData:
        """Return what the server remembers of an item for a user, to look at or to change."""
        return self.data_of(self.user(user), self.item(item))

    def data_of(self, user: User, item: Item) -> UserData:
        """Return the live record; an untouched one is made."""
        return self.data.setdefault(user.id, {}).setdefault(item.keys(), UserData())

    def peek(self, user: User, item: Item) -> UserData:
        """Return the record or an untouched one, without keeping that."""
        return self.data.get(user.id, {}).get(item.keys()) or UserData()

    def touched(self, user: User) -> Iterator[tuple[Item, UserData]]:
        """Yield the items of which the server remembers something for the user."""
        if self._keys[0] != self.revision:
            keys: dict[str, list[Item]] = {}
            for item in list(self.items.values()):
                keys.setdefault(item.keys(), []).append(item)
            self._keys = (self.revision, keys)
        for key, data in list(self.data.get(user.id, {}).items()):
            for item in self._keys[1].get(key, ()):
                yield item, data

    # Playing

    def play(
        self,
        user: str,
        item: str,
        position: float | None = None,
        *,
        finished: bool = False,
        at: datetime | None = None,
    ) -> None:
        """Let a user play an item to a position (seconds), or to its end, and stop."""
        runtime = self.item(item).runtime or 0
        session = self.start(user, item, at=at)
        end = runtime if finished or position is None else position
        self.stop(session, end, at=at)

    def start(self, user: str, item: str, *, at: datetime | None = None) -> str:
        """Let a user begin to play; return the session's id. This alone counts as a play."""
        person, thing = self.user(user), self.item(item)
        data = self.data_of(person, thing)
        data.plays += 1
        data.last_played = at or now()
        data.played = data.played or thing.type == "Audio"
        session = Playing(random_id(), person, thing)
        self.playing[session.id] = session
        self._note(person, thing, "Playback", at or now())
        self.tell_user_data(person, thing)
        self.tell_sessions()
        return session.id

    def progress(self, session: str, position: float, *, is_paused: bool = False) -> None:
        """Let what is played go on to a position in seconds."""
        playing = self.playing[session]
        playing.position, playing.is_paused = int(position * TICKS), is_paused
        self.tell_sessions()

    def stop(self, session: str, position: float, *, at: datetime | None = None) -> None:
        """Let a user stop at a position in seconds."""
        playing = self.playing.pop(session)
        user, item = playing.user, playing.item
        data, runtime = self.data_of(user, item), item.runtime or 0
        if MEDIA_TYPES.get(item.type) == "Video" and runtime:
            share = position / runtime
            data.played = data.played or share >= 0.9
            data.position = int(position * TICKS) if 0.05 <= share < 0.9 else 0
        self._note(user, item, "PlaybackStopped", (at or now()) + timedelta(seconds=position))
        began = (at or now()).astimezone().strftime("%Y-%m-%d %H:%M:%S.%f")  # the server's own zone
        row = (began, user.id, item.id, item.type, item.name, "DirectPlay", "Web", "Sofa")
        self.reports.execute(
            "INSERT INTO PlaybackActivity VALUES (?,?,?,?,?,?,?,?,?)", (*row, int(position))
        )
        self.tell_user_data(user, item)
        self.tell_sessions()

    def tell_sessions(self) -> None:
        """Tell the sockets that asked; the live part does it."""

    def _note(self, user: User, item: Item, what: str, date: datetime) -> None:
        medium = "Audio" if MEDIA_TYPES.get(item.type) == "Audio" else "Video"
        verb = "is playing" if what == "Playback" else "has finished playing"
        line = f"{user.name} {verb} {item.name} on Sofa"
        number = len(self.log) + 1
        self.log.append(LogEntry(number, line, f"{medium}{what}", item.id, user.id, date))

    # Words of the user

    def set_favourite(self, user: str, item: str, is_favourite: bool = True) -> None:
        """Let a user make an item a favourite, or not."""
        self.change_data(self.user(user), self.item(item), favourite=is_favourite)

    def set_rating(self, user: str, item: str, rating: float | None) -> None:
        """Let a user rate an item, 0 to 10."""
        self.change_data(self.user(user), self.item(item), rating=rating)

    def change_data(self, user: User, item: Item, **values: Any) -> UserData:
        """Change fields of the record and tell the user's sockets."""
        data = self.data_of(user, item)
        for name, value in values.items():
            setattr(data, name, value)
        self.tell_user_data(user, item)
        return data
