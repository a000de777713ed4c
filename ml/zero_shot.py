"""Words for media from a vocabulary, by a model that has text and media in one space."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

MOST_WORDS = 6
CLEARER = 2.5
"""A word is said if its score lies so many standard deviations above those of all the words."""


class Vocabulary:
    """The words' vectors, made once; `embed` turns sentences into unit vectors (N, D)."""

    def __init__(
        self, words: Sequence[str], template: str, embed: Callable[[list[str]], Floats]
    ) -> None:
        self._words = list(words)
        self._vectors = embed([template.format(word) for word in words]) if words else None

    def choose(self, vectors: Floats) -> list[str]:
        """Return the words that stand out for an item's vectors (N, D), the clearest first.

        Cosines of such models differ from one word to the next by little and by no fixed measure,
        so a word counts by how far it stands out among all.
        """
        if self._vectors is None or not len(vectors):
            return []
        scores = (vectors @ self._vectors.T).max(axis=0)
        spread = float(scores.std())
        if spread < 1e-6:
            return []
        clearness = (scores - scores.mean()) / spread
        order = np.argsort(-clearness)[:MOST_WORDS]
        return [self._words[place] for place in order if clearness[place] >= CLEARER]
