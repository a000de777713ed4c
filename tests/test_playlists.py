"""Smart playlists: what is on them, and the files that carry them."""

import asyncio
import os
import shutil
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event, select

from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.m3u8 import file_name, paths_in, render
from daemon.playlists.radio import RECENCY_FLOOR, Heard, draw, weigh
from daemon.playlists.receipt import Receipt
from daemon.playlists.reconciler import UnknownEdition, preview, reconcile, restore_edition
from daemon.playlists.refreshing import find_due
from daemon.playlists.selection import Entry, choose
from daemon.playlists.shelf import READY, keep_playlist, switch_off
from daemon.services import Services
from daemon.steps.step import StepIncomplete
from daemon.store.editions import KEPT
from daemon.store.models import PlaylistWrite
from daemon.store.plays import record_play
from tests.household import Household, find_items, item_at, rate_path, run_step, run_steps
from tests.media import make_audio

DAY = date(2026, 3, 1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def heard(rating: float = 5, *, plays: int = 0, skips: int = 0, days: int | None = None) -> Heard:
    return Heard(rating, plays, skips, None if days is None else NOON - timedelta(days=days))


def test_equal_tracks_weigh_the_same_wherever_they_stand() -> None:
    weights = weigh([heard(7) for _ in range(50)])
    assert max(weights) == min(weights) > 0


def test_what_was_just_played_weighs_little_but_is_never_impossible() -> None:
    fresh, old, never = weigh([heard(days=0), heard(days=30), heard()])
    assert 0 < fresh < old < never
    assert fresh == pytest.approx(never * RECENCY_FLOOR)


def test_ties_in_recency_share_their_ranks() -> None:
    weights = weigh([heard(days=1), heard(days=1), heard(days=9), heard(days=9)])
    assert weights[0] == weights[1] < weights[2] == weights[3]


def test_weights_are_the_formula_of_the_original() -> None:
    (weight, _) = weigh([heard(8, plays=3, skips=1), heard(days=1)])
    assert weight == pytest.approx((8 / 10) ** 2 / (1 + 2.718281828459045 ** -((5 + 3 - 1) / 5)))


def test_a_rating_of_nothing_still_has_a_chance() -> None:
    assert weigh([heard(0)])[0] > 0


def test_thousands_of_skips_leave_a_chance() -> None:
    weights = weigh([heard(0, skips=100_000, days=0), heard(9)])
    assert 0 < weights[0] < weights[1]
    assert sorted(draw(weights, 2, seed="x")) == [0, 1]


@given(st.lists(st.floats(1e-6, 1.0), min_size=1, max_size=40), st.text(max_size=8))
def test_a_draw_is_without_replacement_and_the_same_for_the_same_seed(
    weights: list[float], seed: str
) -> None:
    drawn = draw(weights, len(weights), seed=seed)
    assert sorted(drawn) == list(range(len(weights)))
    assert drawn == draw(weights, len(weights), seed=seed)


def test_the_first_is_drawn_in_proportion_to_its_weight() -> None:
    weights = [6.0, 3.0, 1.0]
    first = Counter(draw(weights, 1, seed=str(n))[0] for n in range(6000))
    for index, weight in enumerate(weights):
        assert first[index] / 6000 == pytest.approx(weight / 10, abs=0.025)


def test_a_low_temperature_sharpens_the_draw() -> None:
    firsts = [draw([2.0, 1.0], 1, seed=str(n), temperature=0.2)[0] for n in range(500)]
    assert firsts.count(0) > 450


def entry(path: bytes, **changes: Any) -> Entry:
    values: dict[str, Any] = {
        "item_id": 1, "title": "T", "artist": "A", "duration": 61.4, "size": 1, "path": path,
        "why": "",
    }  # fmt: skip
    return Entry(**(values | changes))


def test_a_playlist_file_names_its_tracks_relative_to_itself(tmp_path: Path) -> None:
    target = tmp_path / "playlists"
    target.mkdir()
    path = bytes(tmp_path / "music" / "Ädagio 1.mp3")
    content, left_out = render("Mine", [entry(path), entry(bytes(target / "#1.mp3"))], target)
    assert content.decode().splitlines() == [
        "#EXTM3U", "#ANAGNORISIS:Mine", "#PLAYLIST:Mine", "#EXTINF:61,A - T",
        "../music/Ädagio 1.mp3", "#EXTINF:61,A - T", "./#1.mp3",
    ]  # fmt: skip
    assert left_out == []


def test_odd_names_keep_their_bytes_and_a_line_break_is_left_out(tmp_path: Path) -> None:
    odd, broken = bytes(tmp_path) + b"/\xff\xfe.mp3", bytes(tmp_path) + b"/a\nb.mp3"
    content, left_out = render("Mine", [entry(odd), entry(broken, title="x\ny")], tmp_path)
    assert paths_in(content) == [b"\xff\xfe.mp3"]
    assert [e.path for e in left_out] == [broken]


@pytest.mark.parametrize(
    ("name", "file"),
    [("Radio/One", "Radio_One.m3u8"), ("..", "playlist.m3u8"), ("ä" * 300, "ä" * 100 + ".m3u8"),
     ("a\x00b", "a_b.m3u8"), (".hidden", "hidden.m3u8")],
)  # fmt: skip
def test_a_file_is_named_after_its_playlist_whatever_that_is_called(name: str, file: str) -> None:
    assert file_name(name) == file


@pytest.fixture
def household(household: Household) -> Household:
    household.folder("music")
    return household


async def seeded(household: Household, services: Services, count: int = 6) -> list[Path]:
    """Make tracks and take them in."""
    paths = [household.folder("music") / f"{n:02}.mp3" for n in range(count)]
    for n, path in enumerate(paths):
        make_audio(path, seconds=0.3, frequency=200 + 20 * n, title=f"Track {n}",
                   genre="Opera" if n % 2 else "Techno")  # fmt: skip
    await run_step(services, "sync")
    return paths


async def write(services: Services, **playlist: Any) -> Receipt:
    (receipt,) = await reconcile(services, PlaylistSettings(**playlist), DAY)
    return receipt


async def test_the_best_predicted_and_unrated_come_first(household: Household) -> None:
    async with household.open() as services:
        paths = await seeded(household, services, count=14)
        for n, path in enumerate(paths[:-4]):
            await rate_path(services, path, 9 if n % 2 else 2)
        await run_steps(services, "describe", "embed", "train", "score")
        receipt = await write(services, name="Best", limit="2 tracks", untrusted=True)
        assert receipt.state == "written"
        operas = {bytes(path) for path in (paths[11], paths[13])}
        assert {entry.path for entry in receipt.entries} == operas
        assert all("predicted" in entry.why for entry in receipt.entries)
        target = Path(receipt.target)
        found = {os.path.realpath(bytes(target.parent) + b"/" + path)
                 for path in paths_in(target.read_bytes())}  # fmt: skip
        assert found == operas


async def test_an_unchanged_list_is_not_written_again(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        playlist = {"name": "Radio", "order": "radio", "limit": "5 tracks"}
        first = await write(services, **playlist)
        before = Path(first.target).stat()
        second = await write(services, **playlist)
        after = Path(first.target).stat()
        assert second.state == "unchanged"
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        async with services.database.read() as session:
            editions = (await session.scalars(select(PlaylistWrite))).all()
        assert len(editions) == 1
        assert editions[0].item_ids == [entry.item_id for entry in first.entries]


async def test_the_newest_editions_of_each_target_are_kept(
    household: Household, tmp_path: Path
) -> None:
    folder = str(tmp_path / "other")
    async with household.open() as services:
        await seeded(household, services)
        async with services.database.write() as session:
            session.add_all(
                PlaylistWrite(playlist=name, target=target, item_ids=[n], content_hash="",
                              verified=True)
                for name, target in (("Titles", f"{folder}/Titles.m3u8"), ("Titles", "x"),
                                     ("Radio", f"{folder}/Titles.m3u8"))
                for n in range(KEPT + 20)
            )  # fmt: skip
        playlist = PlaylistSettings(name="Titles", order="title", write_to=(folder,))
        (receipt,) = await reconcile(services, playlist, DAY, revive=True)
        assert receipt.state == "written"
        async with services.database.read() as session:
            editions = (await session.scalars(select(PlaylistWrite))).all()
        counts = Counter((edition.playlist, edition.target) for edition in editions)
        assert counts == {
            ("Titles", receipt.target): KEPT, ("Titles", "x"): KEPT + 20,
            ("Radio", receipt.target): KEPT + 20,
        }  # fmt: skip
        kept = [
            e.item_ids for e in editions if (e.playlist, e.target) == ("Titles", receipt.target)
        ]
        assert kept[0] == [21]
        assert kept[-1] == [entry.item_id for entry in receipt.entries]


async def test_an_edition_is_brought_back_without_reading_all_of_them(
    household: Household,
) -> None:
    async with household.open() as services:
        await seeded(household, services)
        playlist = PlaylistSettings(name="Titles", order="title", limit="3 tracks")
        with pytest.raises(UnknownEdition):
            await restore_edition(services, playlist)
        await reconcile(services, playlist, DAY)
        ids = [item.id for item in await find_items(services)]
        async with services.database.write() as session:
            session.add_all(
                PlaylistWrite(playlist=name, target="x", item_ids=list(items), content_hash="",
                              verified=True)
                for name, items in (("Titles", ids[:2]), ("Other", ids), ("Titles", ids[3:]),
                                    ("Titles", ids[3:]))
            )  # fmt: skip
        read: list[PlaylistWrite] = []
        listening = (PlaylistWrite, "load", lambda edition, _: read.append(edition))
        event.listen(*listening)
        (receipt,) = await restore_edition(services, playlist)
        event.remove(*listening)
        assert [entry.item_id for entry in receipt.entries] == ids[:2]
        assert len(read) == 3  # the newest of each target, and the one before
        with pytest.raises(UnknownEdition):  # somebody else's
            await restore_edition(services, playlist, 3)


async def test_yesterdays_list_is_that_of_the_place_which_has_all_of_it(
    household: Household,
) -> None:
    async with household.open() as services:
        await seeded(household, services)
        playlist = PlaylistSettings(name="Titles", order="title")
        ids = [item.id for item in await find_items(services)][:4]
        async with services.database.write() as session:
            session.add_all(
                PlaylistWrite(playlist="Titles", target=target, item_ids=items, content_hash="",
                              verified=True)
                for items in (ids, ids[::-1]) for target, items in (
                    ("file", items), ("server", [each for each in items if each != ids[2]])
                )
            )  # fmt: skip
        (receipt,) = await restore_edition(services, playlist)
    assert [entry.item_id for entry in receipt.entries] == ids


async def test_a_list_in_another_order_is_told_as_moved(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        first = await write(services, name="Titles", order="title", limit="3 tracks")
        assert (first.added, first.removed, first.moved) == (3, 0, 0)
        same = ", ".join(f'"{entry.title}"' for entry in first.entries)
        turned = await write(
            services, name="Titles", where=f"title in ({same})", order="title desc"
        )  # fmt: skip
        assert turned.state == "written"
        assert (turned.added, turned.removed, turned.moved) == (0, 0, 2)


async def test_another_day_brings_another_programme(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        playlist = PlaylistSettings(name="Radio", order="radio", limit="5 tracks")
        days = [(await preview(services, playlist, DAY + timedelta(n)))[0] for n in range(3)]
        orders = [[entry.item_id for entry in receipt.entries] for receipt in days]
        assert len({tuple(order) for order in orders}) == 3
        assert not Path(days[0].target).exists()


async def test_a_cold_radio_brings_what_is_likely_a_hot_one_anything(household: Household) -> None:
    async with household.open() as services:
        paths = await seeded(household, services)
        for n, path in enumerate(paths):
            await rate_path(services, path, 5 if n else 10)
        firsts = {}
        for heat in (0.1, 10.0):
            playlist = PlaylistSettings(name="R", order="radio", variety={"temperature": heat})
            lists = [await choose(services, playlist, DAY + timedelta(days=n)) for n in range(20)]
            firsts[heat] = Counter(entries[0].title for entries in lists)
        assert firsts[0.1] == {"Track 0": 20}
        assert len(firsts[10.0]) > 3


async def test_a_list_is_as_long_as_its_limit_says(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        by_time = await write(services, name="Time", order="radio", limit="0.03 min")
        length = sum(entry.duration or 0 for entry in by_time.entries)
        assert 1.2 < length <= 1.8
        by_size = await write(services, name="Size", order="radio", limit="0.05 MB")
        assert 0 < sum(entry.size for entry in by_size.entries) <= 50_000


async def test_untrusted_predictions_make_no_list_unless_told_to(household: Household) -> None:
    async with household.open() as services:
        receipt = await write(services, name="Best")
        assert receipt.state == "abstained"
        assert "rate at least 10" in receipt.message
        assert not Path(receipt.target).exists()


async def test_someone_elses_file_is_left_alone(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        target = household.data_dir / "playlists" / "Radio.m3u8"
        target.parent.mkdir()
        target.write_text("#EXTM3U\nmine.mp3\n")
        receipt = await write(services, name="Radio", order="radio")
        assert receipt.state == "failed"
        assert "not written by Anagnorisis" in receipt.message
        assert target.read_text() == "#EXTM3U\nmine.mp3\n"


async def test_a_deleted_list_stays_deleted_until_it_is_asked_for(household: Household) -> None:
    async with household.open() as services:
        await seeded(household, services)
        playlist = PlaylistSettings(name="Radio", order="radio")
        receipt = await write(services, name="Radio", order="radio")
        Path(receipt.target).unlink()
        assert (await write(services, name="Radio", order="radio")).state == "deleted"
        (revived,) = await reconcile(services, playlist, DAY, revive=True)
        assert revived.state == "written"


async def test_a_folder_that_cannot_be_written_is_said_so(
    household: Household, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    async with household.open() as services:
        await seeded(household, services)
        receipt = await write(services, name="Radio", order="radio", write_to=(str(blocked),))
        assert receipt.state == "failed"
        assert str(blocked) in receipt.message


async def test_skips_and_plays_change_the_programme(household: Household) -> None:
    async with household.open() as services:
        paths = await seeded(household, services, count=12)
        item = await item_at(services, paths[1])
        for n in range(30):
            await record_play(
                services.database, 1, item, source="web", event_key=str(n), outcome="skipped",
                played_at=NOON + timedelta(minutes=n), position=2, duration=60,
            )  # fmt: skip
        playlist = PlaylistSettings(
            name="Radio", order="radio", limit="1 track".replace("track", "tracks")
        )
        firsts = [(await preview(services, playlist, DAY + timedelta(n)))[0] for n in range(40)]
        assert item not in {receipt.entries[0].item_id for receipt in firsts}


async def test_the_step_writes_the_lists_of_the_settings(tmp_path: Path) -> None:
    lists = (
        PlaylistSettings(name="Radio", order="radio", limit="3 tracks"),
        PlaylistSettings(name="Best", limit="3 tracks"),
    )
    household = Household(tmp_path, playlists=lists)
    household.folder("music")
    async with household.open() as services:
        await seeded(household, services)
        best = "Best: abstained, There are no predictions yet; rate at least 10 items."
        line = await run_step(services, "playlists")
        assert line == f"Radio: written, 3 entries; {best}"
        line = await run_step(services, "playlists")
        assert line == f"Radio: unchanged, as it is; {best}"


async def test_a_list_for_nobody_fails_alone(tmp_path: Path) -> None:
    lists = (
        PlaylistSettings(name="Whose", profile="zoe", order="radio"),
        PlaylistSettings(name="Radio", order="radio", limit="3 tracks"),
    )
    household = Household(tmp_path, playlists=lists)
    household.folder("music")
    async with household.open() as services:
        await seeded(household, services)
        with pytest.raises(StepIncomplete, match="There is no profile zoe") as raised:
            await run_step(services, "playlists")
        assert raised.value.summary == "Radio: written, 3 entries"


async def test_what_breaks_in_one_list_stops_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lists = (
        PlaylistSettings(name="Broken", order="radio", refresh="daily 06:00"),
        PlaylistSettings(name="Radio", order="radio", limit="1 tracks"),
    )
    household = Household(tmp_path, playlists=lists)
    household.folder("music")
    error: BaseException = KeyError("colour")

    async def break_off(services: Services, playlist: PlaylistSettings, day: date) -> list[Receipt]:
        if playlist.name == "Broken":
            raise error
        return await reconcile(services, playlist, day)

    monkeypatch.setattr("daemon.steps.playlists.reconcile", break_off)
    async with household.open() as services:
        await seeded(household, services)
        with pytest.raises(StepIncomplete) as raised:
            await run_step(services, "playlists")
        assert raised.value.summary == "Radio: written, 1 entry"
        assert raised.value.problem == "Broken: failed, it broke off: KeyError: 'colour'"
        (record,) = [each for each in caplog.records if "Broken failed" in each.getMessage()]
        assert record.exc_info
        assert await find_due(services, datetime.now().astimezone()) == []  # not every minute
        error = asyncio.CancelledError()
        with pytest.raises(asyncio.CancelledError):
            await run_step(services, "playlists")


async def test_what_is_switched_off_during_the_step_is_not_written(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def switch_next_off(
        services: Services, playlist: PlaylistSettings, day: date
    ) -> list[Receipt]:
        await switch_off(services, "Second")
        return await reconcile(services, playlist, day)

    monkeypatch.setattr("daemon.steps.playlists.reconcile", switch_next_off)
    async with household.open() as services:
        await seeded(household, services)
        for name in ("First", "Second"):
            await keep_playlist(services, PlaylistSettings(name=name, order="title"))
        assert await run_step(services, "playlists") == "First: written, 6 entries"


@pytest.mark.parametrize("name", ["Probably a nine", "Off the beaten track", "Films for tonight"])
def test_a_ready_made_list_of_the_likely_holds_nothing_unlikely(name: str) -> None:
    (found,) = [PlaylistSettings(**each) for each in READY if each["name"] == name]
    assert found.asks("predicted")
    assert found.only_unrated


async def test_real_tracks_play_from_the_list(household: Household, shared_media: Path) -> None:
    shutil.copytree(shared_media / "music" / "Wesnoth", household.folder("music") / "Wesnoth")
    async with household.open() as services:
        await run_steps(services, "sync")
        receipt = await write(services, name="Radio", order="radio", limit="6 tracks")
        assert len(receipt.entries) == 6
        folder = bytes(Path(receipt.target).parent)
        for path in paths_in(Path(receipt.target).read_bytes()):
            assert Path(os.fsdecode(folder + b"/" + path)).is_file()
