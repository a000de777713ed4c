"""A house whose models are of the odd family, and what its tests look at."""

from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import func, select

from daemon.model_settings import ModelSettings
from daemon.services import Services
from daemon.steps import STEPS
from daemon.steps.step import StepRun
from daemon.store.models import Description, ItemVector, Work
from daemon.workers.worker import Worker
from tests.household import Household, item_at

SPACE = "odd@1"


def odd_house(household: Household, count: int = 10, *names: str) -> list[Path]:
    """Ask for odd models only; paint pictures, each in a shade of its own."""
    household.also(models=ModelSettings(audio=(), images=names or ("odd",)))
    return [paint(household, 10 * (n + 1)) for n in range(count)]


def paint(household: Household, shade: int, name: str = "") -> Path:
    path = household.folder("images") / f"{name or shade}.png"
    Image.new("RGB", (80, 60), (shade, shade, shade)).save(path)
    return path


def tell(services: Services, name: str = "odd", **options: Any) -> None:
    """Let a model behave oddly."""
    services.workers.models[name] = Worker(name, "tests.odd_family", options)


async def seen(services: Services, space: str = SPACE) -> dict[int, int]:
    """Return how many vectors each item has."""
    async with services.database.read() as session:
        rows = await session.execute(
            select(ItemVector.item_id, func.count())
            .where(ItemVector.space == space)
            .group_by(ItemVector.item_id)
        )
        return {row[0]: row[1] for row in rows}


async def words(services: Services, path: Path) -> dict[str, str]:
    item = await item_at(services, path)
    async with services.database.read() as session:
        rows = await session.scalars(select(Description).where(Description.item_id == item))
        return {row.producer: row.text for row in rows}


async def failures(services: Services) -> dict[str, int]:
    """Return the reasons of what failed, with how often it was tried."""
    async with services.database.read() as session:
        rows = await session.scalars(select(Work).where(Work.error.is_not(None)))
        return {str(row.error): row.attempts for row in rows}


class ShortNight(StepRun):
    """A night that is over when the models have had so many items."""

    most = 10**6

    def is_over(self) -> bool:
        paces = [s.pace for s in self.services.board.states() if s.name.startswith("odd")]
        return sum(pace.items for pace in paces) >= self.most


async def no_progress(_run: StepRun) -> None:
    return None


async def describe(services: Services, origin: str, most: int = 10**6) -> str:
    run = ShortNight(services, {}, {}, None, no_progress, origin=origin)
    run.most = most
    return await STEPS["describe"].run(run)
