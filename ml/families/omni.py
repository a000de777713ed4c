"""Describes pictures, sound, videos and long texts in sentences: Gemma 4, Qwen Omni.

Frames of a video are given as pictures in their order, so that no video processor decides which
of them the model sees.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ml.describing import Request, make_request
from ml.devices import vram_bytes
from ml.loading import Batches, Loaded, read_config
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts
from ml.refusals import clean_answer

CLASSES = {
    "Gemma4ForConditionalGeneration": "Gemma4ForConditionalGeneration",
    "Gemma3nForConditionalGeneration": "Gemma3nForConditionalGeneration",
    "Qwen2_5OmniModel": "Qwen2_5OmniThinkerForConditionalGeneration",
    "Qwen2_5OmniForConditionalGeneration": "Qwen2_5OmniThinkerForConditionalGeneration",
    "Qwen2_5OmniThinkerForConditionalGeneration": "Qwen2_5OmniThinkerForConditionalGeneration",
    "Qwen3OmniMoeForConditionalGeneration": "Qwen3OmniMoeThinkerForConditionalGeneration",
}
"""Architecture of a checkpoint to the class that listens, looks and answers in words."""
RATE = 16_000
BATCH = 4


def start(options: dict[str, Any]) -> "Omni":
    """Load the model: {"folder", "device", "four_bit", "prompts", "longest_answer"}.

    Raises ModelUnusable.
    """
    return Omni(options)


class Omni:
    """The operations."""

    def __init__(self, options: dict[str, Any]) -> None:
        named = read_config(_folder(options)).get("architectures") or [""]
        model_class = CLASSES.get(named[0])
        if model_class is None:
            raise ModelUnusable(
                f"{_folder(options)} holds {named[0] or 'an unnamed model'}, which is no describer"
                " that is known: " + ", ".join(sorted(CLASSES))
            )
        self._loaded = Loaded(options, model_class, four_bit=bool(options.get("four_bit", True)))
        self._loaded.processor.tokenizer.padding_side = "left"  # answers begin at the end
        self._prompts = dict(options.get("prompts") or {})
        self._longest = int(options.get("longest_answer", 200))
        self._batches: dict[tuple[int, int], Batches] = defaultdict(lambda: Batches(BATCH))

    def about(self) -> dict[str, Any]:
        """Return where the model runs; it makes words and no vectors."""
        loaded = self._loaded
        return {
            "space": loaded.name,
            "dimensions": 0,
            "device": loaded.device,
            "reason": loaded.reason,
            "has_text_tower": False,
            "vram": vram_bytes(),
        }

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return a description of each item; "" where the model had nothing to say of it."""
        words = [""] * len(items)
        alike: dict[tuple[int, int], list[tuple[int, Request]]] = defaultdict(list)
        for place, item in enumerate(items):
            if request := make_request(item, self._prompts):
                alike[len(request.pictures), len(request.sounds)].append((place, request))
        for shape, group in alike.items():  # what is alike in number can be padded into one batch
            answers = self._batches[shape].run([request for _, request in group], self._answer)
            flat = [answer for batch in answers for answer in batch]
            for (place, _), answer in zip(group, flat, strict=True):
                words[place] = clean_answer(answer)
        empty = np.empty((0, 0), np.float32)
        return pack_percepts([Percept(empty, said) for said in words])

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request]) -> list[str]:
        processor = self._loaded.processor
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": _content(request)}],
                add_generation_prompt=True, tokenize=False,
            )
            for request in requests
        ]  # fmt: skip
        media: dict[str, Any] = {}
        if requests[0].pictures:
            media["images"] = [request.pictures for request in requests]
        if requests[0].sounds:
            media["audio"] = [sound for request in requests for sound in request.sounds]
            media["sampling_rate"] = RATE
        inputs = processor(text=texts, padding=True, return_tensors="pt", **media)
        moved = self._loaded.to_device(inputs)
        made = self._loaded.model.generate(**moved, max_new_tokens=self._longest, do_sample=False)
        fresh = made[:, moved["input_ids"].shape[1] :]
        answers: list[str] = processor.batch_decode(fresh, skip_special_tokens=True)
        return answers


def _content(request: Request) -> list[dict[str, Any]]:
    """Return the parts of the message; the media themselves go to the processor."""
    return [
        *({"type": "image"} for _ in request.pictures),
        *({"type": "audio"} for _ in request.sounds),
        {"type": "text", "text": request.prompt},
    ]


def _folder(options: dict[str, Any]) -> Path:
    return Path(str(options.get("folder"))).absolute()
