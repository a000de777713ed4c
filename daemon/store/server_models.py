"""The tables about media servers: who is who there, what was seen, what was written."""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from daemon.store.models import Base, now


class Account(Base):
    """A profile's user on a server. What signs them in is not here (`daemon.servers`)."""

    __tablename__ = "account"

    id: Mapped[int] = mapped_column(primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"))
    user_id: Mapped[str]
    user_name: Mapped[str]
    cursor: Mapped[dict[str, Any]] = mapped_column(default=dict)
    """Until when states and history were read."""
    problem: Mapped[str] = mapped_column(default="")

    __table_args__ = (UniqueConstraint("source_id", "profile_id"),)


class ServerState(Base):
    """What a server last said about an item for a user: later words are compared with it."""

    __tablename__ = "server_state"

    account_id: Mapped[int] = mapped_column(ForeignKey("account.id"), primary_key=True)
    location_id: Mapped[int] = mapped_column(
        ForeignKey("location.id", ondelete="CASCADE"), primary_key=True
    )
    plays: Mapped[int | None]
    skips: Mapped[int | None]
    last_played: Mapped[datetime | None]
    position: Mapped[float | None]
    is_favourite: Mapped[bool] = mapped_column(default=False)
    rating: Mapped[float | None]
    sent: Mapped[float | None]
    """The rating that was last written to the server, before the server rounded it."""


class Favourite(Base):
    """Whether an item is a profile's favourite, and who said so last."""

    __tablename__ = "favourite"

    profile_id: Mapped[int] = mapped_column(ForeignKey("profile.id"), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("item.id"), primary_key=True)
    is_favourite: Mapped[bool]
    origin: Mapped[str]
    """`person` or `server`."""
    changed_at: Mapped[datetime] = mapped_column(default=now)


class PlaylistTarget(Base):
    """A playlist on a server that a smart playlist owns."""

    __tablename__ = "playlist_target"

    playlist: Mapped[str] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(primary_key=True)
    """Source and profile, as `daemon.playlists` names them."""
    state: Mapped[str]
    """creating, active or deleted (by its user)."""
    name: Mapped[str]
    """As it was made."""
    remote_id: Mapped[str] = mapped_column(default="")
    created: Mapped[str] = mapped_column(default="")
    content_hash: Mapped[str] = mapped_column(default="")
    """Of the entries that were last read back, or, while it is being made, are to be."""
