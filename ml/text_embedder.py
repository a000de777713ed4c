"""Sentence vectors by a transformer in a local folder; torch lives here and in ml.text_worker.

The folder is one of sentence-transformers or plain Hugging Face: `config.json`, a fast tokenizer,
weights in safetensors. What of sentence-transformers' own files matters is read here: the longest
input, the pooling, and the prompts that some models want before queries and documents.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

MOST_CHUNKS = 24
FIRST_CHUNKS = 8
"""Taken from the start of a text that has too many; the others are spread over the rest."""
MOST_CHARACTERS = 1_000_000
"""Of one text; what lies behind them is not read."""
LONGEST_CHUNK = 400
"""Tokens, also for models that could take more: a chunk should be about one thing."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
SPARE_MEMORY = 512 << 20
"""Bytes of VRAM that a batch may need beside the weights."""

LOAD_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


class ModelUnusable(Exception):
    """The model's files are missing, damaged or of an unknown make; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder's model wants to be used."""

    pooling: str
    """`mean`, `cls` or `lasttoken`."""
    longest: int
    """Tokens, the special ones included."""
    query_prompt: str = ""
    text_prompt: str = ""


class TextEmbedder:
    """A loaded model. Raises ModelUnusable where it cannot be loaded."""

    def __init__(self, folder: Path, name: str, *, device: str = "auto") -> None:
        recipe = read_recipe(folder)
        self._recipe = recipe
        self.space = f"{name}:{recipe.pooling}-{recipe.longest}"
        self.device, self.reason = choose_device(device, weights_size(folder))
        torch.set_num_threads(len(os.sched_getaffinity(0)))
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
            model = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float16 if self.device == "cuda" else torch.float32,
            )
        except LOAD_ERRORS as error:
            raise ModelUnusable(f"The text model in {folder} cannot be loaded: {error}") from error
        if not self._tokenizer.is_fast:
            raise ModelUnusable(f"The text model in {folder} has no tokenizer.json.")
        self._model: Any = model.eval().to(self.device)
        self.dimensions: int = model.config.hidden_size

    def chunk(self, text: str) -> list[str]:
        """Cut a text into overlapping pieces of the original that the model can take whole.

        At most MOST_CHUNKS: the first FIRST_CHUNKS, then others evenly spread to the end.
        """
        text = text[:MOST_CHARACTERS]
        encoding = self._tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, truncation=False,
            padding=False, return_attention_mask=False, verbose=False,
        )  # fmt: skip
        offsets = encoding["offset_mapping"]
        room = self._recipe.longest - self._tokenizer.num_special_tokens_to_add()
        room -= len(self._tokenizer.tokenize(self._recipe.text_prompt))
        starts, size = chunk_starts(len(offsets), room)
        ends = [min(start + size, len(offsets)) - 1 for start in starts]
        pieces = [text[offsets[a][0] : offsets[b][1]] for a, b in zip(starts, ends, strict=True)]
        return [piece.strip() for piece in pieces if piece.strip()]

    def embed(self, chunks: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return unit vectors (N, D), in the order of the chunks."""
        return self._embed([self._recipe.text_prompt + chunk for chunk in chunks])

    def embed_query(self, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the unit vector (D,) of what somebody searches for."""
        vector: np.ndarray[Any, np.dtype[np.float32]]
        (vector,) = self._embed([self._recipe.query_prompt + text[:MOST_CHARACTERS]])
        return vector

    def _embed(self, texts: list[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        if not texts:
            return vectors
        encoding = self._tokenizer(
            texts, truncation=True, max_length=self._recipe.longest, padding=False, verbose=False
        )
        lengths = [len(ids) for ids in encoding["input_ids"]]
        for batch in length_batches(lengths, BATCH_TOKENS[self.device]):
            rows = {name: [encoding[name][place] for place in batch] for name in encoding}
            vectors[batch] = self._forward(rows)
        if not np.isfinite(vectors).all():
            raise ModelUnusable(f"The text model {self.space} gave numbers that are not finite.")
        return vectors

    @torch.inference_mode()
    def _forward(self, rows: dict[str, list[list[int]]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        inputs = self._tokenizer.pad(rows, padding=True, return_tensors="pt").to(self.device)
        states = self._model(**inputs).last_hidden_state.float()  # (B, T, D)
        pooled = pool(states, inputs["attention_mask"], self._recipe.pooling)
        vectors: np.ndarray[Any, np.dtype[np.float32]]
        vectors = torch.nn.functional.normalize(pooled, dim=-1).cpu().numpy()
        return vectors


def pool(states: Tensor, mask: Tensor, pooling: str) -> Tensor:
    """Make one vector (B, D) of each sequence of states (B, T, D), padding (mask 0) left out."""
    if pooling == "mean":
        weights = mask.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
    if pooling == "cls":
        return states[torch.arange(len(mask)), mask.argmax(dim=1)]
    last = mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)
    return states[torch.arange(len(mask)), last]


def chunk_starts(tokens: int, room: int) -> tuple[list[int], int]:
    """Return the first token of each chunk, and how many tokens a chunk has at most.

    The step is fixed, so that a text that grows at its end keeps its earlier chunks.
    """
    if tokens <= min(room, LONGEST_CHUNK):
        return ([0] if tokens else []), max(tokens, 1)
    size = max(1, min(LONGEST_CHUNK, room * 4 // 5))
    step = max(1, size - size // 10)
    starts = [*range(0, max(tokens - size, 0), step), max(tokens - size, 0)]
    if len(starts) <= MOST_CHUNKS:
        return starts, size
    spread = np.linspace(FIRST_CHUNKS, len(starts) - 1, MOST_CHUNKS - FIRST_CHUNKS).round()
    return starts[:FIRST_CHUNKS] + [starts[int(place)] for place in spread], size


def length_batches(lengths: Sequence[int], most_tokens: int) -> Iterator[list[int]]:
    """Yield the places of texts of similar length, at most `most_tokens` when padded."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > most_tokens:
            yield batch
            batch = []
        batch.append(place)
    yield batch


def choose_device(wanted: str, size: int) -> tuple[str, str]:
    """Return `cpu` or `cuda`, and why; `size` is that of the weights in bytes."""
    if wanted == "cpu":
        return "cpu", "the settings say so"
    if not torch.cuda.is_available():
        if wanted == "cuda":
            raise ModelUnusable("The settings ask for CUDA, but torch finds no GPU; use auto.")
        return "cpu", "torch finds no CUDA device"
    free, total = torch.cuda.mem_get_info()
    if free < size + SPARE_MEMORY:
        reason = f"only {free >> 20} of {total >> 20} MiB of VRAM are free"
        if wanted == "cuda":
            raise ModelUnusable(f"The settings ask for CUDA, but {reason}.")
        return "cpu", reason
    return "cuda", f"{torch.cuda.get_device_name()} has {free >> 20} MiB of VRAM free"


def weights_size(folder: Path) -> int:
    """Return the bytes of all weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def weights_hash(folder: Path) -> str:
    """Return the SHA-256 of the configuration and the weights of a folder."""
    total = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        total.update(file_hash(path).encode())
    return total.hexdigest()


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_recipe(folder: Path) -> Recipe:
    """Read how the model wants to be used. Raises ModelUnusable."""
    if not (folder / "config.json").is_file() or not weights_size(folder):
        raise ModelUnusable(f"{folder} holds no model: config.json and *.safetensors are needed.")
    modules = _read_json(folder / "modules.json", [])
    kinds = [module["type"].rsplit(".", 1)[-1] for module in modules]
    if unknown := set(kinds) - {"Transformer", "Pooling", "Normalize"}:
        raise ModelUnusable(f"The model in {folder} needs {', '.join(sorted(unknown))}.")
    pooling_folders = [m["path"] for m in modules if m["type"].endswith("Pooling")]
    pooling = _read_json(folder / (pooling_folders or ["1_Pooling"])[0] / "config.json", {})
    prompts = _read_json(folder / "config_sentence_transformers.json", {}).get("prompts") or {}
    return Recipe(
        pooling=_pooling_mode(pooling, folder),
        longest=_longest_input(folder),
        query_prompt=prompts.get("query") or "",
        text_prompt=prompts.get("document") or prompts.get("passage") or "",
    )


def _pooling_mode(settings: dict[str, Any], folder: Path) -> str:
    if isinstance(mode := settings.get("pooling_mode"), str):
        modes = [mode]
    else:
        flags = [name for name, on in settings.items() if name.startswith("pooling_mode_") and on]
        modes = [name.removeprefix("pooling_mode_").removesuffix("_tokens") for name in flags]
        modes = ["cls" if mode == "cls_token" else mode for mode in modes]
    if len(modes) > 1 or not set(modes) <= {"mean", "cls", "lasttoken"}:
        raise ModelUnusable(f"The model in {folder} pools by {', '.join(modes)}; not supported.")
    return modes[0] if modes else "mean"


def _longest_input(folder: Path) -> int:
    stated = _read_json(folder / "sentence_bert_config.json", {}).get("max_seq_length")
    config = _read_json(folder / "config.json", {})
    positions = config.get("max_position_embeddings", 512)
    if config.get("model_type") in ("roberta", "xlm-roberta", "mpnet"):
        positions -= 2  # their positions begin behind the padding's
    return int(min(stated or positions, positions))


def _read_json(path: Path, default: Any) -> Any:
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except ValueError as error:
        raise ModelUnusable(f"{path} is not JSON: {error}") from error
