"""How fast items go through the models, and how much of the time is not the model's.

Stages, on media that are made here: decoding (one process), what the processor of a model does
before it, the model itself (tiny ones of the real classes), and writing. Then the whole pipeline
with a model that takes 50 ms a batch: the share of time in which it has work. Texts in batches of
like length beside sentence-transformers' own `encode`; files from the mount beside the same from
a server over HTTP.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.figures import Figure, median, seconds, time_of, told_figure
from connectors.base import Kind
from connectors.folder.excerpts import make_excerpts
from daemon.model_settings import ModelSettings
from daemon.services import Services
from daemon.steps.media_files import find_media
from daemon.store.descriptions import hash_text, save_parts
from daemon.store.models import Item
from daemon.store.work import mark_done
from daemon.vectors.index import Space, save_vectors
from daemon.workers.worker import Worker
from ml.families import clap, siglip
from ml.families.sentence import LITE_PACKAGE
from ml.installed import find_package
from ml.model_cards import BY_NAME, FAMILIES, Family, ModelCard
from ml.text_embedder import TextEmbedder
from tests import tiny_models
from tests.household import Household, find_items, run_step, run_steps
from tests.media import make_audio, make_video
from tests.servers import furnish, living_with
from tests.stand_ins.jellyfin import FakeJellyfin

COUNTS: dict[Kind, int] = {"images": 48, "music": 16, "videos": 16}
PICTURE = (1280, 853)
BATCH, BATCH_SECONDS = 4, 0.05
"""Of the omni describers."""
PIPELINE_PICTURES, PIPELINE_TEXTS = 160, 2560
BUSY = 0.9
SLOWEST_TEXT = 0.95
TEXTS = 600


def measure() -> Iterator[Figure]:
    """Measure all of it."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _measure_stages(Path(folder))
    for kind in ("images", "text"):
        with tempfile.TemporaryDirectory() as folder:
            yield asyncio.run(_measure_pipeline(Household(Path(folder)), kind))
    yield _measure_texts()
    with tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(_compare_with_http(Household(Path(folder))))


def _make_media(folder: Path, kind: Kind, count: int, chance: np.random.Generator) -> list[Path]:
    """Make pictures as cameras do, tracks of three minutes, clips of ten seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    if kind == "images":
        paths = [folder / f"{n}.jpg" for n in range(count)]
        for path in paths:
            small = Image.fromarray(chance.integers(0, 255, (40, 60, 3), np.uint8))
            small.resize(PICTURE, Image.Resampling.BICUBIC).save(path, quality=88)
        return paths
    extension = "ogg" if kind == "music" else "mp4"
    first = folder / f"first.{extension}"
    if kind == "music":
        make_audio(first, seconds=180)
    else:
        make_video(first, seconds=10, size=(1280, 720))
    return [first] * count


def _measure_stages(folder: Path) -> Iterator[Figure]:
    chance = np.random.default_rng(1)
    families: dict[Kind, tuple[Any, tuple[Any, ...]]] = {
        "images": (siglip.start({"folder": str(tiny_models.siglip(folder / "siglip"))}),
                   FAMILIES["siglip"].views["images"]),
        "music": (clap.start({"folder": str(tiny_models.clap(folder / "clap"))}),
                  FAMILIES["clap"].views["music"]),
        "videos": (siglip.start({"folder": str(folder / "siglip")}),
                   FAMILIES["siglip"].views["videos"]),
    }  # fmt: skip
    for kind, (family, views) in families.items():
        count = COUNTS[kind]
        paths = _make_media(folder / kind, kind, count, chance)
        begin = time.perf_counter()
        made = [make_excerpts(bytes(p), kind, views, str(folder))[0]["path"] for p in paths]
        decoding = time.perf_counter() - begin
        prepared = _Timed(family._loaded.processor)
        family._loaded.processor = prepared
        items = [{"kind": kind, "pictures": path, "sound": path, "text": ""} for path in made]
        whole = time_of(partial(family.perceive, items))
        stages = {
            "decode": decoding, "preprocess": prepared.seconds,
            "model (tiny)": whole - prepared.seconds,
            "write": asyncio.run(_time_of_writing(Household(folder / f"house-{kind}"), count)),
        }  # fmt: skip
        total = sum(stages.values())
        for stage, took in stages.items():
            yield told_figure(
                f"models: {kind}: {stage}, one process (share of all stages)",
                f"{count / took:.1f}/s", seconds(total / count), took / total,
            )  # fmt: skip


class _Timed:
    """A processor, and how long it took in all."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.seconds = 0.0

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        try:
            return self._processor(*arguments, **options)
        finally:
            self.seconds += time.perf_counter() - begin

    def __getattr__(self, name: str) -> Any:
        return getattr(self._processor, name)


async def _time_of_writing(household: Household, count: int) -> float:
    """Return seconds to store words and eight vectors of each item, in batches."""
    folder = household.folder("text")
    for number in range(count):
        (folder / f"{number}.txt").write_text(f"Text {number}")
    space = Space("bench@1", 768)
    data = np.zeros(768, "<f2").tobytes()
    async with household.open() as services:
        await run_step(services, "sync")
        items = await find_items(services)
        begin = time.perf_counter()
        for first in range(0, count, 16):
            await _write(services, space, items[first : first + 16], data)
        return time.perf_counter() - begin


