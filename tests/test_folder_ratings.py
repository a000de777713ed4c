"""Every way in which files carry a rating ends as 0 to 10."""

from pathlib import Path
from typing import Any

import pytest
from mutagen import asf, id3, mp4

from connectors.folder import ratings
from tests.media import make_audio, make_picture, make_video, write
from tests.test_folder_formats import read


@pytest.mark.parametrize(
    ("value", "rating"),
    [
        (1, 2.0),
        (64, 4.0),
        (128, 6.0),
        (196, 8.0),
        (255, 10.0),
        (0, None),
        (186, 7.0),
        (13, 1.0),
        (160, 6.55),
    ],
)
def test_popularimeters_follow_windows(tmp_path: Path, value: int, rating: float | None) -> None:
    make_audio(tmp_path / "a.mp3", title="x")
    tags = id3.ID3(tmp_path / "a.mp3")
    tags.add(id3.POPM(email="Windows Media Player 9 Series", rating=value, count=0))
    tags.save()
    assert read(tmp_path, "music").rating == (
        None if rating is None else pytest.approx(rating, abs=0.01)
    )


def test_of_several_popularimeters_a_players_own_counts(tmp_path: Path) -> None:
    make_audio(tmp_path / "a.mp3", title="x")
    tags = id3.ID3(tmp_path / "a.mp3")
    assert ratings.from_popm([("quodlibet@lists.sacredchao.net", 204)]) == 8
    for who, value in (("anna@example.org", 1), ("no@email", 255), ("empty", 0)):
        tags.add(id3.POPM(email=who, rating=value))
    tags.save()
    assert read(tmp_path, "music").rating == 10


@pytest.mark.parametrize(
    ("extension", "tags", "rating"),
    [
        ("flac", {"RATING": "4"}, 8.0),
        ("flac", {"RATING": "80"}, 8.0),
        ("ogg", {"rating": "2.5"}, 5.0),
        ("opus", {"RATING": "0"}, None),
        ("flac", {"RATING": "0.7"}, 7.0),
        ("flac", {"RATING": "9"}, 9.0),
        ("flac", {"RATING": "great"}, None),
        ("flac", {"RATING": "nan"}, None),
        ("flac", {"RATING": "-3"}, None),
        ("flac", {"RATING:anna@example.org": "0.8"}, 8.0),
        ("flac", {"FMPS_RATING": "0.9", "RATING": "1"}, 9.0),
        ("ogg", {"FMPS_RATING": "0.0"}, 0.0),
        ("mp3", {"FMPS_Rating": "0.35"}, 3.5),
        ("m4a", {"FMPS_Rating": "0.35"}, 3.5),
        ("wma", {"WM/SharedUserRating": "75"}, 8.0),
        ("wma", {"FMPS/Rating": "0.6"}, 6.0),
        ("aiff", {"FMPS_RATING": "1.0"}, 10.0),
        ("mp3", {"FMPS_RATING": "7"}, None),
    ],
)  # fmt: skip
def test_ratings_by_name(
    tmp_path: Path, extension: str, tags: dict[str, Any], rating: float | None
) -> None:
    make_audio(tmp_path / f"a.{extension}", **tags)
    assert read(tmp_path, "music").rating == rating


def test_mp4s_own_rate_atom(tmp_path: Path) -> None:
    make_audio(tmp_path / "a.m4a", title="x")
    audio = mp4.MP4(tmp_path / "a.m4a")
    audio["rate"] = ["80"]
    audio.save()
    assert read(tmp_path, "music").rating == 8


def test_windows_media_numbers(tmp_path: Path) -> None:
    make_audio(tmp_path / "a.wma")
    audio = asf.ASF(tmp_path / "a.wma")
    audio["WM/SharedUserRating"] = [asf.ASFDWordAttribute(25)]
    audio.save()
    assert read(tmp_path, "music").rating == 4


@pytest.mark.parametrize(
    ("xmp", "rating"),
    [
        ({"Xmp.xmp.Rating": "5"}, 10.0),
        ({"Xmp.xmp.Rating": "3.5"}, 7.0),
        ({"Xmp.xmp.Rating": "-1"}, 0.0),
        ({"Xmp.xmp.Rating": "0"}, None),
        ({"Xmp.xmp.Rating": "12"}, None),
        ({"Xmp.MicrosoftPhoto.Rating": "75"}, 8.0),
        ({"Xmp.MicrosoftPhoto.Rating": "60"}, 6.0),
        ({"Xmp.xmp.Rating": "2", "Xmp.MicrosoftPhoto.Rating": "99"}, 4.0),
    ],
)
def test_ratings_of_pictures(tmp_path: Path, xmp: dict[str, str], rating: float | None) -> None:
    make_picture(tmp_path / "a.jpg", xmp=xmp)
    assert read(tmp_path, "images").rating == rating


def test_exif_ratings_of_windows(tmp_path: Path) -> None:
    make_picture(tmp_path / "a.jpg", exif={"Exif.Image.Rating": "4"})
    assert read(tmp_path, "images").rating == 8


@pytest.mark.parametrize("name", ["a.gif.xmp", "a.xmp"])
def test_a_sidecar_of_xmp_speaks_for_pictures_that_cannot(tmp_path: Path, name: str) -> None:
    make_picture(tmp_path / "a.gif")
    write(tmp_path / name, XMP_FILE)
    facts = read(tmp_path, "images")
    assert facts.rating == 6
    assert facts.metadata.keywords == ("heron",)


XMP_FILE = b"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmp:Rating="3"><dc:subject><rdf:Bag><rdf:li>heron</rdf:li></rdf:Bag></dc:subject>
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def test_the_persons_word_in_an_nfo(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mkv")
    write(tmp_path / "a.nfo", b"<movie><title>A</title><userrating>7</userrating></movie>")
    assert read(tmp_path, "videos").rating == 7
    write(tmp_path / "a.nfo", b"<movie><title>A</title><userrating>0</userrating></movie>")
    assert read(tmp_path, "videos").rating is None


def test_no_rating_is_not_a_zero(tmp_path: Path) -> None:
    make_audio(tmp_path / "a.mp3", title="x")
    assert read(tmp_path, "music").rating is None
    make_picture(tmp_path / "a.jpg")
    assert read(tmp_path, "images").rating is None


@pytest.mark.parametrize("odd", ["", "inf", "1e999", None, [], "five", "--1"])
def test_what_is_no_rating_gives_none(odd: Any) -> None:
    for rate in (
        ratings.from_percent, ratings.from_fmps, ratings.from_vorbis, ratings.from_xmp,
        ratings.from_user_rating, ratings.from_shared_user_rating,
    ):  # fmt: skip
        assert rate(odd) is None
