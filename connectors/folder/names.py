"""What the name of a file says, for files that say nothing themselves."""

import os
import re
from typing import Any

from connectors.base import Kind
from connectors.folder.bounds import clip

_TRACK_NUMBER = re.compile(r"^(?:\d{1,2}[-.])?\d{1,3}(?:\s*[-._)]\s*|\s+)(?=\D)")
_EPISODE = re.compile(r"^(?P<series>.*?)[\s._-]*\bs(?P<season>\d{1,4})[\s._-]*e(?P<episode>\d{1,4})"
                      r"(?:-?e\d{1,4})*\b[\s._-]*(?P<title>.*)$", re.IGNORECASE)  # fmt: skip
_FILM_YEAR = re.compile(r"^(?P<title>.+?)[\s._]*[(\[](?P<year>(?:18|19|20)\d\d)[)\]]")
_RELEASE = re.compile(
    r"^(?P<title>.+?)[\s._]+(?:(?P<year>(?:19|20)\d\d)[\s._]+)?(?:\d{3,4}[pi]|4k|uhd|blu-?ray|"
    r"bd-?rip|web-?(?:dl|rip)|hdtv|dvd-?rip|[xh]\.?26[45]|hevc|remux|xvid)\b",
    re.IGNORECASE,
)


def read_name(path: bytes, kind: Kind) -> dict[str, Any]:
    """Return title, and for films and episodes year, series and numbers, of a file's name."""
    stem = clip(os.path.splitext(os.path.basename(path))[0].decode("utf-8", "replace"))
    if kind == "videos":
        return _read_video_name(stem)
    if kind == "music":
        stem = _TRACK_NUMBER.sub("", stem)
    return {"title": _clean(stem) or stem}


def _read_video_name(stem: str) -> dict[str, Any]:
    if match := _EPISODE.match(stem):
        title = _RELEASE.sub(r"\g<title>", match["title"]) if match["title"] else ""
        return {
            "title": _clean(title) or _clean(stem),
            "series": _clean(match["series"]),
            "season": int(match["season"]),
            "episode": int(match["episode"]),
        }
    match = _FILM_YEAR.match(stem) or _RELEASE.match(stem)
    if match:
        year = match["year"]
        return {"title": _clean(match["title"]), "year": int(year) if year else None}
    return {"title": _clean(stem) or stem}


def _clean(text: str) -> str:
    """Turn underscores, and dots where they stand for spaces, into spaces."""
    text = text.replace("_", " ")
    if " " not in text.strip():
        text = text.replace(".", " ")
    return re.sub(r"\s+", " ", text).strip(" -.")
