"""The taste model's features of every item of a text space, kept ready in memory."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ml.taste_features import (
    MEDIA_PLACES,
    PARTS_WIDTH,
    Features,
    Prepared,
    place_media,
    prepare,
)
from ml.vector_index import VectorIndex

BLOCK_ITEMS = 4096
LEAST_ROOM = 1024


class FeatureTable:
    """Prepared features of the items in a text space; a change costs what it changes."""

    def __init__(
        self, text: VectorIndex, facts: VectorIndex, media: Mapping[str, VectorIndex]
    ) -> None:
        self._text, self._facts, self._media = text, facts, media
        self._places: dict[int, int] = {}
        self._items = np.empty(0, np.int64)
        self._features = _room(0, text.dimensions)
        self.update(text.item_ids)

    @property
    def items(self) -> npt.NDArray[np.int64]:
        """The ids of the items (N,), in the order of `features`."""
        return self._items[: len(self._places)]

    @property
    def features(self) -> Prepared:
        """The features of all items."""
        return self._features.take(slice(len(self._places)))

    @property
    def spaces(self) -> set[str]:
        """The spaces of media that are in it."""
        return set(self._media)

    def update(self, item_ids: npt.NDArray[np.int64]) -> None:
        """Take in new and changed items; those without a text vector are left out."""
        for start in range(0, len(item_ids), BLOCK_ITEMS):
            self._update_block(item_ids[start : start + BLOCK_ITEMS])

    def find(self, item_ids: list[int]) -> npt.NDArray[np.int64]:
        """Return the places of items in `features`, -1 for those that are not here."""
        return np.array([self._places.get(item_id, -1) for item_id in item_ids], np.int64)

    def _update_block(self, item_ids: npt.NDArray[np.int64]) -> None:
        vectors = self._text.pooled(item_ids)
        has_text = ~np.isnan(vectors).all(axis=1)
        item_ids, vectors = item_ids[has_text], vectors[has_text]
        seen = {name: index.pooled(item_ids) for name, index in self._media.items()}
        media = place_media(seen) if seen else None
        block = prepare(Features(vectors, self._facts.means(item_ids), media))
        for item_id in item_ids.tolist():
            self._places.setdefault(item_id, len(self._places))
        self._grow(len(self._places))
        places = self.find(item_ids.tolist())
        self._items[places] = item_ids
        self._features.text[places] = block.text
        self._features.has_text[places] = block.has_text
        self._features.parts[places] = block.parts
        self._features.media[places] = block.media
        self._features.has_media[places] = block.has_media

    def _grow(self, needed: int) -> None:
        have = len(self._items)
        if needed <= have:
            return
        room = max(needed, have + have // 4, LEAST_ROOM)
        items, features = np.zeros(room, np.int64), _room(room, self._features.text.shape[1])
        items[:have] = self._items
        features.text[:have] = self._features.text
        features.has_text[:have] = self._features.has_text
        features.parts[:have] = self._features.parts
        features.media[:have] = self._features.media
        features.has_media[:have] = self._features.has_media
        self._items, self._features = items, features


def _room(items: int, dimensions: int) -> Prepared:
    return Prepared(
        np.zeros((items, dimensions), np.float32),
        np.zeros(items, np.float32),
        np.zeros((items, PARTS_WIDTH), np.float32),
        np.zeros((items, MEDIA_PLACES), np.float32),
        np.zeros(items, np.float32),
    )
