"""Changes in mounted folders are noticed as they happen."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from connectors.folder.watch import Changed, watch_folders
from tests.media import write
from tests.watches import Watches, counted

WITHIN = 15.0
"""Seconds after which nothing more is expected."""


class Seen:
    """What a watch has told, merged."""

    def __init__(self) -> None:
        self.changes: dict[str, set[bytes]] = {}
        self.news = asyncio.Event()
        self.watches = Watches()

    def add(self, changed: Changed) -> None:
        self.news.set()
        for name, folders in changed.items():
            self.changes.setdefault(name, set()).update(folders)

    async def until(self, reached: Callable[[dict[str, set[bytes]]], bool]) -> None:
        async with asyncio.timeout(WITHIN):
            while not reached(self.changes):
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def watched(*, polling: bool = False, **folders: Path) -> AsyncIterator[Seen]:
    """Watch while the context is open."""
    stop, seen = asyncio.Event(), Seen()

    async def watch() -> None:
        async for changed in watch_folders(
            {name: str(path).encode() for name, path in folders.items()}, stop,
            force_polling=polling or None, debounce=100, poll_delay=100, look_again=0.2,
        ):  # fmt: skip
            seen.add(changed)

    with counted() as seen.watches:
        task = asyncio.create_task(watch())
        await seen.watches.until(sum(path.exists() for path in folders.values()))
        try:
            yield seen
        finally:
            stop.set()
            async with asyncio.timeout(5):
                await task


@pytest.mark.parametrize("polling", [False, True])
async def test_a_new_file_tells_its_folder(tmp_path: Path, polling: bool) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    async with watched(polling=polling, Music=tmp_path) as seen:
        write(tmp_path / "in" / "deep" / "a.mp3", b"x")
        await seen.until(lambda changes: b"in/deep" in changes.get("Music", set()))


async def test_changes_of_several_folders_are_told_apart(tmp_path: Path) -> None:
    for name in ("one/a", "two/b"):
        (tmp_path / name).mkdir(parents=True)
    async with watched(One=tmp_path / "one", Two=tmp_path / "two") as seen:
        write(tmp_path / "one" / "a" / "a.mp3", b"x")
        write(tmp_path / "two" / "b" / "b.mp3", b"x")
        await seen.until(lambda changes: changes == {"One": {b"a"}, "Two": {b"b"}})


async def test_what_a_scan_leaves_out_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    async with watched(Music=tmp_path) as seen:
        write(tmp_path / "a" / "film.mkv.part", b"x")
        write(tmp_path / "a" / ".hidden.mp3", b"x")
        await asyncio.sleep(0.6)
        assert seen.changes == {}
        write(tmp_path / "a" / ".anagnorisisignore", b"x")
        await seen.until(lambda changes: changes == {"Music": {b"a"}})


async def test_names_that_are_no_utf8_do_not_end_the_watch(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    async with watched(Music=tmp_path) as seen:
        write(str(tmp_path).encode() + b"/a/\xff\xfe.mp3", b"x")
        await seen.until(lambda changes: b"" in changes.get("Music", set()))
        await seen.watches.until(2)
        write(tmp_path / "a" / "later.mp3", b"x")
        await seen.until(lambda changes: b"a" in changes.get("Music", set()))


async def test_an_absent_folder_is_said_once_and_noticed_when_it_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with watched(Music=tmp_path / "mount") as seen:
        await asyncio.sleep(0.6)
        assert sum("is not there" in message for message in caplog.messages) == 1
        (tmp_path / "mount" / "a").mkdir(parents=True)
        await seen.until(lambda changes: changes == {"Music": {b""}})
        await seen.watches.until(1)
        write(tmp_path / "mount" / "a" / "new.mp3", b"x")
        await seen.until(lambda changes: b"a" in changes["Music"])


async def test_a_folder_that_was_replaced_is_watched_anew(tmp_path: Path) -> None:
    mount = tmp_path / "mount"
    (mount / "a").mkdir(parents=True)
    async with watched(Music=mount) as seen:
        shutil.rmtree(mount)
        await asyncio.sleep(0.6)
        (mount / "b").mkdir(parents=True)
        await seen.watches.until(2)
        write(mount / "b" / "new.mp3", b"x")
        await seen.until(lambda changes: {b"", b"b"} <= changes.get("Music", set()))


async def test_a_watching_process_that_is_killed_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    async with watched(Music=tmp_path) as seen:
        for child in psutil.Process().children():
            if "connectors.folder.watch_process" in child.cmdline():
                child.kill()
        await seen.until(lambda changes: changes == {"Music": {b""}})
        await seen.watches.until(2)
        write(tmp_path / "a" / "a.mp3", b"x")
        await seen.until(lambda changes: b"a" in changes["Music"])


async def test_a_watch_that_is_left_early_leaves_no_task_behind(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    stop = asyncio.Event()
    changes = watch_folders({"Music": bytes(tmp_path)}, stop, debounce=100)
    with counted() as watches:
        waiting = asyncio.ensure_future(anext(changes))
        await watches.until(1)
    write(tmp_path / "a.mp3", b"x")
    async with asyncio.timeout(WITHIN):
        assert await waiting == {"Music": {b""}}
    await changes.aclose()
    assert asyncio.all_tasks() == before
    assert not any("watch_process" in " ".join(c.cmdline()) for c in psutil.Process().children())
    assert not stop.is_set()
