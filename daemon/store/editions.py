"""What was written of the smart playlists, and when: the newest editions at each target."""

from collections.abc import Sequence

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import PlaylistWrite
from daemon.store.server_models import PlaylistTarget

LONGEST = 50
"""Editions that are shown."""
KEPT = 100
"""Editions that stay of each playlist at each target."""


async def find_editions(session: AsyncSession, playlist: str) -> Sequence[PlaylistWrite]:
    """Return what was written of a playlist, the newest first."""
    rows = await session.scalars(
        select(PlaylistWrite)
        .where(PlaylistWrite.playlist == playlist)
        .order_by(PlaylistWrite.id.desc())
        .limit(LONGEST)
    )
    return rows.all()


async def find_newest(session: AsyncSession, playlist: str, target: str) -> PlaylistWrite | None:
    """Return what was last written of a playlist to a target."""
    newest: PlaylistWrite | None = await session.scalar(
        select(PlaylistWrite)
        .where(PlaylistWrite.playlist == playlist, PlaylistWrite.target == target)
        .order_by(PlaylistWrite.id.desc())
        .limit(1)
    )
    return newest


async def find_edition(
    session: AsyncSession, playlist: str, edition_id: int | None
) -> PlaylistWrite | None:
    """Return an edition of a playlist; without an id, the last that is not as the present one.

    That is looked for at the target that has most of the list: a server may lack some of it, and
    its edition of today is not yesterday's.
    """
    editions = select(PlaylistWrite).where(PlaylistWrite.playlist == playlist)
    if edition_id is not None:
        found = editions.where(PlaylistWrite.id == edition_id)
    else:
        of_targets = select(func.max(PlaylistWrite.id)).group_by(PlaylistWrite.target)
        newest = of_targets.where(PlaylistWrite.playlist == playlist)
        rows = (await session.scalars(editions.where(PlaylistWrite.id.in_(newest)))).all()
        if not rows:
            return None
        present = max(rows, key=lambda edition: (len(edition.item_ids), edition.id))
        others = editions.where(
            PlaylistWrite.target == present.target, PlaylistWrite.item_ids != present.item_ids
        )
        found = others.order_by(PlaylistWrite.id.desc()).limit(1)
    edition: PlaylistWrite | None = await session.scalar(found)
    return edition


async def keep_edition(session: AsyncSession, edition: PlaylistWrite) -> None:
    """Keep what was written, and let go of what is too old."""
    session.add(edition)
    await session.flush()
    of_target = (
        PlaylistWrite.playlist == edition.playlist, PlaylistWrite.target == edition.target,
    )  # fmt: skip
    newest_too_old = (
        select(PlaylistWrite.id)
        .where(*of_target)
        .order_by(PlaylistWrite.id.desc())
        .offset(KEPT)
        .limit(1)
    )
    await session.execute(
        delete(PlaylistWrite).where(
            *of_target, PlaylistWrite.id <= newest_too_old.scalar_subquery()
        )
    )


async def find_targets(session: AsyncSession, playlist: str) -> Sequence[PlaylistTarget]:
    """Return the playlists on servers that it owns or owned."""
    rows = await session.scalars(
        select(PlaylistTarget)
        .where(PlaylistTarget.playlist == playlist)
        .order_by(PlaylistTarget.target)
    )
    return rows.all()


async def find_others(session: AsyncSession, playlist: str, target: str) -> set[tuple[str, str]]:
    """Return what other smart playlists own at a target: ids and moments of making."""
    rows = await session.execute(
        select(PlaylistTarget.remote_id, PlaylistTarget.created).where(
            PlaylistTarget.target == target, PlaylistTarget.playlist != playlist
        )
    )
    return {(row.remote_id, row.created) for row in rows}
