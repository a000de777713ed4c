"""Real parts only: files, a SQLite database, worker processes, the whole daemon."""

import os
from pathlib import Path
from typing import Any

import pytest

from daemon import chosen_models
from daemon.chosen_models import ChosenModel
from daemon.workers.worker import SLEEPING_WHILE_WAITING
from ml.model_cards import BY_NAME, FAMILIES, Family, ModelCard
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


@pytest.fixture
def odd_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the settings name models of an odd family; big ones too."""
    for name, vram in (("odd", 0.0), ("odd-2", 0.0), ("odd-big", 4.0)):
        card = ModelCard(name, "images", "odd", "none", package="numpy", vram_gigabytes=vram)
        monkeypatch.setitem(BY_NAME, name, card)
    ear = ModelCard("odd-ear", "audio", "odd_ear", "none", package="numpy")
    monkeypatch.setitem(BY_NAME, "odd-ear", ear)
    views: dict[str, Any] = {"images": ({"size": 64},), "videos": ({"size": 64},)}
    monkeypatch.setitem(FAMILIES, "odd", Family(views, says=True, batch=4))
    sound: dict[str, Any] = {"music": ({"rate": 8000, "seconds": 1},)}
    monkeypatch.setitem(FAMILIES, "odd_ear", Family(sound, says=True, batch=4))
    plain = chosen_models.ChosenModel.module.fget  # type: ignore[attr-defined]
    monkeypatch.setattr(
        ChosenModel, "module",
        property(lambda m: "tests.odd_family" if m.card.family.startswith("odd") else plain(m)),
    )  # fmt: skip
