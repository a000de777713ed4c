"""Reads music: tags by mutagen, what it does not know by FFmpeg."""

import re
from collections import defaultdict
from typing import Any, BinaryIO

import mutagen
from mutagen import id3, mp4

from connectors.base import UnreadableFile
from connectors.folder import ratings
from connectors.folder.bounds import MOST, Reading, first_number, year_of
from connectors.folder.containers import (
    check_can_decode,
    check_is_whole,
    find_stream,
    is_cover,
    open_container,
    seconds_of,
)
from connectors.folder.hashing import packets_hash

Tags = dict[str, list[str]]
"""Simplified name (see `_simplify`) to texts."""


def read_audio(file: BinaryIO, size: int) -> tuple[Reading, str]:
    """Read tags and content hash. Raises UnreadableFile."""
    check_is_whole(file, size)
    audio = _open_with_mutagen(file)
    with open_container(file, "sound") as container:
        stream = find_stream(container, "audio")
        length = seconds_of(container, stream)
        if audio is None:
            check_can_decode(container, stream)
            container.seek(0)
        content_hash = _flac_hash(audio, container, stream) or packets_hash(container, stream)
        container_tags = {**container.metadata, **stream.metadata}
        is_film = any(not is_cover(s) for s in container.streams.video)
    tags = (_tags_of(audio) if audio is not None else {}) or _named(container_tags.items())
    reading = Reading()
    reading.overrule(_metadata(tags))
    reading.values["duration"] = getattr(getattr(audio, "info", None), "length", None) or length
    if is_film:
        reading.values.setdefault("extra", {})["Also"] = "moving pictures"
    reading.rating = _rating(audio, tags)
    return reading, content_hash


def _open_with_mutagen(file: BinaryIO) -> Any:
    file.seek(0)
    try:
        return mutagen.File(file)
    except (mutagen.MutagenError, ValueError, KeyError, IndexError, TypeError, EOFError):
        return None  # broken tags need not mean broken sound


def _flac_hash(audio: Any, container: Any, stream: Any) -> str | None:
    """Return the MD5 of the samples that FLAC carries, where its encoder wrote one."""
    md5 = getattr(getattr(audio, "info", None), "md5_signature", 0)
    if not md5:
        return None
    if not any(packet.size for packet in container.demux(stream)):
        raise UnreadableFile("has no sound in it")
    return f"flac:{md5:032x}"


def _tags_of(audio: Any) -> Tags:
    tags = audio.tags
    if not tags:
        return {}
    if isinstance(tags, id3.ID3):
        return _read_id3(tags)
    if isinstance(tags, mp4.MP4Tags):
        return _read_mp4(tags)
    # Vorbis and ASF tags are lists of pairs; their dict-like side is quadratic.
    return _named(tags if isinstance(tags, list) else tags.items())


_ALIASES = {
    "track": "tracknumber", "trkn": "tracknumber", "disc": "discnumber", "disk": "discnumber",
    "partofset": "discnumber", "year": "date", "originaldate": "date", "author": "artist",
    "albumtitle": "album", "description": "comment", "unsyncedlyrics": "lyrics",
    "lyricseng": "lyrics", "beatsperminute": "bpm", "tempo": "bpm", "key": "initialkey",
    "organization": "label", "publisher": "label", "ratingwmp": "shareduserrating",
    "acoustidid": "acoustid", "grouping": "style",
}  # fmt: skip

_SEPARATORS = re.compile(r"[\s_/-]+")


def _simplify(name: str) -> str:
    """Make one name of what the formats call differently: MUSICBRAINZ_TRACKID, WM/Mood."""
    name = _SEPARATORS.sub("", name.lower().removeprefix("wm/")[:100])
    return _ALIASES.get(name, name)


def _named(items: Any) -> Tags:
    """Collect (name, text or texts or values of a format) under simplified names."""
    tags: Tags = defaultdict(list)
    for name, values in items:
        kept = tags[_simplify(str(name))]
        listed = values if isinstance(values, list | tuple) else getattr(values, "value", values)
        for value in listed if isinstance(listed, list | tuple) else [listed]:
            if len(kept) < MOST and not isinstance(value, bytes):
                kept += str(value).split("\0")
    return tags


