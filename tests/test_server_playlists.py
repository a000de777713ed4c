"""The reconciler on servers: in place, owned, read back, and right after every fault."""

import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select

from connectors.server_settings import SubsonicSettings
from daemon.playlists.list_words import describe_list
from daemon.playlists.reconciler import preview, restore_edition
from daemon.playlists.selection import Entry
from daemon.store.models import PlaylistWrite
from daemon.store.server_models import PlaylistTarget
from tests.household import Household, run_step
from tests.media import make_audio
from tests.servers import DAY, connect, furnish, living_with, radio, write, writes
from tests.stand_ins.faults import Body, Cut, Hang, Status
from tests.stand_ins.jellyfin import FakeJellyfin

TOMORROW = DAY + timedelta(days=1)


@pytest.mark.parametrize("version", ["10.9.11", "10.10.7", "10.11.11", "12.0.0"])
async def test_a_list_is_made_in_order_and_not_written_twice(
    household: Household, version: str
) -> None:
    async with FakeJellyfin(version) as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            receipt = await write(services)
            assert (receipt.state, receipt.added) == ("written", 6)
            assert receipt.read_back == tuple(entry.item_id for entry in receipt.entries)
            first = jellyfin.playlist("Radio").id
            jellyfin.requests.clear()
            assert (await write(services)).state == "unchanged"
            assert writes(jellyfin.requests) == []
            other = await write(services, day=TOMORROW)
            assert other.state == "written"
            assert other.read_back == tuple(entry.item_id for entry in other.entries)
            assert jellyfin.playlist("Radio").id == first
            assert not jellyfin.playlist("Radio").is_public


