"""What every media server looks like to the rest of the program.

A `Server` speaks for one source of the settings. It knows nothing of the catalogue: ids are the
server's own, moments are aware datetimes in UTC, lengths of time are seconds, ratings are 0 to 10
whatever the server's own scale. Every method raises the errors of `connectors.base` and no others;
their messages name the server and say what to do, and never hold a token or a password.

Reading is retried where it may pass. Writing is not: after a write that broke off nobody knows
what happened, so the caller reads back.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, Self, TypeVar

from connectors.base import Kind, Metadata
from connectors.streams import ServerStream

T = TypeVar("T")


class Capability(StrEnum):
    """What a server, of its version and for its users, can do."""

    CHANGES = "changes"
    """`items(since=…)` answers with little more than what has changed."""
    HISTORY = "history"
    """`history` has events; without it there are only the counts of `states`."""
    LIVE = "live"
    """`watch` tells of plays and new items within seconds."""
    RATE = "rate"
    FAVOURITE = "favourite"
    PLAYLISTS = "playlists"
    VISIBILITY = "visibility"
    """A playlist can be public or private."""
    MARK = "mark"
    """A playlist has a description that can be written and is read back by `playlists`."""
    DUPLICATES = "duplicates"
    """A playlist may hold an item twice."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person's user on the server, with what signs them in."""

    profile: str
    user_id: str
    user_name: str
    secrets: Mapping[str, str] = field(repr=False)
    """What `sign_in` or `Link.wait` gave: tokens. Opaque to all but the connector."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Who answers at the address."""

    id: str
    """The server's own id; the same while its database is."""
    name: str
    version: str
    capabilities: frozenset[Capability]


@dataclass(frozen=True, slots=True)
class Library:
    """A part of the server's media."""

    id: str
    name: str
    kinds: frozenset[Kind]
    roots: tuple[str, ...] = ()
    """Folders on the server, where it tells."""
    count: int | None = None
    """How many items of ours (leaves, not albums or series) it has; None if it does not tell."""
    stamp: str = ""
    """Opaque; while it stays the same no item was added, removed or changed. "": unknown."""


@dataclass(frozen=True, slots=True)
class ServerItem:
    """One track, film, episode, clip, picture or book as the server lists it."""

    id: str
    kind: Kind
    metadata: Metadata
    """With `duration`, and `provider_ids` named as the folder connector names them."""
    path: str = ""
    """Where the server has the file, as it says, with its own separators."""
    has_real_path: bool = True
    """False where the server makes paths up from the tags."""
    size: int | None = None
    """Bytes of the file."""
    stamp: str = ""
    """Opaque; changes when the server's metadata of the item change. "": unknown."""
    added_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ItemState:
    """What the server remembers about one item for one user."""

    item_id: str
    plays: int | None = None
    """How often it was played, or begun, as the server counts; None where it does not count."""
    skips: int | None = None
    last_played: datetime | None = None
    position: float | None = None
    """Where playing stopped, where the server keeps that; None at the beginning and the end."""
    is_finished: bool | None = None
    """Whether the server holds it for played to the end; None where that says nothing."""
    is_favourite: bool = False
    rating: float | None = None
    rated_at: datetime | None = None
    """When the rating (or else the favourite) was given, where the server keeps that."""


@dataclass(frozen=True, slots=True)
class PlayEvent:
    """One playing of one item by one user."""

    key: str
    """The same for the same event whenever it is read; unique on the server."""
    item_id: str
    at: datetime
    """When it began, or, where the server does not keep that, when it ended."""
    seconds: float | None = None
    """How far it went."""
    is_finished: bool | None = None
    """Where the server itself says whether it was played to the end."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A bounded number of answers."""

    entries: Sequence[T]
    next: str | None
    """Give it as `start` to go on behind this page, also after a restart; None: that was all."""
    total: int | None = None
    """How many there are, as far as the server says now."""


