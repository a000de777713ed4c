"""A Jellyfin server as a source."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import aiohttp

from connectors.base import (
    BadAnswer,
    Kind,
    Misconfigured,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.blocking import BlockingCalls
from connectors.jellyfin.http import StrictHTTP, authorization, make_api
from connectors.jellyfin.live import listen
from connectors.jellyfin.parsing import (
    KINDS,
    parse_entry,
    parse_item,
    parse_playlist,
    parse_state,
    text,
    whole,
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
    ServerInfo,
    ServerItem,
    ServerPlaylist,
)
from connectors.server_settings import JellyfinSettings
from connectors.streams import ServerStream, open_stream

log = logging.getLogger(__name__)

PAGE = 200
"""Items a request: people and media sources are looked up one by one on the server."""
IDS_PAGE = 1000
BATCH = 100
"""Ids in a query: keeps the request line under 4 KB of the 8 that servers take."""
FEW = 20
"""Entries at the end of a playlist that are added rather than the whole list replaced."""
OVERLAP = timedelta(minutes=5)
FIELDS = (
    "DateCreated", "Etag", "Genres", "MediaSources", "OriginalTitle", "Overview", "Path", "People",
    "ProductionLocations", "ProviderIds", "Studios", "Taglines", "Tags", "Width", "Height",
)  # fmt: skip
LEAVES: dict[str, tuple[str, ...]] = {
    "music": ("Audio",), "movies": ("Movie",), "tvshows": ("Episode",),
    "musicvideos": ("MusicVideo",), "homevideos": ("Video", "Photo"), "photos": ("Photo",),
    "books": ("Book", "AudioBook"), "": tuple(KINDS),
}  # fmt: skip
"""Which leaves a library of each collection type holds."""
MEDIA_TYPES = {"music": "Audio", "videos": "Video", "images": "Photo", "text": "Book"}
OLDEST = (10, 9)


class JellyfinServer:
    """See `connectors.server.Server`."""

    info: ServerInfo

    def __init__(
        self, settings: JellyfinSettings, accounts: Sequence[Account], device_id: str, *,
        first_pause: float = 0.5, reconnect: tuple[float, float] = (1.0, 300.0), **limits: Any,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._accounts = list(accounts)
        self._device_id = device_id
        self._limits = {"first_pause": first_pause, **limits}
        self._reconnect = reconnect
        self._calls = BlockingCalls(settings.name)
        self._apis: dict[str, tuple[Any, StrictHTTP]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._leaves: dict[str, tuple[str, ...]] = {}
        self._admins: set[str] = set()

    async def __aenter__(self) -> Self:
        try:
            await self._learn()
        except BaseException:
            await self.__aexit__()
            raise
        connector = aiohttp.TCPConnector(limit_per_host=4, ssl=self._settings.verify_tls)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for _, http in self._apis.values():
            http.close()
        self._calls.close()
        if self._session:
            await self._session.close()

    async def _learn(self) -> None:
        found = _dict(await self._get(None, "System/Info/Public"))
        version = text(found.get("Version"))
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < OLDEST:
            raise Misconfigured(
                f"{self._settings.name} is Jellyfin {version or 'of an unknown version'}; "
                "10.9 is the oldest that can be used. Update it."
            )
        capabilities = {
            Capability.CHANGES, Capability.LIVE, Capability.RATE, Capability.FAVOURITE,
            Capability.PLAYLISTS, Capability.VISIBILITY,
        }  # fmt: skip
        for account in self._accounts:
            try:
                user = _dict(await self._get(account, "Users/Me"))
            except SignInRefused:
                continue  # told when that account is synced; the others go on
            if _dict(user.get("Policy")).get("IsAdministrator") is True:
                self._admins.add(account.user_id)
        if self._accounts and len(self._admins) == len(self._accounts):
            capabilities.add(Capability.MARK)
        if await self._find_plugin():
            capabilities.add(Capability.HISTORY)
        if numbers[0] >= 12:
            capabilities.add(Capability.DUPLICATES)
        self.info = ServerInfo(
            text(found.get("Id")), text(found.get("ServerName")) or self._settings.name, version,
            frozenset(capabilities),
        )  # fmt: skip

    async def _find_plugin(self) -> bool:
        """Tell whether Playback Reporting is installed and may be asked."""
        asker = self._asker()
        if not asker and not self._settings.api_key:
            return False
        try:
            await self._get(asker, "user_usage_stats/type_filter_list")
        except (NotFound, NotAllowed, Refused, SignInRefused):
            return False
        return True

    def _asker(self) -> Account | None:
        """Return an administrator's account, for what needs one; None for the API key."""
        return next((a for a in self._accounts if a.user_id in self._admins), None)

    # Calls

    def _api(self, account: Account | None, token: str | None = None) -> Any:
        key = account.user_id if account else ""
        if token is not None or key not in self._apis:
            if token is None:
                token = account.secrets.get("token", "") if account else self._key()
            made = make_api(self._settings, account, token, self._device_id, **self._limits)
            if token and key not in self._apis:
                self._apis[key] = made
            return made[0]
        return self._apis[key][0]

    def _key(self) -> str:
        key = self._settings.api_key
        return key.get_secret_value() if key else ""

    async def _get(self, account: Account | None, path: str, **params: Any) -> Any:
        return await self._calls.run(self._api(account)._get, path, params)

    async def _post(
        self, account: Account | None, path: str, json: Any = None, **params: Any
    ) -> Any:
        return await self._calls.run(self._api(account)._post, path, json, params)

    async def _delete(self, account: Account | None, path: str, **params: Any) -> Any:
        return await self._calls.run(self._api(account)._delete, path, params)

    def _reader(self) -> tuple[Account | None, str]:
        """Return who reads the library, and whose user id it is read for."""
        if self._accounts:
            return (None if self._key() else self._accounts[0]), self._accounts[0].user_id
        if self._key():
            return None, ""
        raise SignInRefused(
            f"Nobody has signed in at {self._settings.name}: "
            f"python -m daemon connect '{self._settings.name}'"
        )

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in by password; only the token is kept."""
        api = self._api(None, token="")
        said = await self._calls.run(
            api._post, "Users/AuthenticateByName", {"Username": user, "Pw": password}
        )
        return self._account(profile, said)

    async def begin_link(self, profile: str) -> Link:
        """Begin a Quick Connect."""
        api = self._api(None, token="")
        if await self._calls.run(api._get, "QuickConnect/Enabled") is not True:
            raise Refused(f"{self._settings.name} has Quick Connect switched off: use --password.")
        begun = _dict(await self._calls.run(api._post, "QuickConnect/Initiate"))
        return QuickConnect(self, api, profile, text(begun.get("Code")), text(begun.get("Secret")))

    def _account(self, profile: str, said: Any) -> Account:
        user = _dict(_dict(said).get("User"))
        token, user_id = text(_dict(said).get("AccessToken")), text(user.get("Id"))
        if not token or not user_id:
            raise BadAnswer(f"{self._settings.name} gave no token.")
        return Account(profile, user_id, text(user.get("Name")), {"token": token})

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the token is not taken any more."""
        api = self._api(account, token=account.secrets.get("token", ""))
        await self._calls.run(api._get, "Users/Me")

    # The library

    async def libraries(self) -> list[Library]:
        """Return the user's views that hold leaves of ours."""
        reader, user_id = self._reader()
        if user_id:
            said = await self._get(reader, "UserViews", userId=user_id)
        else:
            said = await self._get(None, "Library/MediaFolders")
        roots = await self._roots()
        found = []
        for view in _items(said):
            collection = text(view.get("CollectionType"))
            name = text(view.get("Name"))
            if collection not in LEAVES or view.get("Type") in ("ManualPlaylistsFolder",):
                continue
            if self._settings.libraries and name not in self._settings.libraries:
                continue
            leaves = LEAVES[collection]
            library_id = text(view.get("Id"))
            self._leaves[library_id] = leaves
            count = await self._get(
                reader, "Items", limit=0, enableTotalRecordCount=True,
                **self._query(library_id, user_id),
            )  # fmt: skip
            kinds = frozenset(KINDS[leaf] for leaf in leaves)
            total = whole(_dict(count).get("TotalRecordCount"))
            found.append(Library(library_id, name, kinds, roots.get(library_id, ()), total))
        return found

    async def _roots(self) -> dict[str, tuple[str, ...]]:
        """Return the folders of each library, where someone may ask for them."""
        if not self._asker() and not self._key():
            return {}
        try:
            said = await self._get(self._asker(), "Library/VirtualFolders")
        except (NotAllowed, NotFound, Refused, SignInRefused):
            return {}
        return {
            text(folder.get("ItemId")): tuple(p for p in folder.get("Locations") or () if p)
            for folder in said or ()
            if isinstance(folder, dict)
        }

    def _query(self, library_id: str, user_id: str) -> dict[str, Any]:
        query: dict[str, Any] = {
            "parentId": library_id, "recursive": True,
            "includeItemTypes": list(self._leaves.get(library_id, tuple(KINDS))),
        }  # fmt: skip
        return query | ({"userId": user_id} if user_id else {})

    async def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield the leaves with all their words, oldest first: what is added comes at the end."""
        reader, user_id = self._reader()
        query = self._query(library.id, user_id)
        if since is not None:
            # The only filter by change that every version has; of the metadata, not of user data.
            query["minDateLastSavedForUser"] = _iso(since - OVERLAP)
        offset = int(start) if start and start.isdecimal() else 0
        while True:
            said = await self._get(
                reader, "Items", fields=list(FIELDS), startIndex=offset, limit=PAGE,
                sortBy=["DateCreated", "SortName"], sortOrder=["Ascending"], enableImages=False,
                enableUserData=False, enableTotalRecordCount=True, **query,
            )  # fmt: skip
            rows = _items(said)
            offset += len(rows)
            entries = await self._calls.run(self._parse_all, rows)
            entries = await self._with_lyrics(reader, rows, entries)
            is_last = not rows or len(rows) < PAGE
            total = whole(_dict(said).get("TotalRecordCount"))
            yield Page(entries, None if is_last else str(offset), total)
            if is_last:
                return

    def _parse_all(self, rows: list[dict[str, Any]]) -> list[ServerItem]:
        """Parse a page, in a thread: the event loop has other things to do."""
        return [item for row in rows if (item := self._parse(row))]

    def _parse(self, row: dict[str, Any]) -> ServerItem | None:
        try:
            return parse_item(row)
        except (TypeError, ValueError, AttributeError) as error:
            log.warning("%s: an item was left out: %r", self._settings.name, error)
            return None

    async def _with_lyrics(
        self, reader: Account | None, rows: Sequence[dict[str, Any]], items: list[ServerItem]
    ) -> list[ServerItem]:
        having = {text(row.get("Id")) for row in rows if row.get("HasLyrics") is True}
        if not having:
            return items
        worded = []
        for item in items:
            if item.id in having:
                try:
                    said = _dict(await self._get(reader, f"Audio/{item.id}/Lyrics"))
                    lines = (text(_dict(line).get("Text")) for line in said.get("Lyrics") or ())
                    metadata = replace(item.metadata, lyrics="\n".join(lines)[:32_768])
                    item = replace(item, metadata=metadata)
                except (NotFound, NotAllowed, Refused, TypeError):
                    pass
            worded.append(item)
        return worded

    async def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all leaves."""
        reader, user_id = self._reader()
        query = self._query(library.id, user_id)
        async for rows in self._pages(reader, query | {
            "sortBy": ["DateCreated", "SortName"], "enableUserData": False,
        }):  # fmt: skip
            yield [text(row.get("Id")) for row in rows]

    async def _pages(
        self, account: Account | None, query: dict[str, Any]
    ) -> AsyncIterator[list[dict[str, Any]]]:
        offset = 0
        while True:
            said = await self._get(
                account, "Items", startIndex=offset, limit=IDS_PAGE, enableImages=False,
                enableTotalRecordCount=False, **query,
            )  # fmt: skip
            rows = _items(said)
            if rows:
                yield rows
            if len(rows) < IDS_PAGE:
                return
            offset += len(rows)

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there; unknown ids are left out by the server."""
        there: set[str] = set()
        for batch in _batches(list(dict.fromkeys(item_ids))):
            said = await self._get(
                account, "Items", ids=batch, userId=account.user_id, enableImages=False,
                enableUserData=False,
            )  # fmt: skip
            there.update(text(row.get("Id")) for row in _items(said))
        return there

    # What users did

    async def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched items. User data have no date of change: what was played lately comes
        first in the list of plays, the other lists are small.
        """  # noqa: D205
        played = {"sortBy": ["DatePlayed"], "sortOrder": ["Descending"]}
        for filters in ("IsPlayed", "IsResumable", "IsFavorite", "Likes", "Dislikes"):
            dated = filters in ("IsPlayed", "IsResumable")
            query = {
                "userId": account.user_id, "recursive": True, "includeItemTypes": list(KINDS),
                "filters": [filters], "enableUserData": True,
                **(played if dated else {"sortBy": ["SortName"]}),
            }  # fmt: skip
            async for rows in self._pages(account, query):
                states = [self._state(row) for row in rows]
                yield states
                last = states[-1].last_played if states else None
                if dated and since is not None and (last is None or last < since - OVERLAP):
                    break

    def _state(self, row: dict[str, Any]) -> ItemState:
        kind = KINDS.get(text(row.get("Type")))
        return parse_state(text(row.get("Id")), _dict(row.get("UserData")), kind)

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the present states of these items."""
        states = []
        for batch in _batches(list(item_ids)):
            said = await self._get(
                account, "Items", ids=batch, userId=account.user_id, enableUserData=True,
                enableImages=False,
            )  # fmt: skip
            states += [self._state(row) for row in _items(said)]
        return states

    async def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield what the Playback Reporting plugin noted, oldest first.

        Its dates are in the server's local time without a zone; they are taken for this
        machine's, since both mostly stand in one house.
        """
        if Capability.HISTORY not in self.info.capabilities:
            return
        last = 0
        after = (since or datetime(2000, 1, 1, tzinfo=UTC)).astimezone()
        user = "".join(c for c in account.user_id if c.isalnum())
        while True:
            sql = (  # ids are checked, and the server runs it as the asker's own query
                "SELECT ROWID, DateCreated, ItemId, PlayDuration FROM PlaybackActivity "  # noqa: S608
                f"WHERE UserId = '{user}' AND ROWID > {last} "
                f"AND DateCreated >= '{after:%Y-%m-%d %H:%M:%S}' ORDER BY ROWID LIMIT {IDS_PAGE}"
            )
            said = _dict(
                await self._post(
                    self._asker(), "user_usage_stats/submit_custom_query",
                    {"CustomQueryString": sql, "ReplaceUserId": False},
                )
            )  # fmt: skip
            rows = [row for row in said.get("results") or () if isinstance(row, list)]
            events = [event for row in rows if (event := _event(row))]
            yield events
            if len(rows) < IDS_PAGE:
                return
            last = max(int(row[0]) for row in rows)

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give or clear the number; the server's own pages show only favourites."""
        user = {"userId": account.user_id}
        if rating is None:
            await self._delete(account, f"UserItems/{item_id}/Rating", **user)
        else:
            await self._post(account, f"UserItems/{item_id}/UserData", {"Rating": rating}, **user)
        return await self._one_state(account, item_id)

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Make an item a favourite, or not."""
        call = self._post if is_favourite else self._delete
        await call(account, f"UserFavoriteItems/{item_id}", userId=account.user_id)
        return await self._one_state(account, item_id)

    async def _one_state(self, account: Account, item_id: str) -> ItemState:
        states = await self.states_of(account, [item_id])
        if not states:
            raise NotFound(f"{self._settings.name} has no item {item_id}.")
        return states[0]

    def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Yield live events of all accounts; each has a connection of its own."""
        return listen(
            self._live_session, self._settings, accounts, self._device_id, self._reconnect
        )

    def _live_session(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the playlists that the user sees."""
        query = {
            "userId": account.user_id, "recursive": True, "includeItemTypes": ["Playlist"],
            "fields": ["DateCreated", "Overview", "ChildCount", "Etag"], "sortBy": ["SortName"],
        }  # fmt: skip
        found: list[ServerPlaylist] = []
        async for rows in self._pages(account, query):
            found += [parse_playlist(row) for row in rows]
        return found

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its entries in order."""
        row = _dict(await self._get(account, f"Items/{playlist_id}", userId=account.user_id))
        if row.get("Type") != "Playlist":
            raise NotFound(f"{self._settings.name} has no playlist {playlist_id}.")
        entries: list[Any] = []
        while True:
            said = await self._get(
                account, f"Playlists/{playlist_id}/Items", userId=account.user_id,
                startIndex=len(entries), limit=IDS_PAGE, enableImages=False, enableUserData=False,
            )  # fmt: skip
            rows = _items(said)
            entries += [parse_entry(entry) for entry in rows]
            if len(rows) < IDS_PAGE:
                break
        return replace(parse_playlist(row), entries=tuple(e for e in entries if e))

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist; the server would make it public unless told not to."""
        said = await self._post(
            account, "Playlists",
            {
                "Name": name, "Ids": list(item_ids), "UserId": account.user_id,
                "MediaType": MEDIA_TYPES[kind], "IsPublic": is_public,
            },
        )  # fmt: skip
        playlist_id = text(_dict(said).get("Id"))
        if not playlist_id:
            raise BadAnswer(f"{self._settings.name} gave no id of the playlist it made.")
        await self.describe_playlist(account, playlist_id, description=description)
        return playlist_id

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Replace the content in one request, or add a few at the end."""
        present, wanted = playlist.item_ids, list(item_ids)
        if present == wanted:
            return 0
        more = wanted[len(present) :]
        if present and wanted[: len(present)] == present and len(more) <= FEW:
            await self._post(
                account, f"Playlists/{playlist.id}/Items", ids=more, userId=account.user_id
            )
        else:
            await self._post(account, f"Playlists/{playlist.id}", {"Ids": wanted})
        return 1

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set who sees it, and, as an administrator, the overview."""
        if is_public is not None:
            await self._post(account, f"Playlists/{playlist_id}", {"IsPublic": is_public})
        if description is not None and account.user_id in self._admins:
            item = _dict(await self._get(account, f"Items/{playlist_id}", userId=account.user_id))
            await self._post(account, f"Items/{playlist_id}", {**item, "Overview": description})

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist of the user."""
        await self._delete(account, f"Items/{playlist_id}")

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is."""
        return await self._open(f"Items/{item_id}/Download", byte_range=byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the primary picture."""
        params = {"fillWidth": str(size), "fillHeight": str(size), "quality": "90"}
        return await self._open(f"Items/{item_id}/Images/Primary", params=params)

    async def _open(self, path: str, **how: Any) -> ServerStream:
        reader, _ = self._reader()
        token = reader.secrets.get("token", "") if reader else self._key()
        headers = {"Authorization": authorization(f"{self._device_id}-media", token)}
        return await open_stream(
            self._live_session(), self._settings.name, f"{self._settings.url}/{path}",
            headers=headers, **how,
        )  # fmt: skip


class QuickConnect:
    """A sign-in that is confirmed in Jellyfin, under the user's Quick Connect."""

    def __init__(
        self, server: JellyfinServer, api: Any, profile: str, code: str, secret: str
    ) -> None:
        self.code = code
        self.url = f"{server._settings.url}/web/#/quickconnect"
        self._server = server
        self._api = api
        self._profile = profile
        self._secret = secret

    async def wait(self, timeout: float, every: float = 2.0) -> Account:
        """Ask until the code was entered. Raises SignInRefused when it was not."""
        deadline = time.monotonic() + timeout
        run = self._server._calls.run
        while time.monotonic() < deadline:
            try:
                said = _dict(
                    await run(self._api._get, "QuickConnect/Connect", {"secret": self._secret})
                )
            except NotFound:
                break
            if said.get("Authenticated") is True:
                secret = {"Secret": self._secret}
                answer = await run(self._api._post, "Users/AuthenticateWithQuickConnect", secret)
                return self._server._account(self._profile, answer)
            await asyncio.sleep(every)
        raise SignInRefused("The code was not entered in time. Connect again.")


def _event(row: list[Any]) -> PlayEvent | None:
    """Return a row of the plugin's table: rowid, local date, item, seconds."""
    try:
        number, date, item_id, seconds = row[:4]
        naive = datetime.fromisoformat(str(date)[:19])
        at = naive.astimezone().astimezone(UTC)
        return PlayEvent(f"report:{int(number)}", str(item_id), at, float(seconds))
    except (TypeError, ValueError):
        return None


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dict(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadAnswer("The server's answer is not of the promised shape.")
    return value


def _items(said: Any) -> list[dict[str, Any]]:
    rows = _dict(said).get("Items")
    if not isinstance(rows, list):
        raise BadAnswer("The server's answer is not of the promised shape.")
    return [row for row in rows if isinstance(row, dict)]


def _batches(ids: list[str]) -> list[list[str]]:
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
