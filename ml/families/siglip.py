"""Pictures and text in one space by SigLIP and SigLIP 2 (arXiv:2303.15343, arXiv:2502.14786).

The text towers were trained on texts in small letters, padded to 64 tokens, and must be given such.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ml.loading import Loaded
from ml.two_towers import Floats, TwoTowers, unit


def start(options: dict[str, Any]) -> "Siglip":
    """Load the model: {"folder", "device", "vocabulary": words, "only_text"}.

    Raises ModelUnusable.
    """
    return Siglip(options)


class Siglip(TwoTowers):
    """Looks at pictures and at frames of videos."""

    medium, saying, template, how = "pictures", "Looks like", "This is a photo of {}.", "whole"

    def __init__(self, options: dict[str, Any]) -> None:
        loaded = Loaded(options, "AutoModel", architectures=("SiglipModel", "Siglip2Model"))
        if options.get("only_text"):
            del loaded.model.vision_model
        config = loaded.model.config.text_config
        self._loaded = loaded
        self._longest = int(config.max_position_embeddings)
        super().__init__(loaded, int(config.projection_size), options)

    @torch.inference_mode()
    def embed(self, pieces: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        """Embed frames (H, W, 3)."""
        # Not arrays: of one that is three pixels high it is guessed which side is the colours.
        pictures = [Image.fromarray(piece) for piece in pieces]
        inputs = self._loaded.processor(images=pictures, return_tensors="pt")
        return unit(self._loaded.model.get_image_features(**self._loaded.to_device(inputs)))

    @torch.inference_mode()
    def read(self, texts: list[str]) -> Floats:
        """Embed texts."""
        inputs = self._loaded.processor.tokenizer(
            [text.lower() for text in texts], padding="max_length", truncation=True,
            max_length=self._longest, return_tensors="pt",
        )  # fmt: skip
        wanted = {"input_ids": inputs["input_ids"]}  # padding is seen, as it was in training
        return unit(self._loaded.model.get_text_features(**self._loaded.to_device(wanted)))
