"""Words and vectors: made once, renewed when something changes, never twice."""

import shutil
from pathlib import Path

import pytest
from sqlalchemy import func, select

from daemon.services import Services
from daemon.store.models import Description, Item, ItemVector, Vector, Work
from daemon.vectors.search import SearchUnavailable
from tests.household import Household, item_at, run_step, run_steps
from tests.media import make_audio, make_document, make_picture, write

TAKE_IN = ("sync", "describe", "embed")


async def texts_of(services: Services, item_id: int) -> dict[str, str]:
    async with services.database.read() as session:
        rows = await session.scalars(select(Description).where(Description.item_id == item_id))
        return {row.producer: row.text for row in rows}


async def contents_of(services: Services, item_id: int) -> set[str]:
    async with services.database.read() as session:
        rows = await session.scalars(
            select(ItemVector.content).where(ItemVector.item_id == item_id)
        )
        return set(rows)


async def count(services: Services, table: type) -> int:
    async with services.database.read() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_every_kind_gets_words_and_vectors(household: Household) -> None:
    make_audio(household.folder("music") / "Rain" / "a.mp3", title="Slow rain", artist="Ada",
               genre="Ambient")  # fmt: skip
    make_picture(household.folder("images") / "a.jpg", xmp={"Xmp.dc.subject": "palace"})
    make_document(household.folder("text") / "a.md", "# Tides\n\nThe sea comes and goes.")
    async with household.open() as services:
        lines = await run_steps(services, *TAKE_IN)
        assert lines[1:] == ["3 described", "3 embedded on cpu"]
        song = await item_at(services, household.folder("music") / "Rain" / "a.mp3")
        assert await texts_of(services, song) == {
            "tags": "Slow rain by Ada\nGenre: Ambient\nFolder: Rain"
        }
        photo = await item_at(services, household.folder("images") / "a.jpg")
        assert "Keywords: palace" in (await texts_of(services, photo))["tags"]
        note = await item_at(services, household.folder("text") / "a.md")
        assert "The sea comes and goes." in (await texts_of(services, note))["text"]
        hits = await services.search.find("water and ocean", limit=1)
        assert [hit.item_id for hit in hits] == [note]
        assert "sea" in hits[0].why


