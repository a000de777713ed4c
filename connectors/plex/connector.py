"""A Plex Media Server as a source."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from datetime import datetime
from typing import Any, Self
from xml.etree.ElementTree import Element

import aiohttp

from connectors.base import Kind, NotFound, Refused, SignInRefused
from connectors.plex import listing, playlists, plays
from connectors.plex.calls import OWNER, Calls, is_key
from connectors.plex.linking import PLEX_TV, POLL, PinLink
from connectors.plex.live import listen
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

CAPABILITIES = frozenset(
    {
        Capability.CHANGES, Capability.HISTORY, Capability.LIVE, Capability.RATE,
        Capability.PLAYLISTS, Capability.MARK, Capability.DUPLICATES,
    }
)  # fmt: skip


class PlexServer:
    """See `connectors.server.Server`."""

    info: ServerInfo

    def __init__(
        self, settings: PlexSettings, accounts: Sequence[Account], device_id: str, *,
        reconnect: tuple[float, float] = (1.0, 300.0), plex_tv: str = PLEX_TV, poll: float = POLL,
        **limits: Any,
    ) -> None:  # fmt: skip
        """Open it with `async with`.

        `reconnect`: shortest and longest pause of the live events, in seconds; `plex_tv`: who is
        asked to sign people in; `poll`: seconds between two looks there; `limits`: as
        StrictSession takes them.
        """
        self._settings = settings
        self._reconnect = reconnect
        self._plex_tv = plex_tv
        self._poll = poll
        self._calls = Calls(settings, accounts, device_id, limits)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            self.info = await self._learn()
        except BaseException:
            await self.__aexit__()
            raise
        connector = aiohttp.TCPConnector(limit_per_host=4, ssl=self._settings.verify_tls)
        self._session = aiohttp.ClientSession(connector=connector)
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._calls.close()
        if self._session:
            await self._session.close()

    async def _learn(self) -> ServerInfo:
        if not self._calls.accounts:
            server_id = await self._calls.identify_openly()
            return ServerInfo(server_id, self._settings.name, "", CAPABILITIES)
        server_id, name, version = await self._calls.identify(self._calls.reader())
        return ServerInfo(server_id, name or self._settings.name, version, CAPABILITIES)

    # Signing in

    async def sign_in(self, profile: str, user: str, password: str) -> Account:
        """Sign in with a token in the password's place: Plex has no passwords here."""
        return await self.account_from_token(profile, user, password)

    async def account_from_token(self, profile: str, user: str, token: str) -> Account:
        """Return the account of an X-Plex-Token. Raises SignInRefused."""
        account = Account(profile, "", user, {"token": token})
        try:
            await self.check(account)
        except SignInRefused as error:
            raise SignInRefused(
                f"{self._settings.name} does not take this. Plex signs in by a link: leave out "
                "the password. A token of the settings may have expired."
            ) from error
        user_id = await plays.find_user_id(self._calls, account, user)
        return Account(profile, user_id, user, {"token": token})

    async def begin_link(self, profile: str) -> Link:
        """Begin a sign-in at plex.tv/link."""
        link = PinLink(self._calls, self.info.id, profile, self._plex_tv, self._poll)
        await link.begin()
        return link

    async def check(self, account: Account) -> None:
        """Raise SignInRefused if the token is not taken any more."""
        await self._calls.read(account, "/library/sections", len)

    # The library

    async def libraries(self) -> list[Library]:
        """Return the sections with leaves of ours."""
        return await listing.libraries(self._calls)

    def items(
        self, library: Library, *, since: datetime | None = None, start: str | None = None
    ) -> AsyncIterator[Page[ServerItem]]:
        """Yield leaves with all their words."""
        return listing.items(self._calls, library, since, start)

    def ids(self, library: Library) -> AsyncIterator[Sequence[str]]:
        """Yield the keys of all leaves."""
        return listing.ids(self._calls, library)

    async def existing(self, account: Account, item_ids: Sequence[str]) -> set[str]:
        """Return those that are there."""
        return await listing.existing(self._calls, account, item_ids)

    # What users did

    def states(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[ItemState]]:
        """Yield touched leaves: all, or those that were played or rated since."""
        return plays.states(self._calls, account, since)

    async def states_of(self, account: Account, item_ids: Sequence[str]) -> list[ItemState]:
        """Return the present states of these items."""
        return await plays.states_of(self._calls, account, item_ids)

    def history(
        self, account: Account, *, since: datetime | None = None
    ) -> AsyncIterator[Sequence[PlayEvent]]:
        """Yield the user's plays, newest first."""
        return plays.history(self._calls, account, since)

    async def rate(self, account: Account, item_id: str, rating: float | None) -> ItemState:
        """Give or clear a rating."""
        return await plays.rate(self._calls, account, item_id, rating)

    async def set_favourite(self, account: Account, item_id: str, is_favourite: bool) -> ItemState:
        """Refuse: Plex has none."""
        raise Refused(f"{self._settings.name} knows no favourites.")

    def watch(self, accounts: Sequence[Account]) -> AsyncGenerator[LiveEvent, None]:
        """Yield live events. Plex tells only the owner of others' plays."""
        if not accounts:
            raise Refused(f"Nobody has signed in at {self._settings.name}.")
        assert self._session is not None
        account = next((a for a in accounts if a.user_id == OWNER), accounts[0])

        async def user_of(session_key: str) -> str:
            user_id, name = await plays.find_player(self._calls, account, session_key)
            named = (a.user_id for a in accounts if a.user_name.casefold() == name.casefold())
            return user_id if user_id in {a.user_id for a in accounts} else next(named, user_id)

        return listen(
            self._session, self._settings.name, self._settings.url,
            self._headers(account), user_of, self._reconnect,
        )  # fmt: skip

    # Playlists

    async def playlists(self, account: Account) -> list[ServerPlaylist]:
        """Return the token's own playlists."""
        return await playlists.list_playlists(self._calls, account)

    async def playlist(self, account: Account, playlist_id: str) -> ServerPlaylist:
        """Return one playlist with its entries in order."""
        return await playlists.read_playlist(self._calls, account, playlist_id)

    async def create_playlist(
        self, account: Account, name: str, kind: Kind, item_ids: Sequence[str],
        *, description: str, is_public: bool,
    ) -> str:  # fmt: skip
        """Make a playlist with the first entries, and add the rest."""
        return await playlists.create_playlist(
            self._calls, self.info.id, account, name, kind, item_ids, description
        )

    async def set_entries(
        self, account: Account, playlist: ServerPlaylist, kind: Kind, item_ids: Sequence[str]
    ) -> int:
        """Delete, add and move single entries; where that is much, empty and fill the playlist."""
        return await playlists.set_entries(self._calls, self.info.id, account, playlist, item_ids)

    async def describe_playlist(
        self, account: Account, playlist_id: str,
        *, description: str | None = None, is_public: bool | None = None,
    ) -> None:  # fmt: skip
        """Set the summary. Plex knows no public playlists."""
        if description is not None:
            await playlists.describe(self._calls, account, playlist_id, description)

    async def delete_playlist(self, account: Account, playlist_id: str) -> None:
        """Delete a playlist of the account."""
        await self._calls.send(account, "delete", f"/playlists/{playlist_id}")

    # Media

    async def open_media(self, item_id: str, byte_range: str | None = None) -> ServerStream:
        """Open the file as it is."""

        def parse(found: Element) -> str:
            part = found.find(".//Part")
            return part.get("key", "") if part is not None else ""

        key = await self._look_up(item_id, parse)
        if not key.startswith("/"):  # else it could name another host
            raise NotFound(f"{self._settings.name} has no file of {item_id}.")
        return await self._open(key, byte_range=byte_range)

    async def open_artwork(self, item_id: str, size: int) -> ServerStream:
        """Open the picture of the item, or of what it is part of."""

        def parse(found: Element) -> str:
            names = ("thumb", "parentThumb", "grandparentThumb")
            thumbs = (found[0].get(name, "") for name in names) if len(found) else iter(())
            return next((thumb for thumb in thumbs if thumb), "")

        thumb = await self._look_up(item_id, parse)
        if not thumb:
            raise NotFound(f"{self._settings.name} has no picture of {item_id}.")
        params = {"url": thumb, "width": str(size), "height": str(size), "minSize": "1"}
        return await self._open("/photo/:/transcode", params=params)

    async def _look_up(self, item_id: str, parse: Any) -> str:
        if not is_key(item_id):
            raise NotFound(f"{self._settings.name} has no item {item_id}.")
        return str(await self._calls.read(None, f"/library/metadata/{item_id}", parse))

    async def _open(self, path: str, **how: Any) -> ServerStream:
        assert self._session is not None
        return await open_stream(
            self._session, self._settings.name, f"{self._settings.url}{path}",
            headers=self._headers(self._calls.reader()), **how,
        )  # fmt: skip

    def _headers(self, account: Account) -> dict[str, str]:
        return {
            "X-Plex-Token": account.secrets.get("token", ""),
            "X-Plex-Client-Identifier": self._calls.device_id,
        }
