"""Bring a database up to the models, after a backup; write the migrations that do so.

After changing the models: python -m daemon.store.migrate "add the year to items"
"""

import errno
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event

from daemon.store.models import now

FULL_TEXT_TABLE = "item_text"


class NewerDatabase(Exception):
    """The database was written by a newer version of the program, or by another program."""


def upgrade(path: Path, backups: Path) -> Path | None:
    """Make the database, or run what it has not seen after a backup; return the backup's path.

    Whole or not at all, also when killed. Raises NewerDatabase, having touched nothing.
    """
    backup = None
    if path.exists() and path.stat().st_size:
        current = check_revision(path)
        if current == _script().get_current_head():
            _turn_wal_on(path)
            return None
        backup = copy_database(path, backups / f"{now():%Y%m%d-%H%M%S}-before-{current}.db")
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    try:
        with engine.begin() as connection:
            command.upgrade(_config(connection), "head")
    finally:
        engine.dispose()
    _turn_wal_on(path)
    return backup


def _turn_wal_on(path: Path) -> None:
    """Do it before others open the database: the change itself does not wait for writers."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def check_revision(path: Path) -> str:
    """Return the revision of a database that this version can bring up to date.

    Raises NewerDatabase where it cannot.
    """
    engine = create_engine(f"sqlite:///{path}")
    try:
        with engine.connect() as connection:
            current = MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()
    if current is None:
        raise NewerDatabase(f"{path} is a database of another program; it is left as it is.")
    if current not in {revision.revision for revision in _script().walk_revisions()}:
        raise NewerDatabase(
            f"{path} was made by a newer version of Anagnorisis (its revision is {current}). "
            "Install that version, or restore an older backup."
        )
    return current


def copy_database(source: Path, target: Path) -> Path:
    """Write a consistent copy while others read and write; it appears whole or not at all.

    Raises OSError, also where the source is damaged.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        with (
            closing(sqlite3.connect(source)) as reading,
            closing(sqlite3.connect(partial)) as writing,
        ):
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, readable anywhere
        partial.replace(target)
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"copying {source} failed: {error}", str(target)) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def is_catalogue(path: Path) -> bool:
    """Tell whether the file is a database of ours that is not damaged."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as reading:
            (verdict,) = reading.execute("PRAGMA quick_check").fetchone()
            reading.execute("SELECT count(*) FROM rating_event").fetchone()
    except sqlite3.Error:
        return False
    return str(verdict) == "ok"


def write_migration(message: str) -> None:
    """Write the step from the newest migration to the models."""
    with create_engine("sqlite://").connect() as connection:
        command.upgrade(_config(connection), "head")
        command.revision(_config(connection), message, autogenerate=True)


def is_ours(_object: Any, name: str | None, kind: str, _reflected: bool, _other: Any) -> bool:
    """Leave the full-text table and its shadows to the migrations that name them."""
    return not (kind == "table" and str(name).startswith(FULL_TEXT_TABLE))


def _leave_transactions_to_us(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver would commit each CREATE TABLE by itself


def _script() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


if __name__ == "__main__":
    write_migration(sys.argv[1])
