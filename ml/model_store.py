"""The folder of models: fetched from the hub and verified, or filled by hand; never half a model.

A model lies in `FOLDER/NAME/` with a manifest beside its files: repository, commit, and size and
SHA-256 of every file. It is fetched into `NAME.partial/`, where a download that was cut off goes
on, and moved into place when all of it was verified.
"""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml.hand_filled import find_gaps
from ml.installed import MANIFEST, file_hash, find_package
from ml.model_cards import ModelCard
from ml.model_hub import (
    ModelMissing,
    ModelRefused,
    NoSpace,
    Progress,
    StoreError,
    Wanted,
    ask_hub,
    compare_file,
    download,
)
from ml.perceiving import ModelUnusable

PINNED = "fetching.txt"
"""In a folder that is being fetched: the commit."""
SPARE = 1 << 30
"""Bytes that stay free on the disk."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file of a model."""

    file: str
    what: str


def ignore(_progress: Progress) -> None:
    """Take no notice of progress."""


class ModelStore:
    """Models by card, under one folder."""

    def __init__(self, folder: Path, *, revisions: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._revisions = dict(revisions or {})

    def path(self, card: ModelCard) -> Path:
        """Return the folder of a model that can be used. Raises ModelMissing.

        Sizes are compared; `verify` reads everything.
        """
        if card.package:
            try:
                return find_package(card.package)[0]
            except ModelUnusable as error:
                raise ModelMissing(str(error)) from error
        home = self._home(card)
        try:
            if not home.is_dir():
                raise ModelMissing(f"There is no folder {home}{_remedy(card)}")
            manifest = _read_manifest(home)
            for name, what in find_gaps(home, card) if manifest is None else _gaps(home, manifest):
                raise ModelMissing(f"{card.name}: {name} {what}{_remedy(card)}")
        except OSError as error:  # another user's, say; no reason for the daemon not to start
            raise ModelMissing(f"{home} cannot be read: {error.strerror}") from error
        return home

    def verify(self, card: ModelCard) -> list[Problem]:
        """Read all files and compare; of a folder filled by hand, note them from now on.

        Raises ModelMissing where there is nothing.
        """
        _refuse_folder(card)
        home = self._home(card)
        manifest = _read_manifest(home)
        if manifest is None:
            if not home.is_dir():
                raise ModelMissing(f"There is no folder {home}{_remedy(card)}")
            if gaps := [Problem(*gap) for gap in find_gaps(home, card)]:
                return gaps
            _write_manifest(home, card, "", {p: _facts(home / p) for p in _files(home)})
            return []
        problems = []
        for name, facts in manifest["files"].items():
            if what := compare_file(home / name, facts["size"], facts["sha256"]):
                problems.append(Problem(name, what))
        known = set(manifest["files"])
        problems += [Problem(name, "is unexpected") for name in _files(home) if name not in known]
        return problems

    def fetch(self, card: ModelCard, on_progress: Callable[[Progress], None] = ignore) -> Path:
        """Fetch a model, or what is missing or damaged of it; return its folder.

        Raises StoreError.
        """
        if not card.repository:
            raise ModelRefused(
                f"{card.name} comes with the installation; there is nothing to fetch."
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        with _only_one(self._folder / f".{card.name}.lock", card.name):
            self._recover(card)
            revision, wanted = ask_hub(card, self._revision(card))
            partial = self._partial(card)
            partial.mkdir(exist_ok=True)
            (partial / PINNED).write_text(revision, encoding="utf-8")
            _drop_strangers(partial, {PINNED, *(file.path for file in wanted)})
            self._reuse(card, wanted, partial)
            self._check_space(wanted, partial)
            download(card, revision, wanted, partial, on_progress)
            _write_manifest(
                partial, card, revision, {w.path: _facts(partial / w.path) for w in wanted}
            )
            (partial / PINNED).unlink()
            self._put_in_place(card)
        return self.path(card)

    def remove(self, card: ModelCard) -> None:
        """Delete a model and what was fetched of it. Raises StoreError."""
        _refuse_folder(card)
        if card.package:
            raise ModelRefused(f"{card.name} comes with the installation and stays with it.")
        homes = [self._home(card), self._partial(card), self._old(card)]
        if not any(home.exists() for home in homes):
            raise ModelMissing(f"{card.name} is not in {self._folder}.")
        with _only_one(self._folder / f".{card.name}.lock", card.name):
            for home in homes:
                try:
                    shutil.rmtree(home)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    raise StoreError(
                        f"{error.filename} cannot be deleted: {error.strerror}"
                    ) from error

    def state(self, card: ModelCard) -> tuple[str, int]:
        """Return how a model is (`ready`, `partial`, `damaged`, `missing`), and its bytes."""
        if card.package:
            return "in the installation", 0
        home = self._home(card)
        size = sum((home / name).stat().st_size for name in _files(home))
        try:
            self.path(card)
        except ModelMissing:
            fetched = home if card.name.startswith("/") else self._partial(card)
            if fetched != home and fetched.is_dir():
                return "partial", sum((fetched / n).stat().st_size for n in _files(fetched))
            return ("damaged", size) if size else ("missing", 0)
        return "ready", size

    def _home(self, card: ModelCard) -> Path:
        if card.name.startswith("/"):
            return Path(card.name)
        if card.name in ("", ".", "..") or "/" in card.name or "\0" in card.name:
            raise ModelRefused(f"{card.name!r} is no name of a model.")
        return self._folder / card.name

    def _partial(self, card: ModelCard) -> Path:
        return self._home(card).with_name(f"{card.name}.partial")

    def _old(self, card: ModelCard) -> Path:
        return self._home(card).with_name(f"{card.name}.old")

    def _revision(self, card: ModelCard) -> str:
        """Return the commit to fetch: of the settings, or the one that was fetched before."""
        named = self._revisions.get(card.name, "")
        if card.runs_remote_code and not re.fullmatch("[0-9a-f]{40}", named):
            raise ModelRefused(
                f"{card.name} brings code of its own. Read it on the hub, and name the commit that "
                f"you trust in the settings: models: {{revisions: {{{card.name}: COMMIT}}}}"
            )
        begun = self._partial(card) / PINNED
        if not named and begun.is_file():  # what was cut off goes on with the same commit
            return begun.read_text(encoding="utf-8").strip() or "main"
        manifest = _read_manifest(self._home(card)) or {}
        return named or str(manifest.get("revision") or "main")

    def _reuse(self, card: ModelCard, wanted: list[Wanted], partial: Path) -> None:
        """Link the good files of the model that is there: only what is bad is fetched again."""
        home = self._home(card)
        manifest = _read_manifest(home) or {"files": {}}
        for file in wanted:
            target, there = partial / file.path, home / file.path
            sha256 = file.sha256 or manifest["files"].get(file.path, {}).get("sha256", "")
            if target.exists() or not sha256 or compare_file(there, file.size, sha256):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(there, target)
            except OSError:  # a file system without links
                shutil.copyfile(there, target)

    def _check_space(self, wanted: list[Wanted], partial: Path) -> None:
        there = sum((partial / n).stat().st_size for n in _files(partial))
        needed = sum(file.size for file in wanted) - there + SPARE
        free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise NoSpace(
                f"{needed / 1e9:.1f} GB are needed in {self._folder}, {free / 1e9:.1f} GB are free."
            )

    def _put_in_place(self, card: ModelCard) -> None:
        home, old = self._home(card), self._old(card)
        _sync(self._partial(card))
        if home.exists():
            home.rename(old)
        self._partial(card).rename(home)
        _sync(self._folder)
        shutil.rmtree(old, ignore_errors=True)

    def _recover(self, card: ModelCard) -> None:
        """Undo what a kill between two renames left."""
        home, old = self._home(card), self._old(card)
        if old.exists() and not home.exists():
            old.rename(home)
        shutil.rmtree(old, ignore_errors=True)


def _refuse_folder(card: ModelCard) -> None:
    """Leave alone what lies in a folder of the user's own."""
    if card.name.startswith("/"):
        raise ModelRefused(f"{card.name} is a folder of yours; the store does not touch it.")


def _drop_strangers(partial: Path, wanted: set[str]) -> None:
    """Remove what an earlier fetch of another commit left: code, above all."""
    for name in set(_files(partial)) - wanted:
        (partial / name).unlink()


def _remedy(card: ModelCard) -> str:
    return f": python -m daemon models fetch {card.name}" if card.repository else ""


def _gaps(home: Path, manifest: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield what of a manifest's files is not there in its size."""
    for name, facts in manifest["files"].items():
        found = home / name
        if not found.is_file():
            yield name, "is missing"
        elif found.stat().st_size != facts["size"]:
            yield name, f"has {found.stat().st_size} of {facts['size']} bytes"


def _files(home: Path) -> list[str]:
    """Return the files of a model, its manifest apart."""
    found = sorted(p for p in home.rglob("*") if p.is_file()) if home.is_dir() else []
    return [n for p in found if (n := p.relative_to(home).as_posix()) != MANIFEST]


def _facts(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": file_hash(path)}


def _read_manifest(home: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((home / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) and "files" in manifest else None


def _write_manifest(home: Path, card: ModelCard, revision: str, files: dict[str, Any]) -> None:
    manifest = {
        "name": card.name, "repository": card.repository, "revision": revision, "files": files,
        "by_hand": not revision, "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    partial = home / f"{MANIFEST}.new"
    with partial.open("w", encoding="utf-8") as file:
        json.dump(manifest, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(home / MANIFEST)


def _sync(folder: Path) -> None:
    """Make renames in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _only_one(lock: Path, name: str) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StoreError(f"{name} is being fetched by another process.") from error
        yield  # the file stays: whoever opened it before would lock one that is gone
