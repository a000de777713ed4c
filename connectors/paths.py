r"""Path mapping: the server's `/media/music` is our `/mnt/media/music`.

Paths of servers may be POSIX, Windows (`D:\Music`) or UNC (`\\nas\music`); ours are POSIX.
Prefixes are compared by whole folders, the longest first, in Unicode's composed form (macOS and
SMB hand out decomposed names), and without regard to case where the server's are Windows's.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

Parts = tuple[str, ...]
_DRIVE = re.compile(r"[A-Za-z]:(?=[\\/]|$)")
_SHARE = re.compile(r"\\\\[^\\/]|//[^\\/]")
"""The beginning of a path on another computer; //media//x may be meant so, too."""

LEAST_COMMON = 2
"""Folders and file name that must agree at the end for a mapping to be guessed."""
AGREEMENT = 0.8
"""Share of the sample that must lead to the same mapping."""


class PathMap:
    """From paths on a server to paths here. Raises ValueError where a mapping makes no sense."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._pairs: list[tuple[str, Parts, str]] = []
        for remote, local in mapping.items():
            if not local.startswith("/") or ".." in PurePosixPath(local).parts or "\0" in local:
                raise ValueError(f"{remote} should be mapped to a whole path, not {local!r}")
            parts = tuple(_split(remote))
            if not (parts or remote == "/") or not _is_whole(remote) or ".." in parts:
                raise ValueError("the folder on the server should be a whole path")
            local = local.rstrip("/") or "/"
            if any(parts == known and local != there for _, known, there in self._pairs):
                raise ValueError(f"{remote} is mapped to two folders")
            self._pairs.append((remote, parts, local))
        self._pairs.sort(key=lambda pair: -len(pair[1]))

    @property
    def roots(self) -> list[str]:
        """Our folders that paths are mapped into."""
        return [local for *_, local in self._pairs]

    def to_local(self, remote: str) -> str | None:
        """Return where the server's file should be here; None where nothing is mapped.

        The answer is composed (NFC); a file system may have the decomposed name.
        """
        path = tuple(_split(remote))
        if not _is_whole(remote) or ".." in path or "\0" in remote:
            return None
        for folder, prefix, local in self._pairs:
            start = path[: len(prefix)]
            if _is_windows(remote) or _is_windows(folder):
                start, prefix = _folded(start), _folded(prefix)
            if start == prefix and len(path) > len(prefix):
                return "/".join([local.rstrip("/"), *path[len(prefix) :]])
        return None


def guess_mapping(remote: Iterable[str], local: Iterable[str]) -> dict[str, str]:
    """Return a mapping that most of the remote files agree on; {} where none can be told.

    Compared by the ends of paths: at least two parts must agree, and the pair of beginnings that
    is left over must be the same for four of five of the remote files that end like one of ours.
    """
    by_name: dict[str, list[Parts]] = {}
    for path in local:
        if ours := tuple(_split(path)):
            by_name.setdefault(ours[-1], []).append(ours)
    votes: Counter[tuple[str, Parts, Parts]] = Counter()
    voters = 0
    for path in remote:
        theirs = tuple(_split(path)) if _is_whole(path) else ()
        best: dict[tuple[str, Parts, Parts], int] = {}
        for ours in by_name.get(theirs[-1], ()) if theirs else ():
            common = _common_end(theirs, ours)
            if common >= LEAST_COMMON:
                best[_start_of(path), theirs[:-common], ours[:-common]] = common
        if best:
            voters += 1
            longest = max(best.values())
            votes.update(pair for pair, common in best.items() if common == longest)
    if not votes:
        return {}
    (start, prefix, replacement), count = votes.most_common(1)[0]
    if count < AGREEMENT * voters or not (prefix or start == "/"):
        return {}
    return {start + "/".join(prefix): "/" + "/".join(replacement)}


def _split(path: str) -> list[str]:
    composed = unicodedata.normalize("NFC", path)
    separators = r"[\\/]+" if _is_windows(path) else r"/+"
    return [part for part in re.split(separators, composed) if part and part != "."]


def _is_windows(path: str) -> bool:
    """Tell whether a path is one of Windows: elsewhere a backslash is a letter like any other."""
    return path.startswith("\\") or _start_of(path) in ("", "//")


def _is_whole(path: str) -> bool:
    return path[:1] in ("/", "\\") or _start_of(path) == ""


def _start_of(path: str) -> str:
    """Return what stands before the parts: "" before a drive, // before a computer, else /."""
    if _DRIVE.match(path):
        return ""
    return "//" if _SHARE.match(path) else "/"


def _folded(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _common_end(theirs: Parts, ours: Parts) -> int:
    length = 0
    for a, b in zip(reversed(theirs), reversed(ours), strict=False):
        if a != b:
            break
        length += 1
    return min(length, len(ours) - 1)  # a folder of ours must be left to map into
