"""Sync: a library that has not changed, and one that is new.

Baselines: a bare `os.scandir` + `stat` walk of the same tree; the same hashing and tag reading in
a plain loop in one process. All worker processes run before the clock does. Medians of rounds in
which both take turns.
"""

import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.figures import Figure, median, ratio_figure, time_of
from connectors.base import KINDS
from connectors.folder.worker import FolderWorker
from tests.household import Household, run_step
from tests.media import make_audio, make_picture, tag_audio

UNCHANGED_FILES = 50_000
NEW_FILES = 3_000
ROUNDS = 7
FIRST_ROUNDS = 3


def measure() -> Iterator[Figure]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        yield asyncio.run(_unchanged(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        yield from _first(Household(Path(folder)))


async def _unchanged(home: Path) -> Figure:
    household = Household(home)
    root = household.folder("text")
    for number in range(UNCHANGED_FILES):
        path = root / f"{number // 1000:03}" / f"{number // 50:04}" / f"{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Text number {number}.")
    ours, bare = [], []
    async with household.open() as services:
        await run_step(services, "sync")
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            found = _walk(bytes(root))
            middle = time.perf_counter()
            line = await run_step(services, "sync")
            ours.append(time.perf_counter() - middle)
            bare.append(middle - begin)
            assert (found, line) == (UNCHANGED_FILES, "nothing new")
    name = f"sync again, {UNCHANGED_FILES:,} files, nothing changed (bare walk)"
    return ratio_figure(name, median(ours), median(bare), at_most=3)


def _first(household: Household) -> Iterator[Figure]:
    """Compare on one core, where it costs what the daemon adds, and on all that there are."""
    _make_media(household)
    _read_plainly(household)  # from the disk, once
    with _one_core():
        yield _compare(household, 1, at_least=0.8)
    cores = len(os.sched_getaffinity(0))
    if cores > 1:
        yield _compare(household, cores, at_least=1.0)


def _compare(household: Household, cores: int, *, at_least: float) -> Figure:
    household.also(workers=cores)
    ours, plain = [], []
    for _ in range(FIRST_ROUNDS):
        plain.append(time_of(lambda: _read_plainly(household)))
        ours.append(asyncio.run(_sync_anew(household)))
    speed, floor = NEW_FILES / median(ours), NEW_FILES / median(plain)
    name = f"first sync, {NEW_FILES:,} files, on {cores} (plain loop on one core)"
    return Figure(
        name, f"{speed:.0f}/s", f"{floor:.0f}/s", speed / floor, f">= {at_least:g}",
        speed / floor >= at_least,
    )  # fmt: skip


@contextmanager
def _one_core() -> Iterator[None]:
    """Bind this process to one core, and with it all that it starts."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def _read_plainly(household: Household) -> None:
    reader = FolderWorker()
    for kind in KINDS:
        root = bytes(household.folder(kind))
        reader.begin_scan(root, kind, [], None)
        reader.walk()
        while rows := reader.take("new", 64):
            reader.read_files(root, kind, rows)


async def _sync_anew(household: Household) -> float:
    """Return the seconds of a first sync into an empty data folder."""
    shutil.rmtree(household.data_dir, ignore_errors=True)
    async with household.open() as services:
        for worker in services.workers.files.workers:
            await worker.call("begin_scan", b"/", "text", [], None)
        begin = time.perf_counter()
        line = await run_step(services, "sync")
        took = time.perf_counter() - begin
    assert line == f"{NEW_FILES} new", line
    return took


def _make_media(household: Household) -> None:
    """Make small real files, all different: MP3 and FLAC with tags, and pictures."""
    sample = household.home / "sample.mp3"
    make_audio(sample, seconds=10)
    content = sample.read_bytes()
    for number in range(NEW_FILES):
        if number % 3 == 0:
            make_picture(household.folder("images") / f"{number}.jpg", size=(640, 480), seed=number)
            continue
        folder = household.folder("music") / f"{number % 100}"
        folder.mkdir(exist_ok=True)
        path = folder / f"{number}.{'mp3' if number % 3 == 1 else 'flac'}"
        if path.suffix == ".flac":
            make_audio(path, frequency=200 + number)
        else:
            frames = bytearray(content)
            frames[600:604] = frames[-400:-396] = number.to_bytes(4, "big")
            path.write_bytes(frames)
        tag_audio(path, title=f"Title {number}", artist=f"Artist {number % 90}", genre="Jazz")


def _walk(folder: bytes) -> int:
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                count += _walk(entry.path)
            else:
                entry.stat()
                count += 1
    return count
