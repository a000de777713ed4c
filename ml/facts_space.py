"""What is known of an item besides its words, as a vector that the taste model understands.

Layout of a vector of FACTS_SPACE, float16, NaN where a number is unknown::

      0:4    kind, one-hot in the order of KINDS
      4      year: (year - 1900) / 100
      5      log(1 + duration in seconds)
      6      community rating, 0 to 10
      7      log(1 + votes)
      8:72   genres (weight 1) and keywords (1/2), hashed into 64 places
     72:200  creators: artists, album artist, series (1), people and studios (1/2), hashed into 128

The hash is CRC-32 of the casefolded text, so that it is the same in every process and release.
"""

import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

FACTS_SPACE = "facts@1"
KINDS = ("music", "images", "videos", "text")
GENRE_PLACES = 64
CREATOR_PLACES = 128
MOST_NAMES = 12
"""Of keywords, people and studios each: the first are the most important."""

KIND = slice(0, 4)
YEAR, DURATION, COMMUNITY, VOTES = range(4, 8)
GENRES = slice(8, 8 + GENRE_PLACES)
CREATORS = slice(GENRES.stop, GENRES.stop + CREATOR_PLACES)
FACTS_DIMENSIONS = CREATORS.stop


@dataclass(frozen=True, slots=True)
class FactsParts:
    """The columns of facts vectors (N, F), as float32; numbers are NaN where unknown."""

    kind: npt.NDArray[np.float32]
    """(N, 4) one-hot; zeros where the whole vector is missing."""
    year: npt.NDArray[np.float32]
    """(N,) centuries since 1900."""
    duration: npt.NDArray[np.float32]
    """(N,) log(1 + seconds)."""
    community: npt.NDArray[np.float32]
    """(N,) 0 to 10."""
    votes: npt.NDArray[np.float32]
    """(N,) log(1 + votes)."""
    genres: npt.NDArray[np.float32]
    """(N, 64) weights; zeros where unknown."""
    creators: npt.NDArray[np.float32]
    """(N, 128) weights; zeros where unknown."""


def facts_vector(kind: str, metadata: Mapping[str, Any]) -> npt.NDArray[np.float16]:
    """Return the vector (F,) of an item, from what its source says of it (unknown keys absent)."""
    vector = np.zeros(FACTS_DIMENSIONS, np.float32)
    if kind in KINDS:
        vector[KINDS.index(kind)] = 1
    vector[YEAR] = (_number(metadata, "year", 1, 9999) - 1900) / 100
    vector[DURATION] = math.log1p(_number(metadata, "duration", 1e-3, 1e9))
    vector[COMMUNITY] = _number(metadata, "community_rating", 0, 10)
    vector[VOTES] = math.log1p(_number(metadata, "votes", 0, 1e12))
    _mark(vector[GENRES], metadata.get("genres", ()), 1)
    _mark(vector[GENRES], metadata.get("keywords", ())[:MOST_NAMES], 0.5)
    _mark(vector[CREATORS], metadata.get("artists", ()), 1)
    _mark(vector[CREATORS], (metadata.get("album_artist", ""), metadata.get("series", "")), 1)
    _mark(vector[CREATORS], metadata.get("people", ())[:MOST_NAMES], 0.5)
    _mark(vector[CREATORS], metadata.get("studios", ())[:MOST_NAMES], 0.5)
    return vector.astype(np.float16)


def split_facts(facts: npt.NDArray[np.floating[Any]]) -> FactsParts:
    """Give vectors (N, F) their parts back; a row of NaN is an item of which nothing is known."""
    columns = np.asarray(facts, np.float32)
    return FactsParts(
        kind=np.nan_to_num(columns[:, KIND]),
        year=columns[:, YEAR],
        duration=columns[:, DURATION],
        community=columns[:, COMMUNITY],
        votes=columns[:, VOTES],
        genres=np.nan_to_num(columns[:, GENRES]),
        creators=np.nan_to_num(columns[:, CREATORS]),
    )


def _number(metadata: Mapping[str, Any], key: str, lowest: float, highest: float) -> float:
    """Return the number, NaN where it is unknown or cannot be true."""
    value = metadata.get(key)
    return float(value) if value is not None and lowest <= value <= highest else math.nan


def _mark(places: npt.NDArray[np.float32], names: Iterable[str], weight: float) -> None:
    """Set the place of each name to `weight`, unless a higher weight is there."""
    for name in names:
        if folded := " ".join(name.casefold().split()):
            place = zlib.crc32(folded.encode("utf-8", "surrogatepass")) % len(places)
            places[place] = max(places[place], weight)
