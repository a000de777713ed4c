"""From the server's JSON to our dataclasses. Whatever is missing or odd is left out."""

from typing import Any

from connectors.base import Kind, Metadata
from connectors.jellyfin.values import (
    TICKS,
    dicts,
    mapping,
    moment,
    names,
    plain_id,
    real,
    rows_of,
    text,
    whole,
)
from connectors.server import Account, ItemState, PlaylistEntry, ServerItem, ServerPlaylist

KINDS: dict[str, Kind] = {
    "Audio": "music", "AudioBook": "music", "Movie": "videos", "Episode": "videos",
    "MusicVideo": "videos", "Video": "videos", "Photo": "images", "Book": "text",
}  # fmt: skip
"""Jellyfin's types of leaves."""

PROVIDERS = {
    "musicbrainzrecording": "musicbrainz_recording", "musicbrainztrack": "musicbrainz_track",
    "musicbrainzalbum": "musicbrainz_album", "musicbrainzartist": "musicbrainz_artist",
    "musicbrainzalbumartist": "musicbrainz_albumartist",
    "musicbrainzreleasegroup": "musicbrainz_releasegroup",
    "imdb": "imdb", "tmdb": "tmdb", "tvdb": "tvdb", "acoustid": "acoustid", "isrc": "isrc",
}  # fmt: skip
"""MusicBrainzTrack may hold the id of a recording too, as the tagger had it: it cannot be told."""

ORDER = (
    "Director", "Actor", "Author", "Artist", "Creator", "Writer", "Composer", "Conductor",
    "Lyricist", "Narrator", "GuestStar", "Producer",
)  # fmt: skip
MOST_PEOPLE = 30
MOST_LYRICS = 32_768
"""Characters."""


def parse_item(item: dict[str, Any]) -> ServerItem | None:
    """Return one leaf; None for what is none of ours, and for an episode that is only announced."""
    kind = KINDS.get(text(item.get("Type")))
    external_id = plain_id(item.get("Id"))
    if kind is None or not external_id or item.get("LocationType") == "Virtual":
        return None
    source = _source(item)
    return ServerItem(
        external_id, kind, _metadata(item, source),
        text(item.get("Path")) or text(source.get("Path")), True, whole(source.get("Size")),
        text(item.get("Etag")), moment(item.get("DateCreated")),
    )  # fmt: skip


def _source(item: dict[str, Any]) -> dict[str, Any]:
    """Return the version of a film that the item itself names, else the first."""
    sources = dicts(item.get("MediaSources"))
    path = text(item.get("Path"))
    own = (source for source in sources if path and source.get("Path") == path)
    return next(own, sources[0] if sources else {})


def _metadata(item: dict[str, Any], source: dict[str, Any]) -> Metadata:
    is_episode = item.get("Type") == "Episode"
    streams = dicts(source.get("MediaStreams"))
    sound = _stream(streams, "Audio")
    picture = _stream(streams, "Video")
    ticks = real(item.get("RunTimeTicks")) or real(source.get("RunTimeTicks"))
    return Metadata(
        title=text(item.get("Name")),
        artists=names(item.get("Artists")) or names(item.get("ArtistItems")),
        album=text(item.get("Album")),
        album_artist=text(item.get("AlbumArtist")) or ", ".join(names(item.get("AlbumArtists"))),
        series=text(item.get("SeriesName")),
        track=None if is_episode else whole(item.get("IndexNumber")),
        disc=None if is_episode else whole(item.get("ParentIndexNumber")),
        season=whole(item.get("ParentIndexNumber")) if is_episode else None,
        episode=whole(item.get("IndexNumber")) if is_episode else None,
        genres=names(item.get("Genres")),
        keywords=names(item.get("Tags")),
        people=_people(item.get("People")),
        studios=names(item.get("Studios")),
        year=whole(item.get("ProductionYear")),
        duration=ticks / TICKS if ticks and ticks > 0 else None,
        width=whole(item.get("Width")) or whole(picture.get("Width")),
        height=whole(item.get("Height")) or whole(picture.get("Height")),
        overview=text(item.get("Overview")),
        language=text(sound.get("Language")),
        community_rating=_rating(item.get("CommunityRating")),
        provider_ids=_provider_ids(item.get("ProviderIds")),
        extra=_extra(item),
    )


