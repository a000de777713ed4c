"""A Jellyfin server as a source."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import Any, Self

import aiohttp

from connectors.base import (
    ConnectorUnavailable,
    Kind,
    Misconfigured,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.jellyfin import linking, listing, playlists, plays
from connectors.jellyfin.calls import NOBODY, Calls, checked
from connectors.jellyfin.listing import FIELDS
from connectors.jellyfin.live import Pace, listen
from connectors.jellyfin.values import mapping, plain_id, text
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

__all__ = ["FIELDS", "PAGE", "JellyfinServer"]

PAGE = 200
"""New items a request: people and media sources are looked up one by one on the server."""
STREAMS = 16
"""Media and pictures on their way at once."""
OLDEST = (10, 9)
DOUBLES = (12, 0)
"""The first version whose playlists may hold an item twice."""
CAPABILITIES = frozenset(
    {
        Capability.CHANGES, Capability.LIVE, Capability.RATE, Capability.FAVOURITE,
        Capability.PLAYLISTS, Capability.VISIBILITY,
    }
)  # fmt: skip


class JellyfinServer:
    """See `connectors.server.Server`."""

    info: ServerInfo

    def __init__(
        self, settings: JellyfinSettings, accounts: Sequence[Account], device_id: str, *,
        reconnect: tuple[float, float] = (1.0, 300.0), asking: float = 10.0, poll: float = 2.0,
        **limits: Any,
    ) -> None:  # fmt: skip
        """Open it with `async with`.

        `reconnect`: shortest and longest pause of the live events; `asking`: between two
        questions what a user plays; `poll`: between two looks at a Quick Connect (all in seconds);
        `limits`: as StrictHTTP takes them.
        """
        self._settings = settings
        self._pace = Pace(*reconnect, asking)
        self._poll = poll
        self._calls = Calls(settings, accounts, device_id, limits)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            self.info = await self._learn()
        except BaseException:
            await self.__aexit__()
            raise
        self._session = self._make_session(STREAMS)
        return self

    def _make_session(self, limit: int) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            limit=limit, limit_per_host=limit, ssl=self._settings.verify_tls
        )
        return aiohttp.ClientSession(connector=connector)

    async def __aexit__(self, *exception: object) -> None:
        self._calls.close()
        if self._session:
            await self._session.close()

    async def _learn(self) -> ServerInfo:
        calls = self._calls
        found = await calls.read(NOBODY, "System/Info/Public", mapping)
        version = text(found.get("Version"))
        calls.version = self._check_version(version, text(found.get("ProductName")))
        for account in calls.accounts:
            if await self._is_administrator(account):
                calls.admins.add(account.user_id)
        capabilities = set(CAPABILITIES)
        if calls.accounts and all(a.user_id in calls.admins for a in calls.accounts):
            capabilities.add(Capability.MARK)
        if calls.version >= DOUBLES:
            capabilities.add(Capability.DUPLICATES)
        if await plays.has_reports(calls):
            capabilities.add(Capability.HISTORY)
        name = text(found.get("ServerName")) or self._settings.name
        return ServerInfo(text(found.get("Id")), name, version, frozenset(capabilities))

    def _check_version(self, version: str, product: str) -> tuple[int, ...]:
        name = self._settings.name
        if product and "jellyfin" not in product.lower():
            raise Misconfigured(f"{name} is {product[:40]} and no Jellyfin.")
        numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
        if numbers < OLDEST:
            raise Misconfigured(
                f"{name} is Jellyfin {version[:20] or 'of an unknown version'}; 10.9 is the "
                "oldest that can be used. Update it."
            )
        return numbers

    async def _is_administrator(self, account: Account) -> bool:
        try:
            user = await self._calls.read(account, "Users/Me", mapping)
        except (NotAllowed, NotFound, Refused, SignInRefused):
            return False  # told when that account is synced; the others go on
        policy = user.get("Policy")
        return isinstance(policy, dict) and policy.get("IsAdministrator") is True

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in by password; only the token is kept."""
        return await linking.sign_in(self._calls, profile, user, password)

    async def begin_link(self, profile: str) -> Link:
        """Begin a Quick Connect."""
        link = linking.QuickConnect(self._calls, profile, self._poll)
        await link.begin()
        return link

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the token is not taken any more."""
        await self._calls.read(account, "Users/Me", mapping)

    # The library

    async def libraries(self) -> list[Library]:
        """Return the user's views that hold leaves of ours."""
        return await listing.libraries(self._calls)

    def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield the leaves with all their words, oldest first."""
        return listing.items(self._calls, library, since, start, PAGE)

    def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the ids of all leaves."""
        return listing.ids(self._calls, library)

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there and that the user may see."""
        return await listing.existing(self._calls, account, item_ids)

    # What users did

    def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched items: all, or those played lately and all with a word of the user."""
        return plays.states(self._calls, account, since)

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the present states of these items."""
        return await plays.states_of(self._calls, account, item_ids)

    async def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield what the Playback Reporting plugin noted, where there is one."""
        if Capability.HISTORY in self.info.capabilities:
            async for events in plays.history(self._calls, account, since):
                yield events

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give or clear the number; the server's own pages show only favourites."""
        return await plays.rate(self._calls, account, item_id, rating)

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Make an item a favourite, or not."""
        return await plays.set_favourite(self._calls, account, item_id, is_favourite)

    async def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Yield live events of all accounts; each has a connection of its own."""
        if not accounts:
            raise Refused(f"Nobody has signed in at {self._settings.name}.")
        # Apart from the session for media: sockets stay open, and would leave it no connection.
        async with (
            self._make_session(0) as session,
            aclosing(listen(session, self._calls, accounts, self._pace)) as events,
        ):
            async for event in events:
                yield event

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the playlists that the user sees."""
        return await playlists.list_playlists(self._calls, account)

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its entries in order."""
        return await playlists.read_playlist(self._calls, account, playlist_id)

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist."""
        return await playlists.create_playlist(
            self._calls, account, name, kind, item_ids, description, is_public
        )

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Replace the content in one request, or add a few at the end."""
        return await playlists.set_entries(self._calls, account, playlist, item_ids)

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set who sees it, and, as an administrator, the overview."""
        await playlists.describe_playlist(self._calls, account, playlist_id, description, is_public)

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist of the user."""
        await playlists.delete_playlist(self._calls, account, playlist_id)

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is; unlike a download this needs no permission of its own."""
        return await self._open(item_id, "File", byte_range=byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the primary picture."""
        params = {"fillWidth": str(size), "fillHeight": str(size), "quality": "90"}
        return await self._open(item_id, "Images/Primary", params=params)

    async def _open(self, item_id: str, what: str, **how: Any) -> ServerStream:
        path = f"Items/{checked(plain_id(item_id) or item_id, self._settings.name)}/{what}"
        reader, _ = self._calls.reader()
        if self._session is None:
            raise ConnectorUnavailable(f"{self._settings.name} is not open.")
        return await open_stream(
            self._session, self._settings.name, f"{self._settings.url}/{path}",
            headers=self._calls.header(reader), **how,
        )  # fmt: skip