async def test_preview_says_what_would_be_and_writes_nothing(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.requests.clear()
            (receipt,) = await preview(services, radio(), DAY)
            assert (receipt.state, receipt.added) == ("written", 6)
            assert writes(jellyfin.requests) == []
            assert not jellyfin.playlists


async def test_what_the_server_does_not_have_is_named(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3", seconds=0.3, title="Only a file")
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            receipt = await write(services)
            assert receipt.missing == ("Only a file",)
            assert receipt.state == "written"
            assert receipt.message == "6 entries; 1 is not there (Only a file)"
            short = await write(services, where='title = "Track 00001"', name="Short")
            assert short.message == "1 entry"


async def test_items_deleted_between_two_calls_are_left_out(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.remove_item(ids[3])
            receipt = await write(services)
            assert (receipt.state, len(receipt.missing)) == ("written", 1)


async def test_a_batch_that_the_server_drops_in_silence_is_reported_as_failed(
    household: Household,
) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.quirks.drops_half_of_batches = True
            receipt = await write(services)
            assert receipt.state == "failed"
            assert "entries are not on it" in receipt.message
            assert receipt.read_back is not None
            assert len(receipt.read_back) < 6
            jellyfin.quirks.drops_half_of_batches = False
            assert (await write(services)).state == "written"
            assert len(jellyfin.playlists) == 1


async def test_a_deleted_list_stays_deleted_until_it_is_asked_for(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            jellyfin.delete_playlist("Radio")
            for _ in range(2):
                assert (await write(services)).state == "deleted"
            assert not jellyfin.playlists
            # a list that its user makes of the same name has the same id, and is not ours
            jellyfin.make_playlist("Anna", "Radio", ids[:1])
            assert (await write(services)).state == "deleted"
            assert jellyfin.playlist_items("Radio") == ids[:1]
            revived = await write(services, revive=True)
            assert revived.state == "written"
            assert jellyfin.playlist_items("Radio") == ids[:1]
            assert len(jellyfin.playlist_items("Radio (Anagnorisis)")) == 6


async def test_a_renamed_list_is_known_and_keeps_its_name(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            jellyfin.rename_playlist("Radio", "Mine now")
            assert (await write(services, day=TOMORROW)).state == "written"
            assert [p.name for p in jellyfin.playlists.values()] == ["Mine now"]


async def test_what_a_person_did_to_the_list_is_overwritten_and_said(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            wanted = jellyfin.playlist_items("Radio")
            jellyfin.empty_playlist("Radio")
            receipt = await write(services)
            assert receipt.state == "written"
            assert jellyfin.playlist_items("Radio") == wanted


async def test_a_name_makes_nothing_ours(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        ids = furnish(jellyfin)
        jellyfin.make_playlist("Anna", "Radio", ids[:2])
        jellyfin.make_playlist("Anna", "Radio", ids[2:3])
        before = {p.id: jellyfin.playlist_items(p.id) for p in jellyfin.playlists.values()}
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            assert (await write(services)).state == "written"
            for playlist_id, items in before.items():
                assert jellyfin.playlist_items(playlist_id) == items
            assert len(jellyfin.playlists) == 3


@pytest.mark.parametrize("after", [True, False])
async def test_a_creation_whose_answer_is_lost_makes_no_second_list(
    household: Household, after: bool
) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            jellyfin.faults.add("POST", r"/Playlists$", Status(502, after=after), times=1)
            first = await write(services)
            assert first.state == ("written" if after else "failed")
            assert (await write(services)).is_well
            assert len(jellyfin.playlists) == 1


@pytest.mark.parametrize(
    "fault", [Status(502), Status(502, after=True), Cut(0), Hang(60), Status(500), Body(b"<")],
    ids=str,
)  # fmt: skip
async def test_a_write_that_breaks_off_is_read_back_and_ends_right(
    household: Household, fault: Cut, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.jellyfin.http.StrictHTTP.__init__.__kwdefaults__", {
        "timeout": (1.0, 0.5), "longest": 2.0, "first_pause": 0.01,
    })  # fmt: skip
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            before = jellyfin.playlist_items("Radio")
            jellyfin.faults.add("POST", r"/Playlists/\w+$", fault, times=1)
            receipt = await write(services, day=TOMORROW)
            there = jellyfin.playlist_items("Radio")
            if receipt.state == "failed":
                assert there == before
            assert (await write(services, day=TOMORROW)).is_well
            assert len(jellyfin.playlists) == 1
            assert set(jellyfin.playlist_items("Radio")) == set(before)
            assert jellyfin.playlist_items("Radio") != before


async def test_a_replacement_that_crashes_halfway_is_repeated(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            jellyfin.quirks.crashes_between_saves = 1
            await write(services, day=TOMORROW)
            assert (await write(services, day=TOMORROW)).is_well
            assert len(jellyfin.playlist_items("Radio")) == 6


async def test_a_list_is_found_again_after_the_database_was_restored(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            async with services.database.write() as session:  # a backup from before it was made
                await session.execute(delete(PlaylistTarget))
            assert (await write(services, day=TOMORROW)).state == "written"
            assert len(jellyfin.playlists) == 1


async def test_a_kill_while_it_was_being_made_leaves_one_list(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services)
            (services.settings.data_dir / "playlists.jsonl").unlink()
            async with services.database.write() as session:
                row = (await session.scalars(select(PlaylistTarget))).one()
                row.state, row.remote_id, row.created = "creating", "", ""
            assert (await write(services)).state == "unchanged"
            assert len(jellyfin.playlists) == 1


async def test_nothing_is_written_where_nothing_of_the_list_is_there(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3", seconds=0.3, title="Only a file")
    async with FakeJellyfin() as jellyfin:
        jellyfin.add_user("Anna", "secret")
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            receipt = await write(services)
            assert receipt.state == "failed"
            assert "Nothing of the list is on Home" in receipt.message
            assert not jellyfin.playlists


async def test_yesterdays_list_can_be_brought_back(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            first = await write(services)
            await write(services, day=TOMORROW)
            (restored,) = await restore_edition(services, radio())
            assert restored.read_back == first.read_back
            async with services.database.read() as session:
                assert await session.scalar(select(func.count(PlaylistWrite.id))) == 3


async def test_a_long_list_goes_in_one_request_and_comes_back_in_order(
    household: Household,
) -> None:
    async with FakeJellyfin(checks=False) as jellyfin:
        furnish(jellyfin, 3000)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            receipt = await write(services, limit="2500 tracks")
            assert receipt.state == "written"
            assert receipt.read_back == tuple(entry.item_id for entry in receipt.entries)
            jellyfin.requests.clear()
            await write(services, limit="2500 tracks", day=TOMORROW)
            assert len(writes(jellyfin.requests)) == 1


async def test_the_description_says_why_and_what_a_person_wrote_there_stays(
    household: Household,
) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin, is_admin=True)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            first = await write(services)
            said = jellyfin.playlist("Radio").overview or ""
            assert said.startswith("Made by Anagnorisis: music, by radio.\nBand - Track 0")
            assert f"{first.entries[0].title}: never played; not rated yet" in said
            assert "[anagnorisis:" in said
            jellyfin.requests.clear()
            assert (await write(services)).state == "unchanged"
            assert writes(jellyfin.requests) == []
            second = await write(services, day=TOMORROW)
            said = jellyfin.playlist("Radio").overview or ""
            assert f"radio.\nBand - {second.entries[0].title}: " in said
            jellyfin.requests.clear()
            assert (await write(services, day=TOMORROW)).state == "unchanged"
            assert writes(jellyfin.requests) == []
            jellyfin.playlist("Radio").overview = f"For the car {said[-30:]}"
            assert (await write(services)).state == "written"
            assert jellyfin.playlist("Radio").overview == f"For the car {said[-30:]}"


async def test_a_list_that_all_see_tells_nothing_of_the_person(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin, is_admin=True)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            await write(services, public=True)
            assert "Track" not in (jellyfin.playlist("Radio").overview or "")


def test_a_daily_mix_says_its_words() -> None:
    entry = Entry(1, "Song", "Band", 60.0, 1, None, "jazz, slow: one of those; rated 9")
    words = describe_list(radio(order="daily mix 1", about="My mix"), [entry])
    assert words == "My mix\njazz, slow\nBand - Song: jazz, slow: one of those; rated 9"
    many = [replace(entry, title="ä" * 300)] * 9
    assert len(describe_list(radio(), many).encode()) <= 700


async def test_where_nothing_fits_a_list_is_left_and_nothing_fails(household: Household) -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            receipt = await write(services, where="played")
            assert (receipt.state, receipt.is_well) == ("abstained", True)
            assert "Nothing fits now" in receipt.message
            assert not jellyfin.playlists


async def test_a_real_supysonic_is_written_in_place_with_a_mark(
    household: Household, tmp_path: Path
) -> None:
    from tests.stand_ins.supysonic_server import run_supysonic

    music = household.folder("music")
    for n in range(5):
        make_audio(music / f"{n}.mp3", seconds=1 + n, title=f"Track {n}")
    with run_supysonic(tmp_path / "supysonic", music, {"anna": "secret"}) as supysonic:
        settings = SubsonicSettings(
            kind="subsonic", name="Home", url=supysonic.url, users={"me": "anna"},
            path_map={"/": str(music)},
        )  # fmt: skip
        household.also(servers=[settings])
        async with household.open() as services:
            account = await connect(services, "Home")
            await run_step(services, "sync")
            first = await write(services)
            assert first.state == "written"
            server = await services.servers.open("Home")
            (made,) = await server.playlists(account)
            assert "[anagnorisis:" in made.description
            assert (await write(services)).state == "unchanged"
            second = await write(services, day=TOMORROW)
            assert second.state == "written"
            present = await server.playlist(account, made.id)
            assert len(present.item_ids) == 5
            async with services.database.write() as session:
                await session.execute(delete(PlaylistTarget))
            (services.settings.data_dir / "playlists.jsonl").unlink()
            assert (await write(services, day=TOMORROW)).state == "unchanged"  # by its mark
            assert len(await server.playlists(account)) == 1
            await server.delete_playlist(account, made.id)
            assert (await write(services)).state == "deleted"
            shutil.rmtree(music)
