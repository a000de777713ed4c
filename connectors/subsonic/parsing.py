"""From the server's JSON to our dataclasses. Whatever is missing or odd is left out."""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from connectors.base import Metadata
from connectors.server import ItemState, PlaylistEntry, ServerItem, ServerPlaylist

MAKES_UP_PATHS = ("navidrome", "lms", "funkwhale")
"""Servers whose relative paths are made from the tags. Navidrome's real ones are absolute."""


def parse_song(song: dict[str, Any], *, server: str = "", root: str = "") -> ServerItem | None:
    """Return one track; None where it has no id, or is a folder or a film.

    `server`: its `type`; `root`: name of the music folder that the path counts from, where there
    are several.
    """
    external_id = text(song.get("id"))
    if not external_id or _is_true(song.get("isDir")) or _is_true(song.get("isVideo")):
        return None
    extra = {
        label: text(song.get(name))
        for label, name in (("tempo", "bpm"), ("comment", "comment"))
        if text(song.get(name)) not in ("", "0")
    }
    metadata = Metadata(
        title=text(song.get("title")) or text(song.get("path")).rpartition("/")[2],
        artists=_names(song.get("artists")) or _one(song.get("artist")),
        album=text(song.get("album")),
        album_artist=text(song.get("displayAlbumArtist"))
        or ", ".join(_names(song.get("albumArtists"))),
        track=whole(song.get("track")),
        disc=whole(song.get("discNumber")),
        genres=_names(song.get("genres")) or _one(song.get("genre")),
        keywords=_strings(song.get("moods")),
        people=tuple(
            dict.fromkeys(_names(c.get("artist") for c in _dicts(song.get("contributors"))))
        ),
        year=whole(song.get("year")),
        duration=real(song.get("duration")),
        provider_ids={
            name: value
            for name, value in (
                ("musicbrainz_recording", text(song.get("musicBrainzId"))),
                ("isrc", next(iter(_strings(song.get("isrc"))), "")),
            )
            if value
        },
        extra=extra,
    )
    size = whole(song.get("size"))
    path = text(song.get("path"))
    is_relative = path[:1] not in ("", "/", "\\") and path[1:2] != ":"
    is_made_up = is_relative and server.casefold() in MAKES_UP_PATHS
    if is_relative:
        path = f"/{root}/{path}" if root else f"/{path}"  # it counts from the music folder
    whole_song = json.dumps([metadata.as_dict(), path, size], sort_keys=True)
    return ServerItem(
        external_id, "music", metadata, path, bool(path) and not is_made_up, size,
        hashlib.blake2b(whole_song.encode(), digest_size=8).hexdigest(),
        moment(song.get("created")),
    )  # fmt: skip


def parse_state(song: dict[str, Any]) -> ItemState:
    """Return what the user did with a track."""
    stars = whole(song.get("userRating"))
    starred = song.get("starred")
    return ItemState(
        text(song.get("id")),
        plays=whole(song.get("playCount")),
        last_played=moment(song.get("played")),
        is_favourite=bool(starred) and starred != "false",
        rating=2.0 * min(stars, 5) if stars else None,
        rated_at=moment(starred) if not stars and _has_zone(starred) else None,
    )


def is_touched(state: ItemState) -> bool:
    """Tell whether there is anything to say of it."""
    return bool(state.plays or state.last_played or state.is_favourite or state.rating)


def parse_playlist(playlist: dict[str, Any]) -> ServerPlaylist:
    """Return a playlist, with its entries where the server sent them."""
    entries = playlist.get("entry")
    public = playlist.get("public")
    return ServerPlaylist(
        text(playlist.get("id")),
        text(playlist.get("name")),
        text(playlist.get("owner")),
        _is_true(public) if public is not None else None,
        text(playlist.get("comment")),
        text(playlist.get("created")),
        whole(playlist.get("songCount")),
        text(playlist.get("changed")),
        tuple(PlaylistEntry(i, i) for e in _dicts(entries) if (i := text(e.get("id"))))
        if entries is not None
        else None,
    )


def text(value: Any) -> str:
    """Return a value as text; "" for what is none."""
    return str(value) if isinstance(value, str | int | float) and value is not True else ""


def whole(value: Any) -> int | None:
    """Return a number that may have been sent as text."""
    number = real(value)
    return int(number) if number is not None else None


def real(value: Any) -> float | None:
    """Return a number that may have been sent as text."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if 0 <= number < 1e15 and value is not True else None


def moment(value: Any) -> datetime | None:
    """Return a moment; one without a zone is in UTC."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return found.astimezone(UTC) if found.year > 1970 else None


def _has_zone(value: Any) -> bool:
    """Tell whether a moment can be compared with ours: one without a zone is the server's own."""
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def _is_true(value: Any) -> bool:
    return value is True or value == "true"


def _dicts(values: Any) -> list[dict[str, Any]]:
    if isinstance(values, dict):
        return [values]
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def _names(values: Any) -> tuple[str, ...]:
    """Return the names of [{name: …}], or of plain strings."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return ()
    found = (v.get("name") if isinstance(v, dict) else v for v in values)
    return tuple(v for v in found if isinstance(v, str) and v)


def _strings(values: Any) -> tuple[str, ...]:
    return _names(values) if isinstance(values, list) else _one(values)


def _one(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else ()
