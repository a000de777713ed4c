"""Playlist files: extended M3U in UTF-8, with paths relative to the file.

A file is ours when its second line says so; any other file of the name is left alone.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from daemon.playlists.selection import Entry

HEADER = b"#EXTM3U\n"
MARK = b"#ANAGNORISIS:"


class NotOurs(Exception):
    """A file of that name is there and somebody else's."""


def file_name(playlist: str) -> str:
    """Return the file's name for a playlist: nothing that a file system would mind."""
    name = re.sub(r'[\x00-\x1f/\\:*?"<>|]+', "_", playlist).strip(" .") or "playlist"
    while len(name.encode()) > 200:
        name = name[:-1]
    return name + ".m3u8"


def render(playlist: str, entries: Sequence[Entry], folder: Path) -> tuple[bytes, list[Entry]]:
    """Return the file's content, and the entries that cannot be named in such a file."""
    lines = [HEADER, MARK + _line(playlist), b"#PLAYLIST:" + _line(playlist)]
    left_out = []
    for entry in entries:
        if entry.path is None:
            left_out.append(entry)
            continue
        path = os.path.relpath(entry.path, os.path.realpath(os.fsencode(folder)))
        if b"\n" in path or b"\r" in path:
            left_out.append(entry)
            continue
        if path.startswith(b"#"):
            path = b"./" + path
        label = f"{entry.artist} - {entry.title}" if entry.artist else entry.title
        seconds = -1 if entry.duration is None else round(entry.duration)
        lines += [f"#EXTINF:{seconds},".encode() + _line(label), path + b"\n"]
    return b"".join(lines), left_out


def read(path: Path) -> bytes | None:
    """Return a playlist file of ours; None where there is no file. Raises NotOurs."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if not content.startswith(HEADER + MARK):
        raise NotOurs(f"{path} is there and was not written by Anagnorisis; it is left alone.")
    return content


def paths_in(content: bytes) -> list[bytes]:
    """Return the media paths that a playlist file names, in order."""
    return [line for line in content.split(b"\n") if line and not line.startswith(b"#")]


def write(path: Path, content: bytes) -> None:
    """Put the file in place whole, or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.chmod(0o644)  # a media server runs as somebody else
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _line(text: str) -> bytes:
    return " ".join(text.split()).encode(errors="replace") + b"\n"
