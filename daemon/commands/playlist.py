"""playlist list, preview, write, restore, on, off, remove, and import of Navidrome's rules."""

import argparse
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from daemon.commands.command import (
    DONE,
    FAILED,
    BadUsage,
    CommandFailed,
    Verbs,
    add_verb,
    answer,
    tell,
)
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.reconciler import UnknownEdition, preview, reconcile, restore_edition
from daemon.playlists.shelf import (
    PlaylistProblem,
    find_kept,
    find_playlist,
    find_playlists,
    is_of_settings,
    is_ready_made,
    keep_playlist,
    off_playlists,
    ready_playlists,
    remove_playlist,
    switch_off,
    switch_on,
    understand,
)
from daemon.rules.nsp import NspError, import_nsp
from daemon.services import Services
from daemon.store.models import Profile, public_id
from daemon.workers.worker import WorkerDied, WorkerFailed


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(
        verbs,
        "playlist",
        playlist,
        "list, preview, write or restore smart playlists, switch them on and off",
        answers=True,
    )
    parser.add_argument(
        "action",
        choices=("list", "preview", "write", "restore", "on", "off", "remove", "import"),
        help="on: one that is off or ready-made; off: one that is not of the settings, its rule is "
        "kept; remove: one that is off, for good; import: an .nsp file",
    )  # fmt: skip
    parser.add_argument("name", metavar="NAME", nargs="?", default="")
    parser.add_argument(
        "--edition", type=int, metavar="N", help="which to restore; without it, the one before"
    )


async def playlist(services: Services, arguments: argparse.Namespace) -> int:
    """Show the wanted list and what writing would change, or write and show the receipt."""
    if arguments.action != "list" and not arguments.name:
        raise BadUsage(f"Which one? playlist {arguments.action} NAME")
    if arguments.action == "list":
        return await _list(services, arguments)
    if arguments.action in ("on", "off", "remove", "import"):
        return await _change(services, arguments)
    wanted = await find_playlist(services, arguments.name)
    if wanted is None:
        names = ", ".join(p.name for p in await find_playlists(services)) or "none"
        raise CommandFailed(f"There is no playlist {arguments.name}; there are: {names}.")
    async with services.database.read() as session:
        profiles = (await session.scalars(select(Profile))).all()
    day = datetime.now().astimezone().date()
    try:
        for profile in profiles if arguments.action != "restore" else ():
            await services.predictions.refresh(profile.id)
        if arguments.action == "preview":
            receipts = await preview(services, wanted, day)
        elif arguments.action == "restore":
            receipts = await restore_edition(services, wanted, arguments.edition)
        else:
            receipts = await reconcile(services, wanted, day, revive=True)
    except UnknownEdition as error:
        raise CommandFailed(str(error)) from error
    except (WorkerFailed, WorkerDied) as error:
        raise CommandFailed(f"The predictions cannot be renewed: {error}") from error
    for receipt in receipts:
        would = "would be " if arguments.action == "preview" and receipt.state == "written" else ""
        change = (
            f" (+{receipt.added} -{receipt.removed} ~{receipt.moved})"
            if receipt.state == "written"
            else ""
        )
        tell(f"{receipt.target}: {would}{receipt.state}{change}: {receipt.message}")
    rows = [
        {
            "position": position, "id": public_id(entry.item_id), "title": entry.title,
            "artist": entry.artist, "why": entry.why,
        }
        for position, entry in enumerate(receipts[0].entries, 1)
    ]  # fmt: skip
    answer(rows, as_json=arguments.json, columns=("position", "artist", "title", "why"))
    return DONE if all(receipt.is_well for receipt in receipts) else FAILED


async def _list(services: Services, arguments: argparse.Namespace) -> int:
    """Show all playlists, those that can be switched on last."""
    rows = []
    for state, playlists in (
        ("on", await find_playlists(services)),
        ("off", await off_playlists(services)),
        ("ready", await ready_playlists(services)),
    ):
        for each in playlists:
            from_file = is_of_settings(services, each.name)
            rows.append(
                {
                    "name": each.name, "state": "settings" if from_file else state,
                    "kind": each.kind, "where": each.where, "order": each.order,
                    "limit": each.limit, "about": each.about,
                }
            )  # fmt: skip
    answer(rows, as_json=arguments.json, columns=("state", "name", "kind", "where", "order"))
    return DONE


async def _change(services: Services, arguments: argparse.Namespace) -> int:
    """Switch a playlist on or off, take one over from a file, or remove one."""
    name = arguments.name
    try:
        if arguments.action == "off":
            if not await switch_off(services, name):
                raise CommandFailed(f"There is no playlist {name} that could be switched off.")
            tell(f"{name} is off; its rule is kept, and what was written of it stays.")
        elif arguments.action == "remove":
            if not await remove_playlist(services, name):
                raise CommandFailed(f"There is no playlist {name} that is off.")
            tell(f"{name} is removed; what was written of it stays.")
        else:
            change = _import if arguments.action == "import" else _switch_on
            wanted = await change(services, name)
            tell(f"{wanted.name} is on: {wanted.where or 'everything'}, by {wanted.order}.")
    except (NspError, PlaylistProblem) as error:
        raise CommandFailed(str(error)) from error
    return DONE


async def _switch_on(services: Services, name: str) -> PlaylistSettings:
    if wanted := await switch_on(services, name):
        return wanted
    off = [*await off_playlists(services), *await ready_playlists(services)]
    names = ", ".join(each.name for each in off)
    raise CommandFailed(f"There is no playlist {name} that is off; there are: {names}.")


async def _import(services: Services, file: str) -> PlaylistSettings:
    """Take a rule over from a file; what has its name stays as it is."""
    wanted = understand(import_nsp(_read(file), Path(file).stem))
    name = wanted.name
    kept = await find_kept(services, name)
    if kept and not is_of_settings(services, name):
        steps = [f'playlist off "{name}"'] if await find_playlist(services, name) else []
        steps += [] if is_ready_made(kept) else [f'playlist remove "{name}"']
        raise CommandFailed(
            f"There is a playlist {name}. Rename the file (or change the name in it), or take "
            f"that one away first: {', then '.join(steps)}."
        )
    await keep_playlist(services, wanted)
    return wanted


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{name} cannot be read: {error}") from error
