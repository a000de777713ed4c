"""Calls of one server as any of its users, each made and understood in a thread."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from connectors.base import BadAnswer, NotFound, SignInRefused
from connectors.blocking import BlockingCalls
from connectors.jellyfin.http import StrictHTTP, authorization, device_of, make_api
from connectors.jellyfin.values import Misshapen, plain_id
from connectors.server import Account
from connectors.server_settings import JellyfinSettings

T = TypeVar("T")

BATCH = 100
"""Ids in a query: keeps the request line under 4 KB of the 8 that servers take."""
NOBODY = Account("", "", "", {})
"""Who has not signed in yet."""


class Calls:
    """The client library's API for each token, and a few threads for them all."""

    def __init__(
        self, settings: JellyfinSettings, accounts: Sequence[Account], device_id: str,
        limits: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self.settings = settings
        self.name = settings.name
        self.accounts = list(accounts)
        self.device_id = device_id
        self.admins: set[str] = set()
        """Ids of those of the accounts' users that are administrators."""
        self.version: tuple[int, ...] = ()
        self.threads = BlockingCalls(settings.name)
        self._limits = limits
        self._apis: dict[tuple[str, str], tuple[Any, StrictHTTP]] = {}
        self._lock = threading.Lock()
        self._is_closed = False

    def close(self) -> None:
        """Close connections and threads, cutting off what is under way."""
        with self._lock:
            self._is_closed = True
            for _, http in self._apis.values():
                http.close()
            self._apis.clear()
        self.threads.close()

    # Who asks

    @property
    def key(self) -> str:
        """The API key, "" if there is none."""
        key = self.settings.api_key
        return key.get_secret_value() if key else ""

    def reader(self) -> tuple[Account | None, str]:
        """Return who reads the library (None: the API key), and whose user id it is read for."""
        if self.accounts:
            return (None if self.key else self.accounts[0]), self.accounts[0].user_id
        if self.key:
            return None, ""
        raise SignInRefused(
            f"Nobody has signed in at {self.name}: python -m daemon connect '{self.name}'"
        )

    def may_administer(self) -> bool:
        """Tell whether someone may ask what only administrators may."""
        return bool(self.key or self.administrator())

    def administrator(self) -> Account | None:
        """Return an administrator; None for the API key."""
        return next((a for a in self.accounts if a.user_id in self.admins), None)

    def header(self, account: Account | None) -> dict[str, str]:
        """Return what signs a request of aiohttp in."""
        token, device = self._signs(account)
        return {"Authorization": authorization(device, token)}

    # Calling. account None: the API key

    async def read(
        self, account: Account | None, path: str, parse: Callable[[Any], T], **params: Any
    ) -> T:
        """GET a path; return what `parse`, in the thread, makes of the answer's JSON."""
        return await self.threads.run(self._call, account, "_get", path, parse, params=params)

    async def post(
        self, account: Account | None, path: str, json: Any = None,
        parse: Callable[[Any], T] = lambda said: said, **params: Any,
    ) -> T:  # fmt: skip
        """POST, once."""
        return await self.threads.run(
            self._call, account, "_post", path, parse, params=params, json=json
        )

    async def delete(self, account: Account | None, path: str, **params: Any) -> None:
        """DELETE, once."""
        await self.threads.run(self._call, account, "_delete", path, lambda _: None, params=params)

    # In a thread

    def _call(
        self, account: Account | None, verb: str, path: str, parse: Callable[[Any], T],
        **body: Any,
    ) -> T:  # fmt: skip
        try:
            said = getattr(self._api(account), verb)(path, **body)
        except SignInRefused:
            if account is None:
                raise SignInRefused(f"{self.name} does not take the api_key (any more).") from None
            raise
        try:
            return parse(said)
        except Misshapen:
            raise BadAnswer(f"{self.name}'s answer is not of the shape of Jellyfin's.") from None

    def _api(self, account: Account | None) -> Any:
        key = self._signs(account)
        with self._lock:
            if key not in self._apis:
                token, device = key
                user_id = account.user_id if account else ""
                made = make_api(self.settings, user_id, token, device, **self._limits)
                self._apis[key] = made
                if self._is_closed:
                    made[1].close()
            return self._apis[key][0]

    def _signs(self, account: Account | None) -> tuple[str, str]:
        """Return token and device."""
        if account is None:
            return self.key, device_of(self.device_id, "")
        secrets = account.secrets
        device = secrets.get("device") or device_of(self.device_id, account.user_name)
        return secrets.get("token", ""), device


def checked(item_id: str, name: str) -> str:
    """Return an id that may stand in a path. Raises NotFound."""
    if not plain_id(item_id):
        raise NotFound(f"{name} has nothing of the id {item_id[:40]!r}.")
    return item_id
