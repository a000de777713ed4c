"""Real parts only: files, a SQLite database, worker processes, the whole daemon."""

import os
from pathlib import Path

import pytest

from daemon.workers.worker import SLEEPING_WHILE_WAITING
from tests.household import Household

os.environ.update(SLEEPING_WHILE_WAITING)  # before a test imports torch: two run at a time

SHARED_MEDIA = Path(__file__).resolve().parents[2] / "shared" / "media"


@pytest.fixture(scope="session")
def shared_media() -> Path:
    """Real, freely licensed media that lies beside the checkout of the developers."""
    if not SHARED_MEDIA.is_dir():
        pytest.skip(f"no real media at {SHARED_MEDIA}")
    return SHARED_MEDIA


@pytest.fixture
def household(tmp_path: Path) -> Household:
    """An empty house."""
    return Household(tmp_path)
