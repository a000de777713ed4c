"""GET /Items: which, in what order, from where to where."""

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from tests.stand_ins.jellyfin.calls import Call, plain_id
from tests.stand_ins.jellyfin.records import MEDIA_TYPES, Item, Library, Playlist, User, UserData

Thing = Item | Playlist | Library
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)

_SORTS: dict[str, Callable[[Item], Any]] = {
    "SortName": lambda item: item.sort_name,
    "Name": lambda item: item.sort_name,
    "Default": lambda item: item.sort_name,
    "DateCreated": lambda item: item.created,
    "Runtime": lambda item: item.runtime or 0,
    "PremiereDate": lambda item: item.fields.get("PremiereDate") or "",
    "ProductionYear": lambda item: item.fields.get("ProductionYear") or 0,
    "CommunityRating": lambda item: item.fields.get("CommunityRating") or 0,
    "CriticRating": lambda item: item.fields.get("CriticRating") or 0,
    "Album": lambda item: item.fields.get("Album") or "",
    "AlbumArtist": lambda item: item.fields.get("AlbumArtist") or "",
    "Artist": lambda item: item.fields.get("Artists") or [],
    "IndexNumber": lambda item: item.fields.get("IndexNumber") or 0,
    "ParentIndexNumber": lambda item: item.fields.get("ParentIndexNumber") or 0,
    "SeriesSortName": lambda item: item.fields.get("SeriesName") or "",
}
_DATA_SORTS: dict[str, Callable[[UserData], Any]] = {
    "DatePlayed": lambda data: data.last_played or _LONG_AGO,
    "PlayCount": lambda data: data.plays,
    "IsPlayed": lambda data: data.played,
    "IsUnplayed": lambda data: not data.played,
    "IsFavoriteOrLiked": lambda data: data.favourite,
}
_FILTERS: dict[str, Callable[[UserData], bool]] = {
    "IsPlayed": lambda data: data.played,
    "IsUnplayed": lambda data: not data.played,
    "IsResumable": lambda data: data.position > 0,
    "IsFavorite": lambda data: data.favourite,
    "Likes": lambda data: data.rating is not None and data.rating >= 6.5,
    "Dislikes": lambda data: data.rating is not None and data.rating < 6.5,
    "IsFavoriteOrLikes": lambda data: data.favourite or (data.rating or 0) >= 6.5,
}
"""Filters that an item without user data passes: IsUnplayed; IsNotFolder and IsFolder besides."""


def find(call: Call, user: User | None) -> Sequence[Thing]:
    """Return all that a query is about, in order; paging is left to the caller."""
    server = call.server
    things = _pool(call, user)
    tests = [_FILTERS[name] for name in call.many("filters") if name in _FILTERS]
    played, favourite = call.truth("isPlayed"), call.truth("isFavorite")
    if played is not None:
        tests.append(lambda data: data.played is played)
    if favourite is not None:
        tests.append(lambda data: data.favourite is favourite)
    if tests and user is not None:
        if not all(test(UserData()) for test in tests):  # only what was touched can pass
            allowed = {
                item.id for item, data in server.touched(user) if all(t(data) for t in tests)
            }
            things = [t for t in things if t.id in allowed]
        else:
            things = [t for t in things if not isinstance(t, Item) or _passes(call, user, t, tests)]
    things = _since(call, things)
    word = (call.text("searchTerm") or "").casefold()
    if word:
        things = [thing for thing in things if word in thing.name.casefold()]
    return _sort_by_data(call, user, things)


def _passes(
    call: Call, user: User, item: Item, tests: Iterable[Callable[[UserData], bool]]
) -> bool:
    data = call.server.peek(user, item)
    return all(test(data) for test in tests)


def _pool(call: Call, user: User | None) -> Sequence[Thing]:
    """Items by place and type, sorted, kept until the library changes; and playlists."""
    server, is_wanted = call.server, _Wanted(call)
    ids = [plain_id(item_id) for item_id in call.many("ids")]
    if ids:
        found = [_lookup(call, user, item_id) for item_id in dict.fromkeys(ids)]
        chosen = [thing for thing in found if thing is not None and is_wanted(thing)]
        return sorted(chosen, key=lambda t: (t.name.casefold(), t.id))
    parent = plain_id(call.text("parentId") or "")
    if parent in server.playlists:
        return [item for _, item in server.resolve(server.playlists[parent], user)]
    recursive = bool(call.truth("recursive"))
    if not parent and not recursive:
        return [lib for lib in server.libraries.values() if _sees_library(user, lib.id)]
    lists: list[Thing] = []
    if not parent:
        playlists = server.playlists.values()
        lists += [p for p in playlists if server.is_visible(p, user) and is_wanted(p)]
    names = ("includeItemTypes", "excludeItemTypes", "mediaTypes", "sortBy", "sortOrder",
             "albumIds", "excludeItemIds")  # fmt: skip
    seen = user.libraries if user is not None else None
    key = (parent, recursive, seen, *(tuple(call.many(name)) for name in names))
    items = server.cached_listing(key, lambda: _select(call, user, parent, recursive))
    return sorted([*items, *lists], key=lambda t: t.name.casefold()) if lists else items


