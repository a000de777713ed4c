"""Models look and listen: each item once, whatever happens to them on the way."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Kind
from daemon.model_settings import ModelSettings
from daemon.services import Services
from daemon.steps import perceive
from daemon.store.models import Item
from ml.model_cards import BY_NAME, FAMILIES, ModelCard
from tests.household import LITE, Household, find_items, item_at, run_step, run_steps
from tests.media import make_audio, make_picture, write
from tests.odd_house import failures, odd_house, seen, tell, words
from tests.servers import furnish, living_with
from tests.stand_ins.jellyfin import FakeJellyfin

pytestmark = pytest.mark.usefixtures("odd_models")


async def test_the_lite_set_gives_words_and_vectors_to_every_kind(
    household: Household, shared_media: Path
) -> None:
    household.also(models=LITE)
    labels: dict[Kind, str] = {"images": "Walls", "music": "Wesnoth", "videos": "Clips"}
    for kind, label in labels.items():
        shutil.copytree(shared_media / kind / label, household.folder(kind) / label)
    async with household.open() as services:
        lines = await run_steps(services, "sync", "describe", "embed")
        assert "musicnn 10 on cpu" in lines[1]
        assert "efficientnet-lite0 13 on cpu" in lines[1]
        found = {}
        for query in ("a bridge over a river", "a dog", "a clock on the wall", "slow strings",
                      "a flute", "a choir"):  # fmt: skip
            hits = await services.search.find(query, limit=3)
            async with services.database.read() as session:
                items = [await session.get(Item, hit.item_id) for hit in hits]
            found[query] = [(item.kind, item.title) for item in items if item]
        assert found["a bridge over a river"][0][1].startswith("Bridge")
        assert found["a dog"][0][1].startswith("friends")  # its tags say nothing of dogs
        assert found["a clock on the wall"][0][1].startswith("greentock")
        assert {title for _, title in found["slow strings"]} <= {
            "Sad", "Transience", "Revelation", "Main Theme"
        }  # fmt: skip
        assert found["a flute"][0][1] == "Love Theme"
        assert found["a choir"][0][1] == "Elf Land"
        assert set((await seen(services, "musicnn@0.1.0:mean-3s")).values()) == {1}
        sad = household.folder("music") / "Wesnoth" / "sad.ogg"
        assert "strings" in (await words(services, sad))["heard:musicnn"]
        similar = await services.search.similar(await item_at(services, sad), limit=3)
        assert len(similar) == 3


async def test_lite_works_on_generated_media_too(household: Household) -> None:
    household.also(models=LITE)
    make_audio(household.folder("music") / "a.mp3", title="One", seconds=4)
    make_picture(household.folder("images") / "a.jpg")
    async with household.open() as services:
        assert (
            "musicnn 1 on cpu; efficientnet-lite0 1"
            in (await run_steps(services, "sync", "describe"))[1]
        )
        again = await run_step(services, "describe")
        assert again == "0 described"
        assert all(w.process_id is None for w in services.workers.models.values())


async def test_an_item_is_decoded_once_for_all_its_models(household: Household) -> None:
    odd_house(household, 6, "odd", "odd-2")
    async with household.open() as services:
        tell(services, "odd", version=1)
        tell(services, "odd-2", version=2)
        calls = count_calls(services)
        await run_steps(services, "sync", "describe")
        assert calls.count("make_excerpts") == 6
        assert len(await seen(services, "odd@1")) == len(await seen(services, "odd@2")) == 6
        assert list((household.data_dir / "scratch").iterdir()) == []


def count_calls(services: Services) -> list[str]:
    calls: list[str] = []
    call = services.workers.files.call

    async def counted(operation: str, *arguments: Any, timeout: float | None = None) -> Any:
        calls.append(operation)
        return await call(operation, *arguments, timeout=timeout)

    services.workers.files.call = counted  # type: ignore[method-assign]
    return calls


async def test_new_tags_are_no_reason_to_look_again(household: Household) -> None:
    household.also(models=ModelSettings(audio=(), images=("odd",)))
    path = household.folder("images") / "a.jpg"
    make_picture(path)
    async with household.open() as services:
        await run_steps(services, "sync", "describe")
        calls = count_calls(services)
        write(path.with_name("a.jpg.meta"), b"Our house.")
        await run_steps(services, "sync", "describe")
        assert "make_excerpts" not in calls
        assert (await words(services, path))["sidecar"] == "Our house."
        assert "seen:odd" in await words(services, path)


async def test_a_note_of_the_person_comes_first_and_is_never_overwritten(
    household: Household,
) -> None:
    (path,) = odd_house(household, 1)
    write(path.with_name(path.name + ".meta"), b"My own words.")
    async with household.open() as services:
        for version in (1, 2):
            tell(services, version=version)
            await run_steps(services, "sync", "describe")
        found = await words(services, path)
        assert found["sidecar"] == "My own words."
        (hit,) = await services.search.find("own words shade", mode="words")
        assert hit.item_id == await item_at(services, path)


async def test_what_does_not_fit_beside_a_model_of_larger_batches_is_left_out_nowhere(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(FAMILIES, "odd_wide", replace(FAMILIES["odd"], batch=12))
    wide = ModelCard("odd-wide", "images", "odd_wide", "none", package="numpy")
    monkeypatch.setitem(BY_NAME, "odd-wide", wide)
    odd_house(household, 12, "odd", "odd-wide")
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, most=1)
        line = await run_step(services, "describe")
    assert "odd 12 on cpu" in line


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceive, "PAGE", 5)


async def test_pages_leave_nothing_out_and_take_nothing_twice(
    household: Household, small_pages: None
) -> None:
    odd_house(household, 23)
    log = household.home / "log"
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services, log=str(log))
        await run_step(services, "describe")
        shades = [int(s) for s in log.read_text().split()]
        assert sorted(shades) == [10 * (n + 1) % 256 if n < 25 else 0 for n in range(23)]
        assert len(await find_items(services)) == 23


async def test_what_only_a_server_has_is_fetched_and_heard(household: Household) -> None:
    path = household.home / "tone.ogg"
    make_audio(path, seconds=3)
    jellyfin = FakeJellyfin()
    furnish(jellyfin, 3)
    first, second, _ = (i for i in jellyfin.items.values() if i.type == "Audio")
    first.content = second.content = path.read_bytes()
    second.content = second.content[:-1000]  # damaged, and still to be heard as far as it goes
    household.also(models=ModelSettings(audio=("odd-ear",), images=()))
    with jellyfin.run_in_thread():
        async with living_with(household, jellyfin) as services:
            tell(services, "odd-ear")
            await run_step(services, "sync")
            assert "odd-ear 2, 1 failed" in await run_step(services, "describe")
            assert len(await seen(services)) == 2
            assert len(await failures(services)) == 1
            assert not list(services.workers.scratch.iterdir())
