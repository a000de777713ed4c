"""How servers of different versions, and in different states, behave: each a switch."""

from dataclasses import dataclass, replace
from typing import Any, Self

VERSIONS = ("10.8.13", "10.9.11", "10.10.7", "10.11.11", "12.0.0")


@dataclass
class Quirks:
    """What is not the same everywhere. Set the fields of a running stand-in freely."""

    legacy_authorization: bool = True
    """Tokens are taken from X-Emby-Token, api_key= and the like."""
    legacy_routes: bool = False
    """/Users/{id}/Items and its kind answer, as they do on real servers of every version."""
    drops_duplicates: bool = True
    """A playlist holds an item once."""
    random_entry_ids: bool = False
    """Places in a playlist have ids that are others after each change."""
    sees_all_playlists: bool = False
    filters_media_type: bool = False
    """A playlist takes only items of its media type."""
    key_removes_entries: bool = True
    """An API key may remove entries of playlists."""
    move_is_off_by_one: bool = False
    broken_min_date_last_saved: bool = False
    """minDateLastSaved finds nothing (only minDateLastSavedForUser works)."""
    item_id_in_user_data: bool = True
    """UserData.ItemId is the item's, not zeros."""
    sessions_need_admin: bool = True
    """Only an administrator's socket is told about sessions."""

    login_fails_with_500: bool = False
    has_playback_reporting: bool = False
    quick_connect: bool = True
    total_shifts: bool = False
    """The total of a listing is another one with every page."""
    drops_half_of_batches: bool = False
    """Every second item written to a playlist is lost, without a word."""
    crashes_between_saves: int = 0
    """So many replacements empty the playlist and then fail."""
    user_data_delay: float = 0.02
    """Seconds that changes of user data are gathered before sockets are told (really 0.5)."""
    library_delay: float = 0.02
    """The same for changes of the library (really 30)."""
    keep_alive: float = 60
    """Seconds after which a socket that does not say KeepAlive is closed."""
    longest_request_line: int = 8192
    """Bytes."""

    @classmethod
    def of(cls, version: str, **switches: Any) -> Self:
        """Return the quirks of a version with some of them set otherwise."""
        number = tuple(int(part) for part in version.split(".")[:2])
        quirks = cls(
            legacy_authorization=number < (12, 0),
            legacy_routes=number < (10, 9),
            drops_duplicates=(10, 9) <= number < (12, 0),
            random_entry_ids=number < (10, 10),
            sees_all_playlists=number < (10, 9),
            filters_media_type=number < (10, 9),
            key_removes_entries=number >= (10, 11),
            move_is_off_by_one=number == (10, 10),
            broken_min_date_last_saved=number < (10, 11),
            item_id_in_user_data=number >= (10, 11),
            sessions_need_admin=number >= (10, 9),
        )
        return replace(quirks, **switches)
