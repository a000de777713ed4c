"""Calls of one server as any of its users, each made and understood in a thread."""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar
from xml.etree.ElementTree import Element, ParseError, fromstring

from plexapi.exceptions import PlexApiException
from plexapi.server import PlexServer as PlexApi

from connectors.base import BadAnswer, NotFound, SignInRefused
from connectors.blocking import BlockingCalls
from connectors.plex.session import StrictSession
from connectors.server import Account
from connectors.server_settings import PlexSettings

log = logging.getLogger(__name__)
T = TypeVar("T")

OWNER = "1"
"""The account that owns the server."""
BATCH = 100
"""Keys in an address: keeps it under 2 KB of the 8 that servers take."""


class Calls:
    """One session of plexapi for each token, and a few threads for them all."""

    def __init__(
        self, settings: PlexSettings, accounts: Sequence[Account], device_id: str,
        limits: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.settings = settings
        self.name = settings.name
        self.accounts = list(accounts)
        self.device_id = device_id
        self.limits = limits
        self.threads = BlockingCalls(settings.name)
        self._apis: dict[str, Any] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the sessions and the threads."""
        with self._lock:
            for api in self._apis.values():
                api._session.close()
            self._apis.clear()
        self.threads.close()

    def reader(self) -> Account:
        """Return who reads the library: the owner sees all of it. Raises SignInRefused."""
        owner = next((a for a in self.accounts if a.user_id == OWNER), None)
        account = owner or next(iter(self.accounts), None)
        if account is None:
            raise SignInRefused(
                f"Nobody has signed in at {self.name}: python -m daemon connect '{self.name}'"
            )
        return account

    async def read(
        self, account: Account | None, path: str, parse: Callable[[Element], T],
        *, at: tuple[int, int] | None = None, params: Mapping[str, Any] | None = None,
    ) -> T:  # fmt: skip
        """GET a path; return what `parse`, in the thread, makes of the answer.

        `account` None: whoever reads the library. `at`: first entry, and how many at most.
        """
        headers = {}
        if at is not None:
            headers = {"X-Plex-Container-Start": str(at[0]), "X-Plex-Container-Size": str(at[1])}
        token = _token(account or self.reader())
        return await self.threads.run(self._ask, token, "get", path, params or {}, headers, parse)

    async def send(self, account: Account, method: str, path: str, **params: Any) -> str:
        """Change something, once; return the ratingKey of what the answer shows first, if any."""
        return await self.threads.run(
            self._ask, _token(account), method, path, params, {}, _first_key
        )

    async def read_batches(
        self, account: Account | None, item_ids: Iterable[str],
        parse: Callable[[Element], list[T]], **params: Any,
    ) -> list[T]:  # fmt: skip
        """Read items by their keys, a hundred a request; those that are gone are left out."""
        keys = iter(dict.fromkeys(key for key in item_ids if is_key(key)))
        found: list[T] = []
        while batch := list(islice(keys, BATCH)):
            path = f"/library/metadata/{','.join(batch)}"
            try:
                found += await self.read(account, path, parse, params=params)
            except NotFound:
                continue  # none of them is there
        return found

    async def identify(self, account: Account) -> tuple[str, str, str]:
        """Return the server's id, name and version. Raises SignInRefused."""
        return await self.threads.run(self._identify, _token(account))

    async def identify_openly(self) -> str:
        """Return the server's id, which it tells anyone."""
        return await self.threads.run(self._identify_openly)

    # In a thread

    def _api(self, token: str) -> Any:
        with self._lock:
            api = self._apis.get(token)
        if api is None:
            api = _Api(self.settings.url, token, self.make_session(), self.device_id)
            with self._lock:
                kept = self._apis.setdefault(token, api)
            if kept is not api:
                api._session.close()
            api = kept
        return api

    def _ask(
        self, token: str, method: str, path: str, params: Mapping[str, Any],
        headers: Mapping[str, str], parse: Callable[[Element], T],
    ) -> T:  # fmt: skip
        try:
            api = self._api(token)
            call = getattr(api._session, method)
            found = api.query(path, method=call, params=params, headers=dict(headers))
        except (ParseError, UnicodeError) as error:
            raise BadAnswer(f"{self.name}'s answer is no XML.") from error
        except (PlexApiException, TypeError, AttributeError, ValueError):
            # without its cause: plexapi's messages hold addresses
            raise BadAnswer(f"{self.name}'s answer is not of Plex.") from None
        if found is None:
            if method == "get":
                raise BadAnswer(f"{self.name} answered nothing.")
            found = Element("MediaContainer")
        if found.tag not in ("MediaContainer", "Response"):
            raise BadAnswer(f"{self.name}'s answer is not of Plex.")
        return parse(found)

    def _identify(self, token: str) -> tuple[str, str, str]:
        def read(root: Element) -> tuple[str, str, str]:
            names = ("machineIdentifier", "friendlyName", "version")
            server_id, name, version = (root.get(n, "") for n in names)
            return server_id, name, version

        return self._ask(token, "get", "/", {}, {}, read)

    def _identify_openly(self) -> str:
        with self.make_session() as session:
            text = session.get(f"{self.settings.url}/identity").text
        try:
            return fromstring(text).get("machineIdentifier", "")
        except ParseError as error:
            raise BadAnswer(f"{self.name} is no Plex server.") from error

    def make_session(self) -> StrictSession:
        """Return a session within the bounds."""
        return StrictSession(
            self.name, self.settings.url, verify_tls=self.settings.verify_tls, **self.limits
        )


class _Api(PlexApi):  # type: ignore[misc]
    """Names this installation, where plexapi would name the machine's network card."""

    def __init__(self, url: str, token: str, session: StrictSession, device_id: str) -> None:
        self._device_id = device_id
        super().__init__(url, token, session=session)

    def _headers(self, **more: str) -> dict[str, str]:
        ours = {
            "X-Plex-Client-Identifier": self._device_id, "X-Plex-Product": "Anagnorisis",
            "X-Plex-Device-Name": "Anagnorisis",
        }  # fmt: skip
        headers: dict[str, str] = super()._headers(**ours, **more)
        return headers


def is_key(text: str) -> bool:
    """Tell whether a text can be the key of an item."""
    return text.isascii() and text.isdecimal()


def _token(account: Account) -> str:
    return account.secrets.get("token", "")


def _first_key(found: Element) -> str:
    return found[0].get("ratingKey", "") if len(found) else ""
