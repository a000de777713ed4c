"""Smart playlists that were made in the pages; those of the settings file are not here."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from daemon.store.models import Base, now


class SmartPlaylist(Base):
    """A playlist as `daemon.playlist_settings.PlaylistSettings` takes it, by its name."""

    __tablename__ = "smart_playlist"

    name: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime] = mapped_column(default=now)


async def find_smart_playlists(session: AsyncSession) -> list[SmartPlaylist]:
    """Return them all, by name."""
    return list(await session.scalars(select(SmartPlaylist).order_by(SmartPlaylist.name)))


async def save_smart_playlist(session: AsyncSession, name: str, settings: dict[str, Any]) -> None:
    """Keep one, in place of what had its name."""
    values = {"settings": settings, "changed_at": now()}
    await session.execute(
        insert(SmartPlaylist)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
    )


async def remove_smart_playlist(session: AsyncSession, name: str) -> bool:
    """Forget one; its editions and what was written stay. False if there was none."""
    gone = await session.execute(delete(SmartPlaylist).where(SmartPlaylist.name == name))
    return bool(gone.rowcount)  # type: ignore[attr-defined]
