"""Loads models of transformers from local folders: safetensors, no code but transformers' own."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError

from ml.devices import choose_device, floats_for, free_memory, is_out_of_memory, use_all_cores
from ml.installed import weights_hash, weights_size
from ml.perceiving import ModelUnusable, OutOfMemory
from ml.ready import transformers

LOAD_ERRORS = (
    OSError, ValueError, KeyError, ImportError, RuntimeError, AttributeError, TypeError,
    SafetensorError,
)  # fmt: skip
"""What transformers raises for files that are missing, damaged, or of another make."""
FOUR_BIT_SHARE = 0.45
"""What is left of bfloat16 weights in NF4: embeddings, norms and scales stay as they are."""

T = TypeVar("T")


class Loaded:
    """A model with its processor, and where it runs. Raises ModelUnusable."""

    def __init__(
        self,
        options: dict[str, Any],
        model_class: str,
        *,
        architectures: Sequence[str] = (),
        four_bit: bool = False,
    ) -> None:
        self.folder = Path(str(options.get("folder"))).absolute()
        self.config = read_config(self.folder)
        named = self.config.get("architectures") or []
        if architectures and not set(named) & set(architectures):
            raise ModelUnusable(
                f"{self.folder} holds {', '.join(named) or 'an unnamed model'};"
                f" {' or '.join(architectures)} was expected."
            )
        size = weights_size(self.folder)
        needed = int(size * FOUR_BIT_SHARE) if four_bit else size
        self.device, self.reason = choose_device(str(options.get("device", "auto")), needed)
        use_all_cores()
        more: dict[str, Any] = {}
        if four_bit:
            more["quantization_config"] = transformers.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4",
                bnb_4bit_compute_dtype=torch.bfloat16 if self.device == "cuda" else torch.float32,
            )  # fmt: skip
            more["device_map"] = {"": self.device}
        try:
            self.processor = transformers.AutoProcessor.from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False
            )
            model, info = getattr(transformers, model_class).from_pretrained(
                self.folder, local_files_only=True, trust_remote_code=False, use_safetensors=True,
                dtype=floats_for(self.device, size), output_loading_info=True, **more,
            )  # fmt: skip
        except LOAD_ERRORS as error:
            if is_out_of_memory(error):
                raise ModelUnusable(
                    f"There is not memory enough for {self.folder.name}."
                ) from error
            raise ModelUnusable(f"{self.folder} cannot be loaded: {error}") from error
        check_whole(model, info, self.folder)
        self.model: Any = model.eval()
        if not four_bit:
            self.model.to(self.device)
        self.name = f"{self.folder.name}@{weights_hash(self.folder)[:12]}"

    def to_device(self, inputs: Any) -> Any:
        """Move a processor's tensors to the model, floats in its own precision."""
        dtype = self.model.dtype if self.model.dtype.is_floating_point else torch.float32
        return {
            name: value.to(self.device, dtype) if value.is_floating_point()
            else value.to(self.device)
            for name, value in inputs.items() if isinstance(value, torch.Tensor)
        }  # fmt: skip


def check_whole(model: Any, info: Mapping[str, Any], folder: Path) -> None:
    """Raise ModelUnusable where weights are missing: transformers would make some up by chance.

    Buffers, which follow from the configuration, may be.
    """
    learnt = {name for name, _ in model.named_parameters() if not name.startswith("pooler.")}
    missing = sorted(learnt & set(info["missing_keys"]))
    if missing:
        raise ModelUnusable(
            f"{folder} lacks {len(missing)} weights of such a model, {missing[0]} among them;"
            " it may need code of its own."
        )


def read_config(folder: Path) -> dict[str, Any]:
    """Return config.json of a folder. Raises ModelUnusable."""
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_bytes())
    except FileNotFoundError:
        raise ModelUnusable(f"There is no model in {folder}.") from None
    except ValueError as error:
        raise ModelUnusable(f"{folder / 'config.json'} is not JSON: {error}") from error
    return config


class Batches:
    """Calls work on batches of at most `most`; one that does not fit is halved.

    The size stays halved for good: what did not fit once is not tried again and again.
    """

    def __init__(self, most: int) -> None:
        self._size = most

    def run(self, pieces: Sequence[Any], work: Callable[[Sequence[Any]], T]) -> list[T]:
        """Return what `work` made of each batch.

        Raises OutOfMemory where even one piece alone is too much.
        """
        done: list[T] = []
        place = 0
        while place < len(pieces):
            batch = pieces[place : place + self._size]
            try:
                done.append(work(batch))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                free_memory()
                if len(batch) == 1:
                    raise OutOfMemory("one piece alone does not fit") from error
                self._size = len(batch) // 2
                continue
            place += len(batch)
        return done
