"""Every format that people have is read, with what it says about itself."""

import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from connectors.base import FileFacts, Kind
from connectors.folder.worker import FolderWorker
from tests import media


def read(root: Path, kind: Kind, name: str | bytes | None = None) -> FileFacts:
    """Scan the folder and read its one file, or the one of a name."""
    worker = FolderWorker()
    worker.begin_scan(os.fsencode(root), kind, [])
    worker.walk()
    rows = worker.take("new", 100)
    rows = [row for row in rows if name is None or row[0] == os.fsencode(name)]
    [answer] = worker.read_files(os.fsencode(root), kind, rows)
    assert "unreadable" not in answer, answer
    return FileFacts.from_dict(answer)


TAGS: dict[str, Any] = {
    "title": "Übung", "artist": ["Anna", "Ben"], "albumartist": "Anna & Co", "album": "Stücke",
    "genre": ["Folk", "Ambient"], "date": "1998-05-01", "composer": "Clara", "track": "3",
    "disc": "2", "comment": "Recorded in a barn.", "lyrics": "La la",
    "MusicBrainz Track Id": "mbid-1", "Acoustid Id": "ac-1",
}  # fmt: skip


@pytest.mark.parametrize("extension", sorted(set(media.AUDIO_FORMATS) - set(media.UNTAGGED_AUDIO)))
def test_tags_of_sound_are_read(tmp_path: Path, extension: str) -> None:
    tags = dict(TAGS)
    if extension in ("flac", "ogg", "oga", "opus"):
        tags["musicbrainz_trackid"] = tags.pop("MusicBrainz Track Id")
        tags["acoustid_id"] = tags.pop("Acoustid Id")
    if extension == "wma":
        tags["MusicBrainz/Track Id"] = tags.pop("MusicBrainz Track Id")
        tags["Acoustid/Id"] = tags.pop("Acoustid Id")
    media.make_audio(tmp_path / f"a.{extension}", **tags)
    facts = read(tmp_path, "music")
    found = facts.metadata
    assert found.title == "Übung"
    assert found.artists == ("Anna", "Ben")
    assert (found.album, found.album_artist) == ("Stücke", "Anna & Co")
    assert found.genres == ("Folk", "Ambient")
    assert (found.year, found.track, found.disc) == (1998, 3, 2)
    assert found.people == ("Clara",)
    assert found.overview == "Recorded in a barn."
    assert found.lyrics == "La la"
    assert found.provider_ids == {"musicbrainz_recording": "mbid-1", "acoustid": "ac-1"}
    assert found.duration == pytest.approx(1.0, abs=0.1)
    assert facts.content_hash


def test_recordings_are_known_by_musicbrainz_owner_frame(tmp_path: Path) -> None:
    from mutagen import id3

    media.make_audio(tmp_path / "a.mp3", title="x")
    tags = id3.ID3(tmp_path / "a.mp3")
    tags.add(id3.UFID(owner="http://musicbrainz.org", data=b"mbid-2"))
    tags.add(id3.TBPM(encoding=3, text="120"))
    tags.save()
    found = read(tmp_path, "music").metadata
    assert found.provider_ids == {"musicbrainz_recording": "mbid-2"}
    assert found.extra == {"Tempo": "120"}


@pytest.mark.parametrize("extension", media.UNTAGGED_AUDIO)
def test_sound_without_tags_is_called_by_its_file(tmp_path: Path, extension: str) -> None:
    media.make_audio(tmp_path / f"07 - Rain_on tin.{extension}")
    found = read(tmp_path, "music").metadata
    assert found.title == "Rain on tin"
    assert found.duration == pytest.approx(1.0, abs=0.1)


def test_the_camera_says_when_a_clip_was_taken(tmp_path: Path) -> None:
    when: dict[str, Any] = {"creation_time": "2019-07-04T10:00:00Z"}
    media.make_video(tmp_path / "a.mov", **when, make="Nikon", model="Z6")
    media.make_video(tmp_path / "The Third Man (1949).mov", **when)
    clip = read(tmp_path, "videos", "a.mov").metadata
    film = read(tmp_path, "videos", "The Third Man (1949).mov").metadata
    assert (clip.year, film.year) == (2019, 1949)
    assert clip.extra["Taken"] == "2019-07-04"
    assert "Taken" not in film.extra


def test_sound_under_a_wrong_extension_is_read_for_what_it_is(tmp_path: Path) -> None:
    media.make_audio(tmp_path / "made" / "a.flac", title="Really FLAC")
    (tmp_path / "made" / "a.flac").rename(tmp_path / "a.mp3")
    (tmp_path / "made").rmdir()
    assert read(tmp_path, "music").metadata.title == "Really FLAC"


