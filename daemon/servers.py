"""The media servers of the settings: opened when asked for, closed together; and who signs in.

What signs people in (tokens) lies in one file of mode 600 in the data folder, apart from the
catalogue, so that backups do not hold it.
"""

import asyncio
import json
import os
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from connectors import (
    JellyfinSettings,
    PlexSettings,
    ServerSettings,
    SubsonicSettings,
)
from connectors.base import Misconfigured
from connectors.server import Account, Server
from daemon.settings import Settings

ACCOUNTS_NAME = "accounts.json"
INSTANCE_NAME = "instance"


class Servers:
    """Opens each server once; one that signs in anew, or whose accounts changed, again."""

    def __init__(self, settings: Settings) -> None:
        self._settings = {server.name: server for server in settings.servers}
        self._folder = settings.data_dir
        self._open: dict[str, tuple[str, Server, AsyncExitStack]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def names(self) -> list[str]:
        """Return the names of the servers."""
        return list(self._settings)

    def settings_of(self, name: str) -> ServerSettings:
        """Return a server's settings. Raises KeyError."""
        return self._settings[name]

    def accounts(self, name: str) -> list[Account]:
        """Return who is signed in at a server. Blocks for one small file."""
        said = _read(self._folder / ACCOUNTS_NAME).get(name, {})
        wanted = self._settings[name].users
        return [
            Account(profile, str(a["user_id"]), str(a["user_name"]), dict(a["secrets"]))
            for profile, a in said.items()
            if not wanted or profile in wanted
        ]

    def account(self, name: str, profile: str) -> Account | None:
        """Return a profile's account at a server."""
        return next((a for a in self.accounts(name) if a.profile == profile), None)

    async def open(self, name: str) -> Server:
        """Return the server, reached. Raises ConnectorError."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            accounts = await asyncio.to_thread(self.accounts, name)
            accounts += await self._sign_in_by_settings(name, accounts)
            state = repr([(a.profile, a.user_id, sorted(a.secrets.items())) for a in accounts])
            if name in self._open:
                known, server, _ = self._open[name]
                if known == state:
                    return server
                await self._close(name)
            stack = AsyncExitStack()
            made = make_server(self._settings[name], accounts, self.instance())
            server = await stack.enter_async_context(made)
            self._open[name] = (state, server, stack)
            return server

    async def _sign_in_by_settings(self, name: str, accounts: list[Account]) -> list[Account]:
        """Return the account of a password or token in the settings, signed in and kept."""
        settings = self._settings[name]
        secret = getattr(settings, "password", None) or getattr(settings, "token", None)
        if accounts or secret is None:
            return []
        ((profile, user),) = settings.users.items()
        async with make_server(settings, [], self.instance()) as server:
            account = await server.sign_in(profile, user, secret.get_secret_value())
        await asyncio.to_thread(self.save_account, name, account)
        return [account]

    async def forget(self, name: str) -> None:
        """Close a server, to be opened anew: after it could not be reached, it may be another."""
        async with self._locks.setdefault(name, asyncio.Lock()):
            if name in self._open:
                await self._close(name)

    async def close(self) -> None:
        """Close all."""
        for name in list(self._open):
            await self._close(name)

    async def _close(self, name: str) -> None:
        _, _, stack = self._open.pop(name)
        await stack.aclose()

    def save_account(self, name: str, account: Account) -> None:
        """Keep what signs a person in. Raises OSError."""
        everything = _read(self._folder / ACCOUNTS_NAME)
        everything.setdefault(name, {})[account.profile] = {
            "user_id": account.user_id, "user_name": account.user_name,
            "secrets": dict(account.secrets),
        }  # fmt: skip
        _write(self._folder / ACCOUNTS_NAME, json.dumps(everything, indent=1))

    def instance(self) -> str:
        """Return the id of this installation; it outlives the database."""
        path = self._folder / INSTANCE_NAME
        try:
            known = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            known = ""
        if not known:
            known = uuid.uuid4().hex
            _write(path, known + "\n")
        return known


def make_server(settings: ServerSettings, accounts: list[Account], instance: str) -> Server:
    """Return the connector of a server, not yet opened.

    Imported here: a client library takes a tenth of a second that most verbs need not spend.
    """
    if isinstance(settings, JellyfinSettings):
        from connectors.jellyfin import JellyfinServer

        return JellyfinServer(settings, accounts, instance)
    if isinstance(settings, PlexSettings):
        from connectors.plex import PlexServer

        return PlexServer(settings, accounts, instance)
    if isinstance(settings, SubsonicSettings):
        from connectors.subsonic import SubsonicServer

        return SubsonicServer(settings, accounts, instance)
    raise Misconfigured(f"{settings.name} is of no known kind.")


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}. Connect the servers anew.") from error
    return said if isinstance(said, dict) else {}


def _write(path: Path, text: str) -> None:
    """Put the file in place whole, readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".partial")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def missing_sign_ins(settings: ServerSettings, accounts: list[Account]) -> Mapping[str, str]:
    """Return the profiles of the settings that have not signed in: profile: user."""
    known = {account.profile for account in accounts}
    return {p: u for p, u in settings.users.items() if p not in known}
