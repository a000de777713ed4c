"""Keep copies of the database and the journal."""

import asyncio
import shutil
from pathlib import Path

from daemon.steps.step import Step, StepFailed, StepRun
from daemon.store.migrate import copy_database, is_catalogue
from daemon.store.models import now

PREFIX = "nightly-"


async def backup(run: StepRun) -> str:
    """Copy the database as it is now, check the copy, and drop the oldest."""
    services = run.services
    folder = services.settings.data_dir / "backups"
    target = folder / f"{PREFIX}{now():%Y%m%d-%H%M%S}.db"
    try:
        await asyncio.to_thread(_copy, services.settings.database_path, target)
        journal = services.journal.path
        if journal.exists():
            await asyncio.to_thread(shutil.copy2, journal, target.with_suffix(".ratings.jsonl"))
        dropped = await asyncio.to_thread(_drop_oldest, folder, services.settings.backup.keep)
    except OSError as error:
        raise StepFailed(f"No backup could be made in {folder}: {error}") from error
    return f"{target.name}" + (f"; {dropped} older ones dropped" if dropped else "")


def _copy(source: Path, target: Path) -> None:
    copy_database(source, target)
    if not is_catalogue(target):
        target.unlink()
        raise OSError("the copy does not read back")


def _drop_oldest(folder: Path, keep: int) -> int:
    old = sorted(folder.glob(f"{PREFIX}*.db"))[:-keep]
    for path in old:
        path.unlink()
        path.with_suffix(".ratings.jsonl").unlink(missing_ok=True)
    return len(old)


STEP = Step("backup", "Back up", "io", backup)
