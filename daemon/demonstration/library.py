"""Lay out the demonstration library, all or nothing."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path

from daemon.demonstration import music, pictures, videos

LABEL = "Demonstration"
"""The folder below music, images, text and videos."""


class FolderInUse(Exception):
    """There are media already; nothing was written."""


def make_library(folder: Path) -> dict[str, int]:
    """Make all media below `folder` and return how many of each type.

    A file is never overwritten: raises FolderInUse where a TYPE folder has anything in it. What
    is made appears at once at the end, so a run that was stopped leaves no half a library.
    """
    parts: dict[str, Callable[[Path], int]] = {
        "music": music.make_music,
        "images": pictures.make_pictures,
        "videos": videos.make_videos,
        "text": copy_texts,
    }
    _refuse_media(folder, parts)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=folder) as workshop:
        with ThreadPoolExecutor(2) as threads:
            places = [Path(workshop) / kind / LABEL for kind in parts]
            counts = threads.map(lambda make, place: make(place), parts.values(), places)
            made = dict(zip(parts, counts, strict=True))
        _refuse_media(folder, parts)
        for kind in parts:
            (folder / kind).mkdir(exist_ok=True)
            (Path(workshop) / kind / LABEL).rename(folder / kind / LABEL)
    return made


def _refuse_media(folder: Path, kinds: Iterable[str]) -> None:
    for kind in kinds:
        place = folder / kind
        if place.exists() and (not place.is_dir() or any(place.iterdir())):
            raise FolderInUse(f"There is something in {place} already; nothing was made.")


def copy_texts(folder: Path) -> int:
    """Copy the texts that come with the program and return how many."""
    with as_file(files("daemon.demonstration") / "texts") as texts:
        shutil.copytree(texts, folder)
    return sum(1 for path in folder.rglob("*") if path.is_file())
