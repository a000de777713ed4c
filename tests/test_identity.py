"""An item keeps its ratings through what happens to files; two things are never taken for one."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import pytest
from sqlalchemy import select

from daemon.identity.joins import undo_join
from daemon.services import Services
from daemon.steps.step import StepIncomplete
from daemon.store.models import Item, Join
from tests.conftest import SHARED_MEDIA
from tests.household import (
    Household,
    find_items,
    item_at,
    present_paths,
    rate_path,
    ratings,
    run_step,
)
from tests.media import make_audio, make_document, make_picture, picture, tag_audio, tag_picture


@dataclass
class Library:
    """A synced music folder of two tracks, the first rated 9."""

    services: Services
    folder: Path
    first: Path
    second: Path
    item: int

    async def sync(self) -> str:
        return await run_step(self.services, "sync")


@pytest.fixture(params=["generated", "real"])
async def library(household: Household, request: pytest.FixtureRequest) -> AsyncIterator[Library]:
    folder = household.folder("music")
    if request.param == "real":
        if not SHARED_MEDIA.is_dir():
            pytest.skip(f"no real media at {SHARED_MEDIA}")
        first, second = folder / "elf-land.ogg", folder / "sad.ogg"
        for path in (first, second):
            shutil.copyfile(SHARED_MEDIA / "music" / "Wesnoth" / path.name, path)
    else:
        first, second = folder / "a.ogg", folder / "b.ogg"
        make_audio(first, seconds=2, frequency=440, title="A", artist="X")
        make_audio(second, seconds=3, frequency=330, title="B", artist="X")
    async with household.open() as services:
        await run_step(services, "sync")
        yield Library(services, folder, first, second, await rate_path(services, first, 9))


def recode(source: Path, target: Path) -> None:
    """Code the sound anew, without its tags."""
    with av.open(str(source)) as reading, av.open(str(target), "w") as writing:
        stream = writing.add_stream("flac", rate=44100)
        resampler = av.AudioResampler(format="s16", layout="stereo", rate=44100)
        for frame in reading.decode(audio=0):
            for part in resampler.resample(frame):
                writing.mux(stream.encode(part))
        writing.mux(stream.encode(None))


async def test_a_renamed_file_keeps_its_rating(library: Library) -> None:
    renamed = library.first.rename(library.folder / "renamed.ogg")
    assert await library.sync() == "1 moved"
    assert await item_at(library.services, renamed) == library.item
    assert await ratings(library.services) == {library.item: 9}
    assert len(await find_items(library.services)) == 2


async def test_a_file_moved_to_another_folder_keeps_its_rating(library: Library) -> None:
    (library.folder / "Album").mkdir()
    moved = library.first.rename(library.folder / "Album" / library.first.name)
    assert await library.sync() == "1 moved"
    assert await present_paths(library.services, library.item) == {bytes(moved)}


async def test_a_copy_is_the_same_item_in_two_places(library: Library) -> None:
    copy = library.folder / "copy.ogg"
    shutil.copyfile(library.first, copy)
    assert await library.sync() == "1 further copies"
    assert await present_paths(library.services, library.item) == {
        bytes(library.first), bytes(copy),
    }  # fmt: skip
    library.first.unlink()
    assert await library.sync() == "1 gone"
    (item,) = [i for i in await find_items(library.services) if i.id == library.item]
    assert item.gone_at is None


async def test_a_retagged_file_is_the_same_item_with_new_words(library: Library) -> None:
    tag_audio(library.first, title="Another title", artist="Somebody")
    assert await library.sync() == "1 changed"
    (item,) = [i for i in await find_items(library.services) if i.id == library.item]
    assert (item.title, item.artist) == ("Another title", "Somebody")
    assert await ratings(library.services) == {library.item: 9}


async def test_a_file_that_is_retagged_and_renamed_at_once_is_known_by_its_sound(
    library: Library,
) -> None:
    renamed = library.first.rename(library.folder / "renamed.ogg")
    tag_audio(renamed, title="Another title")
    assert await library.sync() == "1 moved"
    assert await item_at(library.services, renamed) == library.item


async def test_a_re_encoded_file_is_the_same_item(library: Library) -> None:
    target = library.first.with_suffix(".flac")
    recode(library.first, target)
    library.first.unlink()
    assert await library.sync() == "1 moved"
    assert await item_at(library.services, target) == library.item


async def test_another_track_under_the_old_name_is_another_item(library: Library) -> None:
    library.second.replace(library.first)
    await library.sync()
    new = await item_at(library.services, library.first)
    assert new != library.item
    assert await present_paths(library.services, library.item) == set()
    assert await ratings(library.services) == {library.item: 9}


async def test_two_files_that_change_places_take_their_ratings_along(library: Library) -> None:
    other = await item_at(library.services, library.second)
    aside = library.first.rename(library.folder / "aside.tmp")
    library.second.rename(library.first)
    aside.rename(library.second)
    await library.sync()
    assert await item_at(library.services, library.second) == library.item
    assert await item_at(library.services, library.first) == other
    assert len(await find_items(library.services)) == 2


async def test_a_vanished_file_is_gone_but_its_rating_stays_until_it_is_back(
    library: Library,
) -> None:
    kept = library.first.rename(library.folder.parent / "kept.ogg")
    assert await library.sync() == "1 gone"
    (item,) = [i for i in await find_items(library.services) if i.id == library.item]
    assert item.gone_at is not None
    assert await ratings(library.services) == {library.item: 9}
    kept.rename(library.first)
    await library.sync()
    (item,) = [i for i in await find_items(library.services) if i.id == library.item]
    assert item.gone_at is None
    assert len(await find_items(library.services)) == 2


async def test_an_unmounted_folder_loses_nothing_and_says_so(library: Library) -> None:
    away = library.folder.rename(library.folder.parent / "away")
    with pytest.raises(StepIncomplete, match="music"):
        await library.sync()
    library.folder.mkdir()  # a mount point without its mount
    with pytest.raises(StepIncomplete, match="looks like a broken mount"):
        await library.sync()
    assert all(item.gone_at is None for item in await find_items(library.services))
    library.folder.rmdir()
    away.rename(library.folder)
    assert await library.sync() == "nothing new"


async def test_a_real_loss_is_taken_when_it_is_confirmed(library: Library) -> None:
    for path in (library.first, library.second):
        path.unlink()
    with pytest.raises(StepIncomplete):
        await library.sync()
    line = await run_step(library.services, "sync", accept_loss=["music"])
    assert line == "2 gone"


async def test_two_identical_files_are_one_item_from_the_first_sync(household: Household) -> None:
    folder = household.folder("music")
    make_audio(folder / "a.mp3", title="Twice")
    shutil.copyfile(folder / "a.mp3", folder / "b.mp3")
    async with household.open() as services:
        assert await run_step(services, "sync") == "1 new, 1 further copies"
        (item,) = await find_items(services)
        assert len(await present_paths(services, item.id)) == 2


async def test_equal_titles_join_nothing(household: Household) -> None:
    folder = household.folder("music")
    for name, frequency in (("a", 440), ("b", 523)):
        make_audio(
            folder / f"{name}.mp3", frequency=frequency, title="Intro", artist="X", album="Y"
        )
    async with household.open() as services:
        assert await run_step(services, "sync") == "2 new"


async def test_one_recording_on_two_albums_is_one_item_by_its_provider_id_and_length(
    household: Household,
) -> None:
    folder = household.folder("music")
    identity: dict[str, Any] = {"musicbrainz_trackid": "8f3471b5-7e6a-48da-86a9-c1c07a0f47ae"}
    make_audio(folder / "a.flac", seconds=2, title="Song", **identity)
    make_audio(folder / "b.ogg", seconds=2, title="Song", **identity)
    make_audio(folder / "c.ogg", seconds=5, title="Song (long)", **identity)
    async with household.open() as services:
        assert await run_step(services, "sync") == "2 new, 1 further copies"
        joined = await item_at(services, folder / "a.flac")
        assert await item_at(services, folder / "b.ogg") == joined
        assert await item_at(services, folder / "c.ogg") != joined


async def test_a_join_is_recorded_with_its_evidence_and_can_be_undone(library: Library) -> None:
    copy = library.folder / "copy.ogg"
    shutil.copyfile(library.first, copy)
    await library.sync()
    async with library.services.database.read() as session:
        join = (await session.scalars(select(Join))).one()
    assert (join.item_id, join.evidence) == (library.item, "the same content")
    async with library.services.database.write() as session:
        alone = await undo_join(session, join.id)
    assert await item_at(library.services, copy) == alone != library.item
    assert await library.sync() == "nothing new"
    assert await item_at(library.services, copy) == alone


async def test_an_edited_picture_is_the_same_and_another_picture_is_another(
    household: Household,
) -> None:
    path = household.folder("images") / "a.jpg"
    make_picture(path, size=(320, 240), seed=1)
    async with household.open() as services:
        await run_step(services, "sync")
        item = await rate_path(services, path, 8)
        tag_picture(path, xmp={"Xmp.dc.title": "A title"})
        await run_step(services, "sync")
        assert await item_at(services, path) == item
        picture((320, 240), 1).point(lambda level: min(255, level + 12)).save(path, quality=60)
        await run_step(services, "sync")
        assert await item_at(services, path) == item
        make_picture(path, size=(320, 240), seed=99)
        await run_step(services, "sync")
        assert await item_at(services, path) != item
        assert await ratings(services) == {item: 8}


async def test_an_edited_text_is_the_same_item(household: Household) -> None:
    path = household.folder("text") / "note.md"
    make_document(path, "One thought.")
    async with household.open() as services:
        await run_step(services, "sync")
        item = await rate_path(services, path, 3)
        make_document(path, "One thought, and another.")
        assert await run_step(services, "sync") == "1 changed"
        assert await item_at(services, path) == item


async def test_a_folder_that_is_renamed_as_a_whole_is_no_loss(library: Library) -> None:
    deeper = library.folder / "Deeper"
    deeper.mkdir()
    for path in (library.first, library.second):
        path.rename(deeper / path.name)
    assert await library.sync() == "2 moved"
    assert len(await find_items(library.services)) == 2


async def test_nothing_is_written_for_an_unchanged_library(library: Library) -> None:
    async with library.services.database.read() as session:
        before = (await session.execute(select(Item.id, Item.input_hash))).all()
    size = library.services.database.path.with_suffix(".db-wal").stat().st_size
    assert await library.sync() == "nothing new"
    async with library.services.database.read() as session:
        assert (await session.execute(select(Item.id, Item.input_hash))).all() == before
    grown = library.services.database.path.with_suffix(".db-wal").stat().st_size - size
    assert grown < 100_000  # the source's row, not the files'
