"""Models that put media and text into one space, each by a tower of its own: CLAP, SigLIP."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ml.devices import vram_bytes
from ml.loading import Batches, Loaded
from ml.perceiving import Item, Percept, pack_percepts
from ml.zero_shot import Vocabulary

Floats = npt.NDArray[np.float32]

BATCH = 16


class TwoTowers(ABC):
    """The operations; a family says how its towers are asked.

    `read` and `embed` turn texts and pieces of media into unit vectors (N, D); `medium` is the key
    of an item under which its media lie, `saying` what words of the vocabulary are said with.
    """

    medium: str
    saying: str
    template: str
    how: str
    """How media are given, as a part of the space's name."""

    def __init__(self, loaded: Loaded, dimensions: int, options: dict[str, Any]) -> None:
        self._loaded = loaded
        self._dimensions = dimensions
        self._batches = Batches(BATCH)
        words = () if options.get("only_text") else options.get("vocabulary", ())
        self._vocabulary = Vocabulary(words, self.template, self.read)

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        return {
            "space": f"{self._loaded.name}:{self.how}",
            "dimensions": self._dimensions,
            "device": self._loaded.device,
            "reason": self._loaded.reason,
            "has_text_tower": True,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a vector for each window or frame, and words of the vocabulary."""
        arrays = [np.load(item[self.medium]) for item in items]  # type: ignore[literal-required]
        pieces = [piece for array in arrays for piece in array]
        made = self._batches.run(pieces, self.embed)
        found = np.concatenate(made) if made else np.empty((0, 0))
        ends = np.cumsum([len(array) for array in arrays])
        own = np.split(found.astype(np.float32), ends[:-1])
        return pack_percepts([Percept(vectors, self._say(vectors)) for vectors in own])

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        vector: bytes = self.read([text])[0].astype("<f4").tobytes()
        return vector

    @abstractmethod
    def read(self, texts: list[str]) -> Floats:
        """Embed texts."""

    @abstractmethod
    def embed(self, pieces: Sequence[Any]) -> Floats:
        """Embed windows of sound or frames."""

    def _say(self, vectors: Floats) -> str:
        words = self._vocabulary.choose(vectors)
        return f"{self.saying}: {', '.join(words)}" if words else ""


def unit(features: Any) -> Floats:
    """Return what a tower made, (N, D), as unit vectors."""
    pooled = features.pooler_output if hasattr(features, "pooler_output") else features
    vectors: Floats = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return vectors