@pytest.mark.parametrize("extension", media.VIDEO_FORMATS)
def test_videos_are_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"clip.{extension}"
    media.make_video(path, size=(96, 64), language="ger", title="Ein Film")
    facts = read(tmp_path, "videos")
    found = facts.metadata
    assert found.title in ("Ein Film", "clip")  # not every container can carry a title
    assert (found.title == "Ein Film") == (
        extension in ("mp4", "m4v", "mov", "mkv", "webm", "avi", "wmv", "flv")
    )
    assert (found.width, found.height) == (96, 64)
    assert found.duration == pytest.approx(1.0, abs=0.2)
    assert found.language == ("" if extension in ("avi", "flv", "mpeg", "mpg") else "ger")
    assert facts.content_hash


EXIF = {
    "Exif.Image.Make": "Nikon", "Exif.Image.Model": "Nikon Z6", "Exif.Image.Artist": "Ann",
    "Exif.Photo.DateTimeOriginal": "2019:05:31 14:03:59",
    "Exif.GPSInfo.GPSLatitude": "50/1 44/1 15/1", "Exif.GPSInfo.GPSLatitudeRef": "N",
    "Exif.GPSInfo.GPSLongitude": "7/1 5/1 54/1", "Exif.GPSInfo.GPSLongitudeRef": "E",
}  # fmt: skip
XMP = {
    "Xmp.dc.title": "lang=x-default Fog", "Xmp.dc.description": "lang=x-default Over the river.",
    "Xmp.dc.subject": ["river", "fog"], "Xmp.photoshop.City": "Bonn",
    "Xmp.photoshop.Country": "Germany",
}  # fmt: skip


@pytest.mark.parametrize("extension", ["jpg", "png", "webp", "tif"])
def test_metadata_of_pictures_are_read(tmp_path: Path, extension: str) -> None:
    media.make_picture(tmp_path / f"a.{extension}", exif=EXIF, xmp=XMP, rating=4)
    facts = read(tmp_path, "images")
    found = facts.metadata
    assert found.title == "Fog"
    assert found.overview == "Over the river."
    assert set(found.keywords) == {"river", "fog"}
    assert found.artists == ("Ann",)
    assert found.year == 2019
    assert found.extra == {
        "Camera": "Nikon Z6", "Taken": "2019-05-31 14:03", "Place": "Bonn, Germany",
        "Position": "50.7375 N, 7.0983 E",
    }  # fmt: skip
    assert (found.width, found.height) == (64, 48)
    assert facts.rating == 8


@pytest.mark.parametrize("extension", ["jpg", "tif"])
def test_iptc_is_read_too(tmp_path: Path, extension: str) -> None:
    iptc = {"Iptc.Application2.Caption": "A quay", "Iptc.Application2.City": "Bonn"}
    media.make_picture(tmp_path / f"a.{extension}", iptc=iptc)
    found = read(tmp_path, "images").metadata
    assert (found.overview, found.extra["Place"]) == ("A quay", "Bonn")


@pytest.mark.parametrize("extension", media.PICTURE_FORMATS)
def test_pictures_of_every_format_look_alike(tmp_path: Path, extension: str) -> None:
    media.make_picture(tmp_path / f"a.{extension}", size=(160, 120), seed=3)
    facts = read(tmp_path, "images")
    assert (facts.metadata.width, facts.metadata.height) == (160, 120)
    media.make_picture(tmp_path / "b" / "plain.bmp", size=(160, 120), seed=3)
    plain = read(tmp_path / "b", "images")
    media.make_picture(tmp_path / "c" / "other.bmp", size=(160, 120), seed=4)
    other = read(tmp_path / "c", "images")
    assert bits_apart(facts, plain) <= 4
    assert bits_apart(other, plain) > 12


def bits_apart(one: FileFacts, other: FileFacts) -> int:
    return (int(one.look or "", 16) ^ int(other.look or "", 16)).bit_count()


def test_exif_of_heic_and_avif_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x013B] = "Ann"
    for name, kind in (("a.heic", "HEIF"), ("b.avif", "AVIF")):
        media.picture().save(tmp_path / name, kind, exif=exif)
        assert read(tmp_path, "images", name).metadata.artists == ("Ann",)


