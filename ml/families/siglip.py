"""Pictures and text in one space by SigLIP and SigLIP 2 (arXiv:2303.15343, arXiv:2502.14786).

The text towers were trained on texts padded to 64 tokens, and must be given such.
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
Pixels = npt.NDArray[np.uint8]

BATCH = 16
TEMPLATE = "This is a photo of {}."
"""As the model cards say."""


def start(options: dict[str, Any]) -> "Siglip":
    """Load the model: {"folder", "device", "vocabulary": words, "only_text"}.

    Raises ModelUnusable.
    """
    return Siglip(options)


class Siglip:
    """The operations."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._loaded = Loaded(options, "AutoModel", architectures=("SiglipModel", "Siglip2Model"))
        config = self._loaded.model.config
        if options.get("only_text"):
            del self._loaded.model.vision_model
        self._longest = int(config.text_config.max_position_embeddings)
        self._dimensions = int(config.text_config.projection_size)
        self._vocabulary = Vocabulary(
            () if options.get("only_text") else options.get("vocabulary", ()), TEMPLATE, self._texts
        )

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        loaded = self._loaded
        return {
            "space": f"{loaded.name}:whole",
            "dimensions": self._dimensions,
            "device": loaded.device,
            "reason": loaded.reason,
            "has_text_tower": True,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a vector for each picture or frame, and words of the vocabulary."""
        pieces = [np.load(item["pictures"]) for item in items]
        frames = [frame for piece in pieces for frame in piece]
        found = np.concatenate(in_batches(frames, BATCH, self._pictures)) if frames else None
        percepts, first = [], 0
        for piece in pieces:
            assert found is not None
            vectors = found[first : first + len(piece)]
            first += len(piece)
            words = self._vocabulary.choose(vectors)
            percepts.append(Percept(vectors, f"Looks like: {', '.join(words)}" if words else ""))
        return pack_percepts(percepts)

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        vector: bytes = self._texts([text])[0].astype("<f4").tobytes()
        return vector

    @torch.inference_mode()
    def _pictures(self, frames: Sequence[Pixels]) -> Floats:
        inputs = self._loaded.processor(images=list(frames), return_tensors="pt")
        made = self._loaded.model.get_image_features(**self._loaded.to_device(inputs))
        return _unit(made)

    @torch.inference_mode()
    def _texts(self, texts: list[str]) -> Floats:
        lowered = [text.lower() for text in texts]  # they were trained on small letters
        inputs = self._loaded.processor.tokenizer(
            lowered, padding="max_length", truncation=True, max_length=self._longest,
            return_tensors="pt",
        )  # fmt: skip
        wanted = {"input_ids": inputs["input_ids"]}  # padding is seen, as it was in training
        made = self._loaded.model.get_text_features(**self._loaded.to_device(wanted))
        return _unit(made)


def _unit(features: Any) -> Floats:
    pooled = features.pooler_output if hasattr(features, "pooler_output") else features
    vectors: Floats = torch.nn.functional.normalize(pooled.float(), dim=-1).cpu().numpy()
    return vectors
