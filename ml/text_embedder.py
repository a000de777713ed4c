"""Sentence vectors by a transformer in a local folder.

The folder is one of sentence-transformers or plain Hugging Face: `config.json`, a fast tokenizer,
weights in safetensors. What of sentence-transformers' own files matters is read here: the longest
input, the pooling, and the prompts that some models want before queries and documents. Adapters
for queries and passages, as jina-embeddings-v3 has them, are used where they lie in the folder.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from ml.devices import choose_device, floats_for, is_out_of_memory, use_all_cores
from ml.installed import file_hash
from ml.perceiving import ModelUnusable, OutOfMemory
from ml.ready import transformers

MOST_CHUNKS = 24
FIRST_CHUNKS = 8
"""Taken from the start of a text that has too many; the others are spread over the rest."""
MOST_CHARACTERS = 1_000_000
"""Of one text; what lies behind them is not read."""
LONGEST_CHUNK = 400
"""Tokens, also for models that could take more: a chunk should be about one thing."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
ADAPTERS = ("retrieval_query", "retrieval_passage")
"""Folders of the adapters for queries and for texts, as jina-embeddings-v3-hf names them."""
MANIFEST = "anagnorisis-model.json"
"""What the model store knows of a folder; see `ml.model_store`."""

LOAD_ERRORS = (OSError, ValueError, KeyError, ImportError, RuntimeError, SafetensorError)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder's model wants to be used."""

    pooling: str
    """`mean`, `cls` or `lasttoken`."""
    longest: int
    """Tokens, the special ones included."""
    query_prompt: str = ""
    text_prompt: str = ""
    has_adapters: bool = False


class TextEmbedder:
    """A loaded model. Raises ModelUnusable where it cannot be loaded.

    `dimensions` cuts the vectors of a model that was trained for it (Matryoshka).
    """

    def __init__(
        self, folder: Path, name: str, *, device: str = "auto", dimensions: int | None = None
    ) -> None:
        recipe = read_recipe(folder)
        self._recipe = recipe
        self.device, self.reason = choose_device(device, weights_size(folder))
        use_all_cores()
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_fast=True
            )
            model = transformers.AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=floats_for(self.device, weights_size(folder)),
            )
            if recipe.has_adapters:
                for adapter in ADAPTERS:
                    model.load_adapter(
                        str(folder), adapter_name=adapter, adapter_kwargs={"subfolder": adapter}
                    )
        except LOAD_ERRORS as error:
            raise ModelUnusable(f"The text model in {folder} cannot be loaded: {error}") from error
        if not self._tokenizer.is_fast:
            raise ModelUnusable(f"The text model in {folder} has no tokenizer.json.")
        self._model: Any = model.eval().to(self.device)
        whole: int = model.config.hidden_size
        if dimensions is not None and not 0 < dimensions <= whole:
            raise ModelUnusable(f"{name} has {whole} dimensions; `dimensions` says {dimensions}.")
        self.dimensions = dimensions or whole
        cut = f"-d{self.dimensions}" if self.dimensions < whole else ""
        self.space = f"{name}:{recipe.pooling}-{recipe.longest}{cut}"

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
        """Return unit vectors (N, D), in the order of the chunks. Raises OutOfMemory."""
        self._use_adapter(ADAPTERS[1])
        return self._embed([self._recipe.text_prompt + chunk for chunk in chunks])

    def embed_query(self, text: str) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Return the unit vector (D,) of what somebody searches for."""
        self._use_adapter(ADAPTERS[0])
        vector: np.ndarray[Any, np.dtype[np.float32]]
        (vector,) = self._embed([self._recipe.query_prompt + text[:MOST_CHARACTERS]])
        return vector

    def _use_adapter(self, name: str) -> None:
        if self._recipe.has_adapters:
            self._model.set_adapter(name)

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
            try:
                vectors[batch] = self._forward(rows)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise OutOfMemory(f"{len(batch)} chunks do not fit") from error
                raise
        if not np.isfinite(vectors).all():
            raise ModelUnusable(f"The text model {self.space} gave numbers that are not finite.")
        return vectors

    @torch.inference_mode()
    def _forward(self, rows: dict[str, list[list[int]]]) -> np.ndarray[Any, np.dtype[np.float32]]:
        inputs = self._tokenizer.pad(rows, padding=True, return_tensors="pt").to(self.device)
        states = self._model(**inputs).last_hidden_state.float()  # (B, T, D)
        pooled = pool(states, inputs["attention_mask"], self._recipe.pooling)
        pooled = pooled[:, : self.dimensions]
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


def weights_size(folder: Path) -> int:
    """Return the bytes of all weights."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def weights_hash(folder: Path) -> str:
    """Return a hash of the configuration and the weights of a folder.

    What the model store verified when it fetched them is taken from its manifest.
    """
    known = _read_json(folder / MANIFEST, {}).get("files", {})
    total = hashlib.sha256()
    for path in [folder / "config.json", *sorted(folder.glob("*.safetensors"))]:
        total.update((known.get(path.name, {}).get("sha256") or file_hash(path)).encode())
    return total.hexdigest()


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
        has_adapters=all((folder / name / "adapter_config.json").is_file() for name in ADAPTERS),
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