def test_a_turned_picture_has_the_sizes_and_the_look_of_what_one_sees(tmp_path: Path) -> None:
    upright = media.picture((160, 120), 5)
    upright.save(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    upright.rotate(90, expand=True).save(tmp_path / "b.png", exif=exif)
    one, other = read(tmp_path, "images", "a.png"), read(tmp_path, "images", "b.png")
    assert (other.metadata.width, other.metadata.height) == (160, 120)
    assert bits_apart(one, other) <= 2


def test_moving_gifs_and_odd_modes_are_pictures_too(tmp_path: Path) -> None:
    frames = [media.picture(seed=seed) for seed in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read(tmp_path, "images", "a.gif").metadata.extra == {"Frames": "3"}
    for number, mode in enumerate(("1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "F")):
        picture = media.picture().convert("L" if mode in ("I;16", "F") else mode.replace("A", ""))
        picture = picture.convert(mode)
        name = f"{number}.tif"
        picture.save(tmp_path / name)
        facts = read(tmp_path, "images", name)
        assert facts.look
        assert FolderWorker().make_thumbnail(
            os.fsencode(tmp_path), name.encode(), "images", 32, str(tmp_path / "t" / name)
        )


@pytest.mark.parametrize("extension", media.DOCUMENT_FORMATS)
def test_texts_are_read(tmp_path: Path, extension: str) -> None:
    path = tmp_path / f"On_bees.{extension}"
    media.make_document(path, "Bees dance.\n\nSo they speak.", title="Of Bees", author="K. Frisch")
    found = read(tmp_path, "text").metadata
    if extension == "txt":
        assert (found.title, found.artists) == ("On bees", ())
    else:
        assert (found.title, found.artists) == ("Of Bees", ("K. Frisch",))
    text = FolderWorker().read_text(os.fsencode(tmp_path), os.fsencode(path.name))
    assert "Bees dance." in text
    assert "So they speak." in text


def test_the_first_heading_names_a_text(tmp_path: Path) -> None:
    media.write(tmp_path / "a.md", b"Some words\n\n# The heading #\n\ntext")
    media.write(tmp_path / "b.rst", b"The heading\n===========\n\ntext")
    media.write(tmp_path / "c.org", b"#+TITLE: The heading\n")
    media.write(tmp_path / "d.html", b"<h1>The <i>heading</i></h1>")
    for name in ("a.md", "b.rst", "c.org", "d.html"):
        assert " ".join(read(tmp_path, "text", name).metadata.title.split()) == "The heading"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1251"])
def test_texts_in_old_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    text = "Съешь же ещё этих мягких французских булок. " if encoding == "cp1251" else (
        "Größe, Maß und Übermut: fünf schöne Männer hörten die Vögel. "
    )  # fmt: skip
    media.write(tmp_path / "a.txt", (text * 20).encode(encoding))
    assert FolderWorker().read_text(os.fsencode(tmp_path), b"a.txt").startswith(text.strip())


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("music", b"1-02 Lune_d'automne.mp3", {"title": "Lune d'automne"}),
        ("music", b"99 Luftballons.mp3", {"title": "Luftballons"}),
        ("music", b"1979.mp3", {"title": "1979"}),
        ("videos", b"12 Angry Men (1957).mkv", {"title": "12 Angry Men", "year": 1957}),
        ("videos", b"The.Third.Man.1949.1080p.BluRay.mkv",
         {"title": "The Third Man", "year": 1949}),
        ("videos", b"Dark.S01E02.Lies.720p.mkv",
         {"title": "Lies", "series": "Dark", "season": 1, "episode": 2}),
        ("videos", b"holiday.mp4", {"title": "holiday"}),
        ("images", b"IMG_1234.jpg", {"title": "IMG 1234"}),
        ("text", b"\xff\xfe.txt", {"title": "\ufffd\ufffd"}),
    ],
)  # fmt: skip
def test_names_are_cleaned(kind: Kind, name: bytes, wanted: dict[str, Any]) -> None:
    from connectors.folder.names import read_name

    assert read_name(b"folder/" + name, kind) == wanted


def test_real_media_are_read(shared_media: Path) -> None:
    kinds: tuple[tuple[Kind, str], ...] = (
        ("music", "music"), ("images", "images"), ("videos", "videos"), ("text", "text"),
    )  # fmt: skip
    for kind, folder in kinds:
        worker = FolderWorker()
        root = os.fsencode(shared_media / folder)
        worker.begin_scan(root, kind, [])
        assert worker.walk()["new"] > 2
        for answer in worker.read_files(root, kind, worker.take("new", 100)):
            facts = FileFacts.from_dict(answer)
            assert facts.metadata.title
            assert facts.content_hash or kind == "text"
            if kind in ("music", "videos"):
                assert (facts.metadata.duration or 0) > 5
