"""backup, restore: nothing the user made is lost."""

import argparse
import asyncio
import shutil
from pathlib import Path

from daemon.commands.command import DONE, BadUsage, CommandFailed, Verbs, add_common, add_verb, tell
from daemon.lock import DAEMON, hold
from daemon.opening import opened, prepare
from daemon.services import Services
from daemon.settings import Settings
from daemon.store.journal import JOURNAL_NAME
from daemon.store.journal_replay import count_waiting, replay_journal
from daemon.store.migrate import copy_database, is_catalogue
from daemon.store.models import now


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(verbs, "backup", backup, "a consistent copy of the database, while it runs")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser = verbs.add_parser("restore", help="put a backup, or the journal's ratings, in place")
    add_common(parser, default=argparse.SUPPRESS)
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE", help="what backup wrote")
    parser.add_argument(
        "--journal", action="store_true",
        help="replay ratings.jsonl into the database that is there, or a new one",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="replace the present database")
    parser.set_defaults(handler=restore)


async def backup(services: Services, arguments: argparse.Namespace) -> int:
    """Write a copy and check that it reads back."""
    target = arguments.file.absolute()
    if target.exists():
        raise CommandFailed(f"{target} is there already; choose another name.")
    try:
        await asyncio.to_thread(copy_database, services.settings.database_path, target)
    except OSError as error:
        raise CommandFailed(f"{target} cannot be written: {error.strerror}") from error
    if not await asyncio.to_thread(is_catalogue, target):
        target.unlink()
        raise CommandFailed("The copy does not read back; nothing was kept.")
    tell(f"Backed up to {target} ({target.stat().st_size / 1e6:.1f} MB)")
    return DONE


async def restore(settings: Settings, arguments: argparse.Namespace) -> int:
    """Replace the database, then replay the newer lines of the journal."""
    if not arguments.file and not arguments.journal:
        raise BadUsage("restore needs a FILE, or --journal.")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with hold(settings.data_dir / DAEMON):
        if arguments.file:
            await asyncio.to_thread(_put_in_place, settings, arguments.file, force=arguments.force)
        async with opened(settings) as services:
            replayed = await replay_journal(services.database, services.journal, force=True)
            tell(f"{replayed} ratings were put back from {JOURNAL_NAME}")
            waiting = await count_waiting(services.database)
    if waiting:
        tell(f"{waiting} more wait for their files to be found: run sync.")
    return DONE


def _put_in_place(settings: Settings, source: Path, *, force: bool) -> None:
    if not source.is_file() or not is_catalogue(source):
        raise CommandFailed(f"{source} is no backup of Anagnorisis, or it is damaged.")
    present = settings.database_path
    if present.exists() and not force:
        raise CommandFailed(
            f"There is a database at {present}. Say --force to replace it; it is then kept in "
            "the backups folder."
        )
    if present.exists():
        kept = settings.data_dir / "backups" / f"{now():%Y%m%d-%H%M%S}-before-restore.db"
        copy_database(present, kept)
        tell(f"The present database was kept as {kept}")
    partial = present.with_name(present.name + ".partial")
    shutil.copyfile(source, partial)
    for suffix in ("-wal", "-shm"):
        present.with_name(present.name + suffix).unlink(missing_ok=True)
    partial.replace(present)
    shutil.rmtree(settings.data_dir / "vectors", ignore_errors=True)  # a cache of the old one
    prepare(settings)
    tell(f"{source} was put in place")
