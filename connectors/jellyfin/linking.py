"""Signing in, by password or by Quick Connect. Only tokens are kept."""

import asyncio
import time
from typing import Any

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.jellyfin.calls import Calls
from connectors.jellyfin.http import ServerFailed, device_of
from connectors.jellyfin.values import mapping, plain_id, text
from connectors.server import Account

POLL = 2.0
"""Seconds between two looks whether the code was entered."""


async def sign_in(calls: Calls, profile: str, user: str, password: str) -> Account:
    """Return the account of a user. Raises SignInRefused."""
    device = device_of(calls.device_id, user)
    try:
        said = await calls.post(
            _on(device), "Users/AuthenticateByName", {"Username": user, "Pw": password}, mapping
        )
    except SignInRefused:
        raise SignInRefused(
            f"{calls.name} does not take this sign-in: name or password is wrong."
        ) from None
    except ServerFailed as error:
        raise ServerFailed(
            f"{error} Some versions sign nobody in any more until Jellyfin is restarted."
        ) from None
    return _account(calls, profile, device, said)


class QuickConnect:
    """A sign-in that is confirmed in Jellyfin, under the user's Quick Connect."""

    code = ""

    def __init__(self, calls: Calls, profile: str, poll: float = POLL) -> None:
        self.url = f"{calls.settings.url}/web/#/quickconnect"
        self._calls = calls
        self._profile = profile
        self._poll = poll
        # The token will be of the device that asks; whose it is only the settings tell by now.
        self._device = device_of(calls.device_id, calls.settings.users.get(profile, profile))
        self._secret = ""

    async def begin(self) -> None:
        """Ask for a code. Raises Refused where there are none."""
        asker = _on(self._device)
        if not await self._calls.read(asker, "QuickConnect/Enabled", lambda said: said is True):
            raise Refused(f"{self._calls.name} has Quick Connect switched off: use --password.")
        begun = await self._calls.post(asker, "QuickConnect/Initiate", parse=mapping)
        self.code, self._secret = text(begun.get("Code")), text(begun.get("Secret"))
        if not self.code or not self._secret:
            raise BadAnswer(f"{self._calls.name} gave no code.")

    async def wait(self, timeout: float) -> Account:
        """Ask until the code was entered. Raises SignInRefused when it was not."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                if await self._is_confirmed():
                    return await self._finish()
            except NotFound:
                break  # the server forgets codes after ten minutes
            except ConnectorUnavailable:
                pass  # it may be back before the time is up
            await asyncio.sleep(self._poll)
        raise SignInRefused("The code was not entered in time. Connect again.")

    async def _is_confirmed(self) -> bool:
        said = await self._calls.read(
            _on(self._device), "QuickConnect/Connect", mapping, secret=self._secret
        )
        return said.get("Authenticated") is True

    async def _finish(self) -> Account:
        said = await self._calls.post(
            _on(self._device), "Users/AuthenticateWithQuickConnect", {"Secret": self._secret},
            mapping,
        )  # fmt: skip
        return _account(self._calls, self._profile, self._device, said)


def _on(device: str) -> Account:
    """Return nobody, on a device."""
    return Account("", "", "", {"device": device})


def _account(calls: Calls, profile: str, device: str, said: dict[str, Any]) -> Account:
    user = said.get("User")
    user = user if isinstance(user, dict) else {}
    token, user_id = text(said.get("AccessToken")), plain_id(user.get("Id"))
    if not token or not user_id:
        raise BadAnswer(f"{calls.name} gave no token.")
    secrets = {"token": token, "device": device}
    return Account(profile, user_id, text(user.get("Name")), secrets)
