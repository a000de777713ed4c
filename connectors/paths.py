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
_DRIVE = re.compile(r"[A-Za-z]:$")

LEAST_COMMON = 2
"""Folders and file name that must agree at the end for a mapping to be guessed."""
AGREEMENT = 0.8
"""Share of the sample that must lead to the same mapping."""


class PathMap:
    """From paths on a server to paths here. Raises ValueError where a mapping makes no sense."""

    def __init__(self, mapping: Mapping[str, str]) -> None:
        self._pairs: list[tuple[Parts, str]] = []
        for remote, local in mapping.items():
            if not local.startswith("/") or ".." in PurePosixPath(local).parts:
                raise ValueError(f"{remote} should be mapped to a whole path, not {local!r}")
            if not parts_of(remote) and remote != "/":
                raise ValueError("the folder on the server should be a whole path")
            self._pairs.append((parts_of(remote), local.rstrip("/") or "/"))
        self._pairs.sort(key=lambda pair: -len(pair[0]))

    @property
    def roots(self) -> list[str]:
        """Our folders that paths are mapped into."""
        return [local for _, local in self._pairs]

    def to_local(self, remote: str) -> str | None:
        """Return where the server's file should be here; None where nothing is mapped.

        The answer is composed (NFC); a file system may have the decomposed name.
        """
        path = parts_of(remote)
        if ".." in path or "\0" in remote:
            return None
        written = _split(remote)
        for prefix, local in self._pairs:
            if path[: len(prefix)] == prefix and len(path) > len(prefix):
                return "/".join([local.rstrip("/"), *written[len(prefix) :]])
        return None


def parts_of(path: str) -> Parts:
    """Return the folders and the name of a server's path, ready to compare; () if not absolute."""
    parts = _split(path)
    if not parts or not (path[:1] in "/\\" or _DRIVE.match(parts[0])):
        return ()
    is_windows = "\\" in path or bool(_DRIVE.match(parts[0]))
    return tuple(part.casefold() for part in parts) if is_windows else tuple(parts)


def guess_mapping(remote: Iterable[str], local: Iterable[str]) -> dict[str, str]:
    """Return a mapping that most of the remote files agree on; {} where none can be told.

    Compared by the ends of paths: at least two parts must agree, and the pair of beginnings that
    is left over must be the same for four of five of the remote files that end like one of ours.
    """
    by_name: dict[str, list[Parts]] = {}
    for path in local:
        by_name.setdefault(_split(path)[-1], []).append(tuple(_split(path)))
    votes: Counter[tuple[Parts, Parts]] = Counter()
    voters = 0
    for path in remote:
        theirs = tuple(_split(path))
        best: dict[tuple[Parts, Parts], int] = {}
        for ours in by_name.get(theirs[-1], ()) if theirs else ():
            common = _common_end(theirs, ours)
            if common >= LEAST_COMMON:
                best[theirs[:-common], ours[:-common]] = common
        if best:
            voters += 1
            longest = max(best.values())
            votes.update(pair for pair, common in best.items() if common == longest)
    if not votes:
        return {}
    (prefix, replacement), count = votes.most_common(1)[0]
    if count < AGREEMENT * voters or not prefix:
        return {}
    start = "" if _DRIVE.match(prefix[0]) else "/"
    return {start + "/".join(prefix): "/" + "/".join(replacement)}


def _split(path: str) -> list[str]:
    composed = unicodedata.normalize("NFC", path)
    separators = r"[\\/]+" if "\\" in path and "/" not in path else r"/+"
    if _DRIVE.match(composed[:2]):
        separators = r"[\\/]+"
    return [part for part in re.split(separators, composed) if part and part != "."]


def _common_end(one: Parts, other: Parts) -> int:
    length = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        length += 1
    # a mapping needs a folder left on each side
    return min(length, len(one) - 1, len(other) - 1)
