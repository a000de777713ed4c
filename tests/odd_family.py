"""A family of models that answers by the colour of a picture, and misbehaves when told to.

Options: `log` (a file that gets a line a call), `times` (one that gets when calls began and
ended), `most` items before it runs out of memory, `poison` (a shade that ends its process), `nan`
(a shade that has no direction), `huge` (one that never fits), `loading` seconds, `faulty` (it fails
at everything), `fault_after` calls (from then on), `runs_on`, `broken_after` calls, `seconds` a
call, `version`. It hears sound as a shade too, and embeds text.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from ml.perceiving import Item, ModelUnusable, OutOfMemory, Percept, pack_percepts

DIMENSIONS = 4


def start(options: dict[str, Any]) -> "OddFamily":
    return OddFamily(options)


class OddFamily:
    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._calls = 0
        time.sleep(options.get("loading", 0))

    def about(self) -> dict[str, Any]:
        return {
            "space": f"odd@{self._options.get('version', 1)}", "dimensions": DIMENSIONS,
            "device": self._options.get("runs_on", "cpu"), "reason": "it is odd",
            "has_text_tower": True,
        }  # fmt: skip

    def perceive(self, items: list[Item]) -> dict[str, Any]:
        self._calls += 1
        begun = time.monotonic()
        shades = [_shade(item) for item in items]
        if log := self._options.get("log"):
            with Path(log).open("a") as file:
                file.write(" ".join(map(str, shades)) + "\n")
        self._work(begun)
        if len(items) > self._options.get("most", 1000) or self._options.get("huge") in shades:
            raise OutOfMemory(f"{len(items)} items do not fit")
        if self._options.get("poison") in shades:
            os._exit(139)
        if self._options.get("faulty") or self._calls > self._options.get("fault_after", 10**6):
            raise RuntimeError("CUDA error: device-side assert triggered")
        if self._calls > self._options.get("broken_after", 10**6):
            raise ModelUnusable("its weights are gone")
        nan = self._options.get("nan")
        directions = [_direction(s) * (np.nan if s == nan else 1) for s in shades]
        return pack_percepts(
            [
                Percept(direction[None], f"Looks like: shade {shade}")
                for direction, shade in zip(directions, shades, strict=True)
            ]
        )

    def chunk(self, texts: list[str]) -> list[list[str]]:
        return [[text[:200]] if text else [] for text in texts]

    def embed(self, chunks: list[str]) -> bytes:
        if self._options.get("faulty"):
            raise RuntimeError("CUDA error: device-side assert triggered")
        self._work(time.monotonic())
        directions = [_direction(len(chunk)) for chunk in chunks]
        return b"".join(vector.astype("<f2").tobytes() for vector in directions)

    def _work(self, begun: float) -> None:
        """Take the time that a model would take, reading included."""
        time.sleep(max(0.0, begun + self._options.get("seconds", 0) - time.monotonic()))
        if times := self._options.get("times"):
            with Path(times).open("a") as file:
                file.write(f"{begun} {time.monotonic()}\n")

    def embed_query(self, text: str) -> bytes:
        vector: bytes = _direction(int(text.split()[-1])).astype("<f4").tobytes()
        return vector


def _shade(item: Item) -> int:
    if item["pictures"]:
        return int(np.load(item["pictures"]).mean())
    return int(np.abs(np.load(item["sound"])).mean() * 255)


def _direction(shade: int) -> Any:
    angle = shade / 255 * np.pi / 2
    return np.array([np.cos(angle), np.sin(angle), 0, 0], np.float32)
