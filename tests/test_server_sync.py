"""Libraries, plays and ratings of servers, through the steps as the daemon runs them."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from connectors.server_settings import SubsonicSettings
from daemon.services import Services
from daemon.steps.step import StepIncomplete
from daemon.store.models import Item, Location, Play, Rating, Source, now
from daemon.store.profiles import default_profile
from daemon.store.ratings import rate
from tests.household import Household, run_step, run_steps
from tests.media import make_audio
from tests.servers import connect, furnish, living_with
from tests.stand_ins.faults import Cut, Status
from tests.stand_ins.jellyfin import FakeJellyfin


async def titles(services: Services, *, gone: bool = False) -> list[str]:
    async with services.database.read() as session:
        present = Item.gone_at.is_not(None) if gone else Item.gone_at.is_(None)
        return list(await session.scalars(select(Item.title).where(present).order_by(Item.title)))


async def count(services: Services, table: Any) -> int:
    async with services.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def forget_marks(services: Services) -> None:
    """Let the next sync read everything again."""
    async with services.database.write() as session:
        await session.execute(update(Source).values(details=None))


async def test_a_library_comes_in_and_a_second_sync_asks_little(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin, overview="A quiet piece for the night.")
        async with living_with(household, jellyfin) as services:
            assert await run_step(services, "sync") == "6 new"
            await run_steps(services, "describe", "embed")
            hits = await services.search.find("quiet night", mode="words", kind=None, limit=9)
            assert len(hits) == 6
            jellyfin.requests.clear()
            assert await run_step(services, "sync") == "nothing new"
            assert len(jellyfin.requests) <= 12


async def test_what_is_new_changed_and_removed_is_noticed(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            library = next(iter(jellyfin.libraries))
            jellyfin.add_item(library, "Audio", "New", "/media/music/new.flac", runtime=9.0)
            jellyfin.remove_item(ids[0])
            assert await run_step(services, "sync") == "1 new, 1 gone"
            assert await titles(services, gone=True) == ["Track 00000"]


async def test_a_file_renamed_on_the_server_stays_the_item(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.reissue_all_ids()
            await forget_marks(services)
            await run_step(services, "sync")
            assert await count(services, Item) == 6
            assert len(await titles(services)) == 6


async def test_a_server_that_lost_most_of_its_library_is_not_believed(
    household: Household,
) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            for item_id in ids[:5]:
                jellyfin.remove_item(item_id)
            with pytest.raises(StepIncomplete, match="--accept-loss 'Home'"):
                await run_step(services, "sync")
            assert len(await titles(services)) == 6
            assert await run_step(services, "sync", accept_loss=["Home"]) == "5 gone"


async def test_a_sync_that_breaks_off_loses_nothing_and_goes_on(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.jellyfin.connector.PAGE", 2)
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await services.servers.open("Home")
            listing = r"^/Items$"
            jellyfin.faults.add("GET", listing, Status(404), skip=3, times=1)
            with pytest.raises(StepIncomplete, match="Home"):
                await run_step(services, "sync")
            assert 0 < len(await titles(services)) < 6
            assert await run_step(services, "sync")
            assert len(await titles(services)) == 6


async def test_a_server_that_is_down_holds_up_nothing(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3", seconds=0.3, title="A file")
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await jellyfin.stop_serving()
            with pytest.raises(StepIncomplete, match=r"1 new.*Home cannot be reached"):
                await run_step(services, "sync")
            assert await titles(services) == ["A file"]
            await jellyfin.start_serving()


async def test_plays_ratings_and_favourites_come_in_once(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            jellyfin.play("Anna", ids[0], 10)
            jellyfin.play("Anna", ids[0], 60, finished=True)
            jellyfin.set_rating("Anna", ids[1], 8.0)
            for _ in range(2):
                await run_step(services, "sync")
                assert await count(services, Play) == 2
                assert await count(services, Rating) == 1


async def test_ratings_are_written_out_only_where_wanted_and_do_not_come_back(
    household: Household,
) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin, write_ratings=True) as services:
            await run_step(services, "sync")
            async with services.database.read() as session:
                profile = await default_profile(session, services.settings)
                location = await session.scalar(
                    select(Location).where(Location.path == ids[2].encode())
                )
            assert location is not None
            given = (services.database, services.journal, profile.id, location.item_id)
            await rate(*given, 7.5)
            await run_step(services, "sync")
            assert jellyfin.user_data("Anna", ids[2]).rating == 7.5
            jellyfin.requests.clear()
            await run_step(services, "sync")
            assert [r for r in jellyfin.requests if r[0] != "GET"] == []
            jellyfin.set_rating("Anna", ids[2], 3.0)
            await run_step(services, "sync")
            async with services.database.read() as session:
                row = (await session.scalars(select(Rating))).one()
            assert (row.value, row.origin) == (3.0, "server")
            await rate(*given, None)
            await run_step(services, "sync")


async def test_a_revoked_sign_in_is_told_and_the_rest_goes_on(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.revoke_tokens("Anna")
            with pytest.raises(StepIncomplete, match="connect"):
                await run_step(services, "sync")
            assert len(await titles(services)) == 6


async def test_an_answer_cut_short_changes_nothing(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await forget_marks(services)
            jellyfin.faults.add("GET", r"^/Items$", Cut(0.5))
            with pytest.raises(StepIncomplete, match="broke off"):
                await run_step(services, "sync")
            jellyfin.faults.clear()
            assert len(await titles(services)) == 6


async def test_a_folder_and_a_real_supysonic_over_it_know_the_same_tracks(
    household: Household, tmp_path: Path
) -> None:
    from tests.stand_ins.supysonic_server import run_supysonic

    music = household.folder("music")
    for n in range(3):
        make_audio(music / f"{n}.mp3", seconds=1 + n, title=f"Track {n}")
    with run_supysonic(tmp_path / "supysonic", music, {"anna": "secret"}) as supysonic:
        settings = SubsonicSettings(
            kind="subsonic", name="Sub", url=supysonic.url, users={"me": "anna"},
            path_map={"/": str(music)}, password="secret",
        )  # fmt: skip
        household.also(servers=[settings])
        async with household.open() as services:
            assert await run_step(services, "sync") == "3 new, 3 further copies"
            assert await count(services, Item) == 3
            supysonic.reissue_ids()
            await run_step(services, "sync")
            assert await count(services, Item) == 3
            shutil.move(music / "0.mp3", music / "moved.mp3")
            supysonic.scan()
            await run_step(services, "sync")
            assert await count(services, Item) == 3
            assert len(await titles(services)) == 3
            account = services.servers.account("Sub", "me")
            assert account is not None
            assert "secret" not in repr(account)
            stored = services.settings.data_dir / "accounts.json"
            assert stored.stat().st_mode & 0o777 == 0o600


async def test_what_a_wrong_password_says(household: Household, tmp_path: Path) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        household.also(servers=[])
        from tests.servers import jellyfin_settings

        household.also(servers=[jellyfin_settings(jellyfin)])
        async with household.open() as services:
            with pytest.raises(Exception, match="sign-in"):
                await connect(services, "Home", "wrong")
            with pytest.raises(StepIncomplete, match="connect 'Home'"):
                await run_step(services, "sync")
            assert now() - timedelta(minutes=5) < now()


async def test_what_a_library_counts_and_never_lists_costs_nothing_each_time(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    from connectors.jellyfin import JellyfinServer

    honest = JellyfinServer.libraries

    async def one_more(server: JellyfinServer) -> Any:
        return [replace(found, count=(found.count or 0) + 1) for found in await honest(server)]

    monkeypatch.setattr(JellyfinServer, "libraries", one_more)
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.requests.clear()
            assert await run_step(services, "sync") == "nothing new"
            assert len(jellyfin.requests) <= 12
            jellyfin.remove_item(ids[0])
            assert await run_step(services, "sync") == "1 gone"
