"""backup, restore: nothing the user made is lost."""

import argparse
import asyncio
import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from daemon.commands.command import DONE, BadUsage, CommandFailed, Verbs, add_common, add_verb, tell
from daemon.lock import DAEMON, hold
from daemon.opening import prepare
from daemon.services import Services
from daemon.settings import Settings
from daemon.store.database import open_database
from daemon.store.journal import JOURNAL_NAME, Journal
from daemon.store.journal_replay import count_waiting, replay_journal
from daemon.store.migrate import check_revision, copy_database, is_catalogue
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
    if arguments.file:
        await asyncio.to_thread(_check, settings, arguments.file, force=arguments.force)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with hold(settings.data_dir / DAEMON):
        if arguments.file:
            await asyncio.to_thread(_put_in_place, settings, arguments.file)
        await asyncio.to_thread(prepare, settings)
        async with open_database(settings.database_path) as database:
            journal = Journal(settings.data_dir / JOURNAL_NAME)
            replayed = await replay_journal(database, journal, force=True)
            waiting = await count_waiting(database)
    tell(f"{replayed} ratings were put back from {JOURNAL_NAME}")
    if waiting:
        tell(f"{waiting} more wait for their files to be found: run sync.")
    return DONE


def _check(settings: Settings, source: Path, *, force: bool) -> None:
    """Make sure that the backup can be put in place, before anything is touched."""
    if not source.is_file() or not is_catalogue(source):
        raise CommandFailed(f"{source} is no backup of Anagnorisis, or it is damaged.")
    check_revision(source)
    present = settings.database_path
    if present.exists() and source.samefile(present):
        raise CommandFailed(f"{source} is the present database itself.")
    if present.exists() and not force:
        raise CommandFailed(
            f"There is a database at {present}. Say --force to replace it; it is then kept in "
            "the backups folder."
        )


def _put_in_place(settings: Settings, source: Path) -> None:
    present = settings.database_path
    new = copy_database(source, present.with_name(present.name + ".new"))
    if present.exists():
        kept = settings.data_dir / "backups" / f"{now():%Y%m%d-%H%M%S}-before-restore.db"
        _move_aside(present, kept)
        tell(f"The present database was kept as {kept}")
    new.replace(present)
    shutil.rmtree(settings.data_dir / "vectors", ignore_errors=True)  # a cache of the old one
    tell(f"{source} was put in place")


def _move_aside(present: Path, kept: Path) -> None:
    """Keep a database, with what is not yet merged into it; it may be damaged."""
    kept.parent.mkdir(parents=True, exist_ok=True)
    with suppress(sqlite3.Error), closing(sqlite3.connect(present)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("-shm", "-wal", ""):
        part = present.with_name(present.name + suffix)
        if part.exists():
            shutil.move(part, kept.with_name(kept.name + suffix))
