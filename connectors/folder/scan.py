"""Walk a folder and compare it with what the catalogue knows.

Everything here is bytes, tuples and sets: a scan with nothing new must cost little more than the
bare walk.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from stat import S_ISREG
from typing import Any, Literal

from connectors.base import ConnectorUnavailable
from connectors.folder.companions import FOLDER_FILES, SERIES_FILES, fingerprint, own_names
from connectors.folder.formats import (
    COMPANION_EXTENSIONS,
    EXTENSIONS,
    IGNORE_FILE,
    LITTER,
    NO_MEDIA,
    PARTIAL_EXTENSIONS,
    extension_of,
)
from connectors.folder.ignoring import LONGEST_FILE, Ignoring

Row = tuple[bytes, int, int, str]
"""Path relative to the root, size, mtime_ns, fingerprint of the companions."""

Fact = tuple[bytes, int, int]
"""Name, size and mtime_ns of a companion."""

Found = Literal["new", "changed", "gone"]

DEEPEST = 100
"""Folders in folders; links can make more than anybody has."""

MOST_LINKS = 8
"""Linked folders in linked folders: two that point at each other's parents would double."""

_ITEM, _COMPANION, _OTHER, _PARTIAL = range(4)


class Scan:
    """One look at a folder. Fill in what is known, walk, then take what was found."""

    def __init__(
        self, root: bytes, media: str, ignore: Iterable[str] = (),
        under: Sequence[bytes] | None = None,
    ) -> None:  # fmt: skip
        self._root = root.rstrip(b"/") or b"/"
        self._media = media
        self._ignoring = Ignoring(os.fsencode(line) for line in ignore)
        self._under = None if under is None or b"" in under else _outermost(under)
        self._sorts = {
            **dict.fromkeys(COMPANION_EXTENSIONS, _COMPANION),
            **dict.fromkeys(PARTIAL_EXTENSIONS, _PARTIAL),
            **dict.fromkeys(EXTENSIONS[media], _ITEM),
        }
        self._folder_files = FOLDER_FILES.get(media, ())
        self._known: dict[bytes, Row] = {}
        self._found: dict[str, list[Row]] = {"new": [], "changed": [], "gone": []}
        self._unlisted: list[bytes] = []
        self._left_out: Counter[str] = Counter()
        self._files = self._unchanged = 0

    def add_known(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows of the catalogue; those outside `under` are not looked at."""
        known = self._known
        for row in rows:
            known[row[0]] = tuple(row)

    def walk(self) -> dict[str, Any]:
        """Walk and compare; return the counts. Raises ConnectorUnavailable."""
        if self._under is not None:
            self._known = {p: r for p, r in self._known.items() if _is_below(p, self._under)}
        try:
            status = os.stat(self._root)
            entries = _list(self._root)
        except OSError as error:
            name = os.fsdecode(self._root).encode(errors="replace").decode()
            raise ConnectorUnavailable(
                f"The folder {name} cannot be read: {error.strerror}"
            ) from error
        self._walk_folder(b"", entries, self._ignoring, [], [(status.st_dev, status.st_ino)], 0)
        self._sort_out_gone()
        for rows in self._found.values():
            rows.sort(reverse=True)  # `take` pops from the end
        counts = {what: len(rows) for what, rows in self._found.items()}
        return {
            "files": self._files, "unchanged": self._unchanged, **counts,
            "left_out": dict(self._left_out), "unlisted": self._unlisted,
        }  # fmt: skip

    def take(self, what: Found, limit: int) -> list[Row]:
        """Take up to `limit` rows of one sort, in the order of their paths."""
        rows = self._found[what]
        taken = rows[: -limit - 1 : -1]
        del rows[-limit:]
        return taken

    def _walk_folder(
        self, prefix: bytes, entries: list[os.DirEntry[bytes]], ignoring: Ignoring,
        series: list[Fact], above: list[tuple[int, int]], links: int,
    ) -> None:  # fmt: skip
        """Compare the files of one folder, then walk the folders in it.

        `prefix` ends in a slash; `series` are facts of the .nfo files that hold from above;
        `above` identifies the folders on the way here.
        """
        hidden = {e.name for e in entries if e.name[:1] == b"."}
        if NO_MEDIA in hidden:
            self._left_out[".nomedia"] += 1
            return
        if IGNORE_FILE in hidden:
            ignoring = self._read_ignore_file(prefix, ignoring)
        files, companions, folders = self._sort_entries(entries)
        series, shared = self._shared_companions(companions, series)
        if self._under is None or _is_below(prefix, self._under):
            self._compare(prefix, files, companions, shared, ignoring)
        for entry in folders:
            self._enter(prefix, entry, ignoring, series, above, links)

    def _sort_entries(
        self, entries: list[os.DirEntry[bytes]]
    ) -> tuple[list[os.DirEntry[bytes]], dict[bytes, os.DirEntry[bytes]], list[Any]]:
        """Tell items, companions and folders apart by their names."""
        files, companions, folders = [], {}, []
        sorts, left_out = self._sorts, self._left_out
        for entry in entries:
            name = entry.name
            sort = sorts.get(extension_of(name), _OTHER)
            if name[:1] == b".":
                left_out["hidden"] += 1
            elif _is_folder(entry):
                if name.lower() in LITTER:
                    left_out["litter"] += 1
                else:
                    folders.append(entry)
            elif sort == _ITEM and name[:2] != b"~$":  # locks of office programs
                files.append(entry)
            elif sort == _COMPANION:
                companions[name] = entry
            elif sort == _PARTIAL or name[-1:] == b"~":
                left_out["partial download"] += 1
            elif name.lower() in LITTER:
                left_out["litter"] += 1
            else:
                left_out["other format"] += 1
        folders.sort(key=lambda entry: entry.name)
        return files, companions, folders

    def _shared_companions(
        self, companions: dict[bytes, os.DirEntry[bytes]], series: list[Fact]
    ) -> tuple[list[Fact], list[Fact]]:
        """Return what holds for the folders in this one, and for all files of this one."""
        if not companions:
            return [], series
        here = _facts(companions, self._folder_files)
        below = [(b"../" + fact[0], *fact[1:]) for fact in here if fact[0] in SERIES_FILES]
        return below, here + series

    def _compare(
        self, prefix: bytes, files: list[os.DirEntry[bytes]],
        companions: dict[bytes, os.DirEntry[bytes]], shared: list[Fact], ignoring: Ignoring,
    ) -> None:  # fmt: skip
        known, found = self._known, self._found
        print_of_all = fingerprint(shared)
        leaves_out = None if ignoring.is_empty else ignoring.leaves_out
        for entry in files:
            path = prefix + entry.name
            if leaves_out and leaves_out(path, folder=False):
                self._left_out["ignored"] += 1
                continue
            try:
                status = entry.stat()
            except OSError as error:
                self._note_lost(path, error)
                continue
            if not S_ISREG(status.st_mode):
                self._left_out["no file"] += 1
                continue
            own = companions and own_names(self._media, entry.name, companions)
            mark = fingerprint(_facts(companions, own) + shared) if own else print_of_all
            row = (path, status.st_size, status.st_mtime_ns, mark)
            self._files += 1
            before = known.pop(path, None)
            if before == row:
                self._unchanged += 1
            else:
                found["changed" if before else "new"].append(row)

    def _note_lost(self, path: bytes, error: OSError) -> None:
        """Leave out a broken link or vanished file; keep what cannot be looked at just now."""
        if isinstance(error, FileNotFoundError):
            self._left_out["broken link"] += 1
        else:
            self._unlisted.append(path)

    def _enter(
        self, prefix: bytes, entry: os.DirEntry[bytes], ignoring: Ignoring,
        series: list[Fact], above: list[tuple[int, int]], links: int,
    ) -> None:  # fmt: skip
        path = prefix + entry.name
        if self._under is not None and not _meets(path + b"/", self._under):
            return
        if not ignoring.is_empty and ignoring.leaves_out(path, folder=True):
            self._left_out["ignored"] += 1
            return
        try:
            status = entry.stat()
            identity = (status.st_dev, status.st_ino)
            links += entry.is_symlink()
            if identity in above or links > MOST_LINKS or len(above) > DEEPEST:
                self._left_out["loop of links"] += 1
                return
            entries = _list(b"%b/%b" % (self._root, path))
        except (FileNotFoundError, NotADirectoryError):
            return  # it vanished while we looked
        except OSError:
            self._unlisted.append(path)
            return
        self._walk_folder(path + b"/", entries, ignoring, series, [*above, identity], links)

    def _read_ignore_file(self, prefix: bytes, upper: Ignoring) -> Ignoring:
        try:
            with open(b"%b/%b%b" % (self._root, prefix, IGNORE_FILE), "rb") as file:
                lines = file.read(LONGEST_FILE).splitlines()
        except OSError:
            return upper
        return Ignoring(lines, prefix, upper)

    def _sort_out_gone(self) -> None:
        """Take for gone what was not met, but not below folders that could not be listed."""
        if self._unlisted:
            kept = {path for path in self._known if _is_below(path, self._unlisted)}
            self._unchanged += len(kept)
            self._known = {p: row for p, row in self._known.items() if p not in kept}
        self._found["gone"] = list(self._known.values())
        self._known = {}


def _is_folder(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, or to where we may not look
        return False


def _list(path: bytes) -> list[os.DirEntry[bytes]]:
    with os.scandir(path) as entries:
        return list(entries)


def _facts(companions: dict[bytes, os.DirEntry[bytes]], names: Iterable[bytes]) -> list[Fact]:
    facts = []
    for name in names:
        if name in companions:
            try:
                status = companions[name].stat()
            except OSError:
                continue
            facts.append((name, status.st_size, status.st_mtime_ns))
    return facts


def _outermost(folders: Iterable[bytes]) -> list[bytes]:
    """Drop folders that lie in others of the list."""
    kept: list[bytes] = []
    for folder in sorted({folder.strip(b"/") for folder in folders}):
        if not _is_below(folder, kept):
            kept.append(folder)
    return kept


def _is_below(path: bytes, folders: list[bytes]) -> bool:
    """Tell whether `path` is one of the folders or lies in one."""
    return any(path == folder or path.startswith(folder + b"/") for folder in folders)


def _meets(path: bytes, folders: list[bytes]) -> bool:
    """Tell whether the folder `path/` lies in one of the folders, or on the way to one."""
    return _is_below(path, folders) or any((f + b"/").startswith(path) for f in folders)
