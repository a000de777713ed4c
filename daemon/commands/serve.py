"""serve: the daemon; password: who may see its pages."""

import argparse
import getpass
import sys

from daemon.commands.command import DONE, BadUsage, CommandFailed, Verbs, add_common, tell
from daemon.settings import Settings

MINIMUM_LENGTH = 8


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    serving = verbs.add_parser("serve", help="the daemon: schedule, workers, pages (the default)")
    add_common(serving, default=argparse.SUPPRESS)
    serving.set_defaults(handler=serve_until_stopped)
    password = verbs.add_parser("password", help="set the password of the pages")
    add_common(password, default=argparse.SUPPRESS)
    password.set_defaults(handler=set_password)


async def serve_until_stopped(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Run the daemon."""
    from daemon.main import serve  # other verbs need not load the pages

    await serve(settings)
    return DONE


async def set_password(settings: Settings, _arguments: argparse.Namespace) -> int:
    """Ask for a password, or read it from standard input, and store its hash."""
    from web.password import store_password

    if settings.web.password is not None:
        raise CommandFailed("The settings name a password (web.password), and that one counts.")
    if sys.stdin.isatty():
        text = getpass.getpass("New password: ")
        if getpass.getpass("Once more: ") != text:
            raise BadUsage("The two are not the same.")
    else:
        text = sys.stdin.readline().rstrip("\n")
    if len(text) < MINIMUM_LENGTH:
        raise BadUsage(f"A password has at least {MINIMUM_LENGTH} characters.")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    store_password(settings.data_dir, text)
    tell("The password is set. A running daemon takes it at its next start.")
    return DONE
