"""What the stand-in remembers."""

import hashlib
import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_NAMESPACES = {
    "Audio": "Audio.Audio", "MusicAlbum": "Audio.MusicAlbum", "MusicArtist": "Audio.MusicArtist",
    "Movie": "Movies.Movie", "Series": "TV.Series", "Season": "TV.Season", "Episode": "TV.Episode",
    "Playlist": "Playlist",
}  # fmt: skip
MEDIA_TYPES = {
    "Audio": "Audio", "AudioBook": "Audio", "MusicAlbum": "Audio", "Movie": "Video",
    "Episode": "Video", "MusicVideo": "Video", "Video": "Video", "Trailer": "Video",
    "Photo": "Photo", "Book": "Book",
}  # fmt: skip
FOLDERS = frozenset({
    "MusicAlbum", "MusicArtist", "Series", "Season", "PhotoAlbum", "Folder", "CollectionFolder",
    "BoxSet", "Playlist",
})  # fmt: skip


def hashed_id(kind: str, path: str, salt: str = "") -> str:
    """Return the id that the server makes from the .NET type and the path: 32 hex digits."""
    name = f"MediaBrowser.Controller.Entities.{_NAMESPACES.get(kind, kind)}{path}{salt}"
    digest = hashlib.md5(name.encode("utf-16-le"), usedforsecurity=False).digest()
    return uuid.UUID(bytes_le=digest).hex


def random_id() -> str:
    """Return 32 hex digits."""
    return secrets.token_hex(16)


def now() -> datetime:
    """Return the moment in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """Write a moment as the server does: seven decimals and Z."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


@dataclass(slots=True)
class User:
    """One who may sign in."""

    id: str
    name: str
    password: str
    is_admin: bool
    libraries: tuple[str, ...] | None
    """Ids of those this user sees; None: all."""
    is_disabled: bool = False


@dataclass(slots=True)
class Token:
    """What a request shows to be let in."""

    value: str
    user: User | None
    """None: an API key, made by an administrator."""
    device: str = ""
    client: str = ""


@dataclass(slots=True)
class Library:
    """A part of the media."""

    id: str
    name: str
    collection_type: str
    paths: tuple[str, ...]


@dataclass(slots=True)
class Item:
    """A track, film, series, album …"""

    id: str
    type: str
    name: str
    path: str
    library_id: str
    created: datetime
    saved: datetime
    parent_id: str
    runtime: float | None = None
    """Seconds."""
    size: int | None = None
    fields: dict[str, Any] = field(default_factory=dict)
    """What else its JSON has, under the names of the server."""
    image: bytes | None = None
    content: bytes | None = None
    lyrics: tuple[str, ...] | None = None

    @property
    def sort_name(self) -> str:
        """What listings are sorted by."""
        return self.name.casefold()

    def keys(self) -> str:
        """Return the key of its user data, which may outlive the id."""
        values = self.fields
        ids = values.get("ProviderIds") or {}
        if self.type == "Audio":
            disc, track = values.get("ParentIndexNumber"), values.get("IndexNumber")
            key = f"{track:04}" if track is not None else ""
            key = (f"{disc:04}-{key}" if disc is not None else key) + self.name
            key = f"{values['Album']}-{key}" if values.get("Album") else key
            artist = values.get("AlbumArtist")
            return f"{artist}-{key}" if artist else key
        if self.type == "Movie":
            return str(ids.get("Tmdb") or ids.get("Imdb") or self.id)
        if self.type == "Episode" and values.get("SeriesName"):
            season, episode = values.get("ParentIndexNumber", 0), values.get("IndexNumber", 0)
            return f"{values['SeriesName']}{season:03}{episode:03}"
        return self.id


@dataclass(slots=True)
class UserData:
    """What one user did with one item."""

    plays: int = 0
    last_played: datetime | None = None
    played: bool = False
    favourite: bool = False
    rating: float | None = None
    position: int = 0
    """Ticks of 100 ns."""


@dataclass(slots=True)
class Entry:
    """A place in a playlist."""

    item_id: str
    path: str
    id: str = field(default_factory=random_id)


@dataclass(slots=True)
class Playlist:
    """An ordered list of items that a user owns."""

    id: str
    name: str
    path: str
    owner_id: str
    media_type: str
    is_public: bool
    created: datetime
    saved: datetime
    entries: list[Entry] = field(default_factory=list)
    shares: dict[str, bool] = field(default_factory=dict)
    """User id to whether they may edit."""
    overview: str | None = None
    tags: tuple[str, ...] = ()
    image: bytes | None = None


@dataclass(slots=True)
class LogEntry:
    """A line of the activity log."""

    id: int
    name: str
    type: str
    item_id: str | None
    user_id: str
    date: datetime


@dataclass(slots=True)
class Playing:
    """Somebody plays something now."""

    id: str
    user: User
    item: Item
    position: int = 0
    """Ticks."""
    is_paused: bool = False
    device: str = "Sofa"
