"""The command line: python -m daemon, installed also as anagnorisis."""

import argparse
import asyncio
import logging
import logging.handlers
import os
import sys
from pathlib import Path

from sqlalchemy.exc import OperationalError

from connectors.base import ConnectorError
from daemon.commands import MODULES
from daemon.commands.command import FAILED, MISUSED, BadUsage, CommandFailed, add_common
from daemon.lock import Taken
from daemon.settings import PREFIX, Settings, SettingsError, load_settings
from daemon.store.journal import JournalError
from daemon.store.migrate import NewerDatabase

LOG_BYTES = 5_000_000


def main(words: list[str] | None = None) -> int:
    """Carry out what was typed; return the exit status."""
    arguments = _parser().parse_args(words)
    try:
        settings = load_settings(os.environ, config=arguments.config, data_dir=arguments.data_dir)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return MISUSED
    is_daemon = arguments.verb in (None, "serve")
    try:
        _start_log(settings, is_daemon=is_daemon)
        status: int = asyncio.run(arguments.handler(settings, arguments))
        return status
    except BadUsage as error:
        print(error, file=sys.stderr)
        return MISUSED
    except (
        CommandFailed,
        Taken,
        NewerDatabase,
        JournalError,
        ConnectorError,
    ) as error:
        print(error, file=sys.stderr)
    except (OperationalError, OSError) as error:
        print(f"{settings.data_dir}: {_reason(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    return FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="anagnorisis", description="A private model of your taste, beside your media servers."
    )
    add_common(parser)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB")
    for module in MODULES:
        module.add_verbs(verbs)
    parser.set_defaults(handler=MODULES[0].serve_until_stopped)
    return parser


def _start_log(settings: Settings, *, is_daemon: bool) -> None:
    """Log to standard error; the daemon also to files in the data folder."""
    level = os.environ.get(PREFIX + "LOG_LEVEL") or ("INFO" if is_daemon else "WARNING")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if is_daemon:
        folder = Path(settings.data_dir / "logs")
        folder.mkdir(parents=True, exist_ok=True)
        handlers.append(
            logging.handlers.RotatingFileHandler(
                folder / "anagnorisis.log", maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8"
            )
        )
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )
    for talkative in ("apscheduler", "alembic", "aiohttp.access", "watchfiles"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


def _reason(error: Exception) -> str:
    cause = getattr(error, "orig", None) or error
    return str(getattr(cause, "strerror", None) or cause)


if __name__ == "__main__":
    sys.exit(main())
