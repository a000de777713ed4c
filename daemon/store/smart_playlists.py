"""Smart playlists that were made in the pages; those of the settings file are not here."""

from datetime import datetime
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from daemon.store.models import Base, now

OFF = "off"
"""Beside its options: it is switched off. Nothing is said of one that is on."""


class SmartPlaylist(Base):
    """A playlist as `daemon.playlist_settings.PlaylistSettings` takes it, by its name."""

    __tablename__ = "smart_playlist"

    name: Mapped[str] = mapped_column(primary_key=True)
    settings: Mapped[dict[str, Any]]
    changed_at: Mapped[datetime] = mapped_column(default=now)

    @property
    def options(self) -> dict[str, Any]:
        """Return what it is, on or off."""
        return {name: value for name, value in self.settings.items() if name != OFF}

    @property
    def is_off(self) -> bool:
        """Tell whether it is kept, but not written."""
        return OFF in self.settings


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


async def switch_smart_playlist_off(session: AsyncSession, row: SmartPlaylist) -> None:
    """Keep one as it is, off."""
    await save_smart_playlist(session, row.name, row.options | {OFF: True})


async def remove_smart_playlist(session: AsyncSession, name: str) -> bool:
    """Forget one; its editions and what was written stay. False if there was none."""
    gone = await session.execute(delete(SmartPlaylist).where(SmartPlaylist.name == name))
    return bool(gone.rowcount)  # type: ignore[attr-defined]
