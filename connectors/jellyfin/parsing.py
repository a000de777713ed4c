"""From the server's JSON to our dataclasses. Whatever is missing or odd is left out."""

from datetime import UTC, datetime
from typing import Any

from connectors.base import Kind, Metadata
from connectors.server import ItemState, PlaylistEntry, ServerItem, ServerPlaylist

TICKS = 10_000_000
"""A second."""

KINDS: dict[str, Kind] = {
    "Audio": "music", "AudioBook": "music", "Movie": "videos", "Episode": "videos",
    "MusicVideo": "videos", "Video": "videos", "Photo": "images", "Book": "text",
}  # fmt: skip
"""Jellyfin's types of leaves."""

PROVIDERS = {
    "MusicBrainzRecording": "musicbrainz_recording", "MusicBrainzTrack": "musicbrainz_track",
    "MusicBrainzAlbum": "musicbrainz_album", "MusicBrainzArtist": "musicbrainz_artist",
    "MusicBrainzAlbumArtist": "musicbrainz_albumartist",
    "MusicBrainzReleaseGroup": "musicbrainz_releasegroup",
    "Imdb": "imdb", "Tmdb": "tmdb", "Tvdb": "tvdb", "AcoustId": "acoustid",
}  # fmt: skip

ORDER = ("Director", "Actor", "Writer", "Artist", "Composer", "GuestStar", "Producer")


def parse_item(item: dict[str, Any]) -> ServerItem | None:
    """Return one leaf; None for what is none of ours."""
    kind = KINDS.get(text(item.get("Type")))
    external_id = text(item.get("Id"))
    if kind is None or not external_id:
        return None
    sources = _dicts(item.get("MediaSources"))
    first = sources[0] if sources else {}
    return ServerItem(
        external_id, kind, _metadata(item), text(item.get("Path")) or text(first.get("Path")),
        True, whole(first.get("Size")), text(item.get("Etag")), moment(item.get("DateCreated")),
    )  # fmt: skip


def _metadata(item: dict[str, Any]) -> Metadata:
    is_episode = item.get("Type") == "Episode"
    extra = {
        "certificate": text(item.get("OfficialRating")),
        "critics": text(item.get("CriticRating")),
        "original title": text(item.get("OriginalTitle")),
        "premiere": text(item.get("PremiereDate"))[:10],
        "made in": ", ".join(_names(item.get("ProductionLocations"))),
        "tagline": " ".join(_names(item.get("Taglines"))),
    }
    if extra["original title"] == text(item.get("Name")):
        del extra["original title"]
    providers = item.get("ProviderIds")
    ticks = real(item.get("RunTimeTicks"))
    return Metadata(
        title=text(item.get("Name")),
        artists=_names(item.get("Artists")),
        album=text(item.get("Album")),
        album_artist=text(item.get("AlbumArtist")),
        series=text(item.get("SeriesName")),
        track=None if is_episode else whole(item.get("IndexNumber")),
        disc=None if is_episode else whole(item.get("ParentIndexNumber")),
        season=whole(item.get("ParentIndexNumber")) if is_episode else None,
        episode=whole(item.get("IndexNumber")) if is_episode else None,
        genres=_names(item.get("Genres")),
        keywords=_names(item.get("Tags")),
        people=_people(item.get("People")),
        studios=_names(item.get("Studios")),
        year=whole(item.get("ProductionYear")),
        duration=ticks / TICKS if ticks else None,
        width=whole(item.get("Width")),
        height=whole(item.get("Height")),
        overview=text(item.get("Overview")),
        community_rating=_rating(item.get("CommunityRating")),
        provider_ids={
            PROVIDERS[name]: text(value)
            for name, value in (providers.items() if isinstance(providers, dict) else ())
            if name in PROVIDERS and text(value)
        },
        extra={label: value for label, value in extra.items() if value},
    )


def parse_state(item_id: str, data: dict[str, Any], kind: Kind | None) -> ItemState:
    """Return what a user did. Audio is held for played as soon as it begins, so that says nothing.

    `data`: UserItemDataDto.
    """
    position = (real(data.get("PlaybackPositionTicks")) or 0) / TICKS
    return ItemState(
        item_id,
        plays=whole(data.get("PlayCount")),
        last_played=moment(data.get("LastPlayedDate")),
        position=position or None,
        is_finished=bool(data.get("Played")) and not position if kind == "videos" else None,
        is_favourite=data.get("IsFavorite") is True,
        rating=_rating(data.get("Rating")),
    )


def parse_playlist(item: dict[str, Any], owner_id: str = "") -> ServerPlaylist:
    """Return a playlist, without its entries."""
    return ServerPlaylist(
        text(item.get("Id")), text(item.get("Name")), owner_id,
        description=text(item.get("Overview")), created=text(item.get("DateCreated")),
        count=whole(item.get("ChildCount")), changed=text(item.get("Etag")),
    )  # fmt: skip


def parse_entry(item: dict[str, Any]) -> PlaylistEntry | None:
    """Return one entry of a playlist."""
    item_id = text(item.get("Id"))
    return PlaylistEntry(text(item.get("PlaylistItemId")) or item_id, item_id) if item_id else None


def text(value: Any) -> str:
    """Return a value as text; "" for what is none."""
    return str(value) if isinstance(value, str | int | float) and value is not True else ""


def whole(value: Any) -> int | None:
    """Return a whole number, None for what is none."""
    number = real(value)
    return int(number) if number is not None else None


def real(value: Any) -> float | None:
    """Return a number, None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e18 < value < 1e18 else None


def moment(value: Any) -> datetime | None:
    """Return a moment in UTC; the server gives seven digits of a second."""
    if not isinstance(value, str):
        return None
    head, _, fraction = value.rstrip("Z").partition(".")
    try:
        found = datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}" if fraction else head)
    except ValueError:
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC) if found.year > 1 else None


def _rating(value: Any) -> float | None:
    number = real(value)
    return number if number is not None and 0 <= number <= 10 else None


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _names(values: Any) -> tuple[str, ...]:
    """Return the names of [{Name: …}], or of plain strings."""
    if not isinstance(values, list):
        return ()
    found = (v.get("Name") if isinstance(v, dict) else v for v in values)
    return tuple(v for v in found if isinstance(v, str) and v)


def _people(values: Any) -> tuple[str, ...]:
    """Return names, directors first; of equals the server's order stays."""
    people = [p for p in _dicts(values) if isinstance(p.get("Name"), str)]
    rank = {kind: n for n, kind in enumerate(ORDER)}
    people.sort(key=lambda person: rank.get(text(person.get("Type")), len(ORDER)))
    return tuple(dict.fromkeys(person["Name"] for person in people))[:30]
