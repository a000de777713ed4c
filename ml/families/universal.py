"""Text, pictures, sound and videos in one space: EmbeddingGemma 2.

A vector is the states pooled as the model's own sentence-transformers files say (their mean over
what is not padding), and made unit.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ml.devices import vram_bytes
from ml.loading import Batches, Loaded
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts
from ml.sentence_recipe import pool, read_recipe

Floats = npt.NDArray[np.float32]

RATE = 16_000
BATCH = 8
CHUNK_CHARACTERS, MOST_CHUNKS = 4_000, 6
LONGEST_QUERY = 2_000
TOWERS = ("vision_tower", "embed_vision", "audio_tower", "embed_audio")


def start(options: dict[str, Any]) -> "Universal":
    """Load the model: {"folder", "device", "only_text"}. Raises ModelUnusable."""
    return Universal(options)


class Universal:
    """The operations."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._loaded = Loaded(options, "AutoModel", architectures=("EmbeddingGemma2Model",))
        self._recipe = read_recipe(self._loaded.folder)
        if self._recipe.layers:
            raise ModelUnusable(f"{self._loaded.folder} has layers behind the pooling; unknown.")
        config = self._loaded.model.config
        if options.get("only_text"):
            for tower in TOWERS:
                setattr(self._loaded.model, tower, None)
        elif config.vision_config is None or config.audio_config is None:
            raise ModelUnusable(f"{self._loaded.folder} has no towers for pictures and sound.")
        self._dimensions = int(config.text_config.embedding_dim)
        self._text_batches, self._picture_batches, self._sound_batches = (
            Batches(BATCH) for _ in range(3)
        )

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        loaded = self._loaded
        return {
            "space": f"{loaded.name}:{self._recipe.pooling}",
            "dimensions": self._dimensions,
            "device": loaded.device,
            "reason": loaded.reason,
            "has_text_tower": True,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return vectors of each item: its pictures, its windows of sound (16 kHz), its text."""
        return pack_percepts([Percept(self._embed(item), "") for item in items])

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        query = self._recipe.query_prompt + text[:LONGEST_QUERY]
        vector: bytes = self._texts([query])[0].astype("<f4").tobytes()
        return vector

    def _embed(self, item: Item) -> Floats:
        made: list[Floats] = [np.empty((0, self._dimensions), np.float32)]
        if item["text"]:
            chunks = [
                self._recipe.text_prompt + item["text"][start : start + CHUNK_CHARACTERS]
                for start in range(0, len(item["text"]), CHUNK_CHARACTERS)
            ]
            made += self._text_batches.run(chunks[:MOST_CHUNKS], self._texts)
        if item["pictures"]:
            made += self._picture_batches.run(list(np.load(item["pictures"])), self._pictures)
        if item["sound"]:
            made += self._sound_batches.run(list(np.load(item["sound"])), self._sounds)
        return np.concatenate(made)

    def _texts(self, texts: Sequence[str]) -> Floats:
        return self._forward(text=list(texts))

    def _pictures(self, frames: Sequence[npt.NDArray[np.uint8]]) -> Floats:
        token = self._loaded.processor.image_token
        pictures = [[Image.fromarray(frame)] for frame in frames]  # see SigLIP
        return self._forward(text=[token] * len(frames), images=pictures)

    def _sounds(self, windows: Sequence[Floats]) -> Floats:
        token = self._loaded.processor.audio_token
        return self._forward(text=[token] * len(windows), audio=list(windows), sampling_rate=RATE)

    @torch.inference_mode()
    def _forward(self, **media: Any) -> Floats:
        inputs = self._loaded.processor(padding=True, return_tensors="pt", **media)
        moved = self._loaded.to_device(inputs)
        states = self._loaded.model(**moved).last_hidden_state.float()
        pooled = pool(states, moved["attention_mask"], self._recipe.pooling)
        vectors: Floats = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        return vectors
