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
"""Schemes of ids. A track's mbid is MusicBrainz's id of the track on a release, no recording."""
AGENTS = {"imdb": "imdb", "themoviedb": "tmdb"}
"""The agents of old, whose guid names a film so: com.plexapp.agents.imdb://tt1?lang=en."""


def parse_item(node: Element) -> ServerItem | None:
    """Return one leaf; None for what is none of ours."""
    kind = KINDS.get(node.get("type", ""))
    external_id = node.get("ratingKey", "")
    if kind is None or not external_id:
        return None
    media = _original(node)
    part = media.find("Part") if media is not None else None
    return ServerItem(
        external_id, kind, _metadata(node, kind),
        part.get("file", "") if part is not None else "", True,
        whole(part.get("size")) if part is not None else None,
        node.get("updatedAt", ""), moment(node.get("addedAt")),
    )  # fmt: skip


def _original(node: Element) -> Element | None:
    """Return the first version that Plex did not make itself for some device."""
    versions = node.findall("Media")
    own = (m for m in versions if not m.get("target") and m.get("proxyType") != "42")
    return next(own, versions[0] if versions else None)


def _metadata(node: Element, kind: Kind) -> Metadata:
    is_track, is_episode = kind == "music", node.get("type") == "episode"
    media = _original(node)
    milliseconds = real(node.get("duration"))
    names = (node.get("originalTitle", ""), node.get("grandparentTitle", ""))
    artist = next((name for name in names if name), "") if is_track else ""
    extra = {
        "certificate": node.get("contentRating", ""),
        "critics": node.get("rating", "") if node.get("audienceRating") else "",
        "tagline": node.get("tagline", ""),
        "original title": "" if is_track else node.get("originalTitle", ""),
        "country": ", ".join(_tags(node, "Country")),
        "album": node.get("parentTitle", "") if kind == "images" else "",
        "camera": _camera(media) if kind == "images" and media is not None else "",
    }
    people = [*_tags(node, "Director"), *_tags(node, "Role"), *_tags(node, "Writer")]
    kinds = ("Style", "Mood", "Label", "Tag", "Collection")
    keywords = dict.fromkeys(tag for kind_of_tag in kinds for tag in _tags(node, kind_of_tag))
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
        keywords=tuple(keywords),
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


def _camera(media: Element) -> str:
    names = (media.get(name, "") for name in ("make", "model", "lens"))
    return " ".join(name for name in names if name)


def _provider_ids(node: Element) -> dict[str, str]:
    found: dict[str, str] = {}
    own = node.get("guid", "")
    for guid in (*(child.get("id", "") for child in node.findall("Guid")), own):
        scheme, _, value = guid.partition("://")
        value = value.partition("?")[0]
        agent = scheme.removeprefix("com.plexapp.agents.")
        if scheme in GUIDS:
            name = GUIDS[scheme]
        elif agent != scheme and node.get("type") == "movie":  # of an episode they name the series
            name = AGENTS.get(agent, "")
        else:
            name = "plex" if scheme == "plex" else ""
        if name and value:
            found.setdefault(name, value)
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
    node: Element, owner_id: str, entries: Iterable[PlaylistEntry] | None = None
) -> ServerPlaylist:
    """Return a playlist, with its entries where they were read."""
    count = whole(node.get("leafCount"))
    return ServerPlaylist(
        node.get("ratingKey", ""), node.get("title", ""), owner_id,
        description=node.get("summary", ""), created=node.get("addedAt", ""), count=count,
        changed=f"{node.get('updatedAt', '')}/{count}",
        entries=None if entries is None else tuple(entries),
    )  # fmt: skip


def parse_entry(node: Element) -> PlaylistEntry:
    """Return one place of a playlist."""
    return PlaylistEntry(node.get("playlistItemID", ""), node.get("ratingKey", ""))


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
