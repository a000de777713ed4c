"""Users, sections and items, as plain Python."""

import copy
import itertools
import time
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.stand_ins.plex.records import (
    TYPES_OF_SECTION,
    Item,
    Media,
    Part,
    Playing,
    Playlist,
    Section,
    State,
    User,
    View,
)

TAGS = {
    "genres": "Genre", "directors": "Director", "writers": "Writer", "producers": "Producer",
    "roles": "Role", "moods": "Mood", "styles": "Style", "countries": "Country",
    "collections": "Collection", "labels": "Label", "autotags": "Autotag",
}  # fmt: skip
"""Keyword of the `add_…` methods to the element that Plex shows it as."""

Moment = datetime | float | int
File = str | Sequence[str]


class Library:
    """All that the server keeps; `now` is its clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.machine_identifier = uuid.uuid4().hex
        self.version = "1.43.0.10492-121068a07"
        self.users: list[User] = []
        self.sections: dict[int, Section] = {}
        self.items: dict[int, Item] = {}
        """By rating key."""
        self.states: dict[int, dict[Item, State]] = {}
        """By the user's id."""
        self.views: list[View] = []
        self.playlists: dict[int, Playlist] = {}
        """By rating key, which they share with the items."""
        self.sessions: dict[int, Playing] = {}
        self._next = itertools.count(1)
        self._next_key = itertools.count(101)
        self._ahead = 0.0
        self.add_user("owner")

    @property
    def now(self) -> int:
        """The server's time in whole seconds, which is all it keeps."""
        return int(time.time() + self._ahead)

    def advance(self, seconds: float) -> None:
        """Let time pass: two edits within a second look the same to clients."""
        self._ahead += seconds

    # Users

    def add_user(self, name: str, *, sections: Iterable[Section] | None = None) -> User:
        """Add an account; the first is the owner. `sections`: those that were shared with it."""
        token = f"token-{name}-{uuid.uuid4().hex[:8]}"
        number = len(self.users) + 1
        account_token = token if number == 1 else f"plex-tv-{token}"
        shared = None if sections is None else {section.key for section in sections}
        user = User(number, name, token, account_token, shared)
        self.users.append(user)
        self.states[user.id] = {}
        return user

    @property
    def owner(self) -> User:
        """Account 1."""
        return self.users[0]

    def revoke(self, user: User) -> str:
        """Take a user's token away; return the one that holds from now on."""
        user.token = f"token-{user.name}-{uuid.uuid4().hex[:8]}"
        user.account_token = user.token if user.is_owner else f"plex-tv-{user.token}"
        return user.token

    def user_of(self, token: str) -> User | None:
        """Return whose token it is."""
        return next((user for user in self.users if user.token == token), None) if token else None

    def sees(self, user: User, item: Item) -> bool:
        """Say whether the item's section was shared with the user."""
        return user.sections is None or item.section.key in user.sections

    # Adding

    def add_section(self, title: str, type: str, location: File = ()) -> Section:
        """Add a library of type movie, show, artist or photo, with its folders."""
        assert type in TYPES_OF_SECTION, TYPES_OF_SECTION
        locations = (location,) if isinstance(location, str) else tuple(location)
        key, now = max(self.sections, default=0) + 1, self.now
        section = Section(key, title, type, locations, str(uuid.uuid4()), now, now, now)
        self.sections[key] = section
        return section

    def add_movie(self, section: Section, title: str, file: File, **options: Any) -> Item:
        """Add a film; `options` as for `add_item`."""
        return self.add_item(section, "movie", title, file, **options)

    def add_show(self, section: Section, title: str, **options: Any) -> Item:
        """Add a series without episodes."""
        return self.add_item(section, "show", title, **options)

    def add_episode(
        self, show: Item, season: int, index: int, title: str, file: File, **options: Any
    ) -> Item:
        """Add an episode, and its season if it is the first."""
        seasons = {child.index: child for child in show.children or ()}
        parent = seasons.get(season) or self.add_item(
            show.section, "season", f"Season {season}", parent=show, index=season
        )
        return self.add_item(
            show.section, "episode", title, file, parent=parent, index=index, **options
        )

    def add_artist(self, section: Section, name: str, **options: Any) -> Item:
        """Add an artist without albums."""
        return self.add_item(section, "artist", name, **options)

    def add_album(self, artist: Item, title: str, **options: Any) -> Item:
        """Add an album without tracks."""
        return self.add_item(artist.section, "album", title, parent=artist, **options)

    def add_track(
        self, album: Item, index: int, title: str, file: File, *, disc: int = 1, **options: Any
    ) -> Item:
        """Add a track."""
        return self.add_item(
            album.section, "track", title, file,
            parent=album, index=index, parentIndex=disc, **options,
        )  # fmt: skip

    def add_photo_album(self, section: Section, title: str, **options: Any) -> Item:
        """Add a folder of photos."""
        return self.add_item(section, "photoalbum", title, **options)

    def add_photo(
        self, section: Section, title: str, file: File, album: Item | None = None, **options: Any
    ) -> Item:
        """Add a photo, in an album or loose."""
        return self.add_item(section, "photo", title, file, parent=album, **options)

    def add_clip(
        self, section: Section, title: str, file: File, album: Item | None = None, **options: Any
    ) -> Item:
        """Add a home video to a photo library."""
        return self.add_item(section, "clip", title, file, parent=album, **options)

    def add_item(
        self,
        section: Section,
        type: str,
        title: str,
        file: File = (),
        *,
        parent: Item | None = None,
        index: int | None = None,
        duration: float | None = None,
        size: int | None = None,
        content: bytes | Path | None = None,
        guid: str = "",
        guids: Iterable[str] = (),
        added_at: Moment | None = None,
        updated_at: Moment | None = None,
        thumb: bytes | None = None,
        art: bytes | None = None,
        **others: Any,
    ) -> Item:
        """Add anything. `duration`: seconds; several `file`s: parts of one version.

        `others`: genres, directors, writers, producers, roles (names, or name and role), moods,
        styles, countries, collections, labels; and attributes by Plex's names, such as summary,
        year, studio, rating, audienceRating, contentRating, originalTitle, titleSort, ratingCount.
        """
        assert type in TYPES_OF_SECTION[section.type], f"no {type} in a library of {section.type}"
        key, now = next(self._next_key), self.now
        tags = {TAGS[n]: _tags(others.pop(n)) for n in list(others) if n in TAGS}
        item = Item(
            key, type, section, title, guid or f"plex://{type}/{self.machine_identifier[:12]}{key:012x}",
            _seconds(added_at, now), _seconds(updated_at, now), parent, index,
            None if duration is None else round(duration * 1000), others, tags, tuple(guids),
            thumb=thumb, art=art,
        )  # fmt: skip
        if type in ("show", "season", "artist", "album", "photoalbum"):
            item.children = []
        if parent is not None:
            assert parent.children is not None
            parent.children.append(item)
        self.items[key] = item
        section.items.setdefault(type, []).append(item)
        if file:
            self.add_version(item, file, size=size, content=content)
        self._note_scan(section)
        self._changed(item, 5)
        return item

    def add_version(
        self, item: Item, file: File, *, size: int | None = None,
        content: bytes | Path | None = None,
    ) -> None:  # fmt: skip
        """Add another Media to an item, of one file or several parts."""
        if size is None and isinstance(content, bytes):
            size = len(content)
        elif size is None:
            size = content.stat().st_size if isinstance(content, Path) else 1000
        files = [file] if isinstance(file, str) else file
        parts = [Part(next(self._next), name, size, self.now, content) for name in files]
        item.media.append(Media(next(self._next), parts))

    # Changing

    def update_item(self, item: Item, **changes: Any) -> None:
        """Change title, thumb, guids, added_at … or attributes by Plex's names; stamps it."""
        for name, value in changes.items():
            if name in TAGS:
                item.tags[TAGS[name]] = _tags(value)
            elif name in Item.__slots__:
                setattr(item, name, value)
            else:
                item.fields[name] = value
        item.updated_at = changes.get("updated_at", self.now)
        item.section.revision += 1
        self._changed(item, 5)

    def remove_item(self, item: Item) -> None:
        """Remove an item, what is below it, and its places in playlists; its history stays."""
        for child in list(item.children or ()):
            self.remove_item(child)
        del self.items[item.rating_key]
        item.section.items[item.type].remove(item)
        if item.parent is not None and item.parent.children is not None:
            item.parent.children.remove(item)
        for states in self.states.values():
            states.pop(item, None)
        for playlist in self.playlists.values():
            playlist.entries = [e for e in playlist.entries if e.item is not item]
        for view in self.views:
            view.is_deleted |= view.item is item
        self._note_scan(item.section)
        self._changed(item, 9)

    def remove_section(self, section: Section) -> None:
        """Remove a library with all its items."""
        for item in list(section.all_items()):
            if item.rating_key in self.items:
                self.remove_item(item)
        del self.sections[section.key]

    def reissue_all_ids(
        self, *, reuse: bool = True, forget_playlists: bool = False, forget_users: bool = False
    ) -> None:
        """Read the media into a new database: every item gets another rating key.

        `reuse`: the same numbers, for other items; else numbers never used. Playlists lose their
        entries, or (`forget_playlists`) are gone; `forget_users`: so are ratings and views.
        """
        items = list(self.items.values())
        keys = [item.rating_key for item in items]
        new = keys[1:] + keys[:1] if reuse else [next(self._next_key) for _ in items]
        if reuse and len(items) == 1:
            new = [next(self._next_key)]
        for item, key in zip(items, new, strict=True):
            item.rating_key = key
            for media in item.media:
                media.id = next(self._next)
                for part in media.parts:
                    part.id = next(self._next)
        self.items = {item.rating_key: item for item in items}
        for playlist in self.playlists.values():
            playlist.entries = []
        if forget_playlists:
            self.playlists = {}
        if forget_users:
            self.views = []
            self.states = {user.id: {} for user in self.users}
        for section in self.sections.values():
            self._note_scan(section)

    KEPT = ("users", "sections", "items", "states", "views", "playlists")

    def back_up(self) -> dict[str, Any]:
        """Return a copy of the database, for `restore`."""
        return copy.deepcopy({name: getattr(self, name) for name in self.KEPT})

    def restore(self, backup: dict[str, Any]) -> None:
        """Put a copy of the database in place of the present one. Records held before are stale."""
        for name, value in copy.deepcopy(backup).items():
            setattr(self, name, value)
        self._next_key = itertools.count(max([*self.items, *self.playlists, 100]) + 1)
        self.forget_listings()

    def forget_listings(self) -> None:
        """Let go of what was derived from the database."""

    def _note_scan(self, section: Section) -> None:
        section.revision += 1
        section.scanned_at = self.now

    def _changed(self, item: Item, state: int) -> None:
        """Tell listeners of an item: 5: added or changed, 9: removed; see Live."""


def _seconds(moment: Moment | None, default: int) -> int:
    if moment is None:
        return default
    return int(moment.timestamp() if isinstance(moment, datetime) else moment)


def _tags(names: Iterable[str | tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, "") if isinstance(name, str) else name for name in names]
