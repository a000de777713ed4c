"""Reads pictures: pixels by Pillow, EXIF, XMP and IPTC by exiv2."""

import os
import re
from typing import Any, BinaryIO

import exiv2

from connectors.base import UnreadableFile
from connectors.folder import ratings
from connectors.folder.bounds import MOST, Reading, year_of
from connectors.folder.decoding import look_of, open_picture, shrink
from connectors.folder.hashing import picture_hash

exiv2.LogMsg.setLevel(exiv2.LogMsg.Level.mute)

LARGEST_FILE = 1 << 28
"""Bytes; exiv2 wants the whole file in memory."""

LOOK_SIZE = 64
"""Side of the picture that `look` is made of."""

Tags = dict[str, list[str]]


def read_picture(file: BinaryIO, size: int) -> tuple[Reading, str | None, str]:
    """Read metadata, content hash and look. Raises UnreadableFile."""
    with open_picture(file) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        frames = getattr(image, "n_frames", 1)
        look = look_of(shrink(image, LOOK_SIZE))
    tags = read_tags(file) if size <= LARGEST_FILE else {}
    reading = read_picture_tags(tags)
    reading.overrule({"width": height if turned else width, "height": width if turned else height})
    if frames > 1:
        reading.overrule({"extra": {"Frames": str(frames)}})
    return reading, picture_hash(file, size), look


def read_tags(file: BinaryIO) -> Tags:
    """Read what exiv2 finds in a picture or an .xmp file; nothing where it fails."""
    file.seek(0)
    try:
        image = exiv2.ImageFactory.open(file.read(LARGEST_FILE))
        image.readMetadata()
        tags: Tags = {}
        for metadata in (image.exifData(), image.iptcData(), image.xmpData()):
            for datum in metadata:
                if datum.key() in _WANTED:
                    tags.setdefault(datum.key(), []).extend(_texts(datum))
    except (exiv2.Exiv2Error, ValueError, KeyError, IndexError, OverflowError, RuntimeError):
        return {}  # broken metadata need not mean a broken picture
    return tags


def _texts(datum: Any) -> list[str]:
    """Return the texts of a datum: the entries of a list, one text of many languages."""
    value = datum.value()
    kind = value.typeId()
    if kind == exiv2.TypeId.langAlt:
        return [str(text) for text in list(dict(value).values())[:1]]
    if kind in (exiv2.TypeId.xmpBag, exiv2.TypeId.xmpSeq, exiv2.TypeId.xmpAlt):
        return [str(value.toString(index)) for index in range(min(value.count(), MOST))]
    if datum.key().startswith("Exif.Image.XP"):  # UTF-16 in bytes (Windows)
        return [bytes(value.data()).decode("utf-16-le", "replace").strip("\0")]
    if datum.key() == "Exif.Photo.UserComment":
        return [str(value.comment())]
    if datum.key().startswith("Exif.GPSInfo."):
        return [str(value)]
    return [str(datum.print() if datum.key() in _SPOKEN else value)]


_TITLE = ("Xmp.dc.title", "Iptc.Application2.ObjectName", "Exif.Image.XPTitle")
_TEXT = (
    "Xmp.dc.description", "Iptc.Application2.Caption", "Exif.Image.ImageDescription",
    "Exif.Photo.UserComment", "Exif.Image.XPComment",
)  # fmt: skip
_KEYWORDS = (
    "Xmp.dc.subject", "Xmp.lr.hierarchicalSubject", "Xmp.digiKam.TagsList",
    "Iptc.Application2.Keywords", "Exif.Image.XPKeywords",
)  # fmt: skip
_CREATORS = (
    "Xmp.dc.creator", "Iptc.Application2.Byline", "Exif.Image.Artist", "Exif.Image.XPAuthor",
)  # fmt: skip
_PEOPLE = ("Xmp.iptcExt.PersonInImage", "Xmp.mwg-rs.Regions/mwg-rs:RegionList[1]/mwg-rs:Name")
_DATE = (
    "Exif.Photo.DateTimeOriginal", "Xmp.photoshop.DateCreated", "Xmp.xmp.CreateDate",
    "Iptc.Application2.DateCreated", "Exif.Photo.DateTimeDigitized",
)  # fmt: skip
_PLACE = (
    ("Xmp.iptc.Location", "Iptc.Application2.SubLocation"),
    ("Xmp.photoshop.City", "Iptc.Application2.City"),
    ("Xmp.photoshop.State", "Iptc.Application2.ProvinceState"),
    ("Xmp.photoshop.Country", "Iptc.Application2.CountryName"),
)
_CAMERA = ("Exif.Image.Make", "Exif.Image.Model")
_GPS = tuple(
    f"Exif.GPSInfo.GPS{axis}{part}" for axis in ("Latitude", "Longitude") for part in ("", "Ref")
)
_SPOKEN = ("Exif.Photo.LensModel", "Exif.Photo.ISOSpeedRatings")
_RATINGS = (
    ("Xmp.xmp.Rating", ratings.from_xmp),
    ("Exif.Image.Rating", ratings.from_xmp),
    ("Xmp.MicrosoftPhoto.Rating", ratings.from_percent),
    ("Exif.Image.RatingPercent", ratings.from_percent),
)
_WANTED = frozenset(
    key
    for keys in (
        _TITLE, _TEXT, _KEYWORDS, _CREATORS, _PEOPLE, _DATE, *_PLACE, _CAMERA, _GPS, _SPOKEN,
        [key for key, _ in _RATINGS],
    )
    for key in keys
)  # fmt: skip


