"""Sound and text in one space by CLAP, as transformers has it (Wu et al. 2022, arXiv:2211.06687).

The feature extractor crops what is longer than ten seconds at random; it is given windows of ten
seconds, so there is nothing to crop.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ml.devices import vram_bytes
from ml.loading import Loaded, in_batches
from ml.perceiving import Item, Percept, pack_percepts
from ml.zero_shot import Vocabulary

Floats = npt.NDArray[np.float32]

RATE = 48_000
BATCH = 16
TEMPLATE = "The sound of {}."


def start(options: dict[str, Any]) -> "Clap":
    """Load the model: {"folder", "device", "vocabulary": words, "only_text"}.

    Raises ModelUnusable.
    """
    return Clap(options)


class Clap:
    """The operations."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._loaded = Loaded(options, "ClapModel", architectures=("ClapModel",))
        if options.get("only_text"):
            del self._loaded.model.audio_model, self._loaded.model.audio_projection
        self._vocabulary = Vocabulary(
            () if options.get("only_text") else options.get("vocabulary", ()), TEMPLATE, self._texts
        )

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        loaded = self._loaded
        return {
            "space": f"{loaded.name}:10s",
            "dimensions": loaded.model.config.projection_dim,
            "device": loaded.device,
            "reason": loaded.reason,
            "has_text_tower": True,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a vector for each window of sound (48 kHz), and words of the vocabulary."""
        pieces = [np.load(item["sound"]) for item in items]
        windows = [window for piece in pieces for window in piece]
        found = np.concatenate(in_batches(windows, BATCH, self._sounds)) if windows else None
        percepts, first = [], 0
        for piece in pieces:
            assert found is not None
            vectors = found[first : first + len(piece)]
            first += len(piece)
            words = self._vocabulary.choose(vectors)
            percepts.append(Percept(vectors, f"Sounds like: {', '.join(words)}" if words else ""))
        return pack_percepts(percepts)

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        vector: bytes = self._texts([text])[0].astype("<f4").tobytes()
        return vector

    @torch.inference_mode()
    def _sounds(self, windows: Sequence[Floats]) -> Floats:
        inputs = self._loaded.processor(
            audio=list(windows), sampling_rate=RATE, return_tensors="pt"
        )
        made = self._loaded.model.get_audio_features(**self._loaded.to_device(inputs))
        return _unit(made)

    @torch.inference_mode()
    def _texts(self, texts: list[str]) -> Floats:
        inputs = self._loaded.processor.tokenizer(
            texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
        )
        made = self._loaded.model.get_text_features(**self._loaded.to_device(inputs))
        return _unit(made)


def _unit(features: Any) -> Floats:
    pooled = features.pooler_output if hasattr(features, "pooler_output") else features
    vectors: Floats = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return vectors
