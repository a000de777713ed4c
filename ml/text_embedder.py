"""Sentence vectors by a transformer in a local folder.

The folder is one of sentence-transformers or plain Hugging Face: `config.json`, a fast tokenizer,
weights in safetensors; see `ml.sentence_recipe`. Adapters for queries and passages, as
jina-embeddings-v3 has them, are used where they lie in the folder.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import normalizers

from ml.devices import choose_device, floats_for, free_memory, is_out_of_memory, use_all_cores
from ml.installed import read_json, weights_size
from ml.loading import LOAD_ERRORS, check_whole
from ml.perceiving import Floats, ModelUnusable, OutOfMemory, check_finite
from ml.ready import transformers
from ml.sentence_recipe import ADAPTERS, Recipe, load_layers, pool, read_recipe

MOST_CHUNKS = 24
FIRST_CHUNKS = 8
"""Taken from the start of a text that has too many; the others are spread over the rest."""
MOST_CHARACTERS = 1_000_000
"""Of one text; what lies behind them is not read."""
LONGEST_CHUNK = 400
"""Tokens, also for models that could take more: a chunk should be about one thing."""
BATCH_TOKENS = {"cpu": 4096, "cuda": 32768}
ENCODERS = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}
"""The half that reads, of models that would also write."""


class TextEmbedder:
    """A loaded model. Raises ModelUnusable where it cannot be loaded.

    `dimensions` cuts the vectors of a model that was trained for it (Matryoshka).
    """

    def __init__(
        self, folder: Path, name: str, *, device: str = "auto", dimensions: int | None = None
    ) -> None:
        self._recipe = recipe = read_recipe(folder)
        self.device, self.reason = choose_device(device, weights_size(recipe.body))
        use_all_cores()
        self._tokenizer, self._model = _load(folder, recipe, self.device)
        self._layers = load_layers(recipe.layers).to(self.device)
        pooled = self._model.config.get_text_config().hidden_size * len(recipe.pooling.split("+"))
        try:
            whole = int(self._layers(torch.zeros(1, pooled, device=self.device)).shape[1])
        except RuntimeError as error:
            raise ModelUnusable(f"The layers in {folder} do not fit: {error}") from error
        self._most_tokens = BATCH_TOKENS[self.device]
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

    def embed(self, chunks: Sequence[str]) -> Floats:
        """Return unit vectors (N, D), in the order of the chunks. Raises OutOfMemory."""
        self._use_adapter(ADAPTERS[1])
        return self._embed(list(chunks), self._recipe.text_prompt)

    def embed_query(self, text: str) -> Floats:
        """Return the unit vector (D,) of what somebody searches for."""
        self._use_adapter(ADAPTERS[0])
        vector: Floats
        (vector,) = self._embed([text[:MOST_CHARACTERS]], self._recipe.query_prompt)
        return vector

    def _use_adapter(self, name: str) -> None:
        if self._recipe.has_adapters:
            self._model.set_adapter(name)

    def _embed(self, texts: list[str], prompt: str) -> Floats:
        vectors = np.empty((len(texts), self.dimensions), np.float32)
        if not texts:
            return vectors
        encoding = self._tokenizer(
            [prompt + text for text in texts], truncation=True, max_length=self._recipe.longest,
            padding=False, verbose=False,
        )  # fmt: skip
        leave_out = 0 if self._recipe.pools_prompt or not prompt else self._length(prompt)
        lengths = [len(ids) for ids in encoding["input_ids"]]
        for batch in length_batches(lengths, self._most_tokens):
            self._fill(vectors, encoding, batch, leave_out)
        check_finite(*vectors)
        return vectors

    def _fill(self, vectors: Floats, encoding: Any, batch: list[int], leave_out: int) -> None:
        """Embed a batch; one that does not fit is halved, and later ones are no larger."""
        rows = {name: [encoding[name][place] for place in batch] for name in encoding}
        try:
            vectors[batch] = self._forward(rows, leave_out)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise OutOfMemory("one chunk alone does not fit") from error
        else:
            return
        free_memory()  # not above: the error holds what the batch took
        middle = len(batch) // 2
        self._most_tokens = max(1, middle * max(map(len, rows["input_ids"])))
        self._fill(vectors, encoding, batch[:middle], leave_out)
        self._fill(vectors, encoding, batch[middle:], leave_out)

    def _length(self, prompt: str) -> int:
        """Return how many tokens a prompt takes, with what is put before it."""
        ids = self._tokenizer(prompt, verbose=False)["input_ids"]
        return len(ids) - (ids[-1] in self._tokenizer.all_special_ids)

    @torch.inference_mode()
    def _forward(self, rows: dict[str, list[list[int]]], leave_out: int) -> Floats:
        inputs = self._tokenizer.pad(rows, padding=True, return_tensors="pt").to(self.device)
        states = self._model(**inputs).last_hidden_state.float()  # (B, T, D)
        mask = inputs["attention_mask"]
        made = self._layers(pool(states, mask, self._recipe.pooling, leave_out))
        vectors: Floats
        vectors = torch.nn.functional.normalize(made[:, : self.dimensions], dim=-1).cpu().numpy()
        return vectors


def _load(folder: Path, recipe: Recipe, device: str) -> tuple[Any, Any]:
    """Load the tokenizer and the transformer. Raises ModelUnusable."""
    more = {"local_files_only": True, "trust_remote_code": False}
    kind = read_json(recipe.body / "config.json", {}).get("model_type")
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(recipe.body, **more)
        model, info = getattr(transformers, ENCODERS.get(kind, "AutoModel")).from_pretrained(
            recipe.body, use_safetensors=True, output_loading_info=True,
            dtype=floats_for(device, weights_size(recipe.body)), **more,
        )  # fmt: skip
        check_whole(model, info, folder)
        if recipe.has_adapters:
            for adapter in ADAPTERS:
                model.load_adapter(
                    str(folder), adapter_name=adapter, adapter_kwargs={"subfolder": adapter}
                )
    except LOAD_ERRORS as error:
        raise ModelUnusable(f"The text model in {folder} cannot be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelUnusable(f"The text model in {folder} has no tokenizer.json.")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise ModelUnusable(f"The tokenizer in {folder} names no token to pad with.")
    core = tokenizer.backend_tokenizer
    if recipe.lower_case:
        core.normalizer = normalizers.Sequence(
            [normalizers.Lowercase(), *([core.normalizer] if core.normalizer else [])]
        )
    return tokenizer, model.eval().to(device)


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
