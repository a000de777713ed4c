"""What the server says, in XML of the shape that clients read."""

import re
from collections.abc import Collection, Iterable, Mapping

from tests.stand_ins.plex.queries import NOTHING
from tests.stand_ins.plex.records import (
    TYPES_OF_SECTION,
    Item,
    Media,
    Playing,
    Playlist,
    Section,
    State,
    View,
)

_ESCAPES = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;", ord('"'): "&quot;"}
_ESCAPES |= {9: "&#9;", 10: "&#10;", 13: "&#13;"}
_ESCAPES |= {n: "" for n in range(32) if n not in _ESCAPES}  # XML has no way to write them
_SPECIAL = re.compile(r'[&<>"\x00-\x1f]')

ELEMENTS = {
    "movie": "Video", "episode": "Video", "clip": "Video", "track": "Track", "photo": "Photo",
}  # fmt: skip
"""All other types are Directory."""

Attributes = Mapping[str, object]


def element(tag: str, attributes: Attributes, inside: Iterable[str] = ()) -> str:
    """Write an element; attributes that are None are left out."""
    words = [tag]
    for name, value in attributes.items():
        if value is None:
            continue
        text = str(int(value)) if isinstance(value, bool) else str(value)
        if _SPECIAL.search(text):
            text = text.translate(_ESCAPES)
        words.append(f'{name}="{text}"')
    content = "".join(inside)
    return f"<{' '.join(words)}>{content}</{tag}>" if content else f"<{' '.join(words)}/>"


def container(inside: Iterable[str], attributes: Attributes) -> str:
    """Write the document."""
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + element(
        "MediaContainer", attributes, inside
    )


class Writer:
    """Writes items for one user, in one kind of answer.

    `tags`: how many of each kind of tag are shown; None: all. `without`: elements and attributes
    that the client does not want.
    """

    def __init__(
        self,
        states: Mapping[Item, State],
        *,
        tags: int | None = None,
        guids: bool = True,
        names_section: bool = True,
        without: Collection[str] = (),
    ) -> None:
        self._states = states
        self._tags = tags
        self._guids = guids
        self.names_section = names_section
        self._without = without

    def item(self, item: Item, **more: object) -> str:
        """Write an item; `more` attributes, such as playlistItemID."""
        attributes = item_attributes(item, self._states.get(item, NOTHING))
        if item.children is not None:
            attributes |= self._leaf_counts(item)
        if self.names_section:
            attributes |= section_attributes(item.section)
        attributes |= more
        for name in self._without:
            attributes.pop(name, None)
        return element(ELEMENTS.get(item.type, "Directory"), attributes, self._inside(item))

    def _leaf_counts(self, item: Item) -> dict[str, object]:
        leaves = list(item.leaves())
        return {
            "leafCount": len(leaves),
            "viewedLeafCount": sum(self._states.get(x, NOTHING).view_count > 0 for x in leaves),
            "childCount": len(item.children or ()),
        }

    def _inside(self, item: Item) -> Iterable[str]:
        if "Media" not in self._without:
            for media in item.media:
                yield _media(item, media)
        for kind, names in item.tags.items():
            if kind not in self._without:
                for name, role in names[: self._tags]:
                    yield element(kind, {"tag": name, "role": role or None})
        if self._guids and "Guid" not in self._without:
            for guid in item.guids:
                yield element("Guid", {"id": guid})


def item_attributes(item: Item, state: State) -> dict[str, object]:
    """Return an item's attributes."""
    key, parent = _key(item), item.parent
    attributes: dict[str, object] = {
        "ratingKey": item.rating_key,
        "key": key + ("" if item.children is None else "/children"),
        "guid": item.guid,
        "type": "photo" if item.type == "photoalbum" else item.type,
        "title": item.title,
        "index": item.index,
        **_above("parent", parent),
        **_above("grandparent", parent.parent if parent else None),
        "summary": "",
        **item.fields,
        "viewCount": state.view_count or None,
        "skipCount": state.skip_count or None,
        "lastViewedAt": state.last_viewed_at,
        "viewOffset": state.view_offset,
        "userRating": state.user_rating,
        "lastRatedAt": state.last_rated_at,
        "thumb": f"{key}/thumb/{item.updated_at}" if item.thumb is not None else None,
        "art": f"{key}/art/{item.updated_at}" if item.art is not None else None,
        "duration": item.duration,
        "addedAt": item.added_at,
        "updatedAt": item.updated_at,
    }
    if item.type == "episode" and parent is not None:
        attributes["parentIndex"] = parent.index
    return attributes


def _key(item: Item) -> str:
    return f"/library/metadata/{item.rating_key}"


def _above(level: str, item: Item | None) -> dict[str, object]:
    if item is None:
        return {}
    has_thumb = item.thumb is not None
    return {
        f"{level}RatingKey": item.rating_key,
        f"{level}Key": _key(item),
        f"{level}Guid": item.guid,
        f"{level}Title": item.title,
        f"{level}Thumb": f"{_key(item)}/thumb/{item.updated_at}" if has_thumb else None,
    }


def _media(item: Item, media: Media) -> str:
    container = media.parts[0].container
    parts = (
        element(
            "Part",
            {
                "id": part.id,
                "key": f"/library/parts/{part.id}/{part.stamp}/{part.name}",
                "duration": item.duration,
                "file": part.file,
                "size": part.size,
                "container": part.container,
            },
        )
        for part in media.parts
    )
    attributes = {"id": media.id, "duration": item.duration, "container": container}
    return element("Media", attributes, parts)


