"""A Subsonic server as a source.

Music only: films are left out, and the API knows no pictures. It tells of no changes, so a library
is read whole when its stamp differs. It keeps neither positions nor a history; plays are counted
by some servers (Navidrome) and not by others (supysonic).
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any, Self

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    Kind,
    Misconfigured,
    NotAllowed,
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
    PlayEvent,
    Resync,
    ServerInfo,
    ServerItem,
    ServerPlaylist,
)
from connectors.server_settings import SubsonicSettings
from connectors.streams import ServerStream
from connectors.subsonic.answers import ApiRefused
from connectors.subsonic.client import MISSING, UNKNOWN_TOKEN, Client, Signature, encoded, salted
from connectors.subsonic.listing import AT_ONCE, PAGE, Listing
from connectors.subsonic.live import NowPlaying
from connectors.subsonic.parsing import is_touched, moment, parse_song, parse_state, text
from connectors.subsonic.playlists import Playlists

log = logging.getLogger(__name__)

NOW_PLAYING = 30.0
"""Seconds between two looks at what is playing."""
LONGEST_PAUSE = 300.0
"""Seconds between two looks at a server that does not answer."""
EVERYTHING = "all"
MUSIC: frozenset[Kind] = frozenset({"music"})
ALBUMS_LATELY = 50
"""Albums played lately, a request."""
OLDEST = (1, 8)
"""With search3 and albums by tag; of 2012."""
ABOUT_ID = re.compile(r"(?i)\b(uu)?id\b|not found")
"""In the words of servers that answer error 0 for an id that cannot be theirs."""
OFFERED = frozenset(
    {
        Capability.RATE, Capability.FAVOURITE, Capability.PLAYLISTS, Capability.VISIBILITY,
        Capability.MARK, Capability.DUPLICATES, Capability.LIVE,
    }
)  # fmt: skip


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
        self._client = Client(
            settings.name, settings.url, verify_tls=settings.verify_tls, timeout=timeout,
            longest=longest, first_pause=first_pause,
        )  # fmt: skip
        self._listing = Listing(self._client)
        self._playlists = Playlists(self._client)
        self._kind = ""
        self._count: int | None = None
        self._met: dict[str, tuple[str, set[str]]] = {}
        self.info = ServerInfo(
            hashlib.blake2b(settings.url.encode(), digest_size=8).hexdigest(), settings.name, "",
            OFFERED,
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
        """Learn what answers; nothing can be asked as long as nobody has signed in."""
        if not self._accounts:
            return
        answer = await self._client.greet(self._signature())
        spoken = text(answer.get("version"))
        parts = spoken.split(".")
        if len(parts) > 1 and all(p.isdecimal() for p in parts) and (*map(int, parts),) < OLDEST:
            raise Misconfigured(
                f"{self._settings.name} speaks version {spoken} of the Subsonic API, which is too "
                "old: 1.8 is needed."
            )
        self._kind = text(answer.get("type"))
        kind = f" ({self._kind})" if self._kind else ""
        self.info = ServerInfo(
            self.info.id, f"{self._settings.name}{kind}",
            text(answer.get("serverVersion")) or spoken, OFFERED,
        )  # fmt: skip

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in by token; by the password itself only where nothing else is known."""
        signature = salted(password, user)
        try:
            await self._client.greet(signature)
        except ApiRefused as error:
            if error.code not in UNKNOWN_TOKEN:
                raise
            signature = encoded(password, user)
            await self._client.greet(signature)
        return Account(profile, user, user, signature)

    async def begin_link(self, profile: str) -> Link:
        """Refuse: there is no sign-in by code."""
        raise Refused(f"{self._settings.name} signs in by user name and password.")

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the account is not taken any more."""
        await self._client.read(self._signature(account), "ping")

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
        """Return the music folders where the server tells them apart, else all songs as one."""
        signature = self._signature()
        stamp, count = await self._listing.stamp(signature)
        self._count = count
        if count is not None and not await self._listing.ends_at(signature, count):
            count = None  # of something else, so it must not be waited for
        folders = await self._listing.folders(signature)
        wanted = self._settings.libraries
        ids = [folder_id for folder_id, _ in folders]
        if len(folders) < 2:
            name = folders[0][1] if folders else "Music"
            if wanted and name not in wanted:
                return []
            return [Library(EVERYTHING, name, MUSIC, count=count, stamp=stamp)]
        if not await self._listing.tells_folders_apart(signature, ids):
            if wanted:
                raise Misconfigured(
                    f"{self._settings.name} cannot list its libraries one by one: leave out "
                    "`libraries`."
                )
            return [Library(EVERYTHING, "Music", MUSIC, count=count, stamp=stamp)]
        return [
            Library(folder_id, name, MUSIC, roots=(f"/{name}",), stamp=stamp)
            for folder_id, name in folders
            if not wanted or name in wanted
        ]

    async def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield all songs; `since` narrows nothing, as the API cannot."""
        root = library.roots[0].strip("/") if library.roots else ""
        pages = self._listing.songs(
            self._signature(), _folder(library), start=start, total=library.count
        )
        async for songs, after in pages:
            entries = []
            for song in songs:
                try:
                    item = parse_song(song, server=self._kind, root=root)
                except (TypeError, ValueError, AttributeError) as error:
                    log.warning("%s: a song was left out: %r", self._settings.name, error)
                    continue
                entries += [item] if item else []
            if entries or after:
                yield Page(entries, after, library.count)

    async def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all songs."""
        pages = self._listing.songs(self._signature(), _folder(library), total=library.count)
        async for songs, _ in pages:
            yield [song_id for song in songs if (song_id := text(song.get("id")))]

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there, at as few requests as can be.

        A request for each, or a reading of all ids, whichever is less; what was found is known
        for as long as the server has not scanned.
        """
        signature = self._signature(account)
        stamp, count = await self._listing.stamp(signature)
        before, known = self._met.get(account.user_id, ("", set[str]()))
        if not stamp or stamp != before:
            known = set()
        wanted = set(item_ids)
        unsure = wanted - known
        pages = (count or self._count or 10 * PAGE) / PAGE + 1
        if len(unsure) > max(pages, AT_ONCE):
            found: set[str] = set()
            async for songs, _ in self._listing.songs(signature):
                found.update(unsure.intersection(text(song.get("id")) for song in songs))
        else:
            found = {state.item_id for state in await self.states_of(account, list(unsure))}
        if stamp:
            self._met[account.user_id] = (stamp, known | found)
        return wanted & (known | found)

    # What users did

    async def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched songs: all of them, or what was starred, and played lately.

        A rating that was given without a star or a play is seen by the next full reading.
        """
        signature = self._signature(account)
        if since is None:
            async for songs, _ in self._listing.songs(signature):
                yield _touched(songs)
            return
        try:
            answer = await self._client.read(signature, "getStarred2")
        except (Refused, NotFound) as error:
            log.debug("%s has no getStarred2: %s", self._settings.name, error)
        else:
            yield _touched(answer.part("starred2").many("song"))
        async for songs in self._recently_played(signature, since):
            yield _touched(songs)

    async def _recently_played(
        self, signature: Signature, since: datetime
    ) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the songs of albums played since, where the server dates its plays."""
        offset = 0
        met: set[str] = set()
        while True:
            try:
                answer = await self._client.read(
                    signature, "getAlbumList2", type="recent", size=ALBUMS_LATELY, offset=offset
                )
            except (Refused, NotFound) as error:
                log.debug("%s has no getAlbumList2: %s", self._settings.name, error)
                return
            albums = answer.part("albumList2").many("album")
            ids = [text(album.get("id")) for album in albums]
            for album, album_id in zip(albums, ids, strict=True):
                played = moment(album.get("played"))
                if played is None or played < since or album_id in met:
                    return
                met.add(album_id)
                try:
                    yield await self._listing.album(signature, album_id)
                except NotFound:
                    continue
            if len(albums) < ALBUMS_LATELY:
                return
            offset += len(albums)

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the states of these songs; those that are not there are left out."""
        limit = asyncio.Semaphore(AT_ONCE)

        async def look(item_id: str) -> ItemState | None:
            async with limit:
                try:
                    return await self._state(account, item_id)
                except NotFound:
                    return None

        found = await asyncio.gather(*map(look, item_ids))
        return [state for state in found if state]

    async def _state(self, account: Account, item_id: str) -> ItemState:
        return parse_state(await self._song(self._signature(account), item_id))

    async def _song(self, signature: Signature, item_id: str) -> dict[str, Any]:
        """Return one song. Raises NotFound, whichever way the server says it."""
        name = self._settings.name
        try:
            answer = await self._client.read(signature, "getSong", id=item_id)
        except ApiRefused as error:
            if error.code != MISSING and not ABOUT_ID.search(error.words):
                raise
            raise NotFound(f"{name} has no song {item_id}.") from error
        song = answer.part("song").content
        if text(song.get("id")) != item_id:
            raise BadAnswer(f"{name} was asked for the song {item_id} and sent another.")
        return song

    async def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield nothing: the API has no history."""
        return
        yield []

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give one to five stars; a rating of 0 is one star, since none means no rating."""
        stars = 0 if rating is None else min(5, max(1, int(rating / 2 + 0.5)))
        await self._client.call(self._signature(account), "setRating", id=item_id, rating=stars)
        return await self._state(account, item_id)

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Star a song, or not. Some servers refuse what is so already; what they have counts."""
        method = "star" if is_favourite else "unstar"
        refused: ApiRefused | None = None
        try:
            await self._client.call(self._signature(account), method, id=item_id)
        except ApiRefused as error:
            refused = error
        state = await self._state(account, item_id)
        if refused and state.is_favourite != is_favourite:
            raise refused
        return state

    async def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Ask now and then what is playing; what is not any more was played."""
        playing = NowPlaying({account.user_name: account.user_id for account in accounts})
        signature = self._signature(next(iter(accounts), None))
        pause, is_connected = self._watch_every, False
        while True:
            try:
                answer = await self._client.read(signature, "getNowPlaying")
                entries = answer.part("nowPlaying").many("entry")
            except NotFound as error:
                raise Refused(f"{self._settings.name} does not tell what is playing.") from error
            except ConnectorUnavailable as error:
                log.info("%s cannot be watched now: %s", self._settings.name, error)
                is_connected = False
                await asyncio.sleep(pause)
                pause = min(2 * pause, max(LONGEST_PAUSE, self._watch_every))
                continue
            gap, is_connected, pause = not is_connected, True, self._watch_every
            if gap:
                yield Resync()
            for played in playing.look(entries, datetime.now(UTC), every=pause, gap=gap):
                yield played
            await asyncio.sleep(pause)

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the user's playlists and public ones."""
        return await self._playlists.list(self._signature(account))

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its songs in order."""
        return await self._playlists.get(self._signature(account), playlist_id)

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist."""
        if kind != "music":
            raise Refused(f"{self._settings.name} has playlists of music only.")
        signature = self._signature(account)
        playlist_id = await self._playlists.create(signature, name, item_ids)
        await self._playlists.describe_new(signature, playlist_id, description, is_public=is_public)
        return playlist_id

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Replace the content; servers do that as a whole."""
        if playlist.entries is not None and playlist.item_ids == list(item_ids):
            return 0
        return await self._playlists.replace(self._signature(account), playlist.id, item_ids)

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set the comment and who sees it."""
        await self._playlists.describe(
            self._signature(account), playlist_id, description, is_public
        )

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist."""
        await self._playlists.delete(self._signature(account), playlist_id)

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is; by streaming where users may not download."""
        signature = self._signature()
        try:
            return await self._client.stream(signature, "download", {"id": item_id}, byte_range)
        except (NotAllowed, Refused) as error:
            log.debug("%s: streamed, not downloaded: %s", self._settings.name, error)
        params = {"id": item_id, "format": "raw"}
        return await self._client.stream(signature, "stream", params, byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the cover that the song names: to be asked for another, supysonic breaks."""
        signature = self._signature()
        cover = text((await self._song(signature, item_id)).get("coverArt"))
        if not cover:
            raise NotFound(f"{self._settings.name} has no cover of {item_id}.")
        return await self._client.stream(signature, "getCoverArt", {"id": cover, "size": size})


def _folder(library: Library) -> str:
    return "" if library.id == EVERYTHING else library.id


def _touched(songs: Sequence[dict[str, Any]]) -> list[ItemState]:
    states = [parse_state(song) for song in songs if text(song.get("id"))]
    return [state for state in states if is_touched(state)]
