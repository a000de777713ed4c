"""What the stand-in keeps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TYPE_NUMBERS = {
    "movie": 1, "show": 2, "season": 3, "episode": 4, "artist": 8, "album": 9, "track": 10,
    "clip": 12, "photo": 13, "photoalbum": 14,
}  # fmt: skip
"""Plex's numbers of the types of items."""

TYPES_OF_SECTION = {
    "movie": ("movie",),
    "show": ("show", "season", "episode"),
    "artist": ("artist", "album", "track"),
    "photo": ("photoalbum", "photo", "clip"),
}
"""The first is what `all` lists when it is not told."""

PLAYLIST_TYPES = {
    "movie": "video", "episode": "video", "clip": "video", "track": "audio", "photo": "photo",
}  # fmt: skip
"""Type of an item that can be played to the type of the playlists that take it."""


@dataclass(eq=False)
class User:
    """An account of plex.tv, as this server knows it."""

    id: int
    """1: the owner."""
    name: str
    token: str
    """X-Plex-Token for this server."""
    account_token: str
    """Of plex.tv; the same as `token` for the owner only."""
    sections: set[int] | None = None
    """Keys of the sections that were shared; None: all."""
    state_revision: int = 0

    @property
    def is_owner(self) -> bool:
        """Whether the server is theirs."""
        return self.id == 1


@dataclass(eq=False)
class Section:
    """A library."""

    key: int
    title: str
    type: str
    locations: tuple[str, ...]
    uuid: str
    created_at: int
    updated_at: int
    """When its settings changed."""
    scanned_at: int
    revision: int = 0
    """Counts the changes of its items."""
    items: dict[str, list["Item"]] = field(default_factory=dict)
    """By type, in the order they were added."""

    def all_items(self) -> Iterator["Item"]:
        """Yield items of every type."""
        for items in self.items.values():
            yield from items


@dataclass(slots=True, eq=False)
class Part:
    """A file."""

    id: int
    file: str
    size: int
    stamp: int
    content: bytes | Path | None
    """What is served for it."""

    @property
    def container(self) -> str:
        """Its extension."""
        return self.file.rpartition(".")[2].lower()

    @property
    def name(self) -> str:
        """Its name without folders, as in the addresses of parts."""
        return f"file.{self.container}"


@dataclass(slots=True, eq=False)
class Media:
    """One version of an item, of one or more files."""

    id: int
    parts: list[Part]


@dataclass(slots=True, eq=False)
class Item:
    """Something with a rating key."""

    rating_key: int
    type: str
    section: Section
    title: str
    guid: str
    added_at: int
    updated_at: int
    parent: "Item | None" = None
    index: int | None = None
    duration: int | None = None
    """Milliseconds."""
    fields: dict[str, object] = field(default_factory=dict)
    """Further attributes by Plex's names: summary, year, studio, rating …"""
    tags: dict[str, list[tuple[str, str]]] = field(default_factory=dict)
    """"Genre", "Role" …: name, and role played."""
    guids: tuple[str, ...] = ()
    """Such as imdb://tt0078748."""
    media: list[Media] = field(default_factory=list)
    thumb: bytes | None = None
    art: bytes | None = None
    children: list["Item"] | None = None

    def leaves(self) -> Iterator["Item"]:
        """Yield what can be played: itself, or all that is below."""
        if self.children is None:
            yield self
        for child in self.children or ():
            yield from child.leaves()

    def ancestor(self, type: str) -> "Item | None":
        """Return itself or what is above it, of a type."""
        item: Item | None = self
        while item is not None and item.type != type:
            item = item.parent
        return item


@dataclass(slots=True, eq=False)
class State:
    """What the server remembers of an item for a user."""

    view_count: int = 0
    skip_count: int = 0
    last_viewed_at: int | None = None
    view_offset: int | None = None
    """Milliseconds."""
    user_rating: float | None = None
    last_rated_at: int | None = None


@dataclass(eq=False)
class View:
    """An entry of the history."""

    id: int
    user: User
    item: Item
    at: int
    is_deleted: bool = False
    """Whether the item is gone; the entry stays."""


@dataclass(eq=False)
class Playing:
    """A session: somebody plays something now."""

    key: int
    user: User
    item: Item
    offset: int
    """Milliseconds."""
    state: str = "playing"


@dataclass(slots=True, eq=False)
class Entry:
    """A place in a playlist."""

    id: int
    """playlistItemID."""
    item: Item


@dataclass(eq=False)
class Playlist:
    """Somebody's list."""

    rating_key: int
    user: User
    title: str
    type: str
    """audio, video or photo."""
    guid: str
    added_at: int
    updated_at: int
    summary: str = ""
    is_smart: bool = False
    entries: list[Entry] = field(default_factory=list)

    @property
    def items(self) -> list[Item]:
        """What is in it, in order."""
        return [entry.item for entry in self.entries]

    @property
    def titles(self) -> list[str]:
        """The titles in order."""
        return [entry.item.title for entry in self.entries]
