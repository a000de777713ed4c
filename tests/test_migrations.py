"""The database and its copies: made whole, brought up to date after a backup, never harmed."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine

from daemon.lock import DAEMON, hold
from daemon.store.migrate import NewerDatabase, copy_database, is_catalogue, is_ours, upgrade
from daemon.store.models import Base
from tests.household import Household, rate_path, ratings, run_step
from tests.media import make_document
from tests.verbs import ROOT, environment, type_verb

NEXT = """
import os, signal
import sqlalchemy as sa
from alembic import op
revision, down_revision = "9999", "0004"
branch_labels = depends_on = None
def upgrade():
    op.create_table("novelty", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO fact VALUES ('novelty', '{}')")
"""


def make_next_version(folder: Path, ending: str = "") -> Path:
    """Return the program as it may be one migration later; `ending`: how its upgrade ends."""
    shutil.copytree(
        ROOT / "daemon", folder / "daemon", ignore=shutil.ignore_patterns("__pycache_*")
    )
    (folder / "connectors").symlink_to(ROOT / "connectors")
    versions = folder / "daemon" / "store" / "migrations" / "versions"
    (versions / "9999_a_novelty.py").write_text(NEXT + (f"    {ending}\n" if ending else ""))
    return folder


def upgrade_by(program: Path, data: Path) -> subprocess.CompletedProcess[str]:
    script = (
        "import sys; from pathlib import Path; from daemon.store.migrate import upgrade;"
        "print(upgrade(Path(sys.argv[1]) / 'anagnorisis.db', Path(sys.argv[1]) / 'backups'))"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(data)], cwd=program, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(program)}, timeout=60, check=False,
    )  # fmt: skip


def query(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def catalogue(household: Household) -> Path:
    """A database of this version, with something in it."""
    household.data_dir.mkdir()
    path = household.data_dir / "anagnorisis.db"
    upgrade(path, household.data_dir / "backups")
    change(path, "INSERT INTO profile (name, created_at) VALUES ('anna', '2026-01-01')")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_migrations_lead_to_the_models(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    assert upgrade(path, tmp_path / "backups") is None
    engine = create_engine(f"sqlite:///{path}")
    with engine.connect() as connection:
        options = {"include_object": is_ours, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()
    change(path, "INSERT INTO item_text (rowid, title, names, body) VALUES (1, 'a', 'b', 'c')")
    assert query(path, "SELECT rowid FROM item_text WHERE item_text MATCH 'c'") == [(1,)]
    assert not (tmp_path / "backups").exists()


def test_a_database_that_is_up_to_date_is_left_as_it_is(catalogue: Path) -> None:
    before = catalogue.read_bytes()
    assert upgrade(catalogue, catalogue.parent / "backups") is None
    assert catalogue.read_bytes() == before
    assert not (catalogue.parent / "backups").exists()


def test_a_backup_is_made_before_a_migration(catalogue: Path, tmp_path: Path) -> None:
    program = make_next_version(tmp_path / "next")
    done = upgrade_by(program, catalogue.parent)
    assert done.returncode == 0, done.stderr
    backup = Path(done.stdout.strip())
    assert backup.parent == catalogue.parent / "backups"
    assert backup.name.endswith("-before-0004.db")
    assert query(catalogue, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert query(catalogue, "SELECT name FROM fact") == [("novelty",)]
    assert query(backup, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert query(backup, "SELECT name FROM profile") == [("anna",)]
    assert is_catalogue(backup)
    assert upgrade_by(program, catalogue.parent).stdout == "None\n"


def test_a_database_of_a_newer_version_is_refused_and_not_touched(
    household: Household, catalogue: Path, tmp_path: Path
) -> None:
    upgrade_by(make_next_version(tmp_path / "next"), catalogue.parent)
    before = contents(catalogue.parent)
    with pytest.raises(NewerDatabase, match="newer version of Anagnorisis"):
        upgrade(catalogue, catalogue.parent / "backups")
    status, told = type_verb(household, "profiles")
    assert status == 1
    assert told.startswith(f"{catalogue} was made by a newer version of Anagnorisis")
    after = contents(catalogue.parent)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) <= {"migration.lock"}


@pytest.mark.parametrize(
    ("ending", "status"),
    [("raise OSError('no room')", 1), ("os.kill(os.getpid(), signal.SIGKILL)", -signal.SIGKILL)],
)
def test_a_migration_that_ends_in_the_middle_changes_nothing(
    catalogue: Path, tmp_path: Path, ending: str, status: int
) -> None:
    program = make_next_version(tmp_path / "next", ending)
    before = query(catalogue, "SELECT name, sql FROM sqlite_schema")
    assert upgrade_by(program, catalogue.parent).returncode == status
    assert query(catalogue, "SELECT name, sql FROM sqlite_schema") == before
    assert query(catalogue, "SELECT version_num FROM alembic_version") == [("0004",)]
    assert upgrade(catalogue, catalogue.parent / "backups") is None


def test_a_first_start_that_is_killed_is_made_up_for(household: Household, tmp_path: Path) -> None:
    household.data_dir.mkdir()
    program = make_next_version(tmp_path / "next", "os.kill(os.getpid(), signal.SIGKILL)")
    assert upgrade_by(program, household.data_dir).returncode == -signal.SIGKILL
    assert type_verb(household, "profiles")[0] == 0
    assert is_catalogue(household.data_dir / "anagnorisis.db")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"garbage" * 1000, "file is not a database"),
        (None, "is a database of another program"),
    ],
)
def test_a_file_that_is_no_catalogue_is_told_and_left(
    household: Household, content: bytes | None, said: str
) -> None:
    household.data_dir.mkdir()
    path = household.data_dir / "anagnorisis.db"
    if content:
        path.write_bytes(content)
    else:
        change(path, "CREATE TABLE notes (text)")
    before = path.read_bytes()
    status, told = type_verb(household, "profiles")
    assert status == 1
    assert said in told
    assert str(path) in told
    assert "Traceback" not in told
    assert path.read_bytes() == before


async def test_several_verbs_may_make_the_data_folder_at_once(household: Household) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "daemon", "profiles", "--json", cwd=household.home,
            env=environment(household), stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        for _ in range(4)
    ]  # fmt: skip
    answers = [await process.communicate() for process in processes]
    assert answers == [(b'[{"name": "me", "ratings": 0}]\n', b"")] * 4


def test_a_copy_is_whole_while_others_write(catalogue: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(catalogue)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("INSERT INTO profile (name, created_at) VALUES ('ben', '2026-01-01')")
        writer.commit()
        writer.execute("INSERT INTO profile (name, created_at) VALUES ('carl', '2026-01-01')")
        copy = copy_database(catalogue, tmp_path / "deep" / "copy?#%20.db")
        assert is_catalogue(copy)
        assert query(copy, "SELECT name FROM profile") == [("anna",), ("ben",)]
        writer.commit()
    assert sorted(p.name for p in copy.parent.iterdir()) == ["copy?#%20.db"]


def test_a_copy_that_fails_leaves_nothing(catalogue: Path, tmp_path: Path) -> None:
    catalogue.write_bytes(catalogue.read_bytes()[:5000] + b"\xff" * 20_000)
    with pytest.raises(OSError, match=r"copying .* failed"):
        copy_database(catalogue, tmp_path / "copies" / "copy.db")
    assert list((tmp_path / "copies").iterdir()) == []


def test_backup_and_restore(household: Household, catalogue: Path) -> None:
    backup = household.home / "backup.db"
    status, told = type_verb(household, "backup", backup)
    assert (status, told[:24]) == (0, f"Backed up to {backup}"[:24])
    assert type_verb(household, "backup", backup) == (
        1, f"{backup} is there already; choose another name.\n",
    )  # fmt: skip
    change(catalogue, "UPDATE profile SET name = 'changed' WHERE name = 'anna'")
    before = contents(household.data_dir)
    status, told = type_verb(household, "restore", backup)
    assert status == 1
    assert told.startswith(f"There is a database at {catalogue}. Say --force to replace it")
    assert contents(household.data_dir) == before
    status, told = type_verb(household, "restore", "--force", backup)
    assert status == 0, told
    assert query(catalogue, "SELECT name FROM profile") == [("anna",)]
    [kept] = (household.data_dir / "backups").glob("*-before-restore.db")
    assert f"The present database was kept as {kept}\n" in told
    assert query(kept, "SELECT name FROM profile") == [("changed",)]
    assert is_catalogue(kept)


def test_restore_without_a_word_says_what_it_needs(household: Household) -> None:
    assert type_verb(household, "restore") == (2, "restore needs a FILE, or --journal.\n")
    assert not household.data_dir.exists()


@pytest.mark.parametrize("content", [b"", b"garbage" * 1000, b"SQLite format 3\0" + b"x" * 5000])
def test_restore_refuses_what_is_no_backup(
    household: Household, catalogue: Path, content: bytes
) -> None:
    before = contents(household.data_dir)
    wrong = household.home / "wrong.db"
    wrong.write_bytes(content)
    assert type_verb(household, "restore", "--force", wrong) == (
        1, f"{wrong} is no backup of Anagnorisis, or it is damaged.\n",
    )  # fmt: skip
    other = household.home / "other.db"
    change(other, "CREATE TABLE notes (text)")
    for path in (other, household.home, household.home / "none.db"):
        assert type_verb(household, "restore", "--force", path) == (
            1, f"{path} is no backup of Anagnorisis, or it is damaged.\n",
        )  # fmt: skip
    assert contents(household.data_dir) == before


def test_restore_refuses_the_present_database_itself(household: Household, catalogue: Path) -> None:
    assert type_verb(household, "restore", "--force", catalogue) == (
        1, f"{catalogue} is the present database itself.\n",
    )  # fmt: skip
    assert query(catalogue, "SELECT name FROM profile") == [("anna",)]


def test_restore_refuses_a_backup_of_a_newer_version_before_anything_is_touched(
    household: Household, catalogue: Path, tmp_path: Path
) -> None:
    newer = household.home / "newer"
    newer.mkdir()
    shutil.copy(catalogue, newer / "anagnorisis.db")
    upgrade_by(make_next_version(tmp_path / "next"), newer)
    before = contents(household.data_dir)
    status, told = type_verb(household, "restore", "--force", newer / "anagnorisis.db")
    assert status == 1
    assert "was made by a newer version of Anagnorisis" in told
    assert contents(household.data_dir) == before


def test_restore_replaces_a_damaged_database_and_keeps_it(
    household: Household, catalogue: Path
) -> None:
    backup = copy_database(catalogue, household.home / "backup.db")
    damaged = catalogue.read_bytes()[:3000] + b"\xff" * 60_000
    catalogue.write_bytes(damaged)
    status, told = type_verb(household, "restore", "--force", backup)
    assert status == 0, told
    assert query(catalogue, "SELECT name FROM profile") == [("anna",)]
    [kept] = (household.data_dir / "backups").glob("*-before-restore.db")
    assert kept.read_bytes() == damaged


def test_restore_beside_a_running_daemon_is_refused(household: Household, catalogue: Path) -> None:
    backup = copy_database(catalogue, household.home / "backup.db")
    with hold(household.data_dir / DAEMON):
        status, told = type_verb(household, "restore", "--force", backup)
    assert status == 1
    assert told == (
        f"Another Anagnorisis (process {os.getpid()}) is at work in {household.data_dir}.\n"
    )
    assert not (household.data_dir / "backups").exists()


async def test_a_restored_backup_has_the_ratings_that_came_after_it(household: Household) -> None:
    path = household.folder("text") / "one.txt"
    make_document(path)
    backup = household.home / "backup.db"
    async with household.open() as services:
        await run_step(services, "sync")
        await rate_path(services, path, 3)
        await asyncio.to_thread(type_verb, household, "backup", backup)
        await rate_path(services, path, 9)
    status, told = await asyncio.to_thread(type_verb, household, "restore", "--force", backup)
    assert status == 0
    assert "1 ratings were put back from ratings.jsonl\n" in told
    async with household.open() as services:
        assert list((await ratings(services)).values()) == [9]


def test_a_backup_that_cannot_be_written_is_told(household: Household, catalogue: Path) -> None:
    blocked = household.home / "file" / "backup.db"
    blocked.parent.write_text("no folder")
    status, told = type_verb(household, "backup", blocked)
    assert status == 1
    assert told.startswith(f"{blocked} cannot be written: ")
