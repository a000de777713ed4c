"""A Plex Media Server as a source."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Self
from xml.etree.ElementTree import Element, ParseError, fromstring

import aiohttp
import plexapi
from plexapi.server import PlexServer as Api

from connectors.base import (
    BadAnswer,
    Kind,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.blocking import BlockingCalls
from connectors.edits import plan_edits
from connectors.plex.live import listen
from connectors.plex.parsing import (
    is_touched,
    parse_event,
    parse_item,
    parse_playlist,
    parse_state,
    whole,
)
from connectors.plex.session import StrictSession
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
from connectors.server_settings import PlexSettings
from connectors.streams import ServerStream, open_stream

log = logging.getLogger(__name__)

PLEX_TV = "https://plex.tv"
"""Asked only to sign a person in."""
PAGE = 200
"""Items a request with all their words."""
BIG_PAGE = 1000
BATCH = 100
"""Keys in an address: keeps it under 2 KB of the 8 that servers take."""
WHOLE_ANEW = 0.4
"""Share of a playlist's length from which it is emptied and filled instead of edited."""
OVERLAP = timedelta(minutes=5)
TYPES: dict[str, tuple[int, Kind]] = {
    "artist": (10, "music"), "movie": (1, "videos"), "show": (4, "videos"), "photo": (13, "images"),
}  # fmt: skip
"""Section type: the number of its leaves' type, and their kind."""
PLAYLIST_TYPES = {"music": "audio", "videos": "video", "images": "photo"}
OWNER = "1"


