"""What models that look and listen have in common: what they are given, errors and answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class Item(TypedDict):
    """An item as it reaches a model: .npy files, "" where there is nothing of the sort."""

    kind: str
    sound: str
    """float32 (windows, samples), mono, at the rate that the model's view names."""
    pictures: str
    """uint8 (frames, height, width, 3): one picture, or the frames of a video."""
    text: str
    """The text of a text item."""


class ModelUnusable(Exception):
    """The model's files are missing, damaged or of an unknown make; the message says what to do."""


class OutOfMemory(Exception):
    """The batch did not fit; a smaller one may."""


class NotFinite(Exception):
    """The model gave infinities, or no numbers, for some of a batch."""


@dataclass(frozen=True, slots=True)
class Percept:
    """What a model made of one item."""

    vectors: Floats
    """(N, D) unit vectors."""
    words: str


def pack_percepts(percepts: Sequence[Percept]) -> dict[str, Any]:
    """Make a worker's answer: vectors of all items (float16, little-endian), rows and words.

    Raises NotFinite, ModelUnusable.
    """
    check_finite(*(percept.vectors for percept in percepts))
    return {
        "vectors": b"".join(percept.vectors.astype("<f2").tobytes() for percept in percepts),
        "rows": [len(percept.vectors) for percept in percepts],
        "words": [percept.words for percept in percepts],
    }


def check_finite(*of_items: Floats) -> None:
    """Raise NotFinite where vectors of some items are not finite.

    Raises ModelUnusable where it is so with all of several: that is no item's fault.
    """
    bad = [not np.isfinite(vectors).all() for vectors in of_items]
    if len(bad) > 1 and all(bad):
        raise ModelUnusable("The model gave numbers that are not finite.")
    if any(bad):
        raise NotFinite("the model gave numbers that are not finite")
