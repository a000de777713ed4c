"""From Plex's XML to our dataclasses. Whatever is missing or odd is left out."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

from connectors.base import Kind, Metadata
from connectors.server import ItemState, PlayEvent, PlaylistEntry, ServerItem, ServerPlaylist

KINDS: dict[str, Kind] = {
    "track": "music", "movie": "videos", "episode": "videos", "clip": "videos", "photo": "images",
}  # fmt: skip
"""Plex's types of leaves."""

GUIDS = {"imdb": "imdb", "tmdb": "tmdb", "tvdb": "tvdb", "mbid": "musicbrainz_track"}
"""Schemes of Guid children. A track's mbid may name a recording or a release track."""


def parse_item(node: Element) -> ServerItem | None:
    """Return one leaf; None for what is none of ours."""
    kind = KINDS.get(node.get("type", ""))
    external_id = node.get("ratingKey", "")
    if kind is None or not external_id:
        return None
    part = node.find("Media/Part")
    return ServerItem(
        external_id, kind, _metadata(node, kind),
        part.get("file", "") if part is not None else "", True,
        whole(part.get("size")) if part is not None else None,
        node.get("updatedAt", ""), moment(node.get("addedAt")),
    )  # fmt: skip


def _metadata(node: Element, kind: Kind) -> Metadata:
    is_track, is_episode = kind == "music", node.get("type") == "episode"
    media = node.find("Media")
    milliseconds = real(node.get("duration"))
    names = (node.get("originalTitle", ""), node.get("grandparentTitle", ""))
    artist = next((name for name in names if name), "") if is_track else ""
    extra = {
        "certificate": node.get("contentRating", ""),
        "critics": node.get("rating", "") if node.get("audienceRating") else "",
        "tagline": node.get("tagline", ""),
        "original title": "" if is_track else node.get("originalTitle", ""),
    }
    people = [*_tags(node, "Director"), *_tags(node, "Role"), *_tags(node, "Writer")]
    moods = (*_tags(node, "Style"), *_tags(node, "Mood"), *_tags(node, "Label"))
    community = real(node.get("audienceRating") or node.get("rating"))
    return Metadata(
        title=node.get("title", ""),
        artists=(artist,) if artist else (),
        album=node.get("parentTitle", "") if is_track else "",
        album_artist=node.get("grandparentTitle", "") if is_track else "",
        series=node.get("grandparentTitle", "") if is_episode else "",
        track=whole(node.get("index")) if is_track else None,
        disc=whole(node.get("parentIndex")) if is_track else None,
        season=whole(node.get("parentIndex")) if is_episode else None,
        episode=whole(node.get("index")) if is_episode else None,
        genres=_tags(node, "Genre"),
        keywords=moods,
        people=tuple(dict.fromkeys(people))[:30],
        studios=(node.get("studio", ""),) if node.get("studio") else (),
        year=whole(node.get("year") or node.get("parentYear")),
        duration=milliseconds / 1000 if milliseconds else None,
        width=whole(media.get("width")) if media is not None else None,
        height=whole(media.get("height")) if media is not None else None,
        overview=node.get("summary", ""),
        community_rating=community if community is not None and 0 <= community <= 10 else None,
        provider_ids=_provider_ids(node),
        extra={label: value for label, value in extra.items() if value},
    )


def _provider_ids(node: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    for guid in (child.get("id", "") for child in node.findall("Guid")):
        scheme, _, value = guid.partition("://")
        if scheme in GUIDS and value:
            found.setdefault(GUIDS[scheme], value)
    plex = node.get("guid", "")
    if plex.startswith("plex://"):
        found["plex"] = plex.removeprefix("plex://")
    return found


def parse_state(node: Element) -> ItemState:
    """Return what the token's user did with an item."""
    plays = whole(node.get("viewCount"))
    offset = real(node.get("viewOffset"))
    is_video = KINDS.get(node.get("type", "")) == "videos"
    return ItemState(
        node.get("ratingKey", ""),
        plays=plays,
        skips=whole(node.get("skipCount")),
        last_played=moment(node.get("lastViewedAt")),
        position=offset / 1000 if offset else None,
        is_finished=bool(plays) and not offset if is_video else None,
        rating=_rating(node.get("userRating")),
        rated_at=moment(node.get("lastRatedAt")),
    )


def is_touched(state: ItemState) -> bool:
    """Tell whether there is anything to say of it."""
    return bool(state.plays or state.skips or state.position or state.rating is not None)


def parse_event(node: Element) -> PlayEvent | None:
    """Return an entry of the history; None for media that were deleted since.

    There is an entry once an item was played past Plex's threshold, 90 % by default.
    """
    item_id, key, at = node.get("ratingKey"), node.get("historyKey"), moment(node.get("viewedAt"))
    if not item_id or not key or at is None:
        return None
    return PlayEvent(f"history:{key}", item_id, at, None, True)


def parse_playlist(
    node: Element, owner_id: str, entries: Iterable[Element] | None = None
) -> ServerPlaylist:
    """Return a playlist, with its entries where they were read."""
    count = whole(node.get("leafCount"))
    return ServerPlaylist(
        node.get("ratingKey", ""), node.get("title", ""), owner_id,
        description=node.get("summary", ""), created=node.get("addedAt", ""), count=count,
        changed=f"{node.get('updatedAt', '')}/{count}",
        entries=None
        if entries is None
        else tuple(
            PlaylistEntry(e.get("playlistItemID", ""), e.get("ratingKey", "")) for e in entries
        ),
    )  # fmt: skip


def whole(value: Any) -> int | None:
    """Return a whole number, None for what is none."""
    number = real(value)
    return int(number) if number is not None else None


def real(value: Any) -> float | None:
    """Return a number, None for what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if -1e15 < number < 1e15 else None


def moment(value: Any) -> datetime | None:
    """Return a moment from seconds since 1970."""
    seconds = real(value)
    if not seconds or not 0 < seconds < 1e11:
        return None
    return datetime.fromtimestamp(seconds, UTC)


def _rating(value: Any) -> float | None:
    number = real(value)
    return number if number is not None and 0 <= number <= 10 else None


def _tags(node: Element, name: str) -> tuple[str, ...]:
    return tuple(tag for child in node.findall(name) if (tag := child.get("tag", "")))
