"""What a model's folder that nobody verified says of itself: which files are missing or cut short.

A file of safetensors begins with a table of what is in it, and an index names all parts of weights
that lie in several files; so a copy that broke off shows without any manifest.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from ml.model_cards import ModelCard

LARGEST_TABLE = 100_000_000
"""Bytes; the library itself reads no larger one."""


def find_gaps(home: Path, card: ModelCard) -> Iterator[tuple[str, str]]:
    """Yield (file, what is wrong with it)."""
    named = [name for name in card.files if "*" not in name] or ["config.json"]
    for name in named:
        if not (home / name).is_file():
            yield name, "is missing"
    weights = sorted(home.rglob("*.safetensors"))
    if "*.safetensors" in card.files and not any(path.parent == home for path in weights):
        yield "model.safetensors", "is missing"
    for index in sorted(home.glob("*.safetensors.index.json")):
        for name in _parts(index):
            if not (home / name).is_file():
                yield name, "is missing"
    for path in weights:
        if what := _compare_with_table(path):
            yield path.relative_to(home).as_posix(), what


def _parts(index: Path) -> list[str]:
    try:
        return sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return []  # whoever loads it says so


def _compare_with_table(path: Path) -> str:
    """Return what is wrong with the length of a file; "" if nothing is."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 + length:
                return "is cut short"
            table = json.loads(file.read(length)) if length <= LARGEST_TABLE else {}
        ends = [part["data_offsets"][1] for name, part in table.items() if name != "__metadata__"]
        whole = 8 + length + int(max(ends, default=0))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except (ValueError, KeyError, AttributeError, TypeError, IndexError):
        return "is corrupt"
    if size == whole:
        return ""
    return f"is {'cut short' if size < whole else 'too long'}: {size} of {whole} bytes"
