"""A playlist of the pages is given another name: it stays the same one everywhere."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, select

from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.reconciler import reconcile, restore_edition
from daemon.playlists.renaming import rename_playlist
from daemon.playlists.shelf import PlaylistProblem, find_playlist, find_playlists, keep_playlist
from daemon.services import Services
from daemon.store.editions import find_editions
from daemon.store.models import Fact
from daemon.store.server_models import PlaylistTarget
from tests.household import Household, run_step
from tests.media import make_audio
from tests.servers import DAY, furnish, living_with
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.web_client import open_client


async def write(services: Services, name: str) -> Any:
    """Write a playlist that is on; return its one receipt."""
    playlist = await find_playlist(services, name)
    assert playlist is not None
    (receipt,) = await reconcile(services, playlist, DAY)
    return receipt


@pytest.mark.parametrize("is_admin", [False, True])  # without and with a mark on the server
async def test_a_playlist_on_a_server_stays_the_same_one(
    household: Household, is_admin: bool
) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin, is_admin=is_admin)
        async with living_with(household, jellyfin) as services, open_client(services) as client:
            await run_step(services, "sync")
            form = {"name": "Mine", "kind": "music", "where": 'not playlist "Mine"',
                    "order": "title", "limit": "2 tracks", "write_to": "Home",
                    "refresh": "daily 06:00", "keep": ""}  # fmt: skip
            await client.post("/playlist-editor", data=form)
            other = PlaylistSettings(name="Other", where='rated or not playlist "Mine"')
            await keep_playlist(services, other)
            await run_step(services, "playlists")
            (before,) = jellyfin.playlists.values()
            answer = await client.post(
                "/playlist-editor",
                data=form | {"name": "Ours", "was": "Mine", "order": "title desc"},
            )
            assert answer.url.path == "/playlists/Ours"
            rules = {each.name: each.where for each in await find_playlists(services)}
            assert rules == {"Ours": 'not playlist "Ours"', "Other": 'rated or not playlist "Ours"'}
            await client.post("/playlist-editor", data=form)  # another of the old name
            assert (await write(services, "Mine")).state == "written"
            assert len(jellyfin.playlists) == 2
            receipt = await write(services, "Ours")
            assert (receipt.state, len(jellyfin.playlists)) == ("written", 2)
            there = [item.name for _, item in jellyfin.resolve(jellyfin.playlists[before.id])]
            assert there == [entry.title for entry in receipt.entries]
            async with services.database.read() as session:
                assert len(await find_editions(session, "Ours")) == 2
                assert len(await find_editions(session, "Mine")) == 1
                facts = list(await session.scalars(select(Fact.name)))
            assert "refreshed:Ours" in facts
            assert "refreshed:Mine" not in facts
            async with services.database.write() as session:  # a backup from before they were made
                await session.execute(delete(PlaylistTarget))
            for name in ("Mine", "Ours"):
                assert (await write(services, name)).is_well
            assert len(jellyfin.playlists) == 2


async def written(household: Household, services: Services) -> tuple[Path, Path]:
    """Make a playlist and write its file; return that and what it is called after renaming."""
    for n in range(2):
        make_audio(household.folder("music") / f"{n}.mp3", seconds=0.3, title=f"Track {n}")
    await run_step(services, "sync")
    await keep_playlist(services, PlaylistSettings(name="Mine", order="title"))
    file = Path((await write(services, "Mine")).target)
    return file, file.with_name("Ours.m3u8")


async def rename(services: Services) -> None:
    before = await find_playlist(services, "Mine")
    assert before is not None
    await rename_playlist(services, before, before.model_copy(update={"name": "Ours"}))
    assert await find_playlist(services, "Mine") is None


async def test_its_file_goes_along(household: Household) -> None:
    async with household.open() as services:
        old, new = await written(household, services)
        await rename(services)
        assert (old.exists(), new.exists()) == (False, True)
        assert (await write(services, "Ours")).state == "written"
        assert b"#PLAYLIST:Ours" in new.read_bytes()
        found = await find_playlist(services, "Ours")
        assert found is not None
        async with services.database.read() as session:
            editions = await find_editions(session, "Ours")
        assert {edition.target for edition in editions} == {str(new)}
        (receipt,) = await restore_edition(services, found, editions[-1].id)
        assert receipt.target == str(new)


async def test_a_file_that_a_person_changed_stays(household: Household) -> None:
    async with household.open() as services:
        old, new = await written(household, services)
        changed = old.read_bytes() + b"mine.mp3\n"
        old.write_bytes(changed)
        await rename(services)
        assert (await write(services, "Ours")).state == "written"
        assert old.read_bytes() == changed
        assert new.exists()


async def test_a_file_of_somebody_else_is_not_replaced(household: Household) -> None:
    async with household.open() as services:
        old, new = await written(household, services)
        new.write_bytes(b"theirs.mp3\n")
        await rename(services)
        assert (await write(services, "Ours")).state == "failed"
        assert old.exists()
        assert new.read_bytes() == b"theirs.mp3\n"


async def test_a_file_that_was_deleted_stays_so(household: Household) -> None:
    async with household.open() as services:
        old, _ = await written(household, services)
        old.unlink()
        await rename(services)
        assert (await write(services, "Ours")).state == "deleted"


async def test_what_cannot_be_kept_changes_nothing(household: Household) -> None:
    async with household.open() as services:
        old, _ = await written(household, services)
        before = await find_playlist(services, "Mine")
        assert before is not None
        after = before.model_copy(update={"name": "Ours", "write_to": ("/etc",)})
        with pytest.raises(PlaylistProblem, match="no server /etc"):
            await rename_playlist(services, before, after)
        assert await find_playlist(services, "Mine") == before
        assert old.exists()
