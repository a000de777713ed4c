"""Playlists, and what their owners do to them by hand."""

import uuid
from collections.abc import Iterable, Sequence

from tests.stand_ins.plex.plays import Plays
from tests.stand_ins.plex.records import PLAYLIST_TYPES, Entry, Item, Playlist, User


class Lists(Plays):
    """Adds the playlists of the users."""

    def playlists_of(self, user: User, title: str | None = None) -> list[Playlist]:
        """Return a user's playlists (of a title)."""
        return [
            playlist
            for playlist in list(self.playlists.values())  # another thread may add one
            if playlist.user is user and title in (None, playlist.title)
        ]

    def create_playlist(
        self,
        user: User,
        title: str,
        items: Iterable[Item] = (),
        *,
        type: str = "audio",
        is_smart: bool = False,
    ) -> Playlist:
        """Make a playlist; `type` only counts while it is empty. Titles need not be unique."""
        items = list(items)
        kind = PLAYLIST_TYPES[items[0].type] if items else type
        guid = f"com.plexapp.agents.none://{uuid.uuid4()}"
        key, now = next(self._next_key), self.now
        playlist = Playlist(key, user, title, kind, guid, now, now, is_smart=is_smart)
        self.playlists[key] = playlist
        self.append(playlist, items)
        return playlist

    def append(self, playlist: Playlist, items: Iterable[Item]) -> None:
        """Add items at the end; each may be there already."""
        playlist.entries += [Entry(next(self._next), item) for item in items]
        playlist.updated_at = self.now

    def rename_playlist(self, playlist: Playlist, title: str) -> None:
        """Give another title."""
        playlist.title, playlist.updated_at = title, self.now

    def empty_playlist(self, playlist: Playlist) -> None:
        """Take everything out."""
        playlist.entries, playlist.updated_at = [], self.now

    def delete_playlist(self, playlist: Playlist) -> None:
        """Delete it; its rating key is not used again."""
        del self.playlists[playlist.rating_key]

    def reorder_playlist(self, playlist: Playlist, order: Sequence[int]) -> None:
        """Put the entries into another order, given as their present places."""
        assert sorted(order) == list(range(len(playlist.entries)))
        playlist.entries = [playlist.entries[place] for place in order]
        playlist.updated_at = self.now

    def remove_entry(self, playlist: Playlist, place: int) -> None:
        """Take one entry out."""
        del playlist.entries[place]
        playlist.updated_at = self.now

    def move_entry(self, playlist: Playlist, entry: Entry, after: Entry | None) -> None:
        """Put an entry behind another, or (None) first."""
        if entry is after:
            return
        playlist.entries.remove(entry)
        place = 0 if after is None else playlist.entries.index(after) + 1
        playlist.entries.insert(place, entry)
        playlist.updated_at = self.now
