"""Files that are broken, endless or made to do harm: set aside with a reason, memory bounded."""

import io
import os
import random
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from mutagen import id3

from connectors.base import FileFacts, Kind, UnreadableFile
from connectors.folder.worker import FolderWorker
from tests import media
from tests.test_folder_formats import read

EXAMPLES: dict[Kind, tuple[str, ...]] = {
    "music": tuple(media.AUDIO_FORMATS),
    "images": tuple(media.PICTURE_FORMATS),
    "videos": tuple(media.VIDEO_FORMATS),
    "text": media.DOCUMENT_FORMATS,
}
MAKERS: dict[Kind, Any] = {
    "music": media.make_audio, "images": media.make_picture, "videos": media.make_video,
    "text": media.make_document,
}  # fmt: skip
EVERY = [(kind, extension) for kind, extensions in EXAMPLES.items() for extension in extensions]


def answers(root: Path, kind: Kind) -> list[dict[str, Any]]:
    """Scan and read a folder."""
    worker = FolderWorker()
    worker.begin_scan(os.fsencode(root), kind, [])
    worker.walk()
    found: list[dict[str, Any]] = worker.read_files(
        os.fsencode(root), kind, worker.take("new", 10_000)
    )
    return found


def reason(root: Path, kind: Kind) -> str:
    """Return why the one file of a folder cannot be read."""
    [answer] = answers(root, kind)
    assert set(answer) == {"path", "size", "mtime_ns", "companions", "unreadable"}
    return str(answer["unreadable"])


@pytest.mark.parametrize(("kind", "extension"), EVERY)
def test_an_empty_file_is_set_aside(tmp_path: Path, kind: Kind, extension: str) -> None:
    media.write(tmp_path / f"a.{extension}", b"")
    assert reason(tmp_path, kind) == "is empty"


@pytest.mark.parametrize(("kind", "extension"), EVERY)
def test_garbage_is_set_aside(tmp_path: Path, kind: Kind, extension: str) -> None:
    for seed in range(3):
        media.write(tmp_path / f"{seed}.{extension}", random.Random(seed).randbytes(50_000))
    for answer in answers(tmp_path, kind):
        assert "unreadable" in answer, answer
        assert answer["unreadable"].startswith(("is ", "has ", "cannot ", "needs ", "lacks "))


