"""What the verbs share: their arguments, how they open the catalogue, how they answer."""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.opening import opened
from daemon.services import Services
from daemon.settings import Settings
from daemon.store.models import Item, parse_public_id
from daemon.store.places import find_item_at

DONE, FAILED, MISUSED, IN_PART = 0, 1, 2, 3
"""Exit statuses: done; failed; wrong usage, settings or values; done in part."""

MOST_WIDE = 60
"""Letters of a cell of a table that are shown; the last one, often a path to be used, is whole."""

Verbs = Any
"""What `add_subparsers` returns; its class is argparse's own affair."""


class CommandFailed(Exception):
    """The verb could not be carried out; the message says why."""


class BadUsage(Exception):
    """What was typed makes no sense; the message says what would."""


def add_verb(
    verbs: Verbs,
    name: str,
    handler: Callable[[Services, argparse.Namespace], Awaitable[int]],
    help_text: str,
    *,
    answers: bool = False,
) -> argparse.ArgumentParser:
    """Add a verb that works on opened services; `answers`: it takes --json."""
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=help_text, description=help_text)
    add_common(parser, default=argparse.SUPPRESS)
    if answers:
        parser.add_argument("--json", action="store_true", help="one JSON array, nothing else")
    parser.set_defaults(handler=lambda settings, arguments: _with_services(
        settings, arguments, handler))  # fmt: skip
    return parser


def add_common(parser: argparse.ArgumentParser, default: Any = None) -> None:
    """Add what is taken before and after the verb."""
    parser.add_argument(
        "--config", type=Path, default=default, metavar="FILE", help="the settings file"
    )
    parser.add_argument(
        "--data-dir", type=Path, default=default, metavar="FOLDER",
        help="where the catalogue, ratings and settings are (./data)",
    )  # fmt: skip


def add_profile(parser: argparse.ArgumentParser) -> None:
    """Add --profile."""
    parser.add_argument("--profile", metavar="NAME", help="whose; without it, the first one's")


async def _with_services(
    settings: Settings,
    arguments: argparse.Namespace,
    handler: Callable[[Services, argparse.Namespace], Awaitable[int]],
) -> int:
    async with opened(settings) as services:
        return await handler(services, arguments)


def answer(rows: Iterable[dict[str, Any]], *, as_json: bool, columns: Iterable[str]) -> None:
    """Print rows as one JSON array, or as a table of the named columns."""
    rows = list(rows)
    if as_json:
        print(json.dumps(rows, ensure_ascii=True))
        return
    titles = list(columns)
    cells = [[_cell(row.get(title)) for title in titles] for row in rows]
    widths = [
        min(MOST_WIDE, max(len(title), *(len(row[n]) for row in cells), 0))
        for n, title in enumerate(titles[:-1])
    ]
    for *row, last in [titles, *cells]:
        line = [_cut(cell, width).ljust(width) for cell, width in zip(row, widths, strict=True)]
        print("  ".join([*line, last]).rstrip())


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else f"{cell[: width - 1]}…"


def tell(message: str) -> None:
    """Say something beside the answer."""
    print(message, file=sys.stderr)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.2f}"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in str(value))


async def find_item(session: AsyncSession, name: str) -> int:
    """Return the item that a path or an id names. Raises CommandFailed."""
    item_id = await find_item_or_none(session, name)
    if item_id is None:
        raise CommandFailed(f"There is no item {name} in the catalogue. Is its folder synced?")
    return item_id


async def find_item_or_none(session: AsyncSession, name: str) -> int | None:
    """Return the item that a path or an id names, if there is one."""
    found = await find_item_at(session, name)
    if found is None:
        item_id = parse_public_id(name)
        found = await session.scalar(select(Item.id).where(Item.id == (item_id or 0)))
    return found
