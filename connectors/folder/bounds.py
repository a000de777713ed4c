"""Keeps what files say within bounds: tags can be endless, wrong, or no text at all."""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from connectors.base import Metadata

SHORT = 500
"""Characters of a title, a name, a keyword."""

LONG = 32 * 1024
"""Characters of an overview, of lyrics; bytes of a sidecar."""

MOST = 64
"""Entries of a list."""

_LONG_FIELDS = frozenset(("overview", "lyrics"))
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ufffe\uffff]+")
_RANGES = {
    "year": (1, 2999), "track": (1, 99_999), "disc": (1, 9_999), "season": (0, 9_999),
    "episode": (0, 99_999), "duration": (0.0, 1e7), "width": (1, 1_000_000),
    "height": (1, 1_000_000), "community_rating": (0.0, 10.0), "votes": (0, 10**12),
}  # fmt: skip


@dataclass(slots=True)
class Reading:
    """What a reader found, before it is bounded: names of `Metadata` to anything."""

    values: dict[str, Any] = field(default_factory=dict)
    rating: float | None = None
    """The file's own word, 0 to 10."""

    def fill(self, values: dict[str, Any]) -> None:
        """Take over what is not known yet."""
        for name, value in values.items():
            if _says_something(value) and not _says_something(self.values.get(name)):
                self.values[name] = value

    def overrule(self, values: dict[str, Any]) -> None:
        """Take over all that is known, whatever was there; dicts are merged."""
        for name, value in values.items():
            if isinstance(value, dict):
                self.values[name] = {**self.values.get(name, {}), **value}
            elif _says_something(value):
                self.values[name] = value


def _says_something(value: object) -> bool:
    """Tell whether there is anything but blanks; 0 is something."""
    if isinstance(value, list | tuple):
        return any(str(entry).strip() for entry in value)
    return value is not None and value != {} and bool(str(value).strip())


def bounded(values: dict[str, Any]) -> Metadata:
    """Make `Metadata` of what was found; what is no number or out of range is dropped."""
    known: dict[str, Any] = {}
    for definition in fields(Metadata):
        name, value = definition.name, values.get(definition.name)
        if value is None:
            continue
        if name in _RANGES:
            known[name] = number(value, *_RANGES[name])
        elif isinstance(value, dict):
            known[name] = clip_dict(value)
        elif isinstance(value, list | tuple):
            known[name] = clip_list(value)
        else:
            known[name] = clip(value, LONG if name in _LONG_FIELDS else SHORT)
    return Metadata(**known)


def clip(value: object, limit: int = SHORT) -> str:
    """Return clean text of at most `limit` letters; what is short is one line."""
    text = clean(str(value)[: limit * 2])
    if limit <= SHORT:
        text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def clean(text: str) -> str:
    """Return text without control characters and lone surrogates."""
    text = _CONTROLS.sub(" ", text.replace("\r\n", "\n"))
    return text.encode("utf-8", "replace").decode().strip()


def clip_list(values: Iterable[object]) -> tuple[str, ...]:
    """Return the first `MOST` texts, each once, without empty ones."""
    kept: dict[str, None] = {}
    for value in values:
        text = clip(value)
        if text:
            kept[text] = None
        if len(kept) == MOST:
            break
    return tuple(kept)


def clip_dict(values: dict[str, object]) -> dict[str, str]:
    """Return the first `MOST` entries that have a text."""
    clipped = ((clip(key), clip(value)) for key, value in list(values.items())[:MOST])
    return {key: value for key, value in clipped if key and value}


def number(value: object, lowest: float, highest: float) -> Any:
    """Return a number of the sort of `lowest`; None for what is none or out of range."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    if not math.isfinite(found) or not lowest <= found <= highest:
        return None
    return int(found) if isinstance(lowest, int) else found


_YEAR = re.compile(r"(?<!\d)(1[0-9]{3}|20[0-9]{2})(?!\d)")


def year_of(text: object) -> int | None:
    """Return the first year in a date or text."""
    match = _YEAR.search(str(text)[:100]) or re.match(r"(1[0-9]{3}|20[0-9]{2})\d{4}", str(text))
    return int(match[1]) if match else None


def first_number(text: object) -> int | None:
    """Return the number before the slash in texts such as 3/12."""
    match = re.match(r"\s*(\d{1,6})", str(text))
    return int(match[1]) if match else None
