"""Small pictures of items for pages."""

import os
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageStat

from connectors.base import Kind, UnreadableFile
from connectors.folder.worker import FolderWorker
from tests import media


def thumbnail(path: Path, kind: Kind, size: int = 64) -> Image.Image | None:
    """Make and open one; None where there is nothing to show."""
    target = path.parent / "out" / "t.webp"
    target.unlink(missing_ok=True)
    worker = FolderWorker()
    root, name = os.fsencode(path.parent), os.fsencode(path.name)
    if not worker.make_thumbnail(root, name, kind, size, str(target)):
        assert not target.exists()
        return None
    assert [entry.name for entry in target.parent.iterdir()] == ["t.webp"]
    with Image.open(target) as image:
        assert image.format == "WEBP"
        return image.convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Return the mean difference of two pictures, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


@pytest.mark.parametrize("extension", media.PICTURE_FORMATS)
def test_pictures_shrink(tmp_path: Path, extension: str) -> None:
    media.make_picture(tmp_path / f"a.{extension}", size=(400, 200), seed=2)
    image = thumbnail(tmp_path / f"a.{extension}", "images")
    assert image
    assert image.size == (64, 32)
    assert difference(image, media.picture((400, 200), 2).resize((64, 32))) < 12


def test_small_pictures_are_not_blown_up(tmp_path: Path) -> None:
    media.make_picture(tmp_path / "a.png", size=(20, 10))
    image = thumbnail(tmp_path / "a.png", "images")
    assert image
    assert image.size == (20, 10)


def test_turned_pictures_stand_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = media.picture((120, 80), 2)
    upright.rotate(90, expand=True).save(tmp_path / "a.jpg", exif=exif)
    image = thumbnail(tmp_path / "a.jpg", "images", 120)
    assert image
    assert image.size == (120, 80)
    assert difference(image, upright) < 12


@pytest.mark.parametrize("extension", media.VIDEO_FORMATS)
def test_videos_show_a_frame(tmp_path: Path, extension: str) -> None:
    media.make_video(tmp_path / f"a.{extension}", size=(128, 64), seed=2)
    image = thumbnail(tmp_path / f"a.{extension}", "videos")
    assert image
    assert image.size == (64, 32)
    assert max(ImageStat.Stat(image).stddev) > 10


@pytest.mark.parametrize("extension", ["mp3", "flac", "ogg", "opus", "m4a", "wav", "aiff"])
def test_music_shows_the_cover_in_the_file(tmp_path: Path, extension: str) -> None:
    cover = media.picture_bytes((100, 100), 2)
    media.make_audio(tmp_path / f"a.{extension}", title="x", cover=cover)
    image = thumbnail(tmp_path / f"a.{extension}", "music")
    assert image
    assert difference(image, media.picture((100, 100), 2).resize((64, 64))) < 12


@pytest.mark.parametrize("name", ["cover.jpg", "Folder.PNG", "front.webp"])
def test_music_without_one_shows_the_cover_beside_it(tmp_path: Path, name: str) -> None:
    media.make_audio(tmp_path / "a.mp3")
    assert thumbnail(tmp_path / "a.mp3", "music") is None
    media.make_picture(tmp_path / name.lower(), size=(100, 100))
    (tmp_path / name.lower()).rename(tmp_path / name)
    assert thumbnail(tmp_path / "a.mp3", "music")


def test_texts_show_the_first_page_where_there_are_pages(tmp_path: Path) -> None:
    media.make_document(tmp_path / "a.pdf", "Hello")
    media.make_document(tmp_path / "a.txt", "Hello")
    image = thumbnail(tmp_path / "a.pdf", "text", 200)
    assert image
    assert image.size == (200, 67)
    assert thumbnail(tmp_path / "a.txt", "text") is None


def test_a_broken_picture_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    media.make_picture(tmp_path / "a.jpg", size=(400, 300))
    whole = (tmp_path / "a.jpg").read_bytes()
    media.write(tmp_path / "a.jpg", whole[: len(whole) // 2])
    with pytest.raises(UnreadableFile, match="cut short"):
        thumbnail(tmp_path / "a.jpg", "images")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    media.make_picture(tmp_path / "a.jpg")
    media.write(tmp_path / "file", b"")
    with pytest.raises(OSError, match="file"):
        FolderWorker().make_thumbnail(
            os.fsencode(tmp_path), b"a.jpg", "images", 64, str(tmp_path / "file" / "t.webp")
        )
