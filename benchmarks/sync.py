"""Sync: a library that has not changed, and one that is new.

Baselines: a bare `os.scandir` + `stat` walk of the same tree; the same hashing and tag reading in
a plain loop on one core.
"""

import asyncio
import os
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median, ratio_figure
from connectors.base import KINDS
from connectors.folder.worker import start
from tests.household import Household, run_step
from tests.media import make_audio, make_picture, tag_audio

UNCHANGED_FILES = 50_000
NEW_FILES = 3_000
ROUNDS = 5


def measure() -> list[Figure]:
    """Measure both."""
    with tempfile.TemporaryDirectory() as folder:
        unchanged = asyncio.run(_unchanged(Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        return [unchanged, asyncio.run(_new(Path(folder)))]


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


async def _new(home: Path) -> Figure:
    household = Household(home)
    household.also(workers=max(2, os.cpu_count() or 1))
    _make_media(household)
    reader = start()
    begin = time.perf_counter()
    for kind in KINDS:
        root = bytes(household.folder(kind))
        reader.begin_scan(root, kind, [], None)
        reader.walk()
        while rows := reader.take("new", 64):
            reader.read_files(root, kind, rows)
    plain = time.perf_counter() - begin
    async with household.open() as services:
        for worker in services.workers.files.workers:  # warm, as in a daemon
            await worker.call("read_files", b"/", "text", [])
        begin = time.perf_counter()
        line = await run_step(services, "sync")
        ours = time.perf_counter() - begin
    assert line == f"{NEW_FILES} new", line
    speed, floor = NEW_FILES / ours, NEW_FILES / plain
    return Figure(
        f"first sync, {NEW_FILES:,} files, files/s (plain loop, one core)",
        f"{speed:.0f}/s", f"{floor:.0f}/s", speed / floor, ">= 0.8", speed / floor >= 0.8,
    )  # fmt: skip


def _make_media(household: Household) -> None:
    """Make small real files: two thirds music with tags, one third pictures."""
    sample = household.home / "sample.mp3"
    make_audio(sample, seconds=10)
    content = sample.read_bytes()
    for number in range(NEW_FILES):
        if number % 3:
            path = household.folder("music") / f"{number % 100}" / f"{number}.mp3"
            path.parent.mkdir(exist_ok=True)
            # Other sound each time, or they would all be one item.
            frames = bytearray(content)
            frames[-400:-396] = number.to_bytes(4, "big")
            frames[600:604] = number.to_bytes(4, "big")
            path.write_bytes(frames)
            tag_audio(path, title=f"Title {number}", artist=f"Artist {number % 90}", genre="Jazz")
        else:
            make_picture(household.folder("images") / f"{number}.jpg", size=(640, 480), seed=number)


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
