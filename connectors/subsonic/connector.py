"""A Subsonic server as a source.

Music only: the API knows no films or pictures. It tells of no changes, so a library is read
whole when its stamp differs. It keeps neither positions nor a history; plays are counted by some
servers (Navidrome) and not by others (supysonic).
"""

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from connectors.base import (
    ConnectorError,
    ConnectorUnavailable,
    Kind,
    Misconfigured,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.server import (
    Account,
    Capability,
    ItemState,
    Library,
    Link,
    LiveEvent,
    Page,
    Played,
    PlayEvent,
    Resync,
    ServerInfo,
    ServerItem,
    ServerPlaylist,
)
from connectors.server_settings import SubsonicSettings
from connectors.streams import ServerStream
from connectors.subsonic.client import UNKNOWN_TOKEN, Client, Signature, encoded, salted
from connectors.subsonic.parsing import (
    is_touched,
    moment,
    parse_playlist,
    parse_song,
    parse_state,
    text,
    whole,
)

log = logging.getLogger(__name__)

PAGE = 500
"""Songs a request; servers give no more."""
NOW_PLAYING = 30.0
"""Seconds between two looks at what is playing."""
AT_ONCE = 4
EVERYTHING = "all"


class SubsonicServer:
    """See `connectors.server.Server`."""

    info: ServerInfo

    def __init__(
        self, settings: SubsonicSettings, accounts: Sequence[Account], device_id: str, *,
        timeout: float = 30.0, longest: float = 120.0, first_pause: float = 0.5,
        watch_every: float = NOW_PLAYING,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._accounts = list(accounts)
        self._watch_every = watch_every
        self._ids: set[str] | None = None
        self._client = Client(
            settings.name, settings.url, verify_tls=settings.verify_tls, timeout=timeout,
            longest=longest, first_pause=first_pause,
        )  # fmt: skip
        self.info = ServerInfo(
            hashlib.blake2b(settings.url.encode(), digest_size=8).hexdigest(), settings.name, "",
            frozenset(),
        )  # fmt: skip

    async def __aenter__(self) -> Self:
        await self._client.open()
        try:
            await self._learn()
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._client.close()

    async def _learn(self) -> None:
        """Learn what answers; without anyone signed in, only that it does."""
        answer: dict[str, Any] = {}
        if self._accounts:
            answer = await self._client.read(self._signature(), "ping")
        version = text(answer.get("serverVersion")) or text(answer.get("version"))
        kind = text(answer.get("type"))
        self._is_navidrome = kind.casefold() == "navidrome"
        self.info = ServerInfo(
            self.info.id, f"{self._settings.name}{f' ({kind})' if kind else ''}", version,
            frozenset(
                {
                    Capability.RATE, Capability.FAVOURITE, Capability.PLAYLISTS,
                    Capability.VISIBILITY, Capability.MARK, Capability.DUPLICATES,
                    Capability.LIVE,
                }
            ),
        )  # fmt: skip

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in by token; by the password itself only where nothing else is known."""
        signature = salted(password, user)
        try:
            await self._client.read(signature, "ping")
        except Refused as error:
            if getattr(error, "code", None) not in UNKNOWN_TOKEN:
                raise
            if not self._client.may_send_passwords():
                raise Misconfigured(
                    f"{self._settings.name} knows no tokens, so the password itself would be "
                    "sent for all on the way to read. Use its https address."
                ) from error
            signature = encoded(password, user)
            await self._client.read(signature, "ping")
        return Account(profile, user, user, signature)

    async def begin_link(self, profile: str) -> Link:
        """Refuse: there is no sign-in by code."""
        raise Refused(f"{self._settings.name} signs in by user name and password.")

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the account is not taken any more."""
        await self._client.read(dict(account.secrets), "ping")

    def _signature(self, account: Account | None = None) -> Signature:
        account = account or next(iter(self._accounts), None)
        if account is None:
            raise SignInRefused(
                f"Nobody has signed in at {self._settings.name}: "
                f"python -m daemon connect '{self._settings.name}'"
            )
        return dict(account.secrets)

    # The library

    async def libraries(self) -> list[Library]:
        """Return one library of all songs, or those that the settings name."""
        signature = self._signature()
        stamp, count = await self._find_stamp(signature)
        if not self._settings.libraries:
            music: frozenset[Kind] = frozenset({"music"})
            return [Library(EVERYTHING, "Music", music, count=count, stamp=stamp)]
        answer = await self._client.read(signature, "getMusicFolders")
        folders = answer.get("musicFolders") or {}
        return [
            Library(text(f.get("id")), text(f.get("name")), frozenset({"music"}), stamp=stamp)
            for f in folders.get("musicFolder") or ()
            if f.get("name") in self._settings.libraries
        ]

    async def _find_stamp(self, signature: Signature) -> tuple[str, int | None]:
        """Return what changes when the server has scanned, and the number of songs."""
        parts, count = [], None
        try:
            status = (await self._client.read(signature, "getScanStatus")).get("scanStatus") or {}
            if status.get("scanning") in (True, "true"):
                return "", None
            if status.get("lastScan"):  # else the count is of a scan that is going on
                count = whole(status.get("count"))
                parts += [text(status.get("lastScan")), str(count)]
        except ConnectorUnavailable:
            raise
        except ConnectorError:
            log.debug("%s has no getScanStatus", self._settings.name)
        if not any(parts[:1]):
            far = 4102444800000  # 2100: so that only the date is sent, not the whole index
            index = await self._client.read(signature, "getIndexes", ifModifiedSince=far)
            parts.append(text((index.get("indexes") or {}).get("lastModified")))
        return ("/".join(parts) if any(parts) else ""), None if self._settings.libraries else count

    async def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield all songs; `since` narrows nothing, as the API cannot."""
        offset = int(start) if start and start.isdecimal() else 0
        async for songs in self._songs(self._signature(), library, offset):
            offset += len(songs)
            entries = []
            for song in songs:
                try:
                    item = parse_song(song, has_real_path=not self._is_navidrome)
                except (TypeError, ValueError, AttributeError) as error:
                    log.warning("%s: a song was left out: %r", self._settings.name, error)
                    continue
                entries += [item] if item else []
            is_last = len(songs) < PAGE
            yield Page(entries, None if is_last else str(offset), library.count)

    async def _songs(
        self, signature: Signature, library: Library, offset: int = 0
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield pages of songs. An empty query lists all, on every server that was looked at."""
        more = {} if library.id == EVERYTHING else {"musicFolderId": library.id}
        while True:
            answer = await self._client.read(
                signature, "search3", query="", artistCount=0, albumCount=0, songCount=PAGE,
                songOffset=offset, **more,
            )  # fmt: skip
            found = answer.get("searchResult3")
            songs = found.get("song") if isinstance(found, dict) else None
            songs = [song for song in songs or () if isinstance(song, dict)]
            if songs:
                yield songs
            if len(songs) < PAGE:
                return
            offset += len(songs)

    async def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all songs."""
        async for songs in self._songs(self._signature(), library):
            yield [text(song.get("id")) for song in songs]

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there: one by one when few, else from a reading of all ids."""
        wanted = set(item_ids)
        if len(wanted) <= PAGE:
            limit = asyncio.Semaphore(AT_ONCE)

            async def look(item_id: str) -> str | None:
                async with limit:
                    try:
                        await self._client.read(self._signature(account), "getSong", id=item_id)
                    except (NotFound, Refused):
                        return None
                    return item_id

            found = await asyncio.gather(*map(look, wanted))
            return {item_id for item_id in found if item_id}
        everything = Library(EVERYTHING, "", frozenset({"music"}))
        there: set[str] = set()
        async for songs in self._songs(self._signature(account), everything):
            there.update(wanted.intersection(text(song.get("id")) for song in songs))
        return there

    # What users did

    async def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched songs: all of them, or what was starred, and played lately."""
        signature = self._signature(account)
        if since is None:
            everything = Library(EVERYTHING, "", frozenset({"music"}))
            async for songs in self._songs(signature, everything):
                yield [s for s in map(parse_state, songs) if is_touched(s)]
            return
        starred = (await self._client.read(signature, "getStarred2")).get("starred2") or {}
        yield [parse_state(song) for song in _songs_of(starred)]
        async for songs in self._recently_played(signature, since):
            yield [s for s in map(parse_state, songs) if is_touched(s)]

    async def _recently_played(
        self, signature: Signature, since: datetime
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the songs of albums played since, where the server dates its plays."""
        answer = await self._client.read(signature, "getAlbumList2", type="recent", size=50)
        albums = (answer.get("albumList2") or {}).get("album") or ()
        for album in albums:
            played = moment(album.get("played")) if isinstance(album, dict) else None
            if played is None or played < since:
                return
            found = await self._client.read(signature, "getAlbum", id=text(album.get("id")))
            yield _songs_of(found.get("album") or {})

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the states of these songs; those that are not there are left out."""
        states = []
        for item_id in item_ids:
            try:
                states.append(await self._state(account, item_id))
            except NotFound:
                continue
        return states

    async def _state(self, account: Account, item_id: str) -> ItemState:
        answer = await self._client.read(self._signature(account), "getSong", id=item_id)
        song = answer.get("song")
        if not isinstance(song, dict):
            raise NotFound(f"{self._settings.name} has no song {item_id}.")
        return parse_state(song)

    async def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield nothing: the API has no history."""
        return
        yield []

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give one to five stars; a rating of 0 is one star, since none means no rating."""
        stars = 0 if rating is None else max(1, int(rating / 2 + 0.5))
        signature = self._signature(account)
        await self._client.call(signature, "setRating", {"id": item_id, "rating": stars})
        return await self._state(account, item_id)

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Star a song, or not."""
        method = "star" if is_favourite else "unstar"
        await self._client.call(self._signature(account), method, {"id": item_id})
        return await self._state(account, item_id)

    async def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Ask now and then what is playing; what is not any more was played so far."""
        yield Resync()
        playing: dict[tuple[str, str], tuple[datetime, datetime]] = {}
        users = {account.user_name: account.user_id for account in accounts}
        while True:
            try:
                seen = await self._now_playing(accounts[0])
            except ConnectorUnavailable:
                await asyncio.sleep(self._watch_every)
                continue
            now = datetime.now(UTC)
            for key in seen & users_of(users, seen):
                playing[key] = (playing[key][0] if key in playing else now, now)
            for key in [key for key in playing if key not in seen]:
                began, last = playing.pop(key)
                seconds = (last - began).total_seconds() or None
                user, item_id = key
                event_key = f"live:{user}:{item_id}:{int(began.timestamp())}"
                yield Played(users[user], PlayEvent(event_key, item_id, began, seconds))
            await asyncio.sleep(self._watch_every)

    async def _now_playing(self, account: Account) -> set[tuple[str, str]]:
        answer = await self._client.read(self._signature(account), "getNowPlaying")
        entries = (answer.get("nowPlaying") or {}).get("entry") or ()
        entries = [entries] if isinstance(entries, dict) else entries
        return {
            (text(entry.get("username")), text(entry.get("id")))
            for entry in entries
            if isinstance(entry, dict) and (whole(entry.get("minutesAgo")) or 0) < 10
        }

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the user's playlists and public ones."""
        answer = await self._client.read(self._signature(account), "getPlaylists")
        found = (answer.get("playlists") or {}).get("playlist") or ()
        found = [found] if isinstance(found, dict) else found
        return [parse_playlist(playlist) for playlist in found if isinstance(playlist, dict)]

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its songs in order."""
        answer = await self._client.read(self._signature(account), "getPlaylist", id=playlist_id)
        found = answer.get("playlist")
        if not isinstance(found, dict):
            raise NotFound(f"{self._settings.name} has no playlist {playlist_id}.")
        return parse_playlist({"entry": [], **found})

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist. Servers before API 1.14 do not answer its id: it is the new one."""
        if kind != "music":
            raise Refused(f"{self._settings.name} has playlists of music only.")
        signature = self._signature(account)
        before = {playlist.id for playlist in await self.playlists(account)}
        params: dict[str, Any] = {"name": name, "songId": list(item_ids)}
        answer = await self._client.call(signature, "createPlaylist", params)
        made = answer.get("playlist")
        playlist_id = text(made.get("id")) if isinstance(made, dict) else ""
        if not playlist_id:
            new = [p for p in await self.playlists(account) if p.id not in before]
            mine = [p for p in new if p.name == name and p.owner_id in ("", account.user_name)]
            if len(mine) != 1:
                raise NotFound(f"{self._settings.name} made no playlist {name}.")
            playlist_id = mine[0].id
        await self.describe_playlist(
            account, playlist_id, description=description, is_public=is_public
        )
        return playlist_id

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Replace the content in one request; servers do that as a whole."""
        if playlist.item_ids == list(item_ids):
            return 0
        params: dict[str, Any] = {"playlistId": playlist.id, "songId": list(item_ids)}
        await self._client.call(self._signature(account), "createPlaylist", params)
        return 1

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set the comment and who sees it."""
        params: dict[str, Any] = {"playlistId": playlist_id}
        if description is not None:
            params["comment"] = description
        if is_public is not None:
            params["public"] = "true" if is_public else "false"
        await self._client.call(self._signature(account), "updatePlaylist", params)

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist."""
        await self._client.call(self._signature(account), "deletePlaylist", {"id": playlist_id})

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is, not transcoded."""
        return await self._client.stream(self._signature(), "download", {"id": item_id}, byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the cover; servers take a song's id for it."""
        return await self._client.stream(
            self._signature(), "getCoverArt", {"id": item_id, "size": size}
        )


def users_of(users: dict[str, str], seen: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return what is played by one of these users."""
    return {key for key in seen if key[0] in users}


def _songs_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    songs = answer.get("song") or ()
    songs = [songs] if isinstance(songs, dict) else songs
    return [song for song in songs if isinstance(song, dict)]