def _select(call: Call, user: User | None, parent: str, recursive: bool) -> list[Item]:
    server, is_wanted = call.server, _Wanted(call)
    items: Iterable[Item] = list(server.items.values())
    if parent in server.libraries and recursive:
        items = (item for item in items if item.library_id == parent)
    elif parent and recursive:
        inside = {item.id for item in _below(server.items.values(), parent)}
        items = (item for item in items if item.id in inside)
    elif parent:
        items = (item for item in items if item.parent_id == parent)
    chosen = [item for item in items if server.sees(user, item) and is_wanted(item)]
    chosen.sort(key=lambda item: item.id)
    sorts, orders = call.many("sortBy") or ["SortName"], call.many("sortOrder") or ["Ascending"]
    for number, name in reversed(list(enumerate(sorts))):
        order = orders[min(number, len(orders) - 1)]
        if name in _SORTS:
            chosen.sort(key=_SORTS[name], reverse=order == "Descending")
    return chosen


def _below(items: Iterable[Item], parent: str) -> list[Item]:
    children: dict[str, list[Item]] = {}
    for item in list(items):
        children.setdefault(item.parent_id, []).append(item)
    found = list(children.get(parent, ()))
    for item in found:
        found += children.get(item.id, ())
    return found


class _Wanted:
    """The filters of a query that look at the item alone."""

    def __init__(self, call: Call) -> None:
        self._include = frozenset(call.many("includeItemTypes"))
        self._exclude = frozenset(call.many("excludeItemTypes"))
        self._media = frozenset(call.many("mediaTypes"))
        self._albums = frozenset(plain_id(album) for album in call.many("albumIds"))
        self._without = frozenset(plain_id(item) for item in call.many("excludeItemIds"))

    def __call__(self, thing: Thing) -> bool:
        kind = _type(thing)
        if (self._include and kind not in self._include) or kind in self._exclude:
            return False
        if self._media and _media_type(thing) not in self._media:
            return False
        if self._albums and not (isinstance(thing, Item) and self._is_of_albums(thing)):
            return False
        return thing.id not in self._without

    def _is_of_albums(self, item: Item) -> bool:
        return item.fields.get("AlbumId") in self._albums


def _since(call: Call, things: Sequence[Thing]) -> Sequence[Thing]:
    moment = call.moment("minDateLastSavedForUser")
    if call.moment("minDateLastSaved") is not None:
        if call.server.quirks.broken_min_date_last_saved:
            return []
        moment = moment or call.moment("minDateLastSaved")
    if moment is None:
        return things
    return [t for t in things if not isinstance(t, Library) and t.saved >= moment]


def _sort_by_data(call: Call, user: User | None, things: Sequence[Thing]) -> Sequence[Thing]:
    sorts, orders = call.many("sortBy"), call.many("sortOrder") or ["Ascending"]
    if "Random" in sorts:
        return random.sample(things, len(things))
    if user is None or not sorts or sorts[0] not in _DATA_SORTS:
        return things
    rank = _DATA_SORTS[sorts[0]]
    nothing = UserData()

    def key(thing: Thing) -> Any:
        return rank(call.server.peek(user, thing) if isinstance(thing, Item) else nothing)

    return sorted(things, key=key, reverse=orders[0] == "Descending")


def _lookup(call: Call, user: User | None, item_id: str) -> Thing | None:
    server = call.server
    if item_id in server.items:
        item = server.items[item_id]
        return item if server.sees(user, item) else None
    if item_id in server.playlists:
        playlist = server.playlists[item_id]
        return playlist if server.is_visible(playlist, user) else None
    library = server.libraries.get(item_id)
    return library if library is not None and _sees_library(user, library.id) else None


lookup = _lookup


def write(
    call: Call, thing: Thing, user: User | None, fields: Collection[str] | None
) -> dict[str, Any]:
    """Write what was found as the query wants it."""
    data = call.truth("enableUserData") is not False
    images = call.truth("enableImages") is not False
    if isinstance(thing, Item):
        return call.server.item_json(thing, user, fields=fields, images=images, user_data=data)
    if isinstance(thing, Playlist):
        return call.server.playlist_json(thing, user, fields=fields, user_data=data)
    return call.server.library_json(thing, user=user)


def _sees_library(user: User | None, library_id: str) -> bool:
    return user is None or user.libraries is None or library_id in user.libraries


def _type(thing: Thing) -> str:
    if isinstance(thing, Playlist):
        return "Playlist"
    return "CollectionFolder" if isinstance(thing, Library) else thing.type


def _media_type(thing: Thing) -> str:
    if isinstance(thing, Playlist):
        return thing.media_type
    return "Unknown" if isinstance(thing, Library) else MEDIA_TYPES.get(thing.type, "Unknown")
