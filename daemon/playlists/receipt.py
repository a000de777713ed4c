"""What came of one smart playlist at one target."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from daemon.playlists.selection import Entry


@dataclass(frozen=True)
class Receipt:
    """Made from what was read back, not from what was sent."""

    playlist: str
    target: str
    """"" where it did not come as far as a target."""
    state: str
    """written, unchanged, abstained, deleted (by its user) or failed."""
    message: str
    entries: Sequence[Entry]
    """The wanted list."""
    added: int = 0
    removed: int = 0
    moved: int = 0
    missing: tuple[str, ...] = ()
    """Entries that the target does not have, by name."""
    requests: int = 0
    """That were sent to write; reading not counted."""
    read_back: tuple[int, ...] | None = None
    """Items that were on the list when it was read back, in order; None where nothing was read."""

    @property
    def is_well(self) -> bool:
        """Tell whether the target is as it should be."""
        return self.state != "failed"


def count_entries(count: int) -> str:
    """Return how a receipt tells their number."""
    return "1 entry" if count == 1 else f"{count} entries"


def are(things: Collection[str]) -> str:
    """Return how a receipt says that they are."""
    return "is" if len(things) == 1 else "are"


def name_of(entry: Entry) -> str:
    """Return how a receipt names an entry."""
    return f"{entry.artist} - {entry.title}" if entry.artist else entry.title
