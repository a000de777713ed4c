"""Playlists, as PlaylistManager keeps them, and what users do to them by hand."""

import re
from collections.abc import Iterable, Sequence

from tests.stand_ins.jellyfin.plays import Plays
from tests.stand_ins.jellyfin.quirks import Quirks
from tests.stand_ins.jellyfin.records import (
    MEDIA_TYPES,
    Entry,
    Item,
    Playlist,
    User,
    hashed_id,
    now,
    random_id,
)


class Crashed(Exception):
    """The server fell over in the middle of writing."""


class Lists(Plays):
    """Playlists of users."""

    def __init__(self, version: str, name: str, quirks: Quirks) -> None:
        super().__init__(version, name, quirks)
        self.playlists: dict[str, Playlist] = {}

    def playlist(self, name_or_id: str) -> Playlist:
        """Find a playlist."""
        if name_or_id in self.playlists:
            return self.playlists[name_or_id]
        return next(found for found in self.playlists.values() if found.name == name_or_id)

    def playlist_items(self, name_or_id: str) -> list[str]:
        """Return the ids of the items in a playlist, in order."""
        return [item.id for _, item in self.resolve(self.playlist(name_or_id))]

    # What a person does on the server

    def make_playlist(
        self,
        owner: str,
        name: str,
        items: Iterable[str] = (),
        *,
        media_type: str = "Audio",
        is_public: bool = False,
        shares: dict[str, bool] | None = None,
    ) -> str:
        """Let a user make a playlist; return its id. Names need not be unique."""
        folder = re.sub(r'[/\\:*?"<>|]', " ", name).strip()
        path = f"/config/data/playlists/{folder}"
        while any(playlist.path == path for playlist in self.playlists.values()):
            path += "1"
        owner_id, moment = self.user(owner).id, now()
        playlist = Playlist(
            hashed_id("Playlist", path), name, path, owner_id, media_type, is_public,
            moment, moment, shares={self.user(u).id: edit for u, edit in (shares or {}).items()},
        )  # fmt: skip
        self.playlists[playlist.id] = playlist
        self.append(playlist, list(items))
        return playlist.id

    def rename_playlist(self, name_or_id: str, name: str) -> None:
        """Let the owner rename a playlist; its id stays."""
        playlist = self.playlist(name_or_id)
        playlist.name = name
        playlist.saved = now()

    def empty_playlist(self, name_or_id: str) -> None:
        """Let the owner take everything out."""
        self.keep(self.playlist(name_or_id), [])

    def delete_playlist(self, name_or_id: str) -> None:
        """Let the owner delete a playlist. Another of its name will have the same id."""
        del self.playlists[self.playlist(name_or_id).id]

    def add_by_hand(self, name_or_id: str, *items: str) -> None:
        """Let the owner add items at the end."""
        self.append(self.playlist(name_or_id), items)

    # What the server does

    def is_visible(self, playlist: Playlist, user: User | None) -> bool:
        """Say whether a user sees a playlist; an API key sees all."""
        if user is None or self.quirks.sees_all_playlists:
            return True
        return playlist.is_public or user.id in (playlist.owner_id, *playlist.shares)

    def may_edit(self, playlist: Playlist, user: User) -> bool:
        """Say whether a user may change what is in a playlist."""
        return user.id == playlist.owner_id or playlist.shares.get(user.id, False)

    def resolve(self, playlist: Playlist, user: User | None = None) -> list[tuple[Entry, Item]]:
        """Return the places whose items are there, and seen by the user."""
        paths: dict[str, Item] = {}
        if any(entry.item_id not in self.items for entry in playlist.entries):
            paths = {item.path: item for item in self.items.values()}
        found = []
        for entry in playlist.entries:
            item = self.items.get(entry.item_id) or paths.get(entry.path)
            if item is not None and self.sees(user, item):
                found.append((entry, item))
        return found

    def sees(self, user: User | None, item: Item) -> bool:
        """Say whether an item lies in one of the user's libraries."""
        return user is None or user.libraries is None or item.library_id in user.libraries

    def append(
        self,
        playlist: Playlist,
        item_ids: Sequence[str],
        user: User | None = None,
        position: int | None = None,
    ) -> None:
        """Add items; those that are unknown or not seen vanish, folders are opened."""
        if self.quirks.drops_half_of_batches and user is not None:  # None: done by hand
            item_ids = item_ids[::2]
        items = [leaf for item_id in item_ids for leaf in self.leaves(item_id)]
        items = [item for item in items if self.sees(user, item)]
        if self.quirks.filters_media_type:
            items = [i for i in items if MEDIA_TYPES.get(i.type) == playlist.media_type]
        if self.quirks.drops_duplicates:
            present = {entry.item_id for entry in playlist.entries}
            items = [i for i in {i.id: i for i in items}.values() if i.id not in present]
        new = [Entry(item.id, item.path) for item in items]
        at = len(playlist.entries) if position is None else position
        self.keep(playlist, [*playlist.entries[:at], *new, *playlist.entries[at:]])

    def replace(self, playlist: Playlist, item_ids: Sequence[str], user: User) -> None:
        """Put these items in place of all: emptied and saved, filled and saved."""
        self.keep(playlist, [])
        if self.quirks.crashes_between_saves:
            self.quirks.crashes_between_saves -= 1
            raise Crashed
        self.append(playlist, item_ids, user)

    def remove_entries(self, playlist: Playlist, entry_ids: Iterable[str]) -> None:
        """Remove places, by the ids that the version gives them."""
        gone = set(entry_ids)
        kept = [entry for entry in playlist.entries if self.entry_id(entry) not in gone]
        self.keep(playlist, kept)

    def move_entry(self, playlist: Playlist, entry_id: str, index: int) -> bool:
        """Move the first place of that id; return whether there is one."""
        ids = [self.entry_id(entry) for entry in playlist.entries]
        if entry_id not in ids:
            return False
        old = ids.index(entry_id)
        if old == index:
            return True
        if self.quirks.move_is_off_by_one and (index > old or index == 0):
            index += 1
        entries = list(playlist.entries)
        entries.insert(index, entries.pop(old))
        self.keep(playlist, entries)
        return True

    def entry_id(self, entry: Entry) -> str:
        """Return PlaylistItemId."""
        return entry.id if self.quirks.random_entry_ids else entry.item_id

    def keep(self, playlist: Playlist, entries: list[Entry]) -> None:
        """Save: every place gets another random id."""
        for entry in entries:
            entry.id = random_id()
        playlist.entries = entries
        playlist.saved = now()
