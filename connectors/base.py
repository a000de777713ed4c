"""What every source looks like to the rest of the program.

Errors::

    ConnectorError               anything that went wrong at, or on the way to, a source
    ├── ConnectorUnavailable     try later: a mount is missing, a server is down
    │   └── BadAnswer            the server answered, but with nonsense
    ├── Misconfigured            a person must act; the message says how
    │   ├── SignInRefused        the server does not take the token or password
    │   └── NotAllowed           signed in, but not allowed to do this
    ├── NotFound                 there is no such item, playlist or user on the server
    └── Refused                  the server would not do it, and will not the next time
    UnreadableFile               one file cannot be read; the message is the reason people see
"""

from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

Kind = Literal["music", "images", "videos", "text"]
"""What an item is; also the TYPE of a mounted folder."""

KINDS: tuple[Kind, ...] = get_args(Kind)


class ConnectorError(Exception):
    """Something went wrong at, or on the way to, a source."""


class ConnectorUnavailable(ConnectorError):
    """The source cannot be reached now; trying later may help."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        """Seconds that the server asks to be left alone for."""


class BadAnswer(ConnectorUnavailable):
    """The server's answer is cut short, no JSON or XML, or not of the promised shape."""


class Misconfigured(ConnectorError):
    """A person must change something; trying again will not help."""


class SignInRefused(Misconfigured):
    """The server does not take the token or password (any more)."""


class NotAllowed(Misconfigured):
    """The server knows who asks, and does not allow it."""


class NotFound(ConnectorError):
    """The server has no such item, playlist or user."""


class Refused(ConnectorError):
    """The server understood and would not: asking again as before is of no use."""


class UnreadableFile(Exception):
    """One file is garbage, truncated, too large or otherwise not readable."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a source says in words and numbers about one item. Every field may be unknown."""

    title: str = ""
    artists: tuple[str, ...] = ()
    album: str = ""
    album_artist: str = ""
    series: str = ""
    track: int | None = None
    disc: int | None = None
    season: int | None = None
    episode: int | None = None
    genres: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    """Directors, actors, writers, composers, photographers: names, most important first."""
    studios: tuple[str, ...] = ()
    year: int | None = None
    duration: float | None = None
    """Seconds."""
    width: int | None = None
    height: int | None = None
    overview: str = ""
    """Plot, description, comment: prose about the item."""
    lyrics: str = ""
    language: str = ""
    community_rating: float | None = None
    """0 to 10."""
    votes: int | None = None
    """How many people `community_rating` averages."""
    provider_ids: dict[str, str] = field(default_factory=dict)
    """For example {"musicbrainz_recording": "…", "imdb": "tt…", "tmdb": "…", "acoustid": "…"}."""
    extra: dict[str, str] = field(default_factory=dict)
    """Further facts worth words: camera, place, mood, key; label to text."""

    def as_dict(self) -> dict[str, Any]:
        """Return only what is known, ready for JSON."""
        values = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in values if value not in ("", None, (), {})}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Undo `as_dict`, after JSON made lists of the tuples."""
        known: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        return cls(**known)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One file of a mounted folder, as read: evidence of identity, and what it says."""

    path: bytes
    """Relative to the source's root, `/`-separated, exactly the bytes of the file system."""
    size: int
    mtime_ns: int
    companions: str
    """Fingerprint of the sidecar and .nfo files beside it ("" without any)."""
    soft_hash: str
    """xxh3-128 over the size and five evenly spread 1 MiB blocks (all of a smaller file)."""
    content_hash: str | None
    """Hash of the encoded media without its tags, where that is cheap to reach."""
    look: str | None
    """Pictures: 64-bit difference hash of the decoded pixels (hex), to tell an edit from a swap."""
    metadata: Metadata
    sidecar: str = ""
    """The text of `NAME.EXT.meta`, at most 32 KiB."""
    rating: float | None = None
    """The file's own word about itself, 0 to 10."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain values for the worker protocol."""
        return {
            "path": self.path, "size": self.size, "mtime_ns": self.mtime_ns,
            "companions": self.companions, "soft_hash": self.soft_hash,
            "content_hash": self.content_hash, "look": self.look,
            "metadata": self.metadata.as_dict(), "sidecar": self.sidecar, "rating": self.rating,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Undo `as_dict`."""
        return cls(**{**values, "metadata": Metadata.from_dict(values["metadata"])})
