"""Sound and text in one space by CLAP, as transformers has it (Wu et al. 2022, arXiv:2211.06687).

The feature extractor crops what is longer than ten seconds at random; it is given windows of ten
seconds, so there is nothing to crop.
"""

from collections.abc import Sequence
from typing import Any

import torch

from ml.loading import Loaded
from ml.two_towers import Floats, TwoTowers, unit

RATE = 48_000


def start(options: dict[str, Any]) -> "Clap":
    """Load the model: {"folder", "device", "vocabulary": words, "only_text"}.

    Raises ModelUnusable.
    """
    return Clap(options)


class Clap(TwoTowers):
    """Hears windows of ten seconds at 48 kHz."""

    medium, saying, template, how = "sound", "Sounds like", "The sound of {}.", "10s"

    def __init__(self, options: dict[str, Any]) -> None:
        loaded = Loaded(options, "ClapModel", architectures=("ClapModel",))
        if options.get("only_text"):
            del loaded.model.audio_model, loaded.model.audio_projection
        self._loaded = loaded
        super().__init__(loaded, int(loaded.model.config.projection_dim), options)

    @torch.inference_mode()
    def embed(self, pieces: Sequence[Floats]) -> Floats:
        """Embed windows (samples,)."""
        inputs = self._loaded.processor(audio=list(pieces), sampling_rate=RATE, return_tensors="pt")
        return unit(self._loaded.model.get_audio_features(**self._loaded.to_device(inputs)))

    @torch.inference_mode()
    def read(self, texts: list[str]) -> Floats:
        """Embed texts."""
        inputs = self._loaded.processor.tokenizer(
            texts, padding=True, truncation=True, max_length=77, return_tensors="pt"
        )
        return unit(self._loaded.model.get_text_features(**self._loaded.to_device(inputs)))
