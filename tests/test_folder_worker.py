"""The folder connector in a worker process, as the daemon uses it."""

import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from connectors.base import FileFacts
from daemon.workers.worker import Worker, WorkerFailed
from tests import media


@asynccontextmanager
async def worker_process(**options: Any) -> AsyncIterator[Worker]:
    """Yield the process; it ends with the context."""
    worker = Worker("files", "connectors.folder.worker", *([options] if options else []))
    try:
        yield worker
    finally:
        await worker.close()


async def test_a_folder_is_scanned_and_read_over_the_protocol(tmp_path: Path) -> None:
    odd = b"\xff\xfe.mp3"
    media.make_audio(os.fsencode(tmp_path) + b"/" + odd, title="Odd")
    media.make_audio(tmp_path / "A" / "a.flac", title="Fine", FMPS_RATING="0.8")
    media.write(tmp_path / "A" / "bad.mp3", b"nothing" * 1000)
    media.write(tmp_path / "A" / "a.flac.meta", b"note")
    root = bytes(tmp_path)
    async with worker_process() as worker:
        await worker.call("begin_scan", root, "music", [], None)
        await worker.call("add_known", [[b"gone.mp3", 1, 2, ""]])
        counts = await worker.call("walk")
        assert (counts["new"], counts["gone"]) == (3, 1)
        assert [row[0] for row in await worker.call("take", "gone", 10)] == [b"gone.mp3"]
        rows = await worker.call("take", "new", 10)
        answers = {a["path"]: a for a in await worker.call("read_files", root, "music", rows)}
        fine = FileFacts.from_dict(answers[b"A/a.flac"])
        assert (fine.metadata.title, fine.rating, fine.sidecar) == ("Fine", 8, "note")
        assert answers[odd]["metadata"]["title"] == "Odd"
        assert "unreadable" in answers[b"A/bad.mp3"]
        await worker.call("begin_scan", root, "music", [], None)
        await worker.call("add_known", rows)
        assert (await worker.call("walk"))["unchanged"] == 3


async def test_an_absent_folder_and_unreadable_files_have_names(tmp_path: Path) -> None:
    async with worker_process() as worker:
        await worker.call("begin_scan", bytes(tmp_path / "nowhere"), "music", [], None)
        with pytest.raises(WorkerFailed, match="cannot be read") as refused:
            await worker.call("walk")
        assert refused.value.kind == "ConnectorUnavailable"
        media.write(tmp_path / "a.pdf", b"no")
        with pytest.raises(WorkerFailed, match="is not a PDF") as unreadable:
            await worker.call("read_text", bytes(tmp_path), b"a.pdf")
        assert unreadable.value.kind == "UnreadableFile"


async def test_thumbnails_are_made_outside_the_library(tmp_path: Path) -> None:
    media.make_picture(tmp_path / "library" / "a.jpg", size=(300, 200))
    before = sorted(tmp_path.joinpath("library").rglob("*"))
    target = tmp_path / "cache" / "ab" / "x.webp"
    async with worker_process() as worker:
        assert await worker.call(
            "make_thumbnail", bytes(tmp_path / "library"), b"a.jpg", "images", 128, str(target)
        )
    with Image.open(target) as image:
        assert image.size == (128, 85)
    assert sorted(tmp_path.joinpath("library").rglob("*")) == before


async def test_memory_is_bounded(tmp_path: Path) -> None:
    Image.new("RGB", (13_000, 13_000)).save(tmp_path / "large.png", compress_level=1)
    media.make_picture(tmp_path / "small.png")
    async with worker_process(memory_bytes=700 << 20) as worker:
        await worker.call("begin_scan", bytes(tmp_path), "images", [], None)
        await worker.call("walk")
        rows = await worker.call("take", "new", 10)
        answers = await worker.call("read_files", bytes(tmp_path), "images", rows)
        reasons = [answer.get("unreadable", "") for answer in answers]
        assert reasons == ["needs too much memory to decode", ""]
        assert worker.process_id
        assert psutil.Process(worker.process_id).memory_info().rss < 700 << 20


async def test_hostile_files_leave_the_process_small(tmp_path: Path) -> None:
    packed = zlib.compress(bytes(100_000_000), 9)
    for number in range(20):
        media.make_audio(tmp_path / f"{number}.flac", comment="c" * 2_000_000, RATING="5")
        media.write(tmp_path / f"{number}.mp3", b"ID3\4\0\0\0\0\0\0" + packed)
    async with worker_process() as worker:
        await worker.call("begin_scan", bytes(tmp_path), "music", [], None)
        await worker.call("walk")
        rows = await worker.call("take", "new", 100)
        answers = await worker.call("read_files", bytes(tmp_path), "music", rows)
        assert sum("unreadable" in answer for answer in answers) == 20
        assert worker.process_id
        assert psutil.Process(worker.process_id).memory_info().rss < 300 << 20