def section_attributes(section: Section) -> dict[str, object]:
    """Return what names an item's section."""
    return {
        "librarySectionID": section.key,
        "librarySectionTitle": section.title,
        "librarySectionKey": f"/library/sections/{section.key}",
    }


def section(section: Section) -> str:
    """Write a library."""
    agents = {"movie": "movie", "show": "series", "artist": "music"}
    agent = agents.get(section.type)
    attributes = {
        "allowSync": True, "art": f"/:/resources/{section.type}-fanart.jpg",
        "composite": f"/library/sections/{section.key}/composite/{section.updated_at}",
        "filters": True, "refreshing": False, "thumb": f"/:/resources/{section.type}.png",
        "key": section.key, "type": section.type, "title": section.title,
        "agent": f"tv.plex.agents.{agent}" if agent else "com.plexapp.agents.none",
        "scanner": "Plex Scanner", "language": "en-US", "uuid": section.uuid,
        "updatedAt": section.updated_at, "createdAt": section.created_at,
        "scannedAt": section.scanned_at, "content": True, "directory": True,
        "contentChangedAt": section.revision, "hidden": 0,
    }  # fmt: skip
    locations = [element("Location", {"id": n, "path": p}) for n, p in enumerate(section.locations)]
    return element("Directory", attributes, locations)


def playlist(playlist: Playlist) -> str:
    """Write a playlist without its entries."""
    duration = sum(entry.item.duration or 0 for entry in playlist.entries)
    attributes = {
        "ratingKey": playlist.rating_key, "key": f"/playlists/{playlist.rating_key}/items",
        "guid": playlist.guid, "type": "playlist", "title": playlist.title,
        "summary": playlist.summary, "smart": playlist.is_smart, "playlistType": playlist.type,
        "composite": f"/playlists/{playlist.rating_key}/composite/{playlist.updated_at}",
        "duration": duration, "leafCount": len(playlist.entries),
        "addedAt": playlist.added_at, "updatedAt": playlist.updated_at,
    }  # fmt: skip
    return element("Playlist", attributes)


def view(view: View) -> str:
    """Write an entry of the history; one of deleted media has no key and no ratingKey."""
    item = view.item
    attributes: dict[str, object] = {"historyKey": f"/status/sessions/history/{view.id}"}
    if not view.is_deleted:
        attributes |= {"key": _key(item), "ratingKey": item.rating_key}
    parent = item.parent
    attributes |= {
        "librarySectionID": item.section.key, "parentTitle": parent.title if parent else None,
        "grandparentTitle": parent.parent.title if parent and parent.parent else None,
        "title": item.title, "type": item.type, "index": item.index, "viewedAt": view.at,
        "accountID": view.user.id, "deviceID": 1,
    }  # fmt: skip
    return element(ELEMENTS[item.type], attributes)


def playing(session: Playing) -> str:
    """Write a session."""
    item = session.item
    attributes = item_attributes(item, NOTHING) | section_attributes(item.section)
    attributes |= {"viewOffset": session.offset, "sessionKey": session.key}
    user, player = session.user, {"title": "Player", "state": session.state, "local": True}
    inside = [
        *(_media(item, media) for media in item.media),
        element("User", {"id": user.id, "title": user.name, "thumb": ""}),
        element("Player", player | {"machineIdentifier": f"player-{session.key}"}),
        element("Session", {"id": f"session-{session.key}", "bandwidth": 900, "location": "lan"}),
    ]
    return element(ELEMENTS[item.type], attributes, inside)


# What clients may filter and sort by, as they ask with includeMeta

_OPERATORS = {
    "date": {"=": "is", "<<=": "is before", ">>=": "is after"},
    "integer": {"=": "is", "!=": "is not", ">>=": "is greater than", "<<=": "is less than"},
    "string": {"=": "contains", "!=": "does not contain", "==": "is", "!==": "is not"},
    "boolean": {"=": "is"},
}
_FIELD_TYPES = {
    "title": "string", "addedAt": "date", "updatedAt": "date", "lastViewedAt": "date",
    "lastRatedAt": "date", "viewCount": "integer", "skipCount": "integer",
    "userRating": "integer", "year": "integer", "unwatched": "boolean", "duration": "integer",
}  # fmt: skip
_SORTS = ("titleSort", "addedAt", "updatedAt", "lastViewedAt", "lastRatedAt", "viewCount", "year")


def meta(section: Section) -> str:
    """Write what a section's items can be filtered and sorted by."""
    from tests.stand_ins.plex.records import TYPE_NUMBERS

    types = []
    for name in TYPES_OF_SECTION[section.type]:
        key = f"/library/sections/{section.key}/all?type={TYPE_NUMBERS[name]}"
        sorts = [
            element("Sort", {"key": s, "descKey": f"{s}:desc", "defaultDirection": "asc",
                             "title": s}) for s in _SORTS
        ]  # fmt: skip
        fields = [
            element("Field", {"key": f"{name}.{f}", "title": f, "type": kind})
            for f, kind in _FIELD_TYPES.items()
        ]
        types.append(element("Type", {"key": key, "type": name, "title": name}, [*sorts, *fields]))
    kinds = [
        element("FieldType", {"type": kind}, [element("Operator", {"key": k, "title": t})
                                              for k, t in operators.items()])
        for kind, operators in _OPERATORS.items()
    ]  # fmt: skip
    return element("Meta", {}, [*types, *kinds])
