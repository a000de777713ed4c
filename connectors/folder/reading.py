"""Reads one file into `FileFacts`: hashes, metadata, and what its companions add."""

import os
from typing import Any, BinaryIO

from connectors.base import FileFacts, Kind, UnreadableFile
from connectors.folder.audio import read_audio
from connectors.folder.bounds import LONG, Reading, bounded, clip
from connectors.folder.companions import own_names
from connectors.folder.documents import read_document
from connectors.folder.hashing import soft_hash
from connectors.folder.names import read_name
from connectors.folder.nfo import Nfo, read_nfo_file
from connectors.folder.pictures import read_picture, read_xmp_file
from connectors.folder.plaintext import decode
from connectors.folder.scan import Row
from connectors.folder.video import read_video


class StillGrowing(Exception):
    """The file is not, or is no longer, what the scan saw."""


def read_file(root: bytes, kind: Kind, row: Row) -> FileFacts:
    """Read one file. Raises UnreadableFile and StillGrowing."""
    path, size, mtime_ns, companions = row
    full = b"%b/%b" % (root, path)
    try:
        with open(full, "rb") as file:
            _check_is_still(file, size, mtime_ns)
            if not size:
                raise UnreadableFile("is empty")
            reading, content_hash, look = _read_by_kind(file, kind, path, size)
            found_soft_hash = soft_hash(file, size)
            _check_is_still(file, size, mtime_ns)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise StillGrowing from error
    except PermissionError as error:
        raise UnreadableFile("may not be read by this program (permission denied)") from error
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    sidecar = _add_companions(root, path, kind, reading) if companions else ""
    reading.fill(read_name(path, kind))
    return FileFacts(
        path, size, mtime_ns, companions, found_soft_hash, content_hash, look,
        bounded(reading.values), sidecar, reading.rating,
    )  # fmt: skip


def _check_is_still(file: BinaryIO, size: int, mtime_ns: int) -> None:
    status = os.fstat(file.fileno())
    if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
        raise StillGrowing


def _read_by_kind(
    file: BinaryIO, kind: Kind, path: bytes, size: int
) -> tuple[Reading, str | None, str | None]:
    """Return what the file says, its content hash and its look."""
    if kind == "images":
        return read_picture(file, size)
    if kind == "text":
        return read_document(file, path), None, None
    reading, content_hash = (read_audio if kind == "music" else read_video)(file, size)
    return reading, content_hash, None


def _add_companions(root: bytes, path: bytes, kind: Kind, reading: Reading) -> str:
    """Let the files beside an item have their word; return the text of its sidecar."""
    inner, _, name = path.rpartition(b"/")
    folder = b"%b/%b" % (root, inner)
    sidecar = ""
    for companion in own_names(kind, name, _Folder(folder)):
        path = b"%b/%b" % (folder, companion)
        if companion.endswith(b".meta"):
            sidecar = read_text_file(path)
        elif companion.endswith(b".lrc"):
            reading.fill({"lyrics": _without_times(read_text_file(path))})
        elif companion.endswith(b".xmp"):
            xmp = read_xmp_file(path)
            _overrule(reading, xmp.values, xmp.rating)
        else:
            nfo = read_nfo_file(path)
            _overrule(reading, nfo.values, nfo.rating)
    above = b"%b/%b" % (root, inner.rpartition(b"/")[0]) if inner else folder
    _add_folder_files(folder, above, kind, reading)
    return sidecar


def _overrule(reading: Reading, values: dict[str, Any], rating: float | None) -> None:
    reading.overrule(values)
    if rating is not None:
        reading.rating = rating


class _Folder:
    """The names in a folder, asked one at a time."""

    def __init__(self, path: bytes) -> None:
        self._path = path

    def __contains__(self, name: object) -> bool:
        return isinstance(name, bytes) and os.path.isfile(b"%b/%b" % (self._path, name))


_OF_THE_WHOLE = ("genres", "keywords", "studios", "year", "overview", "people")
"""What may pass from a series or an album to its parts where these say nothing. Not provider ids:
they name the whole."""


def _add_folder_files(folder: bytes, above: bytes, kind: Kind, reading: Reading) -> None:
    """Fill what is missing from album.nfo, artist.nfo or tvshow.nfo, here or one folder up."""
    if kind == "music":
        album = read_nfo_file(b"%b/album.nfo" % folder)
        reading.fill(_passed_on(album, "community_rating", "votes"))
        reading.fill({"album": album.values.get("title"), "artists": album.values.get("artists")})
        artist = _read_here_or_above(folder, above, b"artist.nfo")
        reading.fill({"genres": artist.values.get("genres")})
    elif kind == "videos":
        series = _read_here_or_above(folder, above, b"tvshow.nfo")
        reading.fill(_passed_on(series))
        reading.fill({"series": series.values.get("title")})


def _read_here_or_above(folder: bytes, above: bytes, name: bytes) -> Nfo:
    path = b"%b/%b" % (folder, name)
    return read_nfo_file(path if os.path.isfile(path) else b"%b/%b" % (above, name))


def _passed_on(nfo: Nfo, *further: str) -> dict[str, Any]:
    return {name: nfo.values.get(name) for name in (*_OF_THE_WHOLE, *further)}


def read_text_file(path: bytes) -> str:
    """Return the text of a companion, cut to size; "" where there is none."""
    try:
        with open(path, "rb") as file:
            return clip(decode(file.read(LONG)), LONG)
    except (OSError, UnreadableFile):
        return ""


def _without_times(text: str) -> str:
    """Drop the [mm:ss.xx] stamps and the [ar:…] headers of an .lrc file."""
    lines = (line.rpartition("]")[2].strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line)
