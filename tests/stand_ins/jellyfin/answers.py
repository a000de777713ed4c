"""What the server writes: the JSON of items, users, user data, playlists, sessions."""

import hashlib
from collections.abc import Callable, Collection
from typing import Any

from tests.stand_ins.jellyfin.people import People
from tests.stand_ins.jellyfin.plays import TICKS
from tests.stand_ins.jellyfin.records import (
    FOLDERS,
    MEDIA_TYPES,
    Entry,
    Item,
    Library,
    Playing,
    Playlist,
    User,
    UserData,
    now,
    stamp,
)

Json = dict[str, Any]
NIL = "0" * 32
ONLY_ASKED = frozenset({
    "ProviderIds", "Genres", "Tags", "Studios", "People", "Overview", "OriginalTitle", "Taglines",
    "ProductionLocations", "ExternalUrls", "RemoteTrailers", "Chapters", "Width", "Height",
})  # fmt: skip
"""Properties that come only with `fields`."""


class Answers(People):
    """Writes records as JSON. Nulls are left out, as the server does."""

    def item_json(
        self,
        item: Item,
        user: User | None = None,
        *,
        fields: Collection[str] | None = (),
        images: bool = True,
        user_data: bool = True,
    ) -> Json:
        """Write an item; `fields` None: with everything, as a single one is answered."""
        media = MEDIA_TYPES.get(item.type, "Unknown")
        is_folder = item.type in FOLDERS
        answer: Json = {
            "Name": item.name, "ServerId": self.server_id, "Id": item.id, "Type": item.type,
            "MediaType": "Unknown" if is_folder else media, "IsFolder": is_folder,
            "LocationType": "FileSystem",
        }  # fmt: skip
        if item.runtime is not None:
            answer["RunTimeTicks"] = round(item.runtime * TICKS)
        if media == "Audio" and not is_folder and self.number >= (10, 9):
            answer["HasLyrics"] = item.lyrics is not None
        if not is_folder:
            answer["Container"] = _extension(item.path)
        for name, value in item.fields.items():
            if value is not None and (name not in ONLY_ASKED or fields is None or name in fields):
                answer[name] = value
        if images:
            answer |= _images(item.image)
        if user is not None and user_data:
            answer["UserData"] = self.data_json(item, self.peek(user, item))
        more: dict[str, Callable[[], Any]] = {
            "Path": lambda: item.path,
            "DateCreated": lambda: stamp(item.created),
            "Etag": lambda: etag(item.saved),
            "ParentId": lambda: item.parent_id,
            "SortName": lambda: item.sort_name,
            "CanDelete": lambda: user is not None and user.is_admin,
            "CanDownload": lambda: not is_folder,
            "GenreItems": lambda: [{"Name": g, "Id": NIL} for g in item.fields.get("Genres", ())],
        }
        if not is_folder:
            more["MediaSources"] = lambda: [_source(item)]
        for name, write in more.items():
            asked = "Genres" if name == "GenreItems" else name
            if fields is None or asked in fields:
                answer[name] = write()
        return answer

    def library_json(self, library: Library, *, user: User | None = None) -> Json:
        """Write a view."""
        answer: Json = {
            "Name": library.name, "ServerId": self.server_id, "Id": library.id,
            "Etag": hashlib.md5(library.id.encode(), usedforsecurity=False).hexdigest(),
            "Type": "CollectionFolder", "IsFolder": True, "LocationType": "FileSystem",
            "Path": f"/config/root/default/{library.name}", "ImageTags": {},
            "BackdropImageTags": [],
        }  # fmt: skip
        if library.collection_type:
            answer["CollectionType"] = library.collection_type
        if self.number >= (10, 9):
            answer["MediaType"] = "Unknown"
        return answer

    def playlist_json(
        self,
        playlist: Playlist,
        user: User | None = None,
        *,
        fields: Collection[str] | None = (),
        user_data: bool = True,
    ) -> Json:
        """Write a playlist as an item. Who owns it is not told."""
        found = self.resolve(playlist, user)
        seconds = sum(item.runtime or 0 for _, item in found)
        answer: Json = {
            "Name": playlist.name, "ServerId": self.server_id, "Id": playlist.id,
            "Type": "Playlist", "MediaType": playlist.media_type, "IsFolder": True,
            "RunTimeTicks": round(seconds * TICKS), "LocationType": "FileSystem",
        }  # fmt: skip
        answer |= _images(playlist.image)
        if user is not None and user_data:
            zero = Item(playlist.id, "Playlist", "", "", "", now(), now(), "")
            answer["UserData"] = self.data_json(zero, UserData())
        mine = user is not None and (user.is_admin or user.id == playlist.owner_id)
        more: Json = {
            "ChildCount": len(found), "RecursiveItemCount": len(found), "Path": playlist.path,
            "CumulativeRunTimeTicks": round(seconds * TICKS),
            "DateCreated": stamp(playlist.created), "Etag": etag(playlist.saved),
            "CanDelete": mine, "Tags": list(playlist.tags), "Overview": playlist.overview,
            "SortName": playlist.name.casefold(), "Genres": [], "ProviderIds": {},
        }  # fmt: skip
        wanted = {k: v for k, v in more.items() if fields is None or k in fields}
        return answer | {k: v for k, v in wanted.items() if v is not None}

    def entry_json(self, entry: Entry, item: Item, user: User | None, **options: Any) -> Json:
        """Write a place of a playlist."""
        place = self.entry_id(entry) if self.quirks.random_entry_ids else item.id
        return self.item_json(item, user, **options) | {"PlaylistItemId": place}

    def data_json(self, item: Item, data: UserData, *, live: bool = False) -> Json:
        """Write user data; `live`: as the socket tells it, with the id."""
        answer: Json = {
            "PlaybackPositionTicks": data.position, "PlayCount": data.plays,
            "IsFavorite": data.favourite, "Played": data.played, "Key": item.keys(),
            "ItemId": item.id if live or self.quirks.item_id_in_user_data else NIL,
        }  # fmt: skip
        if data.last_played is not None:
            answer["LastPlayedDate"] = stamp(data.last_played)
        if data.rating is not None:
            answer |= {"Rating": data.rating, "Likes": data.rating >= 6.5}
        if data.position and item.runtime:
            answer["PlayedPercentage"] = data.position / TICKS / item.runtime * 100
        return answer

    def user_json(self, user: User) -> Json:
        """Write a user with the part of the policy that matters."""
        return {
            "Name": user.name, "ServerId": self.server_id, "Id": user.id,
            "HasPassword": bool(user.password), "HasConfiguredPassword": bool(user.password),
            "HasConfiguredEasyPassword": False, "EnableAutoLogin": False,
            "Policy": {
                "IsAdministrator": user.is_admin, "IsHidden": False,
                "IsDisabled": user.is_disabled, "EnableContentDeletion": user.is_admin,
                "EnableContentDownloading": True, "EnableMediaPlayback": True,
                "EnableAllFolders": user.libraries is None,
                "EnabledFolders": list(user.libraries or ()),
                "AuthenticationProviderId":
                    "Jellyfin.Server.Implementations.Users.DefaultAuthenticationProvider",
                "PasswordResetProviderId":
                    "Jellyfin.Server.Implementations.Users.DefaultPasswordResetProvider",
            },
        }  # fmt: skip

    def session_json(self, playing: Playing) -> Json:
        """Write a session that plays something."""
        moment = stamp(now())
        return {
            "Id": playing.id, "UserId": playing.user.id, "UserName": playing.user.name,
            "Client": "Jellyfin Web", "DeviceId": playing.device, "DeviceName": playing.device,
            "ApplicationVersion": self.version, "ServerId": self.server_id, "IsActive": True,
            "LastActivityDate": moment, "LastPlaybackCheckIn": moment,
            "PlayState": {
                "PositionTicks": playing.position, "CanSeek": True, "IsPaused": playing.is_paused,
                "IsMuted": False, "RepeatMode": "RepeatNone", "PlayMethod": "DirectPlay",
            },
            "NowPlayingItem": self.item_json(playing.item, fields={"Path", "DateCreated"}),
        }  # fmt: skip


def etag(moment: Any) -> str:
    """Return the MD5 of when metadata was saved last: the same while they are."""
    return hashlib.md5(stamp(moment).encode(), usedforsecurity=False).hexdigest()


def image_tag(image: bytes) -> str:
    """Return the name of this state of a picture."""
    return hashlib.md5(image, usedforsecurity=False).hexdigest()


def _images(image: bytes | None) -> Json:
    tags = {} if image is None else {"Primary": image_tag(image)}
    return {"ImageTags": tags, "BackdropImageTags": [], "ImageBlurHashes": {}}


def _source(item: Item) -> Json:
    source: Json = {
        "Protocol": "File", "Id": item.id, "Path": item.path, "Type": "Default",
        "Container": _extension(item.path), "Name": item.name, "IsRemote": False,
        "SupportsDirectPlay": True, "MediaStreams": [], "ETag": etag(item.saved),
    }  # fmt: skip
    if item.size is not None:
        source["Size"] = item.size
    if item.runtime is not None:
        source["RunTimeTicks"] = round(item.runtime * TICKS)
    return source


def _extension(path: str) -> str:
    return path.rsplit(".", 1)[-1].lower() if "." in path else ""