async def test_nothing_unchanged_is_done_again(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3", title="One")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        vectors = await count(services, Vector)
        await services.workers.text.close()
        lines = await run_steps(services, *TAKE_IN)
        assert lines == ["nothing new", "0 described", "nothing to embed"]
        assert await count(services, Vector) == vectors
        assert services.workers.text.process_id is None  # it was not even started


async def test_a_replaced_text_gets_new_words_and_new_vectors(household: Household) -> None:
    path = household.folder("text") / "a.txt"
    make_document(path, "A recipe for bread: flour, water, salt and time.")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        item = await item_at(services, path)
        before = await contents_of(services, item)
        make_document(path, "The engine of a steam locomotive, and how to fire it.")
        await run_steps(services, *TAKE_IN)
        assert "locomotive" in (await texts_of(services, item))["text"]
        assert not before & await contents_of(services, item) - before
        assert await contents_of(services, item) != before
        (hit,) = await services.search.find("railway", limit=1)
        assert "locomotive" in hit.why


async def test_a_sidecar_renews_the_words_when_it_comes_changes_and_goes(
    household: Household,
) -> None:
    path = household.folder("music") / "a.mp3"
    make_audio(path, title="One")
    sidecar = path.with_name("a.mp3.meta")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        item = await item_at(services, path)
        for text in ("Played at our wedding.", "Played at our wedding, twice."):
            write(sidecar, text.encode())
            await run_steps(services, *TAKE_IN)
            assert (await texts_of(services, item))["sidecar"] == text
        (hit,) = await services.search.find("wedding", mode="words")
        assert hit.item_id == item
        sidecar.unlink()
        await run_steps(services, *TAKE_IN)
        assert "sidecar" not in await texts_of(services, item)


async def test_the_rating_in_a_file_is_in_no_description(household: Household) -> None:
    path = household.folder("images") / "a.jpg"
    make_picture(path, rating=4, xmp={"Xmp.dc.title": "A lake"})
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        texts = await texts_of(services, await item_at(services, path))
        assert texts["tags"].startswith("A lake")
        assert not any(digit in texts["tags"] for digit in "48")


async def test_a_text_that_cannot_be_read_is_set_aside_after_three_tries(
    household: Household,
) -> None:
    folder = household.folder("text")
    make_document(folder / "good.pdf", "A page.")
    broken = (folder / "good.pdf").read_bytes()
    make_document(folder / "fine.txt", "Words.")
    async with household.open() as services:
        await run_step(services, "sync")
        write(folder / "good.pdf", broken[:40])  # torn after it was taken in
        lines = [await run_step(services, "describe") for _ in range(4)]
        assert lines == ["1 described, 1 failed", "0 described, 1 failed",
                         "0 described, 1 failed", "0 described"]  # fmt: skip
        async with services.database.read() as session:
            work = (await session.scalars(select(Work).where(Work.error.is_not(None)))).one()
        assert work.attempts == 3
        write(folder / "good.pdf", broken + b"\n")
        await run_step(services, "sync")
        assert await run_step(services, "describe") == "1 described"


async def test_search_by_meaning_says_so_when_nothing_is_embedded(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3", title="One")
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
        with pytest.raises(SearchUnavailable, match="Nothing is embedded yet"):
            await services.search.find("anything")
        (hit,) = await services.search.find("on", mode="words")
        assert hit.score > 0


async def test_search_leaves_out_what_is_gone_and_other_kinds(household: Household) -> None:
    folder = household.folder("text")
    for n in range(30):
        make_document(folder / f"{n}.txt", f"The sea, part {n}.")
    make_audio(household.folder("music") / "a.mp3", title="The sea")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        for n in range(14):
            (folder / f"{n}.txt").unlink()
        await run_step(services, "sync")
        hits = await services.search.find("the sea", kind="text", limit=100)
        assert len(hits) == 16
        similar = await services.search.similar(hits[0].item_id, kind="text", limit=100)
        assert len(similar) == 15
        assert hits[0].item_id not in {hit.item_id for hit in similar}


async def test_search_by_words_takes_any_text(household: Household) -> None:
    make_document(household.folder("text") / "a.txt", "Björk's café: naïve *stars* AND NOT")
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
        for query in ('bjork "cafe', "stars AND", "NOT (", "naive*", "' OR 1=1 --", "caf"):
            found = await services.search.find(query, mode="words")
            assert len(found) == (0 if "OR" in query else 1), query
        assert await services.search.find("!!!", mode="words") == []
        assert await services.search.find("100%_", mode="name") == []


async def test_the_index_is_only_a_cache(household: Household) -> None:
    make_document(household.folder("text") / "a.txt", "Whales sing.")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
    shutil.rmtree(household.data_dir / "vectors")
    async with household.open() as services:
        (hit,) = await services.search.find("ocean animals", limit=1)
        assert hit.score > 0.2


async def test_what_is_real_is_found_by_meaning(household: Household, shared_media: Path) -> None:
    shutil.copytree(shared_media / "images" / "Walls", household.folder("images") / "Walls")
    shutil.copytree(shared_media / "music" / "Wesnoth", household.folder("music") / "Wesnoth")
    async with household.open() as services:
        await run_steps(services, *TAKE_IN)
        (insect,) = await services.search.find("an insect with wings", limit=1)
        assert await item_at(
            services, household.folder("images") / "Walls" / "Dragonfly_by_Bolly.jpg"
        ) == insect.item_id  # fmt: skip
        async with services.database.read() as session:
            titles = {item.id: item.title for item in await session.scalars(select(Item))}
        elves = await services.search.find("music for elves in the forest", limit=1)
        assert titles[elves[0].item_id] == "Elf Land"
