"""The tables. Change them here, then write the migration: python -m daemon.store.migrate "why"."""

import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    UniqueConstraint,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def now() -> datetime:
    """Return this moment; all times in the database are UTC."""
    return datetime.now(UTC)


def new_id() -> int:
    """Return a 62-bit id that sorts by time and is never given twice, even by a new database."""
    return next(_IDS)


def _draw_ids() -> Iterator[int]:
    """Yield milliseconds with 21 random bits; a sync draws dozens in one of them."""
    moment, drawn = 0, set[int]()
    while True:
        if moment != (moment := time.time_ns() // 1_000_000):
            drawn.clear()
        chance = secrets.randbits(21)
        if chance not in drawn:
            drawn.add(chance)
            yield moment << 21 | chance


_IDS = _draw_ids()


def public_id(item_id: int) -> str:
    """Return the opaque string by which pages, files and programs name an item."""
    return format(item_id, "x")


def parse_public_id(text: str) -> int | None:
    """Undo `public_id`; None where the text is no id."""
    try:
        value = int(text, 16)
    except ValueError:
        return None
    return value if 0 < value < 1 << 63 and format(value, "x") == text else None


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC: SQLite keeps no zone, Python wants one."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Store without the zone."""
        return value.astimezone(UTC).replace(tzinfo=None) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give the zone back."""
        return value.replace(tzinfo=UTC) if value else None


class Base(DeclarativeBase):
    """Names every constraint: SQLite cannot alter an unnamed one."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON, list[Any]: JSON}  # noqa: RUF012


class Source(Base):
    """A mounted folder or a media server account, named by the user."""

    __tablename__ = "source"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    """`folder`, or the kind of server."""
    media: Mapped[str | None]
    """The kind of the items of a folder."""
    root: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Folders: absolute path, so that verbs find files without the settings."""
    in_settings: Mapped[bool] = mapped_column(default=True)
    synced_at: Mapped[datetime | None]
    problem: Mapped[str] = mapped_column(default="")
    """Why the last sync of it could not be done or trusted; "" when all is well."""
    details: Mapped[dict[str, Any] | None]
    """Servers: who they are, and how far each library was read."""


class Item(Base):
    """One thing that a person can like."""

    __tablename__ = "item"

    id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"),  # only INTEGER is SQLite's own row id
        primary_key=True,
        autoincrement=False,
    )
    kind: Mapped[str]
    title: Mapped[str] = mapped_column(String(collation="NOCASE"))
    artist: Mapped[str] = mapped_column(default="")
    """Shown beside the title: artists, director or photographer."""
    album: Mapped[str] = mapped_column(default="")
    year: Mapped[int | None]
    duration: Mapped[float | None]
    facts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """`connectors.base.Metadata.as_dict()`, merged over the locations."""
    sidecar: Mapped[str] = mapped_column(default="")
    own_facts: Mapped[dict[str, Any] | None]
    """What its file says, where servers say something too; None: the same as `facts`."""
    own_hash: Mapped[str | None]
    """The `input_hash` that goes with `own_facts`."""
    input_hash: Mapped[str] = mapped_column(default="")
    """Changes when the file's content, its facts or its companions change."""
    media_hash: Mapped[str] = mapped_column(default="", server_default="")
    """Changes when what is seen and heard changes, and not with tags or companions."""
    description_hash: Mapped[str | None]
    """Changes when the composed description changes; None before the first."""
    added_at: Mapped[datetime] = mapped_column(default=now)
    gone_at: Mapped[datetime | None]
    """When its last location vanished; its ratings, plays and vectors stay."""

    __table_args__ = (
        Index("ix_item_kind_gone_at_added_at", "kind", "gone_at", "added_at", "id"),
        Index("ix_item_kind_gone_at_title", "kind", "gone_at", "title", "id"),
        Index("ix_item_kind_gone_at_year", "kind", "gone_at", "year", "id"),
        Index("ix_item_kind_gone_at_duration", "kind", "gone_at", "duration", "id"),
    )


class Location(Base):
    """Where an item is found: a path in a folder, or an id on a server. Kept when it vanishes."""

    __tablename__ = "location"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    path: Mapped[bytes] = mapped_column(LargeBinary)
    """Folders: relative to the root, the bytes of the file system. Servers: the id there."""
    server_path: Mapped[str | None]
    """Servers: where the server says that the file is."""
    local_path: Mapped[bytes | None] = mapped_column(LargeBinary)
    """Servers: absolute, where `path_map` finds it here."""
    library: Mapped[str | None]
    sweep: Mapped[int | None] = mapped_column(BigInteger)
    """Servers: the last reading of all ids in which it was there."""
    facts: Mapped[dict[str, Any] | None]
    """Servers: `Metadata.as_dict()` as the server says it."""
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    companions: Mapped[str] = mapped_column(default="")
    """Folders: fingerprint of the files beside it. Servers: the stamp of the metadata."""
    soft_hash: Mapped[str] = mapped_column(index=True)
    content_hash: Mapped[str | None] = mapped_column(index=True)
    look: Mapped[str | None]
    duration: Mapped[float | None]
    provider_ids: Mapped[dict[str, Any]] = mapped_column(default=dict)
    added_at: Mapped[datetime] = mapped_column(default=now)
    gone_at: Mapped[datetime | None]

    __table_args__ = (  # the partial ones cost folders nothing
        UniqueConstraint("source_id", "path"),
        Index(
            "ix_location_source_id_server_path",
            "source_id",
            "server_path",
            sqlite_where=text("server_path IS NOT NULL"),
        ),
        Index(
            "ix_location_source_id_library",
            "source_id",
            "library",
            "sweep",
            sqlite_where=text("library IS NOT NULL"),
        ),
        Index("ix_location_local_path", "local_path", sqlite_where=text("local_path IS NOT NULL")),
    )


class ProviderId(Base):
    """A provider's id of an item's location, to find the item by it."""

    __tablename__ = "provider_id"

    location_id: Mapped[int] = mapped_column(
        ForeignKey("location.id", ondelete="CASCADE"), primary_key=True
    )
    provider: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]

    __table_args__ = (Index("ix_provider_id_provider_value", "provider", "value"),)


