"""Every way in which files carry a rating, as 0 to 10.

A value that is no rating gives None, and so do the values by which a way says "not rated".
"""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from connectors.folder.bounds import number

_POPM_POINTS = (
    (1, 2.0), (54, 3.0), (64, 4.0), (118, 5.0), (128, 6.0), (186, 7.0), (196, 8.0), (242, 9.0),
    (255, 10.0),
)  # fmt: skip
"""Windows and most players write 1, 64, 128, 196, 255 for one to five stars; MediaMonkey and
MusicBee write 54, 118, 186, 242 for the halves between, and 13 for half a star."""

_POPM_HALF_A_STAR = 13

_WINDOWS_STARS = ((0, 0.0), (1, 2.0), (25, 4.0), (50, 6.0), (75, 8.0), (99, 10.0))

_OWN_RATERS = ("windows media player 9 series", "no@email", "banshee", "quodlibet@lists")


def from_popm(frames: Iterable[tuple[str, int]]) -> float | None:
    """Rate by ID3 popularimeters, (who, 0 to 255); 0 is "unknown" there (ID3v2.4, 4.17).

    Of several, known players' count first, then the first.
    """
    known = [(who.lower(), value) for who, value in frames if 0 < value <= 255]
    known.sort(key=lambda frame: not frame[0].startswith(_OWN_RATERS))
    if not known:
        return None
    who, value = known[0]
    if who.startswith("quodlibet"):
        return round(value / 25.5, 2)
    return 1.0 if value == _POPM_HALF_A_STAR else _interpolate(value, _POPM_POINTS)


def from_shared_user_rating(value: object) -> float | None:
    """Rate by WM/SharedUserRating: 1, 25, 50, 75, 99 are one to five stars; 0 is none."""
    found = number(value, 0.0, 99.0)
    return _interpolate(found, _WINDOWS_STARS) if found else None


def from_percent(value: object) -> float | None:
    """Rate by 0 to 100, as MicrosoftPhoto:Rating and MP4's `rate`; 0 is none.

    Windows writes 1, 25, 50, 75, 99 for its stars, others 20, 40, 60, 80, 100.
    """
    found: float | None = number(value, 0.0, 100.0)
    if not found:
        return None
    return dict(_WINDOWS_STARS).get(int(found)) or found / 10


def from_fmps(value: object) -> float | None:
    """Rate by FMPS_RATING, 0.0 to 1.0, where 0 is a judgement (freedesktop.org, FMPS)."""
    found = number(value, 0.0, 1.0)
    return None if found is None else round(found * 10, 4)


def from_vorbis(value: object) -> float | None:
    """Rate by a RATING comment, for which there is no rule; 0 is none.

    Players write stars (1 to 5, also halves: foobar2000) or percent (MediaMonkey, MusicBee). Up
    to 5 we take for stars, except that fractions below 1 are parts of a whole; from there to 10
    for a rating like ours, above that for percent.
    """
    found: float | None = number(value, 0.0, 100.0)
    if not found:
        return None
    if found <= 5:
        return round(found * (10 if found < 1 else 2), 4)
    return found if found <= 10 else found / 10


def from_xmp(value: object) -> float | None:
    """Rate by xmp:Rating: -1 is "rejected", our 0; 0 is none; else stars (XMP, part 1, 8.4)."""
    found = number(value, -1.0, 5.0)
    if not found:
        return None
    return 0.0 if found < 0 else found * 2


def from_user_rating(value: object) -> float | None:
    """Rate by Kodi's <userrating>, 1 to 10; 0 is none."""
    return number(value, 0.0, 10.0) or None


_NAMED = (
    ("fmpsrating", from_fmps),
    ("shareduserrating", from_shared_user_rating),
    ("rating", from_vorbis),
    ("rate", from_percent),
)


def from_named_tags(tags: Mapping[str, Any]) -> float | None:
    """Rate by the first of the named tags that has a rating; names as `audio` simplifies them.

    Quod Libet writes `rating:` and the person's address, 0.0 to 1.0.
    """
    for name, rate in _NAMED:
        if name in tags and (rating := rate(tags[name])) is not None:
            return rating
    parts = (from_fmps(value) for name, value in tags.items() if name.startswith("rating:"))
    return next((rating for rating in parts if rating is not None), None)


def _interpolate(value: float, points: tuple[tuple[int, float], ...]) -> float:
    for (low, low_rating), (high, high_rating) in pairwise(points):
        if value <= high:
            share = (value - low) / (high - low)
            return round(low_rating + share * (high_rating - low_rating), 2)
    return 10.0
