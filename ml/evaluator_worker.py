"""Trains TransformerEvaluators and lets them predict, in a process of its own."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from ml.devices import choose_device
from ml.evaluation import folds_of
from ml.taste_transformer import Tokens, hold_out, predict, train


def start(options: dict[str, Any]) -> "EvaluatorWorker":
    """Begin: {"device": "auto", "cpu" or "cuda"}."""
    return EvaluatorWorker(str(options.get("device", "auto")))


class EvaluatorWorker:
    """The operations; `tokens` are what `VectorWorker.tokens` gives."""

    def __init__(self, device: str) -> None:
        self._device, self._reason = choose_device(device, 64 << 20)
        torch.set_num_threads(1)  # its operations are too small to be shared out
        self._states: list[dict[str, Any]] = []
        self._items: list[int] = []
        self._values: list[float] = []

    def train(
        self, tokens: dict[str, Any], ratings: list[float], folds: int, seed: int
    ) -> dict[str, Any]:
        """Return out-of-fold predictions of the ratings, {"held_out", "device", "reason"}."""
        found = hold_out(
            unpack(tokens), np.array(ratings, np.float64), folds_of(len(ratings), folds, seed),
            seed=seed, device=self._device,
        )  # fmt: skip
        return {"held_out": found.tolist(), "device": self._device, "reason": self._reason}

    def finish(self, tokens: dict[str, Any], ratings: list[float], seed: int) -> None:
        """Train the ensemble on all ratings; `predict` and `save` follow."""
        values = np.array(ratings, np.float64)
        self._states = train(unpack(tokens), values, seed=seed, device=self._device)
        self._items, self._values = [], []

    def resume(self, path: str) -> list[int]:
        """Take up what `save` wrote, ready to predict more; return the items that it knows."""
        target = Path(path)
        with np.load(target) as file:
            self._items, self._values = file["items"].tolist(), file["values"].tolist()
        weights = load_file(target.with_suffix(".safetensors"))
        self._states = [{} for _ in {name.partition("/")[0] for name in weights}]
        for name, value in weights.items():
            number, _, key = name.partition("/")
            self._states[int(number)][key] = value
        return self._items

    def predict(self, items: list[int], tokens: dict[str, Any]) -> None:
        """Predict items, and keep what is expected of them until `save`."""
        self._items += items
        self._values += predict(self._states, unpack(tokens), self._device).tolist()

    def save(self, path: str) -> int:
        """Write all predictions to a file in one piece, the weights beside it; return how many."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._save_weights(target.with_suffix(".safetensors"))
        partial = target.with_suffix(".partial")
        with partial.open("wb") as file:
            np.savez(
                file, items=np.array(self._items, np.int64),
                values=np.array(self._values, np.float32),
            )  # fmt: skip
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        return len(self._items)

    def _save_weights(self, target: Path) -> None:
        states = enumerate(self._states)
        weights = {f"{n}/{key}": value for n, state in states for key, value in state.items()}
        partial = target.with_suffix(".weights.partial")
        save_file(weights, partial)
        partial.replace(target)


def unpack(tokens: dict[str, Any]) -> Tokens:
    """Undo `VectorWorker.tokens`."""
    dimensions = tuple(tokens["dimensions"])
    items: list[list[Any]] = [[] for _ in tokens["counts"][0]] if tokens["counts"] else []
    for data, counts, size in zip(tokens["data"], tokens["counts"], dimensions, strict=True):
        vectors = np.frombuffer(data, "<f2").reshape(-1, size).astype(np.float32)
        ends = np.cumsum(counts)
        for item, end, count in zip(items, ends, counts, strict=True):
            item.append(vectors[end - count : end])
    return Tokens(dimensions, items)
