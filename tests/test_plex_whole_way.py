"""Plex through the whole daemon: in come plays and ratings, back go playlists."""

from datetime import timedelta
from pathlib import Path

from sqlalchemy import delete, func, select

from daemon.store.models import Item as CatalogueItem
from daemon.store.models import Play, Rating
from daemon.store.server_models import PlaylistTarget
from tests.household import Household, run_step
from tests.servers import DAY, write
from tests.stand_ins.plex import FakePlex
from tests.test_plex_connector import furnish, settings_of


async def test_a_library_plays_ratings_and_a_playlist_go_the_whole_way(
    household: Household,
) -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        plex.play(plex.owner, tracks[0])
        plex.rate(plex.owner, tracks[1], 8.0)
        household.also(servers=[settings_of(plex, token=plex.owner.token)])
        async with household.open() as services:
            assert await run_step(services, "sync") == "6 new"
            plex.requests.clear()
            assert await run_step(services, "sync") == "nothing new"
            assert len(plex.requests) <= 12
            async with services.database.read() as session:
                assert await session.scalar(select(func.count(Play.id))) == 1
                rating = (await session.scalars(select(Rating))).one()
                assert (rating.value, rating.origin) == (8.0, "server")
            receipt = await write(services, write_to=("Plex",))
            assert receipt.state == "written"
            plex.requests.clear()
            assert (await write(services, write_to=("Plex",))).state == "unchanged"
            assert [r for r in plex.requests if r[0] != "GET"] == []
            (playlist,) = plex.playlists_of(plex.owner)
            assert "[anagnorisis:" in playlist.summary
            async with services.database.write() as session:
                await session.execute(delete(PlaylistTarget))
            tomorrow = DAY + timedelta(days=1)
            assert (await write(services, write_to=("Plex",), day=tomorrow)).state == "written"
            assert len(plex.playlists_of(plex.owner)) == 1
            plex.delete_playlist(playlist)
            assert (await write(services, write_to=("Plex",))).state == "deleted"


async def test_a_database_made_anew_gives_ids_to_other_things_and_no_item_changes(
    household: Household, tmp_path: Path
) -> None:
    async with FakePlex() as plex:
        furnish(plex)
        household.also(servers=[settings_of(plex, token=plex.owner.token)])
        async with household.open() as services:
            await run_step(services, "sync")
            async with services.database.read() as session:
                rows = await session.execute(select(CatalogueItem.id, CatalogueItem.title))
                before = {row.id: row.title for row in rows}
            plex.reissue_all_ids()
            await run_step(services, "sync")
            async with services.database.read() as session:
                rows = await session.execute(select(CatalogueItem.id, CatalogueItem.title))
                assert {row.id: row.title for row in rows} == before


async def test_half_of_a_batch_dropped_in_silence_is_reported(household: Household) -> None:
    async with FakePlex(drops_half_of_batch=True) as plex:
        furnish(plex)
        household.also(servers=[settings_of(plex, token=plex.owner.token)])
        async with household.open() as services:
            await run_step(services, "sync")
            receipt = await write(services, write_to=("Plex",))
            assert receipt.state == "failed"
            plex.quirks.drops_half_of_batch = False
            assert (await write(services, write_to=("Plex",))).state == "written"
            assert len(plex.playlists_of(plex.owner)) == 1
