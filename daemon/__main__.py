"""The command line: python -m daemon, installed also as anagnorisis."""

import argparse
import asyncio
import io
import logging
import logging.handlers
import os
import shutil
import sqlite3
import sys
from contextlib import suppress
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from connectors.base import ConnectorError
from daemon.commands import MODULES
from daemon.commands.command import DONE, FAILED, MISUSED, BadUsage, CommandFailed, add_common
from daemon.lock import Taken
from daemon.options import SettingsError
from daemon.settings import Settings, load_settings, log_level
from daemon.store.journal import JournalError
from daemon.store.migrate import NewerDatabase

LOG_BYTES = 5_000_000
FULL_BYTES = 1 << 20


def main(words: list[str] | None = None) -> int:
    """Carry out what was typed; return the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may not know every letter
    arguments = _parser().parse_args(words)
    is_daemon = arguments.verb in (None, "serve")
    try:
        settings = load_settings(os.environ, config=arguments.config, data_dir=arguments.data_dir)
        level = log_level(os.environ, "INFO" if is_daemon else "WARNING")
        _start_log(settings, level, is_daemon=is_daemon)
        status: int = asyncio.run(arguments.handler(settings, arguments))
        sys.stdout.flush()
        return status
    except (SettingsError, BadUsage) as error:
        print(error, file=sys.stderr)
        return MISUSED
    except UnicodeEncodeError as error:
        print(f"{error.object!r} is no text: it is not in UTF-8.", file=sys.stderr)
        return MISUSED
    except BrokenPipeError:  # whoever read the answer has read enough
        _drop_output()
        return DONE
    except (CommandFailed, Taken, NewerDatabase, JournalError, ConnectorError) as error:
        print(error, file=sys.stderr)
    except (DBAPIError, sqlite3.Error) as error:
        reason = getattr(error, "orig", error)
        print(f"{settings.database_path}: {reason}{_hint(settings)}", file=sys.stderr)
    except OSError as error:
        place = error.filename or settings.data_dir
        print(f"{place}: {error.strerror or error}{_hint(settings)}", file=sys.stderr)
        _drop_output()
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
    return FAILED


def _hint(settings: Settings) -> str:
    """Say so where the disk is full: SQLite calls that many things."""
    with suppress(OSError):
        if shutil.disk_usage(settings.data_dir).free < FULL_BYTES:
            return ". The disk is full."
    return ""


def _drop_output() -> None:
    """Keep Python from failing once more at what could not be printed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


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


def _start_log(settings: Settings, level: int, *, is_daemon: bool) -> None:
    """Log to standard error; the daemon also to files in the data folder."""
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
        level=level, format="%(asctime)s %(levelname)s %(message)s", handlers=handlers
    )
    for talkative in ("apscheduler", "alembic", "aiohttp.access", "watchfiles"):
        logging.getLogger(talkative).setLevel(logging.WARNING)


if __name__ == "__main__":
    sys.exit(main())
