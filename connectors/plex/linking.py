"""Signing in at plex.tv/link. Nothing else asks plex.tv."""

import asyncio
import time
from typing import Any
from xml.etree.ElementTree import Element, ParseError, fromstring

from connectors.base import BadAnswer, ConnectorUnavailable, NotFound, SignInRefused
from connectors.plex.calls import Calls, is_key
from connectors.plex.plays import find_user_id
from connectors.plex.session import StrictSession
from connectors.server import Account

PLEX_TV = "https://plex.tv"
POLL = 2.0
"""Seconds between two looks whether the code was entered."""
NAMES = ("username", "title", "email", "friendlyName")
"""What a person may call themselves in the settings."""


class PinLink:
    """A sign-in that is confirmed by entering a code at plex.tv/link."""

    code = ""

    def __init__(
        self, calls: Calls, server_id: str, profile: str, plex_tv: str, poll: float
    ) -> None:
        self.url = f"{plex_tv}/link"
        self._calls = calls
        self._server_id = server_id
        self._profile = profile
        self._base = plex_tv
        self._poll = poll
        self._pin_id = ""

    async def begin(self) -> None:
        """Ask for a code."""
        said = await self._json("POST", "/api/v2/pins")
        if not isinstance(said, dict) or not said.get("id") or not said.get("code"):
            raise BadAnswer("plex.tv gave no code.")
        self._pin_id, self.code = str(said["id"]), str(said["code"])

    async def wait(self, timeout: float) -> Account:
        """Ask until the code was entered. Raises SignInRefused when it was not."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                said = await self._json("GET", f"/api/v2/pins/{self._pin_id}")
            except NotFound:
                break
            except ConnectorUnavailable:
                said = None  # plex.tv may be back before the time is up
            if isinstance(said, dict) and said.get("authToken"):
                return await self._finish(str(said["authToken"]))
            await asyncio.sleep(self._poll)
        raise SignInRefused("The code was not entered in time. Connect again.")

    async def _finish(self, token: str) -> Account:
        """Find the token that the person has at this very server."""
        wanted = self._calls.settings.users.get(self._profile, "")
        user = await self._json("GET", "/api/v2/user", token)
        if not isinstance(user, dict):
            raise BadAnswer("plex.tv does not say who signed in.")
        names = [str(user.get(name) or "") for name in NAMES]
        name = next((name for name in names if name), "")
        if wanted and _is_one_of(wanted, names):
            name = wanted
        elif wanted:
            switched = await self._switch(token, wanted)
            token, name = (switched, wanted) if switched else (token, name)
        resources = await self._json("GET", "/api/v2/resources", token)
        ours = [
            r.get("accessToken")
            for r in (resources if isinstance(resources, list) else ())
            if isinstance(r, dict) and r.get("clientIdentifier") == self._server_id
        ]
        secrets = {"token": str(next((t for t in ours if t), token))}
        account = Account(self._profile, "", name, secrets)
        try:
            await self._calls.read(account, "/library/sections", len)
        except SignInRefused as error:
            raise SignInRefused(f"{name} has no access to {self._calls.name}.") from error
        user_id = await find_user_id(self._calls, account, name)
        return Account(self._profile, user_id, name, secrets)

    async def _switch(self, token: str, wanted: str) -> str:
        """Return the token of another user of the person's home, "" if there is no such one."""
        users = await self._xml("GET", "/api/home/users", token)
        for user in users:
            if not _is_one_of(wanted, [user.get(name, "") for name in NAMES]):
                continue
            if user.get("protected") == "1":
                raise SignInRefused(
                    f"{wanted} is protected by a PIN: take it off at plex.tv while connecting."
                )
            if is_key(key := user.get("id", "")):
                found = await self._xml("POST", f"/api/home/users/{key}/switch", token)
                return found.get("authenticationToken", "") or found.get("authToken", "")
        return ""

    # Calls

    async def _json(self, method: str, path: str, token: str = "") -> Any:
        session_answer = await self._calls.threads.run(
            self._call, method, path, token, "application/json"
        )
        try:
            return session_answer.json()
        except (ValueError, RecursionError) as error:
            raise BadAnswer("plex.tv's answer is no JSON.") from error

    async def _xml(self, method: str, path: str, token: str) -> Element:
        answer = await self._calls.threads.run(self._call, method, path, token, "application/xml")
        try:
            return fromstring(answer.text)
        except ParseError as error:
            raise BadAnswer("plex.tv's answer is no XML.") from error

    def _call(self, method: str, path: str, token: str, accepted: str) -> Any:
        headers = {
            "Accept": accepted, "X-Plex-Client-Identifier": self._calls.device_id,
            "X-Plex-Product": "Anagnorisis",
        }  # fmt: skip
        if token:
            headers["X-Plex-Token"] = token
        with StrictSession("plex.tv", self._base, **self._calls.limits) as session:
            return session.request(method, f"{self._base}{path}", headers=headers)


def _is_one_of(wanted: str, names: list[str]) -> bool:
    return wanted.casefold() in {name.casefold() for name in names if name}