class PlexServer:
    """See `connectors.server.Server`."""

    info: ServerInfo

    def __init__(
        self, settings: PlexSettings, accounts: Sequence[Account], device_id: str, *,
        reconnect: tuple[float, float] = (1.0, 300.0), plex_tv: str | None = None, **limits: Any,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._accounts = list(accounts)
        self._device_id = device_id
        self._reconnect = reconnect
        self._plex_tv = plex_tv or PLEX_TV
        self._limits = limits
        self._calls = BlockingCalls(settings.name)
        self._apis: dict[str, Any] = {}
        self._session: aiohttp.ClientSession | None = None
        plexapi.BASE_HEADERS["X-Plex-Client-Identifier"] = device_id

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
        for api in self._apis.values():
            api._session.close()
        self._calls.close()
        if self._session:
            await self._session.close()

    async def _learn(self) -> None:
        capabilities = frozenset(
            {
                Capability.CHANGES, Capability.HISTORY, Capability.LIVE, Capability.RATE,
                Capability.PLAYLISTS, Capability.MARK, Capability.DUPLICATES,
            }
        )  # fmt: skip
        name, version, server_id = self._settings.name, "", ""
        if self._accounts:
            root = await self._query(None, "/")
            name = root.get("friendlyName") or name
            version = root.get("version", "")
            server_id = root.get("machineIdentifier", "")
        else:
            server_id = await self._identity()
        self.info = ServerInfo(server_id, name, version, capabilities)

    async def _identity(self) -> str:
        """Return the server's id, which it tells anyone."""
        session = self._make_session()

        def ask() -> str:
            with session:
                return str(self._parse_identity(session.get(f"{self._settings.url}/identity").text))

        return await self._calls.run(ask)

    def _parse_identity(self, text: str) -> str:
        try:
            return fromstring(text).get("machineIdentifier", "")
        except ParseError as error:
            raise BadAnswer(f"{self._settings.name} is no Plex server.") from error

    # Calls

    def _make_session(self) -> StrictSession:
        return StrictSession(
            self._settings.name, self._settings.url, verify_tls=self._settings.verify_tls,
            **self._limits,
        )  # fmt: skip

    def _account(self, account: Account | None) -> Account:
        account = account or next(iter(self._accounts), None)
        if account is None:
            raise SignInRefused(
                f"Nobody has signed in at {self._settings.name}: "
                f"python -m daemon connect '{self._settings.name}'"
            )
        return account

    def _ask(
        self, account: Account, path: str, method: str, params: dict[str, Any],
        headers: dict[str, str],
    ) -> Element:  # fmt: skip
        """Make one call, in a thread; the answer is plain XML, so nothing is fetched lazily."""
        token = account.secrets.get("token", "")
        try:
            api = self._apis.get(token)
            if api is None:
                api = Api(self._settings.url, token, session=self._make_session())
                self._apis[token] = api
            found = api.query(
                path, method=getattr(api._session, method), params=params, headers=headers
            )
        except (ParseError, UnicodeDecodeError) as error:
            raise BadAnswer(f"{self._settings.name}'s answer is no XML.") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise BadAnswer(f"{self._settings.name}'s answer is not of Plex.") from error
        if found is None and method == "get":
            raise BadAnswer(f"{self._settings.name} answered nothing.")
        if found is not None and found.tag not in ("MediaContainer", "Response"):
            raise BadAnswer(f"{self._settings.name}'s answer is not of Plex.")
        return found if found is not None else Element("MediaContainer")

    async def _query(
        self, account: Account | None, path: str, *, method: str = "get",
        at: tuple[int, int] | None = None, **params: Any,
    ) -> Element:  # fmt: skip
        headers: dict[str, str] = {}
        if at is not None:
            headers = {
                "X-Plex-Container-Start": str(at[0]), "X-Plex-Container-Size": str(at[1]),
            }  # fmt: skip
        return await self._calls.run(
            self._ask, self._account(account), path, method, params, headers
        )

    async def _pages(
        self, account: Account | None, path: str, size: int, *, start: int = 0, **params: Any
    ) -> AsyncIterator[Element]:
        """Yield containers until one is not full."""
        while True:
            found = await self._query(account, path, at=(start, size), **params)
            if len(found):
                yield found
            if len(found) < size:
                return
            start += len(found)

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in with a token in the password's place: Plex has no passwords here."""
        account = Account(profile, "", user, {"token": password})
        try:
            await self._query(account, "/")
        except SignInRefused as error:
            raise SignInRefused(
                f"{self._settings.name} does not take this. Plex signs in by a link: leave out "
                "the password. A token of the settings may have expired."
            ) from error
        user_id = await self._find_user_id(account, user)
        return Account(profile, user_id, user, {"token": password})

    async def _find_user_id(self, account: Account, user: str) -> str:
        """Return the id that the history names the user by; only the owner may ask."""
        try:
            accounts = await self._query(account, "/accounts")
        except (NotAllowed, NotFound, Refused, SignInRefused):
            return f"user:{user}"
        for node in accounts:
            if node.get("name", "").casefold() == user.casefold() and node.get("id"):
                return str(node.get("id"))
        return OWNER

    async def begin_link(self, profile: str) -> Link:
        """Begin a sign-in at plex.tv/link."""
        link = PinLink(self, profile)
        await link.begin()
        return link

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the token is not taken any more."""
        await self._query(account, "/library/sections")

    # The library

    async def libraries(self) -> list[Library]:
        """Return the sections with leaves of ours."""
        found = []
        for section in await self._query(None, "/library/sections"):
            kind = TYPES.get(section.get("type", ""))
            name = section.get("title", "")
            if kind is None or (self._settings.libraries and name not in self._settings.libraries):
                continue
            key = section.get("key", "")
            counted = await self._query(
                None, f"/library/sections/{key}/all", at=(0, 0), type=kind[0]
            )
            roots = tuple(place.get("path", "") for place in section.findall("Location"))
            count = whole(counted.get("totalSize"))
            library_id = f"{section.get('type')}:{key}"
            found.append(Library(library_id, name, frozenset({kind[1]}), roots, count))
        return found

    async def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield leaves; listings cut lists short, so each page is read again by its keys."""
        path, number = _section(library)
        params: dict[str, Any] = {"type": number, "sort": "addedAt:asc", "includeGuids": 1}
        if since is not None:
            params["updatedAt>>"] = int((since - OVERLAP).timestamp())
        offset = int(start) if start and start.isdecimal() else 0
        async for listed in self._pages(None, path, PAGE, start=offset, **params):
            offset += len(listed)
            keys = [node.get("ratingKey", "") for node in listed]
            whole_nodes = await self._details(keys)
            entries = await self._calls.run(self._parse_all, list(listed), whole_nodes)
            is_last = len(listed) < PAGE
            total = whole(listed.get("totalSize"))
            yield Page(entries, None if is_last else str(offset), total)

    def _parse_all(
        self, listed: list[Element], whole_nodes: dict[str, Element]
    ) -> list[ServerItem]:
        """Parse a page, in a thread: the event loop has other things to do."""
        entries = []
        for node in listed:
            node = whole_nodes.get(node.get("ratingKey", ""), node)
            try:
                item = parse_item(node)
            except (TypeError, ValueError, AttributeError) as error:
                log.warning("%s: an item was left out: %r", self._settings.name, error)
                continue
            entries += [item] if item else []
        return entries

    async def _details(self, keys: Sequence[str]) -> dict[str, Element]:
        found: dict[str, Element] = {}
        for start in range(0, len(keys), BATCH):
            joined = ",".join(keys[start : start + BATCH])
            try:
                nodes = await self._query(None, f"/library/metadata/{joined}", includeGuids=1)
            except NotFound:  # all were deleted since
                continue
            found |= {node.get("ratingKey", ""): node for node in nodes}
        return found

    async def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the keys of all leaves."""
        path, number = _section(library)
        async for found in self._pages(None, path, BIG_PAGE, type=number, sort="addedAt:asc"):
            yield [node.get("ratingKey", "") for node in found]

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there."""
        there: set[str] = set()
        keys = [key for key in dict.fromkeys(item_ids) if key.isdecimal()]
        for start in range(0, len(keys), BATCH):
            joined = ",".join(keys[start : start + BATCH])
            try:
                found = await self._query(account, f"/library/metadata/{joined}")
            except NotFound:
                continue
            there.update(node.get("ratingKey", "") for node in found)
        return there

    # What users did

    async def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched leaves: all, or those that were played or rated since."""
        filters: list[dict[str, Any]] = [{}]
        if since is not None:
            moment = int((since - OVERLAP).timestamp())
            filters = [{"lastViewedAt>>": moment}, {"lastRatedAt>>": moment}]
        for section in await self._query(account, "/library/sections"):
            kind = TYPES.get(section.get("type", ""))
            if kind is None:
                continue
            path = f"/library/sections/{section.get('key')}/all"
            for narrowed in filters:
                async for found in self._pages(account, path, BIG_PAGE, type=kind[0], **narrowed):
                    states = [parse_state(node) for node in found]
                    yield [state for state in states if is_touched(state)]

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the present states of these items."""
        states = []
        for start in range(0, len(item_ids), BATCH):
            joined = ",".join(item_ids[start : start + BATCH])
            try:
                found = await self._query(account, f"/library/metadata/{joined}")
            except NotFound:
                continue
            states += [parse_state(node) for node in found]
        return states

    async def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield the user's plays, newest first. The owner sees all, others only their own."""
        params: dict[str, Any] = {"sort": "viewedAt:desc"}
        if since is not None:
            params["viewedAt>"] = int(since.timestamp())
        if account.user_id.isdecimal():
            params["accountID"] = account.user_id
        path = "/status/sessions/history/all"
        async for found in self._pages(account, path, BIG_PAGE, **params):
            yield [event for node in found if (event := parse_event(node))]

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give or clear a rating."""
        await self._query(
            account, "/:/rate", method="put", key=item_id,
            identifier="com.plexapp.plugins.library", rating=-1 if rating is None else rating,
        )  # fmt: skip
        states = await self.states_of(account, [item_id])
        if not states:
            raise NotFound(f"{self._settings.name} has no item {item_id}.")
        return states[0]

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Refuse: Plex has none."""
        raise Refused(f"{self._settings.name} knows no favourites.")

    def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Yield live events. Plex tells only the owner of others' plays."""
        assert self._session is not None
        account = next((a for a in accounts if a.user_id == OWNER), accounts[0])

        async def user_of(session_key: str) -> str:
            sessions = await self._query(account, "/status/sessions")
            for node in sessions:
                user = node.find("User")
                if node.get("sessionKey") == session_key and user is not None:
                    return user.get("id", "")
            return ""

        return listen(
            self._session, self._settings.name, self._settings.url,
            account.secrets.get("token", ""), user_of, self._reconnect,
        )  # fmt: skip

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the token's own playlists."""
        found: list[ServerPlaylist] = []
        async for page in self._pages(account, "/playlists", BIG_PAGE):
            found += [parse_playlist(node, account.user_id) for node in page]
        return found

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its entries in order."""
        found = await self._query(account, f"/playlists/{playlist_id}")
        if not len(found):
            raise NotFound(f"{self._settings.name} has no playlist {playlist_id}.")
        entries: list[Element] = []
        async for page in self._pages(account, f"/playlists/{playlist_id}/items", BIG_PAGE):
            entries += list(page)
        return parse_playlist(found[0], account.user_id, entries)

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist with the first entries, and add the rest."""
        if kind not in PLAYLIST_TYPES:
            raise Refused(f"{self._settings.name} has no playlists of {kind}.")
        made = await self._query(
            account, "/playlists", method="post", type=PLAYLIST_TYPES[kind], title=name, smart=0,
            uri=self._uri(item_ids[:BATCH]),
        )  # fmt: skip
        if not len(made):
            raise BadAnswer(f"{self._settings.name} gave no id of the playlist it made.")
        playlist_id = str(made[0].get("ratingKey", ""))
        await self.describe_playlist(account, playlist_id, description=description)
        await self._append(account, playlist_id, item_ids[BATCH:])
        return playlist_id

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Delete, add and move single entries; where that is much, empty and fill the playlist."""
        wanted = list(item_ids)
        edits = plan_edits(playlist.item_ids, wanted)
        if not len(edits):
            return 0
        if len(edits) > WHOLE_ANEW * len(wanted):
            await self._query(account, f"/playlists/{playlist.id}/items", method="delete")
            return 1 + await self._append(account, playlist.id, wanted)
        entries = playlist.entries or ()
        for place in edits.removed:
            path = f"/playlists/{playlist.id}/items/{entries[place].id}"
            await self._query(account, path, method="delete")
        requests = len(edits.removed)
        requests += await self._append(account, playlist.id, [wanted[n] for n in edits.added])
        return requests + await self._move(account, playlist.id, wanted)

    async def _move(self, account: Account, playlist_id: str, wanted: list[str]) -> int:
        """Put the entries in order; each that must move moves once, behind the one before it."""
        present = await self.playlist(account, playlist_id)
        edits = plan_edits(present.item_ids, wanted)
        if edits.removed or edits.added:
            return 0  # not what was sent: whoever reads back will see
        entries = present.entries or ()
        at = {place: entries[now].id for now, place in (*edits.kept, *edits.moved)}
        moving = sorted(place for _, place in edits.moved)
        for place in moving:
            after: dict[str, Any] = {"after": at[place - 1]} if place else {}
            await self._query(
                account, f"/playlists/{playlist_id}/items/{at[place]}/move", method="put", **after
            )
        return len(moving)

    async def _append(self, account: Account, playlist_id: str, item_ids: Sequence[str]) -> int:
        batches = range(0, len(item_ids), BATCH)
        for start in batches:
            await self._query(
                account, f"/playlists/{playlist_id}/items", method="put",
                uri=self._uri(item_ids[start : start + BATCH]),
            )  # fmt: skip
        return len(batches)

    def _uri(self, item_ids: Sequence[str]) -> str:
        keys = ",".join(item_ids)
        return f"server://{self.info.id}/com.plexapp.plugins.library/library/metadata/{keys}"

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set the summary."""
        if description is not None:
            await self._query(
                account, f"/playlists/{playlist_id}", method="put", summary=description
            )

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist of the account."""
        await self._query(account, f"/playlists/{playlist_id}", method="delete")

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is."""
        found = await self._query(None, f"/library/metadata/{item_id}")
        part = found.find(".//Part")
        if part is None or not part.get("key"):
            raise NotFound(f"{self._settings.name} has no file of {item_id}.")
        return await self._open(str(part.get("key")), byte_range=byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the picture of the item, or of what it is part of."""
        found = await self._query(None, f"/library/metadata/{item_id}")
        names = ("thumb", "parentThumb", "grandparentThumb")
        thumbs = (found[0].get(name) for name in names) if len(found) else iter(())
        thumb = next((t for t in thumbs if t), None)
        if thumb is None:
            raise NotFound(f"{self._settings.name} has no picture of {item_id}.")
        params = {"url": thumb, "width": str(size), "height": str(size), "minSize": "1"}
        return await self._open("/photo/:/transcode", params=params)

    async def _open(self, path: str, **how: Any) -> ServerStream:
        assert self._session is not None
        token = self._account(None).secrets.get("token", "")
        headers = {"X-Plex-Token": token, "X-Plex-Client-Identifier": self._device_id}
        return await open_stream(
            self._session, self._settings.name, f"{self._settings.url}{path}", headers=headers,
            **how,
        )  # fmt: skip


class PinLink:
    """A sign-in that is confirmed at plex.tv/link."""

    code = ""

    def __init__(self, server: PlexServer, profile: str) -> None:
        self._server = server
        self._profile = profile
        self._pin_id = ""
        self._base = server._plex_tv
        self.url = f"{self._base}/link"

    def _call(self, method: str, path: str, token: str = "", **params: Any) -> Any:
        session = StrictSession("plex.tv", self._base, **self._server._limits)
        headers = {
            "Accept": "application/json", "X-Plex-Client-Identifier": self._server._device_id,
            "X-Plex-Product": "Anagnorisis",
        }  # fmt: skip
        if token:
            headers["X-Plex-Token"] = token
        with session:
            answer = session.request(method, f"{self._base}{path}", headers=headers, params=params)
        try:
            return answer.json()
        except ValueError as error:
            raise BadAnswer("plex.tv's answer is no JSON.") from error

    async def begin(self) -> None:
        """Ask for a code."""
        said = await self._server._calls.run(self._call, "POST", "/api/v2/pins")
        self._pin_id, self.code = str(said.get("id", "")), str(said.get("code", ""))

    async def wait(self, timeout: float, every: float = 2.0) -> Account:
        """Ask until the code was entered. Raises SignInRefused when it was not."""
        run = self._server._calls.run
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                said = await run(self._call, "GET", f"/api/v2/pins/{self._pin_id}")
            except NotFound:
                break
            token = said.get("authToken")
            if token:
                return await self._finish(str(token))
            await asyncio.sleep(every)
        raise SignInRefused("The code was not entered in time. Connect again.")

    async def _finish(self, token: str) -> Account:
        """Find the token that the person has at this very server."""
        run = self._server._calls.run
        user = await run(self._call, "GET", "/api/v2/user", token)
        resources = await run(self._call, "GET", "/api/v2/resources", token)
        ours = [
            r.get("accessToken")
            for r in resources if isinstance(r, dict)
            if r.get("clientIdentifier") == self._server.info.id
        ]  # fmt: skip
        name = str(user.get("username") or user.get("title") or user.get("email") or "")
        secret = str(next((t for t in ours if t), token))
        account = Account(self._profile, "", name, {"token": secret})
        user_id = await self._server._find_user_id(account, name)
        return Account(self._profile, user_id, name, {"token": secret})


def _section(library: Library) -> tuple[str, int]:
    kind, _, key = library.id.partition(":")
    return f"/library/sections/{key}/all", TYPES[kind][0]
