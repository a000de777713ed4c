"""Which files beside an item, or above it, speak of it."""

from collections.abc import Container

import xxhash

from connectors.folder.formats import stem_of

SERIES_FILES = (b"tvshow.nfo", b"artist.nfo")
"""Hold for the folder that they are in and the folders in that."""

FOLDER_FILES: dict[str, tuple[bytes, ...]] = {
    "music": (b"album.nfo", b"artist.nfo"),
    "videos": (b"tvshow.nfo",),
}
"""Speak of all items of a kind in their folder, or of the whole that these are parts of."""

EXTRAS = (
    b"-trailer", b"-sample", b"-featurette", b"-behindthescenes", b"-deleted", b"-interview",
    b"-scene", b"-short", b"-clip", b"-extra", b"-other",
)  # fmt: skip
"""Ends of names by which media servers know what is not the film itself."""


def own_names(kind: str, name: bytes, names: Container[bytes]) -> list[bytes]:
    """Return those of `names` in the same folder that speak of the file `name` alone."""
    stem = stem_of(name)
    wanted = [name + b".meta", stem + b".nfo"]
    if kind == "music":
        wanted.append(stem + b".lrc")
    elif kind == "images":
        wanted += [name + b".xmp", stem + b".xmp"]
    elif kind == "videos" and not stem.lower().endswith(EXTRAS) and wanted[1] not in names:
        wanted.append(b"movie.nfo")
    return [companion for companion in wanted if companion in names]


def fingerprint(facts: list[tuple[bytes, int, int]]) -> str:
    """Return a short hash over name, size and mtime_ns of the companions; "" without any."""
    if not facts:
        return ""
    text = b"".join(b"%b\0%d\0%d\0" % fact for fact in facts)
    return xxhash.xxh3_64_hexdigest(text)
