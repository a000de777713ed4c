"""Give a smart playlist of the pages another name; what belongs to it follows."""

from pathlib import Path

from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.file_target import move_file
from daemon.playlists.list_words import words_fact
from daemon.playlists.made_journal import note_made
from daemon.playlists.reconciler import targets_of
from daemon.playlists.refreshing import refreshed_fact
from daemon.playlists.shelf import check_keepable
from daemon.rules import RuleError, format_rule, parse_rule
from daemon.rules.tree import rename_playlist_in
from daemon.services import Services
from daemon.store.editions import find_newest, find_targets
from daemon.store.facts import rename_fact
from daemon.store.models import PlaylistWrite
from daemon.store.server_models import PlaylistTarget
from daemon.store.smart_playlists import (
    find_smart_playlists,
    remove_smart_playlist,
    save_smart_playlist,
)


async def rename_playlist(
    services: Services, before: PlaylistSettings, playlist: PlaylistSettings
) -> None:
    """Keep a playlist in place of what it was under its old name. Raises PlaylistProblem.

    On servers it stays the same playlist, and its file goes along unless a person changed it.
    """
    check_keepable(services, playlist)
    old, new = before.name, playlist.name
    async with services.database.write(durable=True) as session:
        made = [(t.target, t.remote_id, t.created) for t in await find_targets(session, old)]
        await rename_fact(session, refreshed_fact(old), refreshed_fact(new))
        for target, _, _ in made:
            await rename_fact(session, words_fact(old, target), words_fact(new, target))
        for table in (PlaylistTarget, PlaylistWrite):  # one that is no more may have had the name
            await session.execute(delete(table).where(table.playlist == new))
            await session.execute(
                update(table).where(table.playlist == old).values(playlist=new),
                execution_options={"synchronize_session": False},
            )
        await remove_smart_playlist(session, old)
        await save_smart_playlist(
            session, new, playlist.model_dump(mode="json", exclude_defaults=True)
        )
        await _rename_in_rules(session, old, new)
        files = {file.parent: file for file in targets_of(services.settings, playlist)[0]}
        for file in targets_of(services.settings, before)[0]:
            if (to := files.get(file.parent, file)) != file:
                await _take_file_along(session, new, file, to)
    for target, remote_id, created in made:
        if remote_id:
            note_made(services.settings.data_dir, new, target, remote_id, created)


async def _take_file_along(session: AsyncSession, playlist: str, file: Path, to: Path) -> None:
    """Move a file with its editions; what was deleted stays so under the new name."""
    newest = await find_newest(session, playlist, str(file))
    if newest and await move_file(file, to, newest.content_hash):
        await session.execute(
            update(PlaylistWrite)
            .where(PlaylistWrite.playlist == playlist, PlaylistWrite.target == str(file))
            .values(target=str(to)),
            execution_options={"synchronize_session": False},
        )


async def _rename_in_rules(session: AsyncSession, old: str, new: str) -> None:
    """Let the rules that ask for the playlist ask for it by its new name."""
    for row in await find_smart_playlists(session):
        try:
            rule = parse_rule(row.settings.get("where", ""))
        except RuleError:  # of another version
            continue
        renamed = rename_playlist_in(rule, old, new)
        if renamed != rule:
            settings = row.settings | {"where": format_rule(renamed)}
            await save_smart_playlist(session, row.name, settings)