class Join(Base):
    """A location that was found to be an item already known, and why. Can be undone."""

    __tablename__ = "join_record"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    location_id: Mapped[int] = mapped_column(ForeignKey("location.id", ondelete="CASCADE"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), index=True)
    evidence: Mapped[str]
    undone_at: Mapped[datetime | None]


class Profile(Base):
    """One person's taste."""

    __tablename__ = "profile"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime] = mapped_column(default=now)


class Rating(Base):
    """What a profile thinks of an item now."""

    __tablename__ = "rating"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    value: Mapped[float]
    origin: Mapped[str]
    """`person`; `file`, whose word never overrides the person's; or `server`, whose newer does."""
    rated_at: Mapped[datetime]

    __table_args__ = (
        Index("ix_rating_profile_id_value", "profile_id", "value"),
        Index("ix_rating_item_id", "item_id"),
    )


class RatingEvent(Base):
    """Every rating ever given; append-only. The journal has the same lines."""

    __tablename__ = "rating_event"

    id: Mapped[str] = mapped_column(primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    value: Mapped[float | None]
    """None: the rating was taken back."""
    origin: Mapped[str]
    rated_at: Mapped[datetime]

    __table_args__ = (Index("ix_rating_event_profile_id_item_id", "profile_id", "item_id"),)


class Play(Base):
    """One event of listening, watching, viewing or reading."""

    __tablename__ = "play"

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    source: Mapped[str]
    """`web`, or the name of a server."""
    event_key: Mapped[str]
    played_at: Mapped[datetime]
    position: Mapped[float | None]
    """How far it went, in seconds."""
    duration: Mapped[float | None]
    outcome: Mapped[str]
    """`finished`, `skipped`, `abandoned` or `unknown`."""

    __table_args__ = (
        UniqueConstraint("source", "event_key"),
        Index("ix_play_profile_id_item_id_played_at", "profile_id", "item_id", "played_at"),
    )


class Description(Base):
    """Text about an item, with its producer; see `daemon.store.descriptions`."""

    __tablename__ = "description"

    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    producer: Mapped[str] = mapped_column(primary_key=True)
    text: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(default=now)


class Work(Base):
    """That a worker has done its part for an item, or failed at it.

    Done for `input_hash` unless `error` is set; stale when the item's hash differs.
    """

    __tablename__ = "work"

    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    worker: Mapped[str] = mapped_column(primary_key=True)
    """For example `describe:files@1`, `perceive:MODEL` or `embed:SPACE`."""
    input_hash: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[str | None]
    at: Mapped[datetime] = mapped_column(default=now)


class UnreadableLocation(Base):
    """A file that could not become an item, with the reason; looked at again when it changes."""

    __tablename__ = "unreadable_location"

    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"), primary_key=True)
    path: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    companions: Mapped[str] = mapped_column(default="")
    reason: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)


