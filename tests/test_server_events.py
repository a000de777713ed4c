"""What happens on a server is known here within moments."""

import asyncio

import pytest
from sqlalchemy import func, select

from daemon.jobs.runner import Runner
from daemon.jobs.server_events import listening
from daemon.services import Services
from daemon.store.models import JobRun, Play
from daemon.store.server_models import Favourite
from tests.household import Household, run_step
from tests.servers import furnish, living_with
from tests.stand_ins.jellyfin import FakeJellyfin


async def count(services: Services, table: type) -> int:
    async with services.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def reaches(services: Services, table: type, number: int) -> None:
    async with asyncio.timeout(10):
        while await count(services, table) != number:
            await asyncio.sleep(0.05)


async def test_a_play_a_heart_and_a_new_item_are_known_at_once(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            async with listening(services, Runner(services)):
                async with asyncio.timeout(10):
                    while not jellyfin.listeners:
                        await asyncio.sleep(0.02)
                jellyfin.set_favourite("Anna", ids[0])
                await reaches(services, Favourite, 1)
                jellyfin.play("Anna", ids[1], 30)
                await reaches(services, Play, 1)
                assert await count(services, JobRun) == 0
                library = next(iter(jellyfin.libraries))
                jellyfin.add_item(library, "Audio", "New", "/media/music/n.flac", runtime=9.0)
                await reaches(services, JobRun, 4)


async def test_nobody_listens_where_the_settings_say_so(household: Household) -> None:
    household.also(schedule={"watch": False})
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            async with listening(services, Runner(services)):
                await asyncio.sleep(0.2)
            assert not jellyfin.listeners


@pytest.mark.parametrize("running", [True, False])
async def test_a_server_that_is_away_stops_nothing(household: Household, running: bool) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            if not running:
                await jellyfin.stop_serving()
            async with listening(services, Runner(services)):
                await asyncio.sleep(0.1)
            if not running:
                await jellyfin.start_serving()
