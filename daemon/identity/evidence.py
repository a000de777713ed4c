"""What proves that two files are one thing, as pure functions.

One proof of content is enough (equal soft hash or content hash); of the rest it takes two that do
not depend on each other. A title proves nothing.
"""

import posixpath
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connectors.base import FileFacts, Kind, Metadata
from daemon.store.evidence import SAME_DURATION, SAME_LOOK

ITEM_PROVIDERS = frozenset(
    {"musicbrainz_recording", "musicbrainz_track", "acoustid", "imdb", "tmdb", "tvdb"}
)
"""Providers whose id names the item itself, not its album, artist or series."""


@dataclass(slots=True)
class Place:
    """A location as the resolver needs it."""

    id: int
    source_id: int
    item_id: int
    path: bytes
    soft_hash: str
    content_hash: str | None
    look: str | None
    duration: float | None
    gone_at: datetime | None


def durations_agree(one: float | None, other: float | None) -> bool:
    """Tell whether both are known and the same but for rounding."""
    return one is not None and other is not None and abs(one - other) <= SAME_DURATION


def is_another(place: Place, facts: FileFacts) -> bool:
    """Tell whether the file that now lies at `place` is another thing than before.

    Retagged, re-encoded and edited files are the same; only a length or a picture that plainly
    differs says otherwise.
    """
    if place.content_hash and place.content_hash == facts.content_hash:
        return False
    if place.look and facts.look:
        return (int(place.look, 16) ^ int(facts.look, 16)).bit_count() > SAME_LOOK
    durations = place.duration, facts.metadata.duration
    return None not in durations and not durations_agree(*durations)


def is_reencoding(place: Place, facts: FileFacts) -> bool:
    """Tell whether a vanished file and a new one in its folder are one recording in two codings."""
    return (
        posixpath.dirname(place.path) == posixpath.dirname(facts.path)
        and stem(place.path) == stem(facts.path)
        and durations_agree(place.duration, facts.metadata.duration)
    )


def stem(path: bytes) -> bytes:
    """Return the file's name without its last extension."""
    return posixpath.splitext(posixpath.basename(path))[0]


def item_provider_ids(provider_ids: dict[str, Any]) -> dict[str, str]:
    """Return those ids that name the item itself."""
    return {p: str(v) for p, v in provider_ids.items() if p in ITEM_PROVIDERS and v}


def strong_hashes(facts: FileFacts) -> list[str]:
    """Return the hashes of which one equal is proof of content."""
    return [h for h in (facts.soft_hash, facts.content_hash) if h]


def shown_artist(metadata: Metadata, kind: Kind) -> str:
    """Return who is named beside the title."""
    if metadata.artists:
        return ", ".join(metadata.artists[:3])
    if kind == "videos" and metadata.series:
        return metadata.series
    return metadata.album_artist or ", ".join(metadata.people[:1])
