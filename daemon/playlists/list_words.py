"""What a playlist says of itself on a server: what it is, and why its first entries are there."""

from collections.abc import Sequence

from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.receipt import name_of
from daemon.playlists.selection import Entry
from daemon.rules.tree import DailyMix

MOST_TOLD = 5
LONGEST = 700
"""Bytes: some servers take the description in the address of a request."""


def describe_list(playlist: PlaylistSettings, entries: Sequence[Entry]) -> str:
    """Return the description of a list.

    What others see says nothing of the person's ratings and plays.
    """
    lines = [playlist.about or _rule_in_words(playlist)]
    if entries and isinstance(playlist.ordering, DailyMix):
        lines.append(entries[0].why.partition(": ")[0])  # the words that set the sort apart
    if not playlist.public:
        lines += [f"{name_of(entry)}: {entry.why}" for entry in entries[:MOST_TOLD]]
    return "\n".join(lines).encode()[:LONGEST].decode(errors="ignore")


def words_fact(playlist: str, target: str) -> str:
    """Return the name of the fact that says how a playlist was described at a target."""
    return f"described:{playlist}/{target}"


def _rule_in_words(playlist: PlaylistSettings) -> str:
    where = f" where {playlist.where}" if playlist.where else ""
    return f"Made by Anagnorisis: {playlist.kind}{where}, by {playlist.order}."[:400]