def _stream(streams: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the stream of a kind that is played unless another is chosen."""
    fitting = [stream for stream in streams if stream.get("Type") == kind]
    default = (stream for stream in fitting if stream.get("IsDefault") is True)
    return next(default, fitting[0] if fitting else {})


def _provider_ids(ids: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in ids.items() if isinstance(ids, dict) else ():
        ours = PROVIDERS.get(text(name).replace(" ", "").lower())
        if ours and text(value):
            found[ours] = text(value)
    return found


def _extra(item: dict[str, Any]) -> dict[str, str]:
    original = text(item.get("OriginalTitle"))
    camera = (text(item.get("CameraMake")), text(item.get("CameraModel")))
    extra = {
        "certificate": text(item.get("OfficialRating")),
        "critics": text(item.get("CriticRating")),
        "original title": original if original != text(item.get("Name")) else "",
        "premiere": text(item.get("PremiereDate"))[:10],
        "made in": ", ".join(names(item.get("ProductionLocations"))),
        "tagline": " ".join(names(item.get("Taglines"))),
        "camera": " ".join(name for name in camera if name),
    }
    return {label: value for label, value in extra.items() if value}


def _people(values: Any) -> tuple[str, ...]:
    """Return names, directors first; of equals the server's order, which is of billing, stays."""
    people = [person for person in dicts(values) if text(person.get("Name"))]
    rank = {kind: n for n, kind in enumerate(ORDER)}
    people.sort(key=lambda person: rank.get(text(person.get("Type")), len(ORDER)))
    return tuple(dict.fromkeys(text(person["Name"]) for person in people))[:MOST_PEOPLE]


def parse_lyrics(said: Any) -> str:
    """Return the lines of LyricDto."""
    lines = (text(line.get("Text")) for line in dicts(mapping(said).get("Lyrics")))
    return "\n".join(lines).strip()[:MOST_LYRICS]


def parse_row_state(row: dict[str, Any]) -> ItemState | None:
    """Return what a listing says that its user did with an item."""
    item_id = plain_id(row.get("Id"))
    data = row.get("UserData")
    if not item_id or not isinstance(data, dict):
        return None
    return parse_state(item_id, data, KINDS.get(text(row.get("Type"))))


def parse_state(item_id: str, data: dict[str, Any], kind: Kind | None) -> ItemState:
    """Return what a user did. `data`: UserItemDataDto; `kind` None: not known.

    Audio is held for played as soon as it begins, so that says nothing.
    """
    ticks = real(data.get("PlaybackPositionTicks")) or 0
    position = ticks / TICKS if ticks > 0 else None
    return ItemState(
        item_id,
        plays=whole(data.get("PlayCount")),
        last_played=moment(data.get("LastPlayedDate")),
        position=position,
        is_finished=data.get("Played") is True and not position if kind == "videos" else None,
        is_favourite=data.get("IsFavorite") is True,
        rating=_rating(data.get("Rating")),
    )


def parse_playlist(item: dict[str, Any], account: Account, *, is_admin: bool) -> ServerPlaylist:
    """Return a playlist without its entries.

    Who owns it is not told, but who may delete it: its owner, and administrators.
    """
    is_own = item.get("CanDelete") is True and not is_admin
    return ServerPlaylist(
        plain_id(item.get("Id")), text(item.get("Name")), account.user_id if is_own else "",
        description=text(item.get("Overview")), created=text(item.get("DateCreated")),
        count=whole(item.get("ChildCount")), changed=text(item.get("Etag")),
    )  # fmt: skip


def parse_entries(said: Any) -> list[PlaylistEntry]:
    """Return the entries of one page of a playlist; none may be left out. Raises Misshapen."""
    entries = []
    for row in rows_of(said):
        item_id = plain_id(row.get("Id"))
        entries.append(PlaylistEntry(text(row.get("PlaylistItemId")) or item_id, item_id))
    return entries


def _rating(value: Any) -> float | None:
    number = real(value)
    return number if number is not None and 0 <= number <= 10 else None
