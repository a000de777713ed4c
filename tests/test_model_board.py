"""What doctor and the Jobs page tell of the models, and how they are asked for queries."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from daemon.commands import model_check
from daemon.commands.model_check import examine_models
from daemon.model_settings import ModelSettings
from daemon.steps.perceivers import fill_board
from ml import query_worker
from ml.model_cards import BY_NAME, ModelCard
from ml.perceiving import ModelUnusable
from tests.household import Household, item_at, run_step, run_steps
from tests.media import write
from tests.odd_house import (
    odd_house,
    paint,
    tell,
)
from tests.web_client import open_client

pytestmark = pytest.mark.usefixtures("odd_models")


async def test_search_by_words_reaches_the_space_of_the_pictures(household: Household) -> None:
    odd_house(household, 10)
    async with household.open() as services:
        tell(services)
        await run_steps(services, "sync", "describe", "embed")
        hits = await services.search.find("70", kind="images", limit=2)
        best = household.folder("images") / "70.png"
        assert hits[0].item_id == await item_at(services, best)
        assert any("its look fits" in hit.why for hit in hits)
        similar = await services.search.similar(hits[0].item_id, limit=2)
        assert len(similar) == 2


async def test_a_model_with_an_environment_of_its_own_answers_queries_there(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = ModelCard("odd-own", "images", "odd", "none", package="numpy", environment="own")
    monkeypatch.setitem(BY_NAME, "odd-own", card)
    python, log = household.home / "own" / "bin" / "python", household.home / "started.log"
    write(python, f'#!/bin/sh\necho "$3" >> {log}\nexec {sys.executable} "$@"\n'.encode())
    python.chmod(0o755)
    for n in range(3):
        paint(household, 40 * n)
    models = ModelSettings(audio=(), images=("odd-own",), environments=household.home)
    household.also(models=models)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        await services.search.find("40", kind="images", limit=1)
        started = log.read_text().split()
        assert sorted(started) == ["ml.query_worker", "tests.odd_family"]
    python.unlink()
    async with household.open() as services:  # the other spaces still answer
        assert await services.search.find("40", kind="images", limit=1)
        text, picture = await services.search.points("40", "images")
        assert (len(text), picture) == (4 * 384, b"")


def test_a_model_that_does_not_answer_queries_is_not_loaded_for_each(tmp_path: Path) -> None:
    worker = query_worker.start({})
    folder = tmp_path / "model"
    with pytest.raises(ModelUnusable, match="There is no model in"):
        worker.embed_query("ml.families.clap", {"folder": str(folder)}, "clap@1", "rain")
    folder.mkdir()
    (folder / "config.json").write_text("not read again")
    with pytest.raises(ModelUnusable, match="There is no model in"):
        worker.embed_query("ml.families.clap", {"folder": str(folder)}, "clap@1", "rain")


async def test_the_board_tells_pace_memory_and_what_is_left(household: Household) -> None:
    odd_house(household, 25)
    async with household.open() as services:
        await run_step(services, "sync")
        await fill_board(services)
        state = services.board.states()[-1]
        assert (state.left, state.is_loaded, state.minutes_left) == (25, False, None)
        tell(services, seconds=0.5)
        task = asyncio.create_task(run_step(services, "describe"))
        while services.board.states()[-1].left in (None, 25):
            await asyncio.sleep(0.02)
        state = services.board.states()[-1]
        assert state.at_work
        assert state.is_loaded
        assert state.memory > 10 << 20
        assert state.reason == "it is odd"
        assert 200 < (state.pace.per_minute or 0) < 600  # four in half a second
        async with household.open() as beside:  # as `doctor` beside a daemon
            await fill_board(beside)
            told = beside.board.states()[-1]
        assert (told.process_id, told.device) == (state.process_id, "cpu")
        assert told.memory > 10 << 20
        assert told.minutes_left
        assert "loaded on cpu: it is odd; " in model_check._tell(told)
        await task
        await fill_board(services)
        state = services.board.states()[-1]
        assert (state.left, state.at_work, state.is_loaded) == (0, False, False)
        async with open_client(services) as client:
            rows = (await (await client.get("/api/models")).json())["models"]
        row = next(row for row in rows if row["name"] == "odd")
        assert (row["role"], row["left"], row["loaded"]) == ("images", 0, False)
        assert 200 < row["per_minute"] < 600
    async with household.open() as services:  # another process knows the pace too
        await fill_board(services)
        state = services.board.states()[-1]
        assert state.pace.per_minute
        assert model_check._tell(state).startswith("not loaded, last on cpu: it is odd; 0 items")
        text = services.board.states()[0]
        assert (text.role, text.left) == ("text", 25)


async def test_the_pace_counts_the_time_that_a_model_waits_for_decoding(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd_house(household, 12)
    async with household.open() as services:
        await run_step(services, "sync")
        tell(services)
        call = services.workers.files.call

        async def slow(operation: str, *arguments: Any, timeout: float | None = None) -> Any:
            await asyncio.sleep(0.5)
            return await call(operation, *arguments, timeout=timeout)

        monkeypatch.setattr(services.workers.files, "call", slow)
        await run_step(services, "describe")
        assert (services.board.states()[-1].pace.per_minute or 0) < 600  # two in half a second


async def test_doctor_loads_every_model_and_shows_it_samples(household: Household) -> None:
    odd_house(household, 1, "odd", "odd-big")
    async with household.open() as services:
        tell(services, "odd-big", version=2)
        found = {f.about: f async for f in examine_models(services, thoroughly=True)}
        assert found["text model"].is_well
        assert "on cpu" in found["text model"].message
        odd, big = found["images model odd"], found["images model odd-big"]
        assert odd.is_well
        assert "2 vectors; images: Looks like: shade" in odd.message
        assert odd.message.endswith("; answers queries")
        assert not big.is_well  # a large model that ends up on the CPU is worth a word
        assert all(worker.process_id is None for worker in services.workers.models.values())
        assert list((household.data_dir / "scratch").iterdir()) == []
        tell(services, broken_after=0)
        found = {f.about: f async for f in examine_models(services, thoroughly=True)}
        assert "its weights are gone" in found["images model odd"].message


async def test_the_jobs_page_shows_the_models(household: Household) -> None:
    odd_house(household, 3)
    async with household.open() as services:
        tell(services, seconds=0.3)  # long enough to tell a pace
        await run_steps(services, "sync", "describe")
        async with open_client(services) as client:
            page = await (await client.get("/jobs")).text()
        assert re.search(
            r"<td>odd</td><td>images</td>\s*<td>not loaded <span class=\"small\">"
            r"last on cpu: it is odd</span></td>",
            page,
        )
        assert "a minute</td>" in page