_ID3 = {
    "TIT2": "title", "TPE1": "artist", "TPE2": "albumartist", "TALB": "album", "TRCK": "track",
    "TPOS": "disc", "TCOM": "composer", "TPE3": "conductor", "TPE4": "remixer",
    "TEXT": "lyricist", "TBPM": "bpm", "TMOO": "mood", "TKEY": "initialkey", "TLAN": "language",
    "TPUB": "label", "TIT1": "style", "TIT3": "subtitle", "TSRC": "isrc", "TDRC": "date",
    "TDOR": "date",
}  # fmt: skip


def _read_id3(frames: id3.ID3) -> Tags:
    def pairs() -> Any:
        for frame in frames.values():
            name = frame.FrameID
            if name in _ID3:
                yield _ID3[name], [str(text) for text in frame.text[:MOST]]
            elif name == "TCON":
                yield "genre", frame.genres[:MOST]
            elif name == "TXXX":
                yield frame.desc, frame.text[:MOST]
            elif name == "COMM" and not frame.desc.startswith("iTun"):
                yield "comment", frame.text[:MOST]
            elif name == "USLT":
                yield "lyrics", frame.text
            elif name == "UFID" and frame.owner == "http://musicbrainz.org":
                yield "musicbrainz_trackid", frame.data.decode("ascii", "replace")

    return _named(pairs())


_MP4 = {
    "\xa9nam": "title", "\xa9ART": "artist", "aART": "albumartist", "\xa9alb": "album",
    "\xa9gen": "genre", "\xa9day": "date", "\xa9cmt": "comment", "desc": "comment",
    "ldes": "comment", "\xa9lyr": "lyrics", "\xa9wrt": "composer", "tmpo": "bpm", "rate": "rate",
    "\xa9grp": "style",
}  # fmt: skip


def _read_mp4(atoms: mp4.MP4Tags) -> Tags:
    def pairs() -> Any:
        for name, values in atoms.items():
            if name in ("trkn", "disk"):
                yield name, [str(number) for number, _ in values if number]
            elif name in _MP4:
                yield _MP4[name], [_decode(value) for value in values[:MOST]]
            elif name.startswith("----:"):
                yield name.rpartition(":")[2], [_decode(value) for value in values[:MOST]]

    return _named(pairs())


def _decode(value: object) -> str:
    return bytes(value).decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


_EXTRA = {
    "bpm": "Tempo", "mood": "Mood", "initialkey": "Key", "style": "Style",
    "subtitle": "Subtitle",
}  # fmt: skip

_PROVIDERS = {
    "musicbrainztrackid": "musicbrainz_recording",
    "musicbrainzreleasetrackid": "musicbrainz_track",
    "acoustid": "acoustid",
    "isrc": "isrc",
}


def _metadata(tags: Tags) -> dict[str, Any]:
    """Turn tags into the fields of `Metadata`."""

    def first(*names: str) -> str:
        return next((text for name in names for text in tags.get(name, ()) if text.strip()), "")

    def split(separators: str, *names: str) -> list[str]:
        texts = (text for name in names for text in tags.get(name, ()))
        return [part.strip() for text in texts for part in re.split(separators, text[:10_000])]

    return {
        "title": first("title"),
        "artists": split(r";|\s/\s", "artists") or split(r";|\s/\s", "artist"),
        "album": first("album"),
        "album_artist": first("albumartist"),
        "track": first_number(first("tracknumber")),
        "disc": first_number(first("discnumber")),
        "genres": split(r"[;/]", "genre"),
        "people": split(";", "composer", "conductor", "lyricist", "performer", "remixer"),
        "studios": split(";", "label"),
        "year": year_of(first("date")),
        "overview": "\n\n".join(dict.fromkeys(t for t in tags.get("comment", ()) if t.strip())),
        "lyrics": first("lyrics"),
        "language": first("language"),
        "provider_ids": {
            provider: first(name) for name, provider in _PROVIDERS.items() if first(name)
        },
        "extra": {label: first(name) for name, label in _EXTRA.items() if first(name)},
    }


def _rating(audio: Any, tags: Tags) -> float | None:
    named = {name: texts[0] for name, texts in tags.items() if texts}
    rating = ratings.from_named_tags(named)
    if rating is None and audio is not None and isinstance(audio.tags, id3.ID3):
        frames = audio.tags.getall("POPM")
        return ratings.from_popm((frame.email, frame.rating) for frame in frames)
    return rating
