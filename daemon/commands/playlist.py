"""playlist preview, playlist write, playlist restore."""

import argparse
from datetime import datetime

from sqlalchemy import select

from daemon.commands.command import (
    DONE,
    FAILED,
    CommandFailed,
    Verbs,
    add_verb,
    answer,
    tell,
)
from daemon.playlists.reconciler import UnknownEdition, preview, reconcile, restore_edition
from daemon.services import Services
from daemon.store.models import Profile, public_id
from daemon.workers.worker import WorkerDied, WorkerFailed


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(
        verbs,
        "playlist",
        playlist,
        "preview, write or restore a smart playlist",
        answers=True,
    )
    parser.add_argument("action", choices=("preview", "write", "restore"))
    parser.add_argument("name", metavar="NAME")
    parser.add_argument(
        "--edition", type=int, metavar="N", help="which to restore; without it, the one before"
    )


async def playlist(services: Services, arguments: argparse.Namespace) -> int:
    """Show the wanted list and what writing would change, or write and show the receipt."""
    settings = services.settings
    wanted = next((p for p in settings.playlists if p.name == arguments.name), None)
    if wanted is None:
        names = ", ".join(p.name for p in settings.playlists) or "none"
        raise CommandFailed(f"There is no playlist {arguments.name} in the settings; {names}.")
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
