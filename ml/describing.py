"""What describers share: what an item is asked with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ml.perceiving import Item

SHORT_TEXT = 600
"""Characters up to which a text needs no summary."""
LONGEST_TEXT = 8_000
"""Characters of a text that are shown, from its beginning, its middle and its end."""


@dataclass(frozen=True)
class Request:
    """What is asked of one item."""

    prompt: str
    pictures: list[Any]
    """PIL images: one, or the frames of a video in their order."""
    sounds: list[Any]
    """float32 (samples,), mono at 16 kHz: each window by itself, for spliced excerpts get
    described as a collage."""


def make_request(item: Item, prompts: Mapping[str, str]) -> Request | None:
    """Return what to ask; None where nothing can be seen or heard, and for short texts."""
    prompt = str(prompts.get(item["kind"], "Describe this."))
    if item["kind"] == "text":
        if len(item["text"]) <= SHORT_TEXT:
            return None
        return Request(f"{prompt}\n\n{excerpt(item['text'])}", [], [])
    frames = np.load(item["pictures"]) if item["pictures"] else ()
    pictures = [Image.fromarray(frame) for frame in frames]
    sounds = list(np.load(item["sound"])) if item["sound"] else []
    return Request(prompt, pictures, sounds) if pictures or sounds else None


def excerpt(text: str) -> str:
    """Return a text's beginning, middle and end, where it is too long to be shown whole."""
    if len(text) <= LONGEST_TEXT:
        return text
    half, quarter = LONGEST_TEXT // 2, LONGEST_TEXT // 4
    middle = len(text) // 2 - quarter // 2
    return "\n[...]\n".join((text[:half], text[middle : middle + quarter], text[-quarter:]))
