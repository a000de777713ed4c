"""Hashes tell what changed: the tags, the content, or only the name."""

import os
import random
import shutil
from pathlib import Path

import pytest
import xxhash

from connectors.base import FileFacts, Kind
from connectors.folder.hashing import soft_hash
from tests import media
from tests.test_folder_formats import bits_apart, read

RETAGGED = sorted(set(media.AUDIO_FORMATS) - set(media.UNTAGGED_AUDIO))


@pytest.mark.parametrize("extension", RETAGGED)
def test_retagged_sound_keeps_its_content_hash(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    media.make_audio(path, title="Before", artist="x")
    before = read(tmp_path, "music")
    cover = None if extension == "wma" else media.picture_bytes((300, 300))
    media.tag_audio(path, title="After, and much longer " * 50, comment="c" * 5000, cover=cover)
    after = read(tmp_path, "music")
    assert after.content_hash == before.content_hash
    assert after.soft_hash != before.soft_hash
    media.make_audio(path, frequency=441.0, title="Before", artist="x")
    assert read(tmp_path, "music").content_hash != before.content_hash


@pytest.mark.parametrize("extension", ["mp3", "ogg", "m4a", "wav"])
def test_recordings_that_begin_alike_but_last_longer_differ(tmp_path: Path, extension: str) -> None:
    for name, seconds in (("a", 7.0), ("b", 8.0)):
        media.make_audio(tmp_path / f"{name}.{extension}", seconds=seconds)
    one = read(tmp_path, "music", f"a.{extension}")
    other = read(tmp_path, "music", f"b.{extension}")
    assert one.content_hash != other.content_hash


@pytest.mark.parametrize("extension", ["jpg", "png", "webp"])
def test_retagged_pictures_keep_their_content_hash_and_look(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"a.{extension}"
    media.make_picture(path, exif={"Exif.Image.Artist": "Ann"})
    before = read(tmp_path, "images")
    media.tag_picture(
        path, exif={"Exif.Image.Artist": "Ben " * 100}, xmp={"Xmp.dc.subject": ["a", "b"]}
    )
    after = read(tmp_path, "images")
    assert before.content_hash
    assert after.content_hash == before.content_hash
    assert after.soft_hash != before.soft_hash
    assert after.look == before.look
    media.make_picture(path, seed=1)
    assert read(tmp_path, "images").content_hash != before.content_hash


def test_an_edited_picture_looks_alike_and_another_does_not(tmp_path: Path) -> None:
    picture = media.picture((320, 240), 7)
    picture.save(tmp_path / "a.jpg", quality=95)
    picture.point(lambda value: min(255, int(value * 1.1))).resize((240, 180)).save(
        tmp_path / "b.jpg", quality=60
    )
    media.make_picture(tmp_path / "c.jpg", size=(320, 240), seed=8)
    one, edited, other = (read(tmp_path, "images", name) for name in ("a.jpg", "b.jpg", "c.jpg"))
    assert one.content_hash != edited.content_hash
    assert bits_apart(one, edited) <= 6
    assert bits_apart(one, other) > 12


@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm", "avi"])
def test_a_video_with_another_title_keeps_its_content_hash(tmp_path: Path, extension: str) -> None:
    for name, title, seed in (("a", "One", 0), ("b", "Other", 0), ("c", "One", 1)):
        media.make_video(tmp_path / f"{name}.{extension}", title=title, seed=seed)
    one, retitled, other = (read(tmp_path, "videos", f"{name}.{extension}") for name in "abc")
    assert one.content_hash == retitled.content_hash
    assert one.soft_hash != retitled.soft_hash
    assert one.content_hash != other.content_hash


def test_the_soft_hash_of_a_small_file_is_that_of_size_and_content(tmp_path: Path) -> None:
    media.write(tmp_path / "a.txt", b"some text")
    assert read(tmp_path, "text").soft_hash == xxhash.xxh3_128_hexdigest(b"9\0some text")


def test_the_soft_hash_of_a_large_file_sees_its_five_blocks(tmp_path: Path) -> None:
    size = 9 << 20
    content = random.Random(1).randbytes(size)
    path = tmp_path / "large"

    def hash_with(position: int | None) -> str:
        changed = bytearray(content)
        if position is not None:
            changed[position] ^= 1
        path.write_bytes(changed)
        with path.open("rb") as file:
            return soft_hash(file, size)

    whole = hash_with(None)
    for block in range(5):
        start = (size - (1 << 20)) * block // 4
        assert hash_with(start) != whole
        assert hash_with(start + (1 << 20) - 1) != whole
    assert hash_with((1 << 20) + 10) == whole  # between the blocks


def test_a_copy_under_another_name_has_the_same_hashes(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "a.mp3", title="x")
    (tmp_path / "deep").mkdir()
    shutil.copy(tmp_path / "a.mp3", tmp_path / "deep" / "b.mp3")
    one, copy = read(tmp_path, "music", "a.mp3"), read(tmp_path, "music", "deep/b.mp3")
    assert (one.soft_hash, one.content_hash) == (copy.soft_hash, copy.content_hash)


def test_real_music_and_photos_keep_their_content_when_retagged(
    shared_media: Path, tmp_path: Path
) -> None:
    def facts_of(kind: Kind, name: str) -> FileFacts:
        return read(tmp_path, kind, os.fsencode(name))

    seen = set()
    for source in sorted((shared_media / "music").rglob("*.ogg"))[:4]:
        shutil.copy(source, tmp_path / source.name)
        before = facts_of("music", source.name)
        media.tag_audio(tmp_path / source.name, title="Retagged", comment="x" * 3000)
        after = facts_of("music", source.name)
        assert after.metadata.title == "Retagged"
        assert (after.content_hash, after.metadata.duration) == (
            before.content_hash, before.metadata.duration,
        )  # fmt: skip
        assert after.soft_hash != before.soft_hash
        seen.add(after.content_hash)
    assert len(seen) == 4
    for source in sorted((shared_media / "images").rglob("*.jpg"))[:4]:
        shutil.copy(source, tmp_path / source.name)
        before = facts_of("images", source.name)
        media.tag_picture(tmp_path / source.name, xmp={"Xmp.xmp.Rating": "5"})
        after = facts_of("images", source.name)
        assert after.rating == 10
        assert (after.content_hash, after.look) == (before.content_hash, before.look)
