"""Weights that come inside packages of the installation."""

import hashlib
import importlib.metadata
import importlib.util
from pathlib import Path

from ml.perceiving import ModelUnusable


def find_package(name: str) -> tuple[Path, str]:
    """Return the folder and version of an installed package, without importing it.

    Raises ModelUnusable.
    """
    package = importlib.util.find_spec(name.replace("-", "_"))
    places = list(package.submodule_search_locations or ()) if package else []
    if not places:
        raise ModelUnusable(f"The package {name} is missing; install the requirements.")
    return Path(places[0]), importlib.metadata.version(name)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
