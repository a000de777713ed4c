"""Sound and text in one space by LAION's own CLAP, through the laion-clap package.

It runs in an environment of its own (`scripts/environment.sh laion-clap`). The package fetches
tokenizers when it is imported and weights when its model is built, and loads checkpoints as pickles
that may run code. Here nothing is fetched, and a checkpoint is only ever read as plain tensors.

Its mel spectrogram is not that of transformers' CLAP, so the two share no space.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ml.devices import choose_device, out_of_memory_told, use_all_cores, vram_bytes
from ml.installed import file_hash
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts
from ml.zero_shot import Vocabulary

Floats = npt.NDArray[np.float32]

DIMENSIONS = 512
WINDOW = 480_000
"""Samples: ten seconds at 48 kHz."""
BATCH_WINDOWS = 8
EXTRA_MEMORY = 1 << 30
"""Bytes that a batch needs beside the weights."""

TEXTS = {
    "roberta-base": "FacebookAI/roberta-base",
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "facebook/bart-base": "facebook/bart-base",
}
"""The names that laion-clap asks for, and where the hub has them. Only the first is really used."""
AUDIO_MODELS = {96: "HTSAT-tiny", 128: "HTSAT-base"}
"""By the width of the first layer."""
TEMPLATE = "The sound of {}."
SUFFIXES = (".pt", ".ckpt", ".pth")


def start(options: dict[str, Any]) -> "LaionClap":
    """Load the checkpoint: {"folder", "device", "vocabulary": words, "only_text",
    "texts_folder": where the tokenizers are; without it, beside the checkpoint}.

    Raises ModelUnusable, OutOfMemory.
    """  # noqa: D205
    _stay_offline()
    texts = Path(options.get("texts_folder") or options["folder"])
    _check_texts(texts)
    checkpoint = _find_checkpoint(Path(options["folder"]))
    words = () if options.get("only_text") else options.get("vocabulary", ())
    return LaionClap(checkpoint, texts, options.get("device", "auto"), words)


class LaionClap:
    """The operations of the worker."""

    def __init__(
        self, checkpoint: Path, texts: Path, device: str, vocabulary: Sequence[str] = ()
    ) -> None:
        use_all_cores()
        state = _read_checkpoint(checkpoint)
        size = sum(tensor.nbytes for tensor in state.values())
        self._device, self._reason = choose_device(device, size + EXTRA_MEMORY)
        with out_of_memory_told():
            self._model = _build(state, texts, self._device)
        self._space = f"laion-clap@{file_hash(checkpoint)[:12]}:10s"
        self._vocabulary = Vocabulary(vocabulary, TEMPLATE, self._read)

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        return {
            "space": self._space,
            "dimensions": DIMENSIONS,
            "device": self._device,
            "reason": self._reason,
            "vram": vram_bytes(),
            "has_text_tower": True,
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a vector for each window of ten seconds at 48 kHz, and words."""
        heard = [self._hear(item["sound"]) for item in items]
        return pack_percepts([Percept(vectors, self._say(vectors)) for vectors in heard])

    def _say(self, vectors: Floats) -> str:
        words = self._vocabulary.choose(vectors)
        return f"Sounds like: {', '.join(words)}" if words else ""

    def _hear(self, path: str) -> Floats:
        windows = np.load(path, allow_pickle=False)
        made = [np.empty((0, DIMENSIONS), np.float32)]
        for first in range(0, len(windows), BATCH_WINDOWS):
            batch = np.stack([_whole(w) for w in windows[first : first + BATCH_WINDOWS]])
            made.append(self._run(self._model.get_audio_embedding_from_data, batch))
        return np.concatenate(made)

    def embed_query(self, text: str) -> bytes:
        """Return the unit vector of a text, as float32."""
        vector: bytes = self._read([text]).astype("<f4").tobytes()
        return vector

    def _read(self, texts: list[str]) -> Floats:
        return self._run(self._model.get_text_embedding, texts)

    def _run(self, embed: Callable[[Any], Floats], batch: Any) -> Floats:
        with torch.inference_mode(), out_of_memory_told():
            return embed(batch)


