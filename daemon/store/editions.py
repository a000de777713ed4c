"""What was written of the smart playlists, and when."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import PlaylistWrite
from daemon.store.server_models import PlaylistTarget

LONGEST = 50
"""Editions that are shown."""


async def find_editions(session: AsyncSession, playlist: str) -> Sequence[PlaylistWrite]:
    """Return what was written of a playlist, the newest first."""
    rows = await session.scalars(
        select(PlaylistWrite)
        .where(PlaylistWrite.playlist == playlist)
        .order_by(PlaylistWrite.id.desc())
        .limit(LONGEST)
    )
    return rows.all()


async def find_targets(session: AsyncSession, playlist: str) -> Sequence[PlaylistTarget]:
    """Return the playlists on servers that it owns or owned."""
    rows = await session.scalars(
        select(PlaylistTarget)
        .where(PlaylistTarget.playlist == playlist)
        .order_by(PlaylistTarget.target)
    )
    return rows.all()
