"""Reads videos by FFmpeg: what the container says, sizes, length, languages."""

from typing import Any, BinaryIO

from connectors.folder.bounds import Reading, first_number, year_of
from connectors.folder.containers import check_is_whole, find_stream, open_container, seconds_of
from connectors.folder.hashing import packets_hash


def read_video(file: BinaryIO, size: int) -> tuple[Reading, str]:
    """Read metadata and content hash. Raises UnreadableFile."""
    check_is_whole(file, size)
    with open_container(file, "video") as container:
        stream = find_stream(container, "video")
        languages = _languages(container.streams)
        seconds = container.duration / 1e6 if container.duration else None
        size_values = {
            "width": stream.codec_context.width or None,
            "height": stream.codec_context.height or None,
            "duration": seconds or seconds_of(container, stream),
        }
        tags = {str(name).lower(): str(value) for name, value in container.metadata.items()}
        content_hash = packets_hash(container, stream)
    reading = Reading()
    reading.overrule(size_values)
    reading.overrule(_metadata(tags))
    if languages["audio"]:
        reading.values["language"] = languages["audio"][0]
    for kind, label in (("audio", "Spoken languages"), ("subtitle", "Subtitles")):
        if languages[kind]:
            reading.overrule({"extra": {label: ", ".join(languages[kind])}})
    return reading, content_hash


def _languages(streams: Any) -> dict[str, list[str]]:
    """Return the languages of sound and subtitles, each once, in order."""
    found: dict[str, list[str]] = {"audio": [], "subtitle": []}
    for stream in streams:
        language = stream.metadata.get("language", "und")[:35]
        kept = found.get(stream.type)
        if kept is not None and language not in ("und", "", *kept):
            kept.append(language)
    return found


def _metadata(tags: dict[str, str]) -> dict[str, Any]:
    """Turn the container's tags into the fields of `Metadata`."""

    def first(*names: str) -> str:
        return next((tags[name] for name in names if tags.get(name, "").strip()), "")

    def split(*names: str) -> list[str]:
        texts = (tags.get(name, "")[:10_000] for name in names)
        return [part.strip() for text in texts for part in text.replace("/", ";").split(";")]

    camera = first("model", "com.apple.quicktime.model")
    position = first("location", "com.apple.quicktime.location.iso6709")
    # When a film was encoded says nothing; when a camera wrote the file does.
    taken = first("creation_time", "com.apple.quicktime.creationdate")[:10]
    taken = taken if camera or position else ""
    return {
        "title": first("title"),
        "overview": first("synopsis", "description", "comment"),
        "artists": split("artist", "director"),
        "people": split("director", "producer", "composer", "performer"),
        "genres": split("genre"),
        "keywords": split("keywords"),
        "studios": split("publisher", "copyright"),
        "series": first("show"),
        "season": first_number(first("season_number")),
        "episode": first_number(first("episode_sort")),
        "year": year_of(first("date", "year") or taken),
        "extra": {
            label: text
            for label, text in (
                ("Camera", camera),
                ("Position", position),
                ("Taken", taken),
            )
            if text
        },
    }
