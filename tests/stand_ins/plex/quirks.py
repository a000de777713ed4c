"""What real Plex servers do that one would not expect, each a switch."""

from dataclasses import dataclass


@dataclass
class Quirks:
    """Switches; they may be turned while the server runs."""

    tags_in_listings: int | None = 2
    """How many of each of Genre, Role, Director … a listing shows; all are in /library/metadata."""
    longest_url: int = 8192
    """Bytes; longer ones are answered with 414."""
    needs_client_identifier: bool = True
    """400 without the header (or query) X-Plex-Client-Identifier."""
    drops_half_of_batch: bool = False
    """Adding several items to a playlist leaves out every second one, and reports success."""
    total_drifts: bool = False
    """The totalSize of a listing grows by one with every page."""
    blank_playlists: bool = True
    """Whether a playlist may be made without items (400 otherwise)."""
    shared_users_may_see_library: bool = False
    """Whether users but the owner may read /library, /accounts and /status/sessions (else 403)."""
