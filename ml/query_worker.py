"""Embeds what people search for, on the CPU, so that a search never waits for a night's work."""

import importlib
from typing import Any


def start(options: dict[str, Any]) -> "QueryWorker":
    """Begin without any model: each is loaded when a query first needs it."""
    return QueryWorker()


class QueryWorker:
    """The operations."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}

    def embed_query(self, module: str, options: dict[str, Any], space: str, text: str) -> bytes:
        """Return the query's unit vector (D,) in a space, float32, little-endian.

        `module` is that of the model's family. Raises ModelUnusable, also where the model is not
        the one that made the space any more.
        """
        if space not in self._models:
            started = importlib.import_module(module).start(
                {**options, "device": "cpu", "only_text": True}
            )
            if (made := started.about()["space"]) != space:
                from ml.perceiving import ModelUnusable

                raise ModelUnusable(f"The model makes {made} now, and the vectors are {space}.")
            self._models[space] = started
        vector: bytes = self._models[space].embed_query(text)
        return vector