@dataclass(frozen=True, slots=True)
class PlaylistEntry:
    """One place in a playlist."""

    id: str
    """Of the entry, where the server tells entries apart; else the item's id."""
    item_id: str


@dataclass(frozen=True, slots=True)
class ServerPlaylist:
    """A playlist as the server has it."""

    id: str
    name: str
    owner_id: str = ""
    is_public: bool | None = None
    description: str = ""
    created: str = ""
    """Opaque: tells a playlist from a later one that was given the same id."""
    count: int | None = None
    changed: str = ""
    """Opaque; while it stays the same nobody changed the playlist. "": unknown."""
    entries: tuple[PlaylistEntry, ...] | None = None
    """In order; None where they were not asked for."""

    @property
    def item_ids(self) -> list[str]:
        """The items in order."""
        return [entry.item_id for entry in self.entries or ()]


# Live events


@dataclass(frozen=True, slots=True)
class Resync:
    """The connection was made, again or anew: events may have been missed."""


@dataclass(frozen=True, slots=True)
class ItemsChanged:
    """Items were added, changed or removed."""

    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatesChanged:
    """A user's play counts, positions, ratings or favourites changed."""

    user_id: str
    states: tuple[ItemState, ...]


@dataclass(frozen=True, slots=True)
class Played:
    """A user stopped playing something."""

    user_id: str
    event: PlayEvent


LiveEvent = Resync | ItemsChanged | StatesChanged | Played


class Link(Protocol):
    """A sign-in that a person confirms elsewhere (Quick Connect, Plex's PIN)."""

    code: str
    url: str
    """Where to enter the code; for people."""

    async def wait(self, timeout: float) -> Account:
        """Return the account once it was confirmed. Raises SignInRefused when it ran out."""
        ...


class Server(Protocol):
    """One media server of the settings. Open it with `async with`."""

    info: ServerInfo
    """Known once it is open."""

    async def __aenter__(self) -> Self:
        """Reach the server and learn what it is."""
        ...

    async def __aexit__(self, *exception: object) -> None:
        """Close connections and threads."""
        ...

    # Signing in; needs no account

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Return the account of a user. Raises SignInRefused."""
        ...

    async def begin_link(self, profile: str) -> Link:
        """Begin a sign-in by code. Raises Refused where the server has none."""
        ...

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the account's secrets are not taken any more."""
        ...

    # Reading the library

    async def libraries(self) -> list[Library]:
        """Return the libraries that hold items of ours, at one or a few requests each."""
        ...

    def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield a library's leaves in bounded pages; with `since`, those changed since."""
        ...

    def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all its leaves, in pages as large as the server likes."""
        ...

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those ids that the server has and the user may see."""
        ...

    # What users did

    def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield the states that differ from the untouched.

        With `since`, at least those that changed since, at a handful of requests; a rating or
        favourite that was taken back is seen only without it.
        """
        ...

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the present states of these items, the untouched ones too."""
        ...

    def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield the user's plays, oldest or newest first; nothing without Capability.HISTORY."""
        ...

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give or take back a rating; return what the server now has (it may round)."""
        ...

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Make an item a favourite, or not; return what the server now has."""
        ...

    def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Yield live events for ever, connecting again with growing pauses when cut off.

        Yields Resync after each connect. Raises SignInRefused, and Refused where there is nothing
        to watch.
        """
        ...

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the playlists that the user sees, without their entries."""
        ...

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with all its entries. Raises NotFound."""
        ...

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist; return its id. What is in it is known only by reading it back."""
        ...

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Bring a playlist, in place, from the entries it was just read with to these.

        Returns how many requests were sent. What came of it is known only by reading it back.
        """
        ...

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Change what is not None, as far as the server can."""
        ...

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist. Raises NotFound."""
        ...

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the item's file as the server has it; `byte_range` as in the Range header."""
        ...

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open a cover or poster of about `size` pixels. Raises NotFound where there is none."""
        ...
