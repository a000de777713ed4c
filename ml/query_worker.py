"""Embeds what people search for, on the CPU, so that a search never waits for a night's work."""

import importlib
import time
from typing import Any

from ml.perceiving import ModelUnusable

AGAIN = 60.0
"""Seconds until a model that could not be loaded is tried again; big ones take long to fail."""


def start(options: dict[str, Any]) -> "QueryWorker":
    """Begin without any model: each is loaded when a query first needs it."""
    return QueryWorker()


class QueryWorker:
    """The operations."""

    def __init__(self) -> None:
        self._models: dict[str, Any] = {}
        self._failed: dict[str, tuple[float, str]] = {}

    def embed_query(self, module: str, options: dict[str, Any], space: str, text: str) -> bytes:
        """Return the query's unit vector (D,) in a space, float32, little-endian.

        `module` is that of the model's family. Raises ModelUnusable, also where the model is not
        the one that made the space any more.
        """
        if space not in self._models:
            failed, reason = self._failed.get(space, (-AGAIN, ""))
            if time.monotonic() < failed + AGAIN:
                raise ModelUnusable(reason)
            try:
                self._models[space] = _start(module, options, space)
            except Exception as error:  # whatever it is, it is so for the next query too
                self._failed[space] = (time.monotonic(), f"{type(error).__name__}: {error}")
                raise
        vector: bytes = self._models[space].embed_query(text)
        return vector


def _start(module: str, options: dict[str, Any], space: str) -> Any:
    started = importlib.import_module(module).start({**options, "device": "cpu", "only_text": True})
    if (made := started.about()["space"]) != space:
        raise ModelUnusable(f"The model makes {made} now, and the vectors are {space}.")
    return started