class Vector(Base):
    """A vector of a space, keyed by the hash of what was embedded."""

    __tablename__ = "vector"

    space: Mapped[str] = mapped_column(primary_key=True)
    """Model id @ revision : preprocessing."""
    content: Mapped[str] = mapped_column(primary_key=True)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    """float16, little-endian, of unit length for text and media spaces."""


class ItemVector(Base):
    """The vectors of an item in a space, in order. A re-embedding makes new rows, higher ids."""

    __tablename__ = "item_vector"

    id: Mapped[int] = mapped_column(primary_key=True)
    space: Mapped[str]
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"))
    content: Mapped[str]
    snippet: Mapped[str] = mapped_column(default="")
    """The beginning of the text that was embedded, to show why a search found the item."""

    __table_args__ = (
        Index("ix_item_vector_space_id", "space", "id"),
        Index("ix_item_vector_space_item_id", "space", "item_id"),
        {"sqlite_autoincrement": True},
    )


class Fact(Base):
    """What the program remembers about itself, such as the text space in use."""

    __tablename__ = "fact"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[dict[str, Any]]


class TasteModel(Base):
    """A trained model of a profile, with its figures. Kept for ever; one is in use."""

    __tablename__ = "taste_model"

    id: Mapped[int] = mapped_column(primary_key=True)
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"), index=True)
    made_at: Mapped[datetime] = mapped_column(default=now)
    settings: Mapped[dict[str, Any]]
    """Hyperparameters: all that `ml.taste` needs to fit the head to new ratings at once."""
    figures: Mapped[dict[str, Any]]
    ratings: Mapped[int]
    trusted: Mapped[bool]
    in_use: Mapped[bool]


class Prediction(Base):
    """What a profile's taste model expects of an item."""

    __tablename__ = "prediction"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    kind: Mapped[str]
    """The item's kind, repeated here so that one index sorts a kind by prediction."""
    value: Mapped[float]
    uncertainty: Mapped[float]
    """Standard deviation, in rating points."""

    __table_args__ = (
        Index("ix_prediction_profile_id_kind_value", "profile_id", "kind", "value", "item_id"),
    )


class PredictionState(Base):
    """What a profile's stored predictions were made from."""

    __tablename__ = "prediction_state"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"), primary_key=True)
    fingerprint: Mapped[str]
    """Of the ratings, the model and the vectors; predictions are fresh while it is the same."""
    trusted: Mapped[bool]
    made_at: Mapped[datetime] = mapped_column(default=now)


class PlaylistWrite(Base):
    """An edition of a smart playlist: what was written to a target, and what was read back."""

    __tablename__ = "playlist_write"

    id: Mapped[int] = mapped_column(primary_key=True)
    playlist: Mapped[str] = mapped_column(index=True)
    target: Mapped[str]
    at: Mapped[datetime] = mapped_column(default=now)
    item_ids: Mapped[list[Any]]
    content_hash: Mapped[str]
    verified: Mapped[bool]
    message: Mapped[str] = mapped_column(default="")
    """Of the receipt."""


class JobRun(Base):
    """One run of one step: the queue while it waits, the history when it has ended."""

    __tablename__ = "job_run"

    id: Mapped[int] = mapped_column(primary_key=True)
    group: Mapped[str] = mapped_column(index=True)
    """Runs that were asked for together; they run in the order of their ids."""
    step: Mapped[str]
    lane: Mapped[str]
    """`io` or `gpu`: one run at a time in each."""
    origin: Mapped[str]
    """`schedule`, `person`, `files` (a file event) or `start`."""
    state: Mapped[str] = mapped_column(default="queued")
    """queued, running, done, failed or cancelled."""
    cancel_requested: Mapped[bool] = mapped_column(default=False)
    options: Mapped[dict[str, Any]] = mapped_column(default=dict)
    checkpoint: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """What the step wants to find again when it goes on after a kill."""
    attempts: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    message: Mapped[str] = mapped_column(default="")
    error: Mapped[str] = mapped_column(default="")
    queued_at: Mapped[datetime] = mapped_column(default=now)
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_job_run_state", "state"),)
