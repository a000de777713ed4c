"""The hub: which files a model has there, and fetching them; what was cut off goes on."""

import fnmatch
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ml.installed import file_hash
from ml.model_cards import ModelCard

CHUNK = 1 << 16
TIMEOUT = (10.0, 60.0)
"""Seconds to connect, and between two pieces."""
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


class StoreError(Exception):
    """A model cannot be had; the message says what to do."""


class ModelMissing(StoreError):
    """It is not in the folder, or not whole."""


class ModelRefused(StoreError):
    """It may not be fetched as it is."""


class NoSpace(StoreError):
    """The disk is too full."""


class HubUnreachable(StoreError):
    """The hub does not answer; what was fetched so far stays."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a fetch is, in bytes."""

    file: str
    done: int
    total: int

    def __str__(self) -> str:
        share = 100 * self.done // max(self.total, 1)
        return f"{self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB ({share} %) {self.file}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file of the repository."""

    path: str
    size: int
    sha256: str
    """"" for a small file that the hub keeps in git."""
    blob: str
    """SHA-1 of the git blob, of those."""


def ask_hub(card: ModelCard, revision: str) -> tuple[str, list[Wanted]]:
    """Return the commit, and the files that are wanted of it."""
    from httpx2 import HTTPError  # what its client raises when there is no connection
    from huggingface_hub import HfApi
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        info = HfApi().model_info(card.repository, revision=revision, files_metadata=True)
    except GatedRepoError as error:
        raise ModelRefused(
            f"{card.repository} wants its licence accepted: do that at "
            f"https://huggingface.co/{card.repository}, and set HF_TOKEN to a token of yours."
        ) from error
    except RevisionNotFoundError as error:
        raise ModelRefused(f"{card.repository} has no commit {revision}.") from error
    except RepositoryNotFoundError as error:
        raise ModelRefused(f"The hub has no model {card.repository}.") from error
    except OfflineModeIsEnabled as error:
        raise HubUnreachable("HF_HUB_OFFLINE is set, so nothing is fetched.") from error
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise HubUnreachable(f"The hub does not answer: {_short(error)}") from error
    wanted = [_want(file) for file in info.siblings or () if _is_wanted(card, file.rfilename)]
    if not wanted:
        raise ModelRefused(f"{card.repository} has no safetensors that could be fetched.")
    return str(info.sha), wanted


def _want(file: Any) -> Wanted:
    path = PurePosixPath(file.rfilename)
    if path.is_absolute() or ".." in path.parts:
        raise ModelRefused(f"The repository names a file {file.rfilename!r}.")
    lfs = file.lfs
    sha256 = str(lfs["sha256"] if isinstance(lfs, dict) else lfs.sha256) if lfs else ""
    return Wanted(str(path), int(file.size or 0), sha256, str(file.blob_id or ""))


def _is_wanted(card: ModelCard, name: str) -> bool:
    if name.endswith(PICKLES) and name not in card.files:
        return False  # a pickle can run code when it is read
    return any(fnmatch.fnmatch(name, pattern) for pattern in card.files)


def download(
    card: ModelCard,
    revision: str,
    wanted: list[Wanted],
    partial: Path,
    on_progress: Callable[[Progress], None],
) -> None:
    """Fetch files into a folder, each verified. Raises StoreError."""
    total = sum(file.size for file in wanted)
    done = 0
    for file in wanted:
        before = done

        def report(of_file: int, name: str = file.path, before: int = before) -> None:
            on_progress(Progress(name, before + of_file, total))

        for attempt in (1, 2):
            _continue(card, revision, file, partial / file.path, report)
            what = compare_wanted(partial / file.path, file)
            if not what:
                break
            (partial / file.path).unlink()
            if attempt == 2:
                raise StoreError(f"{file.path} of {card.name} {what}, twice; try again later.")
        done += file.size
        report(file.size)


def _continue(
    card: ModelCard, revision: str, file: Wanted, target: Path, report: Callable[[int], None]
) -> None:
    """Fetch what is missing of a file."""
    import requests
    from huggingface_hub import get_token, hf_hub_url

    target.parent.mkdir(parents=True, exist_ok=True)
    have = target.stat().st_size if target.exists() else 0
    if have > file.size or (have and have < file.size and target.stat().st_nlink > 1):
        # Never write into a file that the model in use shares.
        target.unlink()
        have = 0
    if have == file.size and target.exists():
        return
    headers = {"Accept-Encoding": "identity"}
    if token := get_token():
        headers["Authorization"] = f"Bearer {token}"  # requests drops it where it is sent on
    if have:
        headers["Range"] = f"bytes={have}-"
    url = hf_hub_url(card.repository, file.path, revision=revision)
    try:
        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            if answer.status_code in (401, 403):
                raise ModelRefused(
                    f"{card.repository} wants its licence accepted on the hub, and HF_TOKEN set."
                )
            if answer.status_code not in (200, 206):
                raise HubUnreachable(f"The hub answered {answer.status_code} for {file.path}.")
            is_rest = answer.status_code == 206
            have = have if is_rest else 0
            with target.open("ab" if is_rest else "wb") as out:
                for chunk in answer.iter_content(CHUNK):
                    out.write(chunk)
                    have += len(chunk)
                    if have > file.size:
                        break
                    report(have)
                out.flush()
                os.fsync(out.fileno())
    except requests.RequestException as error:
        raise HubUnreachable(
            f"The download of {file.path} was cut off ({type(error).__name__}); "
            "the next fetch goes on from there."
        ) from error
    if have < file.size:
        raise HubUnreachable(
            f"The download of {file.path} was cut off at {have} of {file.size} bytes; "
            "the next fetch goes on from there."
        )


def compare_wanted(path: Path, file: Wanted) -> str:
    """Return what is wrong with a file that was fetched; "" if nothing is."""
    if file.sha256:
        return compare_file(path, file.size, file.sha256)
    if path.stat().st_size != file.size:
        return "has another size than the hub says"
    if file.blob and _git_blob(path) != file.blob:
        return "is corrupt"
    return ""


def compare_file(path: Path, size: int, sha256: str) -> str:
    """Return what is wrong with a file; "" if nothing is."""
    if not path.is_file():
        return "is missing"
    found = path.stat().st_size
    if found != size:
        return f"is {'cut short' if found < size else 'too long'}: {found} of {size} bytes"
    return "" if file_hash(path) == sha256 else "is corrupt"


def _git_blob(path: Path) -> str:
    """Return the id that git gives a file: SHA-1 over a header and the content."""
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