async def _write(services: Services, space: Space, items: list[Item], data: bytes) -> None:
    keys = {item.id: [hash_text(f"{item.id} {n}") for n in range(8)] for item in items}
    async with services.database.write() as session:
        said = [(item.id, "seen:bench", "Looks like: a bench") for item in items]
        await save_parts(session, [item.id for item in items], said, ["seen:bench"])
        await save_vectors(
            session, space, {key: data for of in keys.values() for key in of},
            {item_id: [(key, "") for key in of] for item_id, of in keys.items()},
        )  # fmt: skip
        await mark_done(session, "bench", {item.id: item.media_hash for item in items})


async def _measure_pipeline(household: Household, kind: str) -> Figure:
    """Return the share of time in which a model of 50 ms a batch, reading included, works."""
    times = household.home / "times"
    options = {"seconds": BATCH_SECONDS, "times": str(times)}
    BY_NAME["odd"] = ModelCard("odd", "images", "odd", "none", package="numpy")
    views: dict[str, Any] = {"images": ({"size": 448},), "videos": ({"size": 448},)}
    FAMILIES["odd"] = Family(views, says=True, batch=BATCH)
    if kind == "images":
        household.also(models=ModelSettings(audio=(), images=("odd",)), workers=2)
        _make_media(household.folder("images"), "images", PIPELINE_PICTURES,
                    np.random.default_rng(2))  # fmt: skip
        count, size = PIPELINE_PICTURES, f"{PICTURE[0]} x {PICTURE[1]}, batches of {BATCH}"
    else:
        folder = household.folder("text")
        for number in range(PIPELINE_TEXTS):
            (folder / f"{number}.txt").write_text(f"Text {number}: " + "words " * (number % 80))
        count, size = PIPELINE_TEXTS, "batches of 64"
    async with household.open() as services:
        await run_step(services, "sync")
        if kind == "images":
            services.workers.models["odd"] = Worker("odd", "tests.odd_family", options)
            await run_step(services, "describe")
        else:
            await run_step(services, "describe")
            services.workers.text = Worker("text", "tests.odd_family", options)
            await run_step(services, "embed")
            await services.workers.text.close()
    spans = [tuple(map(float, line.split())) for line in times.read_text().splitlines()]
    whole = spans[-1][1] - spans[0][0]
    busy = sum(end - begin for begin, end in spans) / whole
    return Figure(
        f"models: share of time a model of 50 ms a batch has work: {count} {kind}, {size}",
        f"{busy:.0%}", "100%", busy, f">= {BUSY}", busy >= BUSY,
    )  # fmt: skip


def _measure_texts() -> Figure:
    """Compare `embed` with sentence-transformers' `encode`, the same weights and chunks."""
    from sentence_transformers import SentenceTransformer  # only once torchvision is ready

    folder = find_package(LITE_PACKAGE)[0] / "model"
    ours = TextEmbedder(folder, "bench", device="cpu")
    theirs = SentenceTransformer(str(folder), device="cpu")
    chance = np.random.default_rng(4)
    words = np.array(
        [
            "rain",
            "window",
            "slow",
            "piano",
            "harbour",
            "evening",
            "the",
            "of",
            "a",
            "under",
            "light",
            "old",
        ]
    )
    lengths = chance.integers(3, 180, TEXTS)
    texts = [" ".join(chance.choice(words, length)) for length in lengths]
    both = []
    ours.embed(texts[:64])
    theirs.encode(texts[:64])
    for _ in range(3):
        mine = time_of(partial(ours.embed, texts))
        encode = partial(theirs.encode, texts, batch_size=32, normalize_embeddings=True)
        both.append((mine, time_of(encode)))
    likeness = (ours.embed(texts[:50]) * theirs.encode(texts[:50], normalize_embeddings=True)).sum(
        1
    )
    assert likeness.min() > 0.999, likeness.min()
    mine, their = (median([pair[n] for pair in both]) for n in (0, 1))
    speed = their / mine
    return Figure(
        f"models: speed of embedding {TEXTS} texts (sentence-transformers' encode, "
        f"{torch.get_num_threads()} threads)",
        f"{TEXTS / mine:.0f}/s", f"{TEXTS / their:.0f}/s", speed, f">= {SLOWEST_TEXT}",
        speed >= SLOWEST_TEXT,
    )  # fmt: skip


async def _compare_with_http(household: Household) -> Figure:
    """Compare getting at a library's files over HTTP with getting at them in the mount."""
    count = 60
    first = household.home / "first.flac"
    make_audio(first, seconds=60)
    folder = household.home / "served"
    folder.mkdir()
    for number in range(count):
        shutil.copy(first, folder / f"{number}.flac")
    jellyfin = FakeJellyfin(checks=False)
    furnish(jellyfin, count)
    for number, item in enumerate(i for i in jellyfin.items.values() if i.type == "Audio"):
        item.path = str(folder / f"{number}.flac")
    with jellyfin.run_in_thread():
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            items = await find_items(services)
            over_http = await _time_of_reading(services, items, household.home)
    mounted = Household(household.home / "second")
    for path in folder.iterdir():
        shutil.copy(path, mounted.folder("music"))
    async with mounted.open() as services:
        await run_steps(services, "sync")
        items = await find_items(services)
        from_mount = await _time_of_reading(services, items, household.home)
    return told_figure(
        f"models: {count} files of {first.stat().st_size >> 10} KiB over HTTP (from the mount)",
        seconds(over_http), seconds(from_mount), over_http / from_mount,
    )  # fmt: skip


async def _time_of_reading(services: Services, items: list[Item], scratch: Path) -> float:
    def read(root: bytes, path: bytes) -> int:
        return len((Path(root.decode()) / path.decode()).read_bytes())

    begin = time.perf_counter()
    for item in items:
        async with find_media(services, item, scratch) as (root, path):
            assert await asyncio.to_thread(read, root, path) > 1 << 18
    return time.perf_counter() - begin
