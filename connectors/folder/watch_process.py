"""The process behind `connectors.folder.watch`: python -m connectors.folder.watch_process.

Setting up a watch walks the whole folder and holds Python's global lock all the while: seconds in
a large library, minutes on a slow disk. So the daemon leaves it to a process of its own.

Lines of JSON. Orders, on standard input: {"number", "root", "options"} begins a watch, {"number"}
ends it. News, on standard output: {"number", "folders"}, sub-folders relative to the root in which
something changed, none when the watch stands and where the time ran out; or {"number", "error",
"message"}, which ends the watch. Names that are no UTF-8 travel as surrogates.
"""

import json
import os
import sys
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from watchfiles import watch

from connectors.folder.formats import IGNORE_FILE, NO_MEDIA, PARTIAL_EXTENSIONS, extension_of

_MOST_AT_ONCE = 200
"""Folders in one line of news; a line stays below what its reader can hold."""


class _News:
    """Standard output, for all the watches."""

    def __init__(self) -> None:
        self._turn = threading.Lock()

    def tell(self, **news: Any) -> None:
        with self._turn:
            sys.stdout.write(json.dumps(news) + "\n")
            sys.stdout.flush()


class _End(threading.Event):
    """Ends a watch; it is asked whether it is set from when the watch stands."""

    def __init__(self, tell_standing: Callable[[], None]) -> None:
        super().__init__()
        self._tell_standing: Callable[[], None] | None = tell_standing

    def is_set(self) -> bool:
        if self._tell_standing:
            self._tell_standing()
            self._tell_standing = None
        return super().is_set()


def main() -> None:
    """Take orders until standard input closes: then whoever gave them is gone."""
    news, ends = _News(), dict[int, _End]()
    for line in sys.stdin:
        order = json.loads(line)
        number = order["number"]
        if "root" not in order:
            ends.pop(number).set()
            continue
        ends[number] = _End(partial(news.tell, number=number, folders=()))
        arguments = (number, order["root"], order["options"], ends[number], news)
        threading.Thread(target=_watch, args=arguments, daemon=True).start()
    os._exit(0)  # waits for no watch


def _watch(number: int, root: str, options: dict[str, Any], end: _End, news: _News) -> None:
    try:
        for changes in watch(
            root, watch_filter=None, stop_event=end, yield_on_timeout=True, **options
        ):
            found = sorted(folders_of(os.fsencode(root), (path for _, path in changes)))
            for start in range(0, max(len(found), 1), _MOST_AT_ONCE):
                part = [os.fsdecode(folder) for folder in found[start : start + _MOST_AT_ONCE]]
                news.tell(number=number, folders=part)
    except (OSError, RuntimeError) as error:
        news.tell(number=number, error=type(error).__name__, message=str(error))


def folders_of(root: bytes, paths: Iterable[str]) -> set[bytes]:
    """Return the sub-folders to look into; nothing for what a scan would leave out."""
    prefix = root.rstrip(b"/") + b"/"
    found = set()
    for path in paths:
        raw = os.fsencode(path)
        folder, _, name = raw.removeprefix(prefix).rpartition(b"/")
        if not raw.startswith(prefix):  # the folder itself
            found.add(b"")
        elif not _is_left_out(folder, name):
            found.add(folder)
    return found


def _is_left_out(folder: bytes, name: bytes) -> bool:
    if any(part.startswith(b".") for part in folder.split(b"/")):
        return True
    if name.startswith(b"."):
        return name not in (IGNORE_FILE, NO_MEDIA)
    return extension_of(name) in PARTIAL_EXTENSIONS


if __name__ == "__main__":
    main()
