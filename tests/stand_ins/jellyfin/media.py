"""Libraries and their items, and how tests set them up and change them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from tests.stand_ins.jellyfin.quirks import Quirks
from tests.stand_ins.jellyfin.records import FOLDERS, Item, Library, User, hashed_id, now, random_id

Person = str | tuple[str, str] | tuple[str, str, str]


class Media:
    """What there is to play. Ids are the server's own: 32 hex digits made from the path."""

    def __init__(self, version: str, name: str, quirks: Quirks) -> None:
        self.version = version
        self.number = tuple(int(part) for part in version.split(".")[:2])
        self.name = name
        self.server_id = random_id()
        self.quirks = quirks
        self.users: dict[str, User] = {}
        self.libraries: dict[str, Library] = {}
        self.items: dict[str, Item] = {}
        self.revision = 0
        """Grows whenever an item comes, goes or changes."""
        self.salt = ""
        self.tell_library: Callable[..., None] = lambda **_: None
        self.tell_user_data: Callable[[User, Item], None] = lambda *_: None

    # Users

    def add_user(
        self,
        name: str,
        password: str = "",
        *,
        is_admin: bool = False,
        libraries: Iterable[str] | None = None,
    ) -> str:
        """Let somebody sign in; return the user's id. `libraries`: those they see (None: all)."""
        visible = None if libraries is None else tuple(libraries)
        user = User(random_id(), name, password, is_admin, visible)
        self.users[user.id] = user
        return user.id

    def user(self, name_or_id: str) -> User:
        """Find a user."""
        if name_or_id in self.users:
            return self.users[name_or_id]
        return next(user for user in self.users.values() if user.name == name_or_id)

    # Libraries and items

    def add_library(self, name: str, collection_type: str, *paths: str) -> str:
        """Make a library ("music", "movies", "tvshows" …) of folders; return its id."""
        library_id = hashed_id("CollectionFolder", f"/config/root/default/{name}", self.salt)
        self.libraries[library_id] = Library(library_id, name, collection_type, paths)
        return library_id

    def add_item(
        self,
        library: str,
        type: str,
        name: str,
        path: str,
        *,
        runtime: float | None = None,
        size: int | None = None,
        provider_ids: Mapping[str, str] | None = None,
        genres: Sequence[str] = (),
        tags: Sequence[str] = (),
        studios: Sequence[str] = (),
        people: Sequence[Person] = (),
        overview: str | None = None,
        artists: Sequence[str] = (),
        album_artist: str | None = None,
        album: str | None = None,
        series: str | None = None,
        disc_or_season: int | None = None,
        number: int | None = None,
        year: int | None = None,
        image: bytes | None = None,
        content: bytes | None = None,
        lyrics: Sequence[str] | None = None,
        created: datetime | None = None,
        parent: str | None = None,
        **fields: Any,
    ) -> str:
        """Put an item into a library; return its id. Albums, series and seasons come by themselves.

        `runtime` in seconds; `fields`: more of its JSON under the server's names (CriticRating=80).
        """
        folder, above = _parent(path), _parent(_parent(path))
        moment = created or now()
        values: dict[str, Any] = {
            "ProviderIds": dict(provider_ids or {}),
            "Genres": list(genres),
            "Tags": list(tags),
            "Studios": [{"Name": studio, "Id": hashed_id("Studio", studio)} for studio in studios],
            "People": [_person(person) for person in people],
            "Overview": overview,
            "ProductionYear": year,
            "IndexNumber": number,
            "ParentIndexNumber": disc_or_season,
        }
        if album is not None:
            parent = self._folder(library, "MusicAlbum", album, folder, None)
            values |= {"Album": album, "AlbumId": parent}
        if series is not None:
            season = f"Season {disc_or_season}"
            series_id = self._folder(library, "Series", series, above, None)
            parent = self._folder(library, "Season", season, folder, series_id)
            values |= {"SeriesName": series, "SeriesId": series_id}
            values |= {"SeasonName": season, "SeasonId": parent}
        if type in ("Audio", "MusicAlbum", "MusicVideo"):
            first = album_artist or (artists[0] if artists else None)
            values |= {"Artists": list(artists), "ArtistItems": [_artist(a) for a in artists]}
            values |= {"AlbumArtists": [_artist(first)] if first else [], "AlbumArtist": first}
        item = Item(
            hashed_id(type, path, self.salt), type, name, path, library,
            moment, moment, parent or library, runtime, size, values | fields,
            image, content, None if lyrics is None else tuple(lyrics),
        )  # fmt: skip
        self.items[item.id] = item
        self._changed(added=[item])
        return item.id

    def item(self, name_or_id: str) -> Item:
        """Find an item."""
        if name_or_id in self.items:
            return self.items[name_or_id]
        return next(item for item in self.items.values() if item.name == name_or_id)

    def change_item(self, item_id: str, *, name: str | None = None, **fields: Any) -> None:
        """Change metadata, under the server's names."""
        item = self.items[item_id]
        item.name = name or item.name
        item.fields |= fields
        item.saved = now()
        self._changed(updated=[item])

    def remove_item(self, item_id: str) -> None:
        """Take an item out of its library, with all that lies in it."""
        gone = self.items.pop(item_id)
        if gone.type in FOLDERS:
            for child in [item for item in self.items.values() if item.parent_id == item_id]:
                self.remove_item(child.id)
        self._changed(removed=[gone])

    def rename_path(self, item_id: str, path: str) -> str:
        """Move an item's file; return the new id, by which alone it is known now."""
        item = self.items.pop(item_id)
        self._changed(removed=[item])
        item.id, item.path = hashed_id(item.type, path, self.salt), path
        item.created = item.saved = now()
        self.items[item.id] = item
        self._changed(added=[item])
        return item.id

    def reissue_all_ids(self) -> dict[str, str]:
        """Give every library and item another id, as a new database may; return old to new."""
        self.salt = random_id()
        new = {library.id: random_id() for library in self.libraries.values()}
        new |= {item.id: hashed_id(item.type, item.path, self.salt) for item in self.items.values()}
        for library in self.libraries.values():
            library.id = new[library.id]
        for item in self.items.values():
            item.id = new[item.id]
            item.library_id, item.parent_id = new[item.library_id], new[item.parent_id]
            for name in ("AlbumId", "SeriesId", "SeasonId"):
                if name in item.fields:
                    item.fields[name] = new[item.fields[name]]
        for user in self.users.values():
            if user.libraries is not None:
                user.libraries = tuple(new[library] for library in user.libraries)
        self.libraries = {library.id: library for library in self.libraries.values()}
        self.items = {item.id: item for item in self.items.values()}
        self.revision += 1
        return new

    def leaves(self, item_id: str) -> list[Item]:
        """Return an item, or what lies in it if it is a folder, as playlists expand it."""
        if item_id in self.items and self.items[item_id].type not in FOLDERS:
            return [self.items[item_id]]
        children = [item for item in self.items.values() if item.parent_id == item_id]
        children.sort(key=lambda i: (i.fields.get("ParentIndexNumber") or 0, i.path))
        return [leaf for child in children for leaf in self.leaves(child.id)]

    def _folder(self, library: str, kind: str, name: str, path: str, parent: str | None) -> str:
        folder_id = hashed_id(kind, path, self.salt)
        if folder_id not in self.items:
            self.add_item(library, kind, name, path, parent=parent)
        return folder_id

    def _changed(
        self,
        added: Sequence[Item] = (),
        updated: Sequence[Item] = (),
        removed: Sequence[Item] = (),
    ) -> None:
        self.revision += 1
        self.tell_library(added=added, updated=updated, removed=removed)


def _parent(path: str) -> str:
    return path[: max(path.rfind("/"), path.rfind("\\"), 0)]


def _artist(name: str) -> dict[str, str]:
    return {"Name": name, "Id": hashed_id("MusicArtist", name)}


def _person(person: Person) -> dict[str, str]:
    name, kind, role = (*((person, "Actor") if isinstance(person, str) else person), "")[:3]
    found = {"Name": name, "Id": hashed_id("Person", name), "Type": kind}
    return found | ({"Role": role} if role else {})
