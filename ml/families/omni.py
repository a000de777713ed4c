"""Describes pictures, sound, videos and long texts in sentences: Gemma 4, Qwen Omni.

Frames of a video are given as pictures in their order, so that no video processor decides which
of them the model sees; sound is given in windows, each by itself: spliced excerpts get described
as a collage.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ml.devices import vram_bytes
from ml.loading import Loaded, in_batches, read_config
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts

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
SHORT_TEXT = 600
"""Characters up to which a text needs no summary."""
LONGEST_TEXT = 8_000
"""Characters of a text that are shown, from its beginning, its middle and its end."""

REFUSALS = re.compile(
    r"^\W*(i\W?m sorry|i am sorry|sorry,|i apologi[sz]e|i can\W?t|i cannot|i\W?m unable"
    r"|i am unable|as an ai|i do not have the ability|i don\W?t have the ability|unfortunately, i)"
    r"|\b(no|without (any|an?)) (audio|sound|image|picture|video|media|text|file)s?"
    r" (was|were|is|are|has been|have been)? ?(provided|given|attached|available|uploaded|included)"
    r"|please (provide|upload|share|attach|send) (the|an?|your|me)\b"
    r"|\b(don\W?t|do not|can\W?t|cannot|am unable to|not able to) (see|hear|access|view|listen)\b"
    r".{0,40}\b(audio|sound|image|picture|video|media|file|recording|it)\b",
    re.IGNORECASE | re.DOTALL,
)
"""Answers that say nothing of the item: refused, or blind to what was shown."""
SHORTEST_ANSWER = 20


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
        alike: dict[tuple[int, int], list[tuple[int, _Request]]] = defaultdict(list)
        for place, item in enumerate(items):
            if request := self._request(item):
                alike[len(request.pictures), len(request.sounds)].append((place, request))
        for group in alike.values():  # what is alike in number can be padded into one batch
            answers = in_batches([request for _, request in group], BATCH, self._answer)
            flat = [answer for batch in answers for answer in batch]
            for (place, _), answer in zip(group, flat, strict=True):
                words[place] = clean_answer(answer)
        empty = np.empty((0, 0), np.float32)
        return pack_percepts([Percept(empty, said) for said in words])

    def _request(self, item: Item) -> "_Request | None":
        prompt = str(self._prompts.get(item["kind"], "Describe this."))
        if item["kind"] == "text":
            if len(item["text"]) <= SHORT_TEXT:
                return None
            return _Request(f"{prompt}\n\n{excerpt(item['text'])}", [], [])
        pictures = (
            [Image.fromarray(p) for p in np.load(item["pictures"])] if item["pictures"] else []
        )
        sounds = list(np.load(item["sound"])) if item["sound"] else []
        return _Request(prompt, pictures, sounds) if pictures or sounds else None

    @torch.inference_mode()
    def _answer(self, requests: Sequence["_Request"]) -> list[str]:
        processor = self._loaded.processor
        texts = [
            processor.apply_chat_template(
                [{"role": "user", "content": request.content()}],
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


class _Request:
    """What is asked of one item."""

    def __init__(self, prompt: str, pictures: list[Any], sounds: list[Any]) -> None:
        self.prompt = prompt
        self.pictures = pictures
        self.sounds = sounds

    def content(self) -> list[dict[str, Any]]:
        """Return the parts of the message; the media themselves go to the processor."""
        return [
            *({"type": "image"} for _ in self.pictures),
            *({"type": "audio"} for _ in self.sounds),
            {"type": "text", "text": self.prompt},
        ]


def clean_answer(answer: str) -> str:
    """Return what a description says; "" for a refusal, for nothing, and for endless repeating."""
    text = " ".join(answer.split())
    if len(text) < SHORTEST_ANSWER or REFUSALS.search(text):
        return ""
    words = text.lower().split()
    if len(words) > 30 and len(set(words)) < len(words) / 5:
        return ""  # the model was caught in a loop
    return text


def excerpt(text: str) -> str:
    """Return a text's beginning, middle and end, where it is too long to be shown whole."""
    if len(text) <= LONGEST_TEXT:
        return text
    half, quarter = LONGEST_TEXT // 2, LONGEST_TEXT // 4
    middle = len(text) // 2 - quarter // 2
    return "\n[...]\n".join((text[:half], text[middle : middle + quarter], text[-quarter:]))


def _folder(options: dict[str, Any]) -> Path:
    return Path(str(options.get("folder"))).absolute()
