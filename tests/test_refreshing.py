"""Playlists with times of their own."""

from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError
from sqlalchemy import select

from daemon.jobs.queue import enqueue_unless_waiting
from daemon.playlist_settings import PlaylistSettings, parse_refresh
from daemon.playlists.refreshing import find_due
from daemon.steps import STEPS
from daemon.steps.step import StepRun
from daemon.store.facts import set_fact
from daemon.store.models import JobRun
from tests.household import Household, run_step
from tests.media import make_audio
from tests.servers import radio


def playlists() -> tuple[PlaylistSettings, ...]:
    return tuple(
        radio(name=name, write_to=(), refresh=refresh)
        for name, refresh in (
            ("Always", ""), ("Mornings", "daily 06:00"), ("Sundays", "weekly sun 18:30"),
            ("Never", "by hand"),
        )
    )  # fmt: skip


async def test_each_is_due_at_its_own_times(household: Household) -> None:
    household.also(playlists=playlists())
    friday = datetime(2026, 11, 20, 7, 0).astimezone()
    async with household.open() as services:
        assert await find_due(services, friday) == ["Mornings", "Sundays"]  # never tried
        for name, refresh in (("Mornings", "daily 06:00"), ("Sundays", "weekly sun 18:30")):
            async with services.database.write() as session:
                value = {"at": friday.isoformat(), "refresh": refresh}
                await set_fact(session, f"refreshed:{name}", value)
        assert await find_due(services, friday + timedelta(hours=22)) == []
        assert await find_due(services, friday + timedelta(hours=23)) == ["Mornings"]
        assert await find_due(services, friday + timedelta(days=3)) == ["Mornings", "Sundays"]
        async with services.database.write() as session:  # the settings have changed since
            value = {"at": friday.isoformat(), "refresh": "daily 09:00"}
            await set_fact(session, "refreshed:Mornings", value)
        assert await find_due(services, friday) == ["Mornings"]


async def test_a_run_writes_those_that_it_is_meant_for(household: Household) -> None:
    make_audio(household.folder("music") / "a.ogg")
    household.also(playlists=playlists())

    async def ignore(_run: StepRun) -> None:
        return None

    async def written(origin: str, **options: object) -> list[str]:
        run = StepRun(services, options, {}, None, ignore, origin=origin)
        line = await STEPS["playlists"].run(run)
        return [name for name in ("Always", "Mornings", "Sundays", "Never") if f"{name}:" in line]

    async with household.open() as services:
        await run_step(services, "sync")
        assert await written("schedule") == ["Always"]
        assert await written("person") == ["Always", "Mornings", "Sundays"]
        assert await written("schedule", only=["Sundays"]) == ["Sundays"]
        assert await find_due(services, datetime.now().astimezone()) == []


async def test_what_is_due_is_queued_once(household: Household) -> None:
    async with household.open() as services:
        options = {"only": ["Mornings"]}
        for expected in (True, False):
            group = await enqueue_unless_waiting(
                services.database, ("playlists",), origin="schedule", options=options
            )
            assert bool(group) == expected
        async with services.database.read() as session:
            (run,) = await session.scalars(select(JobRun))
        assert run.options == options


@pytest.mark.parametrize(
    "wrong", ["hourly", "daily", "daily 25:00", "weekly 06:00", "weekly xyz 1:00"]
)
def test_other_times_are_refused(wrong: str) -> None:
    with pytest.raises(
        ValidationError, match="should be daily 06:00, weekly sun 18:30, or by hand"
    ):
        PlaylistSettings(name="x", refresh=wrong)
    assert parse_refresh("daily 6:05").get_next_fire_time(None, datetime.now().astimezone())
