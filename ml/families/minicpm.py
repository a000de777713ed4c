"""Descriptions in sentences by MiniCPM-o 4.5: pictures, sound and text.

The repository brings code of its own, which runs only at a revision that the settings name, and in
an environment of its own (`scripts/environment.sh minicpm`).

The real model, 18.7 GB of weights, has never been tried with this module: it could not be had where
this was written. The way it is loaded and asked follows its model card and its published code;
tests drive the same path with a tiny model that brings its own code. In 4 bit it has not run.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ml.describing import Request, make_request
from ml.devices import (
    choose_device,
    floats_for,
    out_of_memory_told,
    use_all_cores,
    vram_bytes,
)
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts
from ml.refusals import clean_answer

IN_FOUR_BIT = 1 / 3
"""Of the weights' size in 16 bit: the language model shrinks to a quarter, the rest stays."""
EXTRA_MEMORY = 4 << 30
"""Bytes that an answer needs beside the weights."""
IN_FULL = [
    "vpm", "resampler", "apm", "audio_projection_layer", "tts", "lm_head", "out_proj", "kv_proj",
]  # fmt: skip
"""Not in 4 bit: small, or used by its code in a way that 4 bit does not allow."""


def start(options: dict[str, Any]) -> "MiniCPM":
    """Load the model from its folder. Raises ModelUnusable, OutOfMemory."""
    revision = options.get("revision")
    if not revision:
        raise ModelUnusable(
            "MiniCPM-o brings code of its own; it runs only at a revision that the settings name."
        )
    os.environ["HF_HUB_OFFLINE"] = "1"
    return MiniCPM(
        Path(options["folder"]),
        str(revision),
        options.get("device", "auto"),
        four_bit=bool(options.get("four_bit", True)),
        longest_answer=int(options.get("longest_answer", 200)),
        prompts=dict(options.get("prompts") or {}),
    )


class MiniCPM:
    """The operations of the worker."""

    def __init__(
        self,
        folder: Path,
        revision: str,
        device: str,
        *,
        four_bit: bool,
        longest_answer: int,
        prompts: dict[str, str],
    ) -> None:
        use_all_cores()
        size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
        if not size or not (folder / "config.json").exists():
            raise ModelUnusable(f"There is no model in {folder}.")
        needed = int(size * IN_FOUR_BIT) if four_bit else size
        self._device, self._reason = choose_device(device, needed + EXTRA_MEMORY)
        self._four_bit = four_bit and self._device == "cuda"
        self._revision = revision
        self._longest_answer = longest_answer
        self._prompts = prompts
        with out_of_memory_told():
            self._model = _load(folder, self._device, size, four_bit=self._four_bit)

    def about(self) -> dict[str, Any]:
        """Return which model this is, and where it runs; it makes words and no vectors."""
        return {
            "space": f"minicpm-o@{self._revision[:12]}",
            "dimensions": 0,
            "device": self._device,
            "reason": self._reason,
            "has_text_tower": False,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a description of each item; they are asked one by one."""
        words = []
        for item in items:
            request = make_request(item, self._prompts)
            with out_of_memory_told():
                words.append(clean_answer(self._ask(request)) if request else "")
        return pack_percepts([Percept(np.empty((0, 0), np.float32), said) for said in words])

    def _ask(self, request: Request) -> str:
        pictures, sounds = request.pictures, request.sounds
        options: dict[str, Any] = {}
        if len(pictures) > 1:  # as the model card asks videos: frames are neither cut nor numbered
            options |= {"use_image_id": False, "max_slice_nums": 1}
        if len(sounds) > 1:  # merged ones get fewer places than the prompt reserves for them
            options["merge_audio_from_same_content"] = False
        answer = self._model.chat(
            msgs=[{"role": "user", "content": [*pictures, *sounds, request.prompt]}],
            do_sample=False,
            max_new_tokens=self._longest_answer,
            use_tts_template=False,
            enable_thinking=False,
            generate_audio=False,
            **options,
        )
        return str(answer).strip()


def _load(folder: Path, device: str, size: int, *, four_bit: bool) -> Any:
    transformers = importlib.import_module("ml.ready").transformers
    floats = floats_for(device, size)
    options: dict[str, Any] = {}
    if four_bit:
        options["device_map"] = {"": 0}
        options["quantization_config"] = transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=floats,
            llm_int8_skip_modules=IN_FULL,
        )
    try:
        model = transformers.AutoModel.from_pretrained(
            str(folder),
            trust_remote_code=True,
            local_files_only=True,
            use_safetensors=True,
            attn_implementation="sdpa",
            torch_dtype=floats,
            init_vision=True,
            init_audio=True,
            init_tts=False,  # it only ever writes
            **options,
        )
    except ImportError as error:
        raise ModelUnusable(
            f"MiniCPM-o's code lacks a package; run scripts/environment.sh minicpm. {error}"
        ) from error
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"MiniCPM-o cannot be loaded from {folder}: {error}") from error
    return (model if four_bit else model.to(device)).eval()
