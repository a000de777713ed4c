"""Make every target of a smart playlist equal to the wanted list; write nothing that is right.

Targets are M3U8 files and playlists on servers. Success is what was read back. Editions are kept
in the catalogue, and any of them can be brought back.
"""

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from connectors.base import ConnectorError
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.file_target import bring_to_file
from daemon.playlists.m3u8 import file_name
from daemon.playlists.problems import Abstained
from daemon.playlists.receipt import Receipt
from daemon.playlists.selection import Entry, choose, find_entries
from daemon.playlists.server_target import ServerTarget, target_name
from daemon.services import Services
from daemon.settings import Settings
from daemon.store.editions import find_edition, keep_edition
from daemon.store.models import PlaylistWrite
from daemon.store.profiles import UnknownProfile, find_profile

_writing: dict[str, asyncio.Lock] = {}
"""One writer a target."""


class UnknownEdition(LookupError):
    """There is no such edition of the playlist."""


def targets_of(settings: Settings, playlist: PlaylistSettings) -> tuple[list[Path], list[str]]:
    """Return the files that carry the playlist, and the servers."""
    servers = {server.name for server in settings.servers}
    folders = [Path(to).expanduser() for to in playlist.write_to if to not in servers]
    if not playlist.write_to:
        folders = [settings.data_dir / "playlists"]
    files = [folder / file_name(playlist.name) for folder in folders]
    return files, [to for to in playlist.write_to if to in servers]


async def preview(services: Services, playlist: PlaylistSettings, day: date) -> list[Receipt]:
    """Return what writing would do, without doing it."""
    return await _reconcile(services, playlist, day, dry=True, revive=True)


async def reconcile(
    services: Services, playlist: PlaylistSettings, day: date, *, revive: bool = False
) -> list[Receipt]:
    """Write the playlist to its targets. `revive`: also where a person has deleted it."""
    return await _reconcile(services, playlist, day, dry=False, revive=revive)


async def restore_edition(
    services: Services, playlist: PlaylistSettings, edition_id: int | None = None
) -> list[Receipt]:
    """Bring an edition back to the targets; without an id, the one before the present.

    The next refresh writes a new one. Raises UnknownEdition.
    """
    async with services.database.read() as session:
        edition = await find_edition(session, playlist.name, edition_id)
        if edition is None:
            raise UnknownEdition(f"There is no such edition of {playlist.name}.")
        entries = await find_entries(session, edition.item_ids, f"edition of {edition.at:%d %B}")
    return await _write_all(services, playlist, entries, dry=False, revive=True)


async def _reconcile(
    services: Services, playlist: PlaylistSettings, day: date, *, dry: bool, revive: bool
) -> list[Receipt]:
    files, servers = targets_of(services.settings, playlist)
    try:
        entries = await choose(services, playlist, day)
    except (Abstained, UnknownProfile) as reason:
        state = "abstained" if isinstance(reason, Abstained) else "failed"
        names = [*map(str, files), *servers]
        return [Receipt(playlist.name, name, state, str(reason), ()) for name in names]
    return await _write_all(services, playlist, entries, dry=dry, revive=revive)


async def _write_all(
    services: Services,
    playlist: PlaylistSettings,
    entries: Sequence[Entry],
    *,
    dry: bool,
    revive: bool,
) -> list[Receipt]:
    """Bring the list to all targets; servers at the same time, so none waits for another."""
    files, servers = targets_of(services.settings, playlist)
    receipts = []
    for file in files:
        receipt, content = await bring_to_file(
            services.database, playlist.name, file, entries, dry=dry, revive=revive
        )
        receipts.append(receipt)
        if not dry:
            await _keep_edition(services, receipt, content)

    async def bring(name: str) -> Receipt:
        async with _writing.setdefault(f"{playlist.name}/{name}", asyncio.Lock()):
            receipt, content = await _bring_to_server(
                services, playlist, name, entries, dry=dry, revive=revive
            )
            if not dry:
                await _keep_edition(services, receipt, content)
        return receipt

    return receipts + list(await asyncio.gather(*map(bring, servers)))


async def _bring_to_server(
    services: Services,
    playlist: PlaylistSettings,
    name: str,
    entries: Sequence[Entry],
    *,
    dry: bool,
    revive: bool,
) -> tuple[Receipt, str]:
    async with services.database.read() as session:
        profile = await find_profile(session, services.settings, playlist.profile or None)
    try:
        server = await services.servers.open(name)
        account = services.servers.account(name, profile.name)
    except ConnectorError as error:
        target = target_name(name, profile.name)
        return Receipt(playlist.name, target, "failed", str(error), entries), ""
    if account is None:
        message = (
            f"{profile.name} has not signed in at {name}: "
            f"python -m daemon connect '{name}' --profile '{profile.name}'"
        )
        target = target_name(name, profile.name)
        return Receipt(playlist.name, target, "failed", message, entries), ""
    target_at = ServerTarget(services, playlist, server, name, account)
    return await target_at.bring(entries, dry=dry, revive=revive)


async def _keep_edition(services: Services, receipt: Receipt, content: str) -> None:
    """Keep what is now on the list, where it has changed."""
    if receipt.state != "written" and not (receipt.state == "failed" and receipt.read_back):
        return
    async with services.database.write() as session:
        await keep_edition(
            session,
            PlaylistWrite(
                playlist=receipt.playlist, target=receipt.target,
                item_ids=list(receipt.read_back or ()), content_hash=content,
                verified=receipt.state == "written", message=receipt.message,
            ),
        )  # fmt: skip