def _whole(window: Floats) -> Floats:
    """Repeat a sound that is shorter than ten seconds, as the package does with files."""
    if not len(window) or len(window) >= WINDOW:
        return np.resize(window, WINDOW) if len(window) else np.zeros(WINDOW, np.float32)
    return np.pad(np.tile(window, WINDOW // len(window)), (0, WINDOW % len(window)))


def _stay_offline() -> None:
    """Neither fetch nor report anything; to be said before the libraries are imported."""
    os.environ.update(
        HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1", WANDB_MODE="disabled",
        OTEL_SDK_DISABLED="true",
    )  # fmt: skip


def _local(name: str, texts: Path) -> Path:
    return texts / name.rpartition("/")[2]


def _check_texts(texts: Path) -> None:
    """Raise ModelUnusable, with what to do, unless all that laion-clap asks for is there."""
    missing = []
    for name, repository in TEXTS.items():
        folder = _local(name, texts)
        words = ("vocab.txt",) if name.startswith("bert") else ("vocab.json", "merges.txt")
        has_words = (folder / "tokenizer.json").exists() or all(
            (folder / file).exists() for file in words
        )
        has_shape = name != "roberta-base" or (folder / "config.json").exists()
        if not has_words or not has_shape:
            files = '--include "*.json" "*.txt"'
            missing.append(f"hf download {repository} {files} --local-dir {folder}")
    if missing:
        raise ModelUnusable(
            "laion-clap needs tokenizers that are missing here. They are fetched with: "
            + "; ".join(missing)
        )


def _find_checkpoint(folder: Path) -> Path:
    found = [path for path in sorted(folder.glob("*")) if path.suffix in SUFFIXES]
    if len(found) != 1:
        number = "no" if not found else "more than one"
        raise ModelUnusable(
            f"There is {number} checkpoint in {folder}; one is needed, such as"
            " music_audioset_epoch_15_esc_90.14.pt of lukewys/laion_clap on the hub."
        )
    return found[0]


def _read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights; never runs code that a file brings. Raises ModelUnusable."""
    scalar = np.core.multiarray.scalar  # type: ignore[attr-defined]  # numpy 1.26, see the pins
    metrics = [scalar, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    try:
        with torch.serialization.safe_globals(metrics):
            try:
                loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            except RuntimeError:  # the old format, before zip files, cannot be mapped
                loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises whatever a damaged file makes it meet
        raise ModelUnusable(f"{path.name} is no checkpoint of plain tensors: {error}") from error
    weights = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else {}
    weights = {str(name).removeprefix("module."): tensor for name, tensor in weights.items()}
    weights.pop("text_branch.embeddings.position_ids", None)  # transformers computes them now
    if not weights or not all(isinstance(tensor, torch.Tensor) for tensor in weights.values()):
        raise ModelUnusable(f"{path.name} holds no weights.")
    return weights


def _build(state: dict[str, torch.Tensor], texts: Path, device: str) -> Any:
    if any("fusion" in name for name in state):
        raise ModelUnusable("This checkpoint is one with fusion; take one for ten seconds.")
    first_layer = state.get("audio_branch.patch_embed.proj.weight")
    audio_model = AUDIO_MODELS.get(len(first_layer)) if first_layer is not None else None
    if audio_model is None:
        raise ModelUnusable("This checkpoint is none of CLAP with HTSAT-tiny or HTSAT-base.")
    declare_missing_operators()
    resolve_names(texts)
    package = importlib.import_module("laion_clap")
    model = package.CLAP_Module(enable_fusion=False, device="cpu", amodel=audio_model)
    try:
        model.model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelUnusable(f"The checkpoint does not fit {audio_model}: {error}") from error
    return model.to(device).eval()


def declare_missing_operators() -> None:
    """Let torchvision be imported where its operators do not load.

    PyPI's torchvision is built for CUDA; beside a CPU build of torch its import fails, though
    laion-clap uses none of its operators.
    """
    package = importlib.util.find_spec("torchvision")
    if package is None or not package.submodule_search_locations:
        raise ModelUnusable("torchvision is missing; run scripts/environment.sh laion-clap.")
    for library in Path(package.submodule_search_locations[0]).glob("_C*"):
        try:
            torch.ops.load_library(library)
        except OSError:
            continue
        return
    torch.library.define("torchvision::nms", "(Tensor dets, Tensor scores, float limit) -> Tensor")
    torch.library.define("torchvision::qnms", "(Tensor dets, Tensor scores, float limit) -> Tensor")


def resolve_names(texts: Path) -> None:
    """Make transformers find the names that laion-clap asks for in local folders.

    A model so named is built without weights: the checkpoint has them all.
    """
    transformers = importlib.import_module("transformers")
    tokenizers: Any = transformers.PreTrainedTokenizerBase
    models: Any = transformers.PreTrainedModel
    load_tokenizer = tokenizers.from_pretrained.__func__
    load_model = models.from_pretrained.__func__

    def tokenizer(cls: Any, name: Any, *args: Any, **options: Any) -> Any:
        place = str(_local(name, texts)) if name in TEXTS else name
        return load_tokenizer(cls, place, *args, **options)

    def model(cls: Any, name: Any, *args: Any, **options: Any) -> Any:
        if name not in TEXTS:
            return load_model(cls, name, *args, **options)
        return cls(cls.config_class.from_pretrained(str(_local(name, texts))))

    tokenizers.from_pretrained = classmethod(tokenizer)
    models.from_pretrained = classmethod(model)
