"""Weights on the disk: inside packages of the installation, and in folders of models."""

import hashlib
import importlib.metadata
import importlib.util
import json
from pathlib import Path
from typing import Any

from ml.perceiving import ModelUnusable

MANIFEST = "anagnorisis-model.json"
"""What the model store knows of a folder; see `ml.model_store`."""
PROMPTS = "config_sentence_transformers.json"


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


def weights_size(folder: Path) -> int:
    """Return the bytes of all weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def weights_hash(folder: Path) -> str:
    """Return a hash of what decides a folder's vectors: configuration, prompts, all weights.

    What the model store verified when it fetched them is taken from its manifest.
    """
    known = read_json(folder / MANIFEST, {}).get("files", {})
    total = hashlib.sha256()
    settings = (folder / "config.json", folder / PROMPTS)
    for path in [*settings, *sorted(folder.rglob("*.safetensors"))]:
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            total.update((known.get(name, {}).get("sha256") or file_hash(path)).encode())
    return total.hexdigest()


def read_json(path: Path, default: Any) -> Any:
    """Return what a file says, or the default where there is none. Raises ModelUnusable."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise ModelUnusable(f"{path} is not JSON: {error}") from error