def read_picture_tags(tags: Tags) -> Reading:
    """Turn the tags into the fields of `Metadata`, and a rating."""

    def first(keys: tuple[str, ...]) -> str:
        texts = (text.strip() for key in keys for text in tags.get(key, ()))
        return next((text for text in texts if text), "")

    place = ", ".join(part for keys in _PLACE if (part := first(keys)))
    make, model = first(_CAMERA[:1]), first(_CAMERA[1:])
    extra = {
        "Camera": model if model.lower().startswith(make.lower()) else f"{make} {model}".strip(),
        "Lens": first(_SPOKEN[:1]),
        "Place": place,
        "Position": _position(tags),
        "Taken": _date(first(_DATE)),
    }
    reading = Reading(rating=_rating(tags))
    reading.overrule(
        {
            "title": first(_TITLE),
            "overview": first(_TEXT),
            "keywords": _split(tags, _KEYWORDS),
            "artists": _split(tags, _CREATORS),
            "people": [text for key in _PEOPLE for text in tags.get(key, ())],
            "year": year_of(first(_DATE)),
            "extra": {label: text for label, text in extra.items() if text},
        }
    )
    return reading


def _split(tags: Tags, keys: tuple[str, ...]) -> list[str]:
    """Return the entries under all keys; hierarchies become their last part."""
    texts = (part for key in keys for text in tags.get(key, ()) for part in text.split(";"))
    return [re.split(r"[|/]", text)[-1].strip() for text in texts]


def _date(text: str) -> str:
    """Return 2024-05-31 14:03 for EXIF's 2024:05:31 14:03:59 and XMP's ISO form."""
    match = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)(?:[ T](\d\d:\d\d))?", text)
    if not match or match[1] == "0000":
        return ""
    return "-".join(match.group(1, 2, 3)) + (f" {match[4]}" if match[4] else "")


def _position(tags: Tags) -> str:
    """Return the GPS position as 50.7374 N, 7.0982 E."""
    parts = []
    for axis in ("Latitude", "Longitude"):
        degrees = _degrees("".join(tags.get(f"Exif.GPSInfo.GPS{axis}", ())[:1]))
        reference = "".join(tags.get(f"Exif.GPSInfo.GPS{axis}Ref", ())[:1])[:1]
        if degrees is None or reference not in tuple("NSEW"):
            return ""
        parts.append(f"{degrees:.4f} {reference}")
    return ", ".join(parts)


def _degrees(text: str) -> float | None:
    """Turn 50/1 44/1 1482/100 (degrees, minutes, seconds) into degrees."""
    total = 0.0
    for index, (over, under) in enumerate(re.findall(r"(\d{1,9})/(\d{1,9})", text)[:3]):
        if not int(under):
            return None
        total += int(over) / int(under) / 60**index
    return total if text and total <= 180 else None


def _rating(tags: Tags) -> float | None:
    for key, rate in _RATINGS:
        for text in tags.get(key, ())[:1]:
            if (rating := rate(text)) is not None:
                return rating
    return None


def read_xmp_file(path: bytes) -> Reading:
    """Read an .xmp sidecar, as darktable, digiKam and Lightroom write it."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > 1 << 22:
                return Reading()
            return read_picture_tags(read_tags(file))
    except (OSError, UnreadableFile):
        return Reading()
