"""connect: sign a person in at a media server, once."""

import argparse
import getpass
import sys

from connectors import JellyfinSettings, PlexSettings, ServerSettings
from connectors.base import ConnectorError
from connectors.server import Account, Server
from daemon.commands.command import (
    DONE,
    BadUsage,
    CommandFailed,
    Verbs,
    add_profile,
    add_verb,
    tell,
)
from daemon.services import Services
from daemon.store.profiles import UnknownProfile, find_profile

PATIENCE = 300.0
"""Seconds to wait for a person to confirm a code."""


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(verbs, "connect", connect, "sign a person in at a media server, once")
    parser.add_argument(
        "server", metavar="SERVER", help="its name in the settings, or its kind if there is one"
    )
    add_profile(parser)
    parser.add_argument("--user", help="the user there; without it, the one in the settings")
    parser.add_argument(
        "--password-stdin", action="store_true", help="read the password from standard input"
    )
    parser.add_argument(
        "--password", action="store_true", help="ask for a password (Jellyfin: no Quick Connect)"
    )


async def connect(services: Services, arguments: argparse.Namespace) -> int:
    """Sign in, keep the token (never the password, where a server knows tokens), and say so."""
    settings = _find(services, arguments.server)
    try:
        async with services.database.read() as session:
            profile = await find_profile(session, services.settings, arguments.profile)
    except UnknownProfile as error:
        raise BadUsage(str(error)) from error
    user = arguments.user or settings.users.get(profile.name, "")
    try:
        server = await services.servers.open(settings.name)
        account = await _sign_in(server, settings, profile.name, user, arguments)
        await server.check(account)
    except ConnectorError as error:
        raise CommandFailed(str(error)) from error
    if user and account.user_name.casefold() != user.casefold():
        raise CommandFailed(
            f"{account.user_name} signed in, but the settings name {user} for {profile.name}; "
            "nothing was kept."
        )
    services.servers.save_account(settings.name, account)
    tell(f"{profile.name} is {account.user_name} at {settings.name}. It is synced from now on.")
    return DONE


async def _sign_in(
    server: Server,
    settings: ServerSettings,
    profile: str,
    user: str,
    arguments: argparse.Namespace,
) -> Account:
    asks = arguments.password or arguments.password_stdin
    if isinstance(settings, PlexSettings) or (isinstance(settings, JellyfinSettings) and not asks):
        link = await server.begin_link(profile)
        tell(f"Open {link.url} and enter the code {link.code}. Waiting ...")
        return await link.wait(PATIENCE)
    if not user:
        raise BadUsage("Say which user: --user NAME, or `users` in the settings.")
    if arguments.password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    else:
        password = getpass.getpass(f"Password of {user} at {settings.name}: ")
    return await server.sign_in(profile, user, password)


def _find(services: Services, name: str) -> ServerSettings:
    servers = services.settings.servers
    named = [server for server in servers if server.name == name]
    named = named or [server for server in servers if getattr(server, "kind", "") == name]
    if len(named) != 1:
        names = ", ".join(server.name for server in servers) or "none"
        raise BadUsage(f"There is no server {name} in the settings; there are: {names}.")
    return named[0]