@pytest.mark.parametrize(("kind", "extension"), EVERY)
def test_cut_files_are_read_or_set_aside_and_never_crash(
    tmp_path: Path, kind: Kind, extension: str
) -> None:
    MAKERS[kind](tmp_path / "whole" / f"a.{extension}")
    whole = (tmp_path / "whole" / f"a.{extension}").read_bytes()
    for share in range(1, 24):
        media.write(tmp_path / "cut" / f"{share:02}.{extension}", whole[: len(whole) * share // 24])
    found = answers(tmp_path / "cut", kind)
    assert len(found) == 23
    if kind == "images":
        assert sum("unreadable" in answer for answer in found) >= 22
    if extension in ("mp4", "mov", "m4v", "m4a", "3gp", "epub", "docx"):
        assert all("unreadable" in answer for answer in found)


@pytest.mark.parametrize(("kind", "extension"), EVERY)
def test_damaged_files_are_read_or_set_aside_and_never_crash(
    tmp_path: Path, kind: Kind, extension: str
) -> None:
    MAKERS[kind](tmp_path / "whole" / f"a.{extension}")
    whole = (tmp_path / "whole" / f"a.{extension}").read_bytes()
    chance = random.Random(7)
    for number in range(15):
        damaged = bytearray(whole)
        for _ in range(1 + len(whole) // 200):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        media.write(tmp_path / "bad" / f"{number:02}.{extension}", bytes(damaged))
    root = os.fsencode(tmp_path / "bad")
    for answer in answers(tmp_path / "bad", kind):
        assert "unreadable" in answer or FileFacts.from_dict(answer)
        target = str(tmp_path / "thumbnails" / "x.webp")
        with suppress(UnreadableFile):  # and nothing else
            FolderWorker().make_thumbnail(root, answer["path"], kind, 64, target)
        if kind == "text":
            with suppress(UnreadableFile):
                FolderWorker().read_text(root, answer["path"])


def test_what_is_hung_on_after_an_mp4_does_no_harm(tmp_path: Path) -> None:
    media.make_video(tmp_path / "a.mp4", title="Fine")
    with (tmp_path / "a.mp4").open("ab") as file:
        file.write(b"TAG" + b"x" * 125)
    assert read(tmp_path, "videos").metadata.title == "Fine"


def test_one_bad_file_does_not_fail_the_others(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "a.mp3", title="Fine")
    media.write(tmp_path / "b.mp3", b"not sound at all" * 100)
    media.make_audio(tmp_path / "c.mp3", title="Fine too")
    assert ["unreadable" in answer for answer in answers(tmp_path, "music")] == [False, True, False]


def test_a_file_that_grows_or_vanishes_waits(tmp_path: Path) -> None:
    for name in ("grows", "vanishes", "stays"):
        media.make_audio(tmp_path / f"{name}.mp3", title=name)
    worker = FolderWorker()
    root = os.fsencode(tmp_path)
    worker.begin_scan(root, "music", [])
    worker.walk()
    with (tmp_path / "grows.mp3").open("ab") as file:
        file.write(b"more")
    (tmp_path / "vanishes.mp3").unlink()
    found = {a["path"]: a for a in worker.read_files(root, "music", worker.take("new", 9))}
    assert found[b"grows.mp3"] == {"path": b"grows.mp3", "growing": True}
    assert found[b"vanishes.mp3"] == {"path": b"vanishes.mp3", "growing": True}
    assert found[b"stays.mp3"]["metadata"]["title"] == "stays"


def png(width: int, height: int, pixels: bytes) -> bytes:
    """Return a PNG of 8-bit grey that claims any size."""

    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    media.write(tmp_path / "bomb.png", png(100_000, 100_000, bytes(10_000_000)))
    tracemalloc.start()
    try:
        assert reason(tmp_path, "images") == (
            "claims 100000 by 100000 pixels; more than 250 million are not decoded"
        )
        assert tracemalloc.get_traced_memory()[1] < 50 << 20
    finally:
        tracemalloc.stop()
    with pytest.raises(UnreadableFile, match="250 million"):
        FolderWorker().make_thumbnail(
            os.fsencode(tmp_path), b"bomb.png", "images", 64, str(tmp_path / "t.webp")
        )
    assert not (tmp_path / "t.webp").exists()


def test_a_cover_that_is_a_bomb_shows_nothing(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "a.mp3", title="x", cover=png(60_000, 60_000, bytes(1000)))
    media.write(tmp_path / "cover.png", png(60_000, 60_000, bytes(1000)))
    assert not FolderWorker().make_thumbnail(
        os.fsencode(tmp_path), b"a.mp3", "music", 64, str(tmp_path / "t.webp")
    )
    assert read(tmp_path, "music").metadata.title == "x"


@pytest.mark.parametrize("extension", ["epub", "docx"])
def test_an_archive_that_would_unfold_without_end_is_set_aside(
    tmp_path: Path, extension: str
) -> None:
    media.make_document(tmp_path / f"a.{extension}", "text", title="T")
    name = "book/one.xhtml" if extension == "epub" else "word/media/x.bin"
    with zipfile.ZipFile(tmp_path / f"a.{extension}", "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9):
            with archive.open(f"{name}{number}", "w") as part:
                for _ in range(64):
                    part.write(bytes(1 << 20))
    assert "would unpack to 576 MiB" in reason(tmp_path, "text")
    with pytest.raises(UnreadableFile, match="576 MiB"):
        FolderWorker().read_text(os.fsencode(tmp_path), f"a.{extension}".encode())


def test_a_chapter_that_is_a_bomb_is_not_read(tmp_path: Path) -> None:
    source = io.BytesIO()
    media.make_document(tmp_path / "a.epub", "text", title="T")
    with (
        zipfile.ZipFile(tmp_path / "a.epub") as whole,
        zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in whole.infolist():
            large = part.filename.endswith("one.xhtml")
            bomb.writestr(part.filename, bytes(40 << 20) if large else whole.read(part))
    media.write(tmp_path / "a.epub", source.getvalue())
    with pytest.raises(UnreadableFile, match="has a part of 40 MiB"):
        FolderWorker().read_text(os.fsencode(tmp_path), b"a.epub")


def test_endless_tags_are_cut(tmp_path: Path) -> None:
    tags: dict[str, Any] = {f"FIELD{number}": "x" for number in range(1_000)}
    tags["genre"] = [f"genre {number}" for number in range(20_000)]
    media.make_audio(
        tmp_path / "a.flac", title="t" * 1_000_000, comment="c" * 5_000_000,
        artist=["a" * 100_000] * 3, **tags,
    )  # fmt: skip
    found = read(tmp_path, "music").metadata
    assert len(found.title) == 500
    assert found.title.endswith("…")
    assert len(found.overview) == 32 * 1024
    assert len(found.genres) == 64
    assert [len(artist) for artist in found.artists] == [500]


def test_a_tag_that_unfolds_without_end_is_bounded(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "a.mp3")
    packed = zlib.compress(b"\0" + b"x" * 200_000_000, 9)
    frame = (
        b"TIT2" + struct.pack(">I", len(packed) + 4) + b"\0\x80" + struct.pack(">I", 200_000_001)
    )
    body = frame + packed
    size = len(body)
    head = b"ID3\3\0\0" + bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    sound = (tmp_path / "a.mp3").read_bytes()
    media.write(tmp_path / "a.mp3", head + body + sound)
    [answer] = answers(tmp_path, "music")
    title = answer.get("metadata", {}).get("title", "")
    assert len(title) <= 500


def test_odd_text_in_tags_becomes_clean_text(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "a.mp3", title="x")
    tags = id3.ID3(tmp_path / "a.mp3")
    tags.add(id3.TIT2(encoding=3, text="bell\x07 \x1b[31mred\nline"))
    tags.add(id3.TDRC(encoding=3, text="0000"))
    tags.add(id3.TRCK(encoding=3, text="99999999999999999999999"))
    tags.save()
    found = read(tmp_path, "music").metadata
    assert found.title == "bell [31mred line"
    assert found.year is None
    assert found.track is None


def test_a_playlist_in_disguise_opens_nothing_else(tmp_path: Path) -> None:
    secret = tmp_path / "outside" / "secret.mp3"
    media.make_audio(secret, title="Secret")
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n"
    media.write(tmp_path / "in" / "a.mp4", playlist.encode())
    media.write(tmp_path / "in" / "b.mkv", f"ffconcat version 1.0\nfile {secret}\n".encode())
    assert all("unreadable" in answer for answer in answers(tmp_path / "in", "videos"))


def test_a_pdf_of_very_many_pages_is_read_in_bounds(tmp_path: Path) -> None:
    pages = [f"Page {number} speaks of bees." for number in range(4_000)]
    media.write(tmp_path / "a.pdf", media.pdf_bytes(pages))
    assert read(tmp_path, "text").metadata.extra == {"Pages": "4000"}
    text = FolderWorker().read_text(os.fsencode(tmp_path), b"a.pdf")
    assert "Page 0 " in text
    assert "Page 3" in text
    assert len(text) <= 65_536


def test_deep_nesting_ends(tmp_path: Path) -> None:
    media.write(tmp_path / "a.html", b"<div>" * 20_000 + b"deep")
    media.write(tmp_path / "b.md", b"---\na: " + b"[" * 30_000 + b"\n---\ntext")
    assert len(answers(tmp_path, "text")) == 2
    with suppress(UnreadableFile):
        assert "deep" in FolderWorker().read_text(os.fsencode(tmp_path), b"a.html")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    if not os.geteuid():
        pytest.skip("root may read everything")
    media.make_audio(tmp_path / "a.mp3")
    (tmp_path / "a.mp3").chmod(0)
    assert "permission denied" in reason(tmp_path, "music")
