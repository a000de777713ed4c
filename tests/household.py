"""A household: mounted folders, a data folder, and the services over them, as the daemon opens
them."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import select

from connectors.base import Kind
from connectors.folder.settings import FolderSettings
from daemon.model_settings import ModelSettings
from daemon.opening import opened
from daemon.services import Services
from daemon.settings import Settings
from daemon.steps import STEPS
from daemon.steps.step import StepRun
from daemon.store.models import Item, Location, Rating, Source
from daemon.store.places import absolute, find_item_at
from daemon.store.profiles import default_profile
from daemon.store.ratings import rate

NO_PERCEIVERS = ModelSettings(audio=(), images=())
"""Each process of a model takes seconds to start; tests of them ask for them."""
LITE = ModelSettings()


class Household:
    """Folders for each kind under `media`; made when first asked for."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.home = home
        self.data_dir = home / "data"
        self._settings = settings

    def also(self, **settings: Any) -> None:
        """Add to the settings, before the house is opened."""
        self._settings |= settings

    def folder(self, kind: Kind) -> Path:
        """Return the folder of a kind."""
        folder = self.home / "media" / kind / "Main"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @property
    def settings(self) -> Settings:
        """The settings: every folder there is, `servers`, and what the household was made with."""
        sources: tuple[Any, ...] = tuple(
            FolderSettings(name=folder.parent.name, media=folder.parent.name, path=folder)
            for folder in sorted((self.home / "media").glob("*/Main"))
        )
        more: dict[str, Any] = {"workers": 1, "models": NO_PERCEIVERS} | self._settings
        sources += tuple(more.pop("servers", ()))
        return Settings(data_dir=self.data_dir, sources=sources, **more)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Services]:
        """Yield the services; at the end all processes have ended."""
        async with opened(self.settings) as services:
            yield services


async def run_step(services: Services, name: str, **options: Any) -> str:
    """Run one step to its end; return its line."""

    async def ignore(_run: StepRun) -> None:
        return None

    run = StepRun(services, options, {}, None, ignore)
    return await STEPS[name].run(run)


async def run_steps(services: Services, *names: str) -> list[str]:
    """Run several steps; return their lines."""
    return [await run_step(services, name) for name in names]


async def find_items(services: Services) -> list[Item]:
    """Return all items, in the order they came."""
    async with services.database.read() as session:
        return list(await session.scalars(select(Item).order_by(Item.id)))


async def item_at(services: Services, path: Path | bytes) -> int:
    """Return the item at a path."""
    async with services.database.read() as session:
        found = await find_item_at(session, os.fsdecode(path))
    assert found is not None, f"nothing is known at {path!r}"
    return found


async def present_paths(services: Services, item_id: int) -> set[bytes]:
    """Return where an item is now."""
    async with services.database.read() as session:
        rows = await session.execute(
            select(Source.root, Location.path)
            .join(Source, Source.id == Location.source_id)
            .where(Location.item_id == item_id, Location.gone_at.is_(None))
        )
        return {absolute(row.root, row.path) for row in rows}


async def rate_path(services: Services, path: Path, value: float | None) -> int:
    """Rate the item at a path as the default profile; return the item."""
    item_id = await item_at(services, path)
    async with services.database.read() as session:
        profile = await default_profile(session, services.settings)
    await rate(services.database, services.journal, profile.id, item_id, value)
    return item_id


async def ratings(services: Services) -> dict[int, float]:
    """Return the default profile's ratings."""
    async with services.database.read() as session:
        profile = await default_profile(session, services.settings)
        rows: Sequence[Rating] = (
            await session.scalars(select(Rating).where(Rating.profile_id == profile.id))
        ).all()
    return {row.item_id: row.value for row in rows}
