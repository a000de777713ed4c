"""rate, import-ratings, export-ratings."""

import argparse
import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.commands.command import (
    DONE,
    IN_PART,
    BadUsage,
    CommandFailed,
    Verbs,
    add_profile,
    add_verb,
    find_item,
    find_item_or_none,
    tell,
)
from daemon.services import Services
from daemon.store.models import Profile, Rating, now, public_id
from daemon.store.places import find_paths
from daemon.store.profiles import UnknownProfile, find_profile
from daemon.store.ratings import (
    FILE,
    PERSON,
    BadRating,
    NewRating,
    check_rating,
    last_spoken,
    moment_after,
    rate,
    rate_many,
)

csv.field_size_limit(1 << 20)


@dataclass(frozen=True, slots=True)
class Row:
    """One understood row of a CSV file."""

    item_id: int
    value: float
    rated_at: datetime | None
    origin: str


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(verbs, "rate", rate_item, "rate one item, 0 to 10, or none to take it back")
    parser.add_argument("item", metavar="PATH-OR-ID")
    parser.add_argument("value", metavar="VALUE", help="0 to 10, or none")
    add_profile(parser)
    parser = add_verb(verbs, "import-ratings", import_ratings, "take ratings from a CSV file")
    parser.add_argument(
        "file", type=Path, metavar="FILE.csv", help="columns: path or id, rating, rated_at"
    )
    add_profile(parser)
    parser = add_verb(verbs, "export-ratings", export_ratings, "write all ratings to a CSV file")
    parser.add_argument("file", type=Path, metavar="FILE.csv")
    add_profile(parser)


async def rate_item(services: Services, arguments: argparse.Namespace) -> int:
    """Keep one rating."""
    profile = await _profile(services, arguments.profile)
    try:
        value = None if arguments.value.lower() == "none" else check_rating(arguments.value)
    except BadRating as error:
        raise BadUsage(str(error)) from error
    async with services.database.read() as session:
        item_id = await find_item(session, arguments.item)
    await rate(services.database, services.journal, profile.id, item_id, value)
    done = "has no rating now" if value is None else f"is rated {value:g}"
    tell(f"{arguments.item} {done} ({profile.name})")
    return DONE


async def import_ratings(services: Services, arguments: argparse.Namespace) -> int:
    """Take what can be taken; name the rest."""
    profile = await _profile(services, arguments.profile)
    rows, problems = [], 0
    async with services.database.read() as session:
        for line, row in _read_rows(arguments.file):
            try:
                rows.append(await _parse(session, arguments.file, row))
            except ValueError as error:
                tell(f"{arguments.file}, line {line}: {error}")
                problems += 1
        news = await _without_known(session, profile.id, rows)
    for start in range(0, len(news), 200):
        batch = news[start : start + 200]
        await rate_many(services.database, services.journal, profile.id, batch)
    known = len(rows) - len(news)
    tell(f"{len(news)} ratings taken, {known} known already, {problems} rows not understood")
    return IN_PART if problems else DONE


async def _without_known(
    session: AsyncSession, profile_id: int, rows: Sequence[Row]
) -> list[NewRating]:
    """Leave out what the person's present ratings say, or what is older than they are."""
    ids = [row.item_id for row in rows]
    spoken = await last_spoken(session, profile_id, ids)
    given = Rating.profile_id == profile_id, Rating.origin == PERSON
    query = select(Rating.item_id, Rating.value).where(*given)
    present = {row.item_id: row.value for row in await session.execute(query)}
    news = []
    for row in rows:
        last = spoken.get(row.item_id)
        is_old = row.origin == FILE or (row.rated_at and last and row.rated_at <= last)
        if not is_old and present.get(row.item_id) != row.value:
            rated_at = row.rated_at or moment_after(last)
            news.append(NewRating(row.item_id, row.value, rated_at))
    return news


async def export_ratings(services: Services, arguments: argparse.Namespace) -> int:
    """Write every rating, with a path where there is one."""
    profile = await _profile(services, arguments.profile)
    async with services.database.read() as session:
        ratings = (
            await session.scalars(
                select(Rating).where(Rating.profile_id == profile.id).order_by(Rating.rated_at)
            )
        ).all()
        paths = await find_paths(session, [rating.item_id for rating in ratings])
    try:
        _write_rows(arguments.file, ratings, paths)
    except OSError as error:
        raise CommandFailed(f"{arguments.file} cannot be written: {error.strerror}") from error
    tell(f"{len(ratings)} ratings of {profile.name} written to {arguments.file}")
    return DONE


def _write_rows(target: Path, ratings: Any, paths: dict[int, bytes]) -> None:
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.writer(file)
            writer.writerow(("path", "id", "rating", "rated_at", "origin"))
            for rating in ratings:
                path = os.fsdecode(paths.get(rating.item_id, b""))
                when = rating.rated_at.isoformat()
                writer.writerow(
                    (path, public_id(rating.item_id), repr(rating.value), when, rating.origin)
                )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _read_rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with source.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns = [name.strip().lower() for name in reader.fieldnames or ()]
            if "rating" not in columns or not {"path", "id"} & {*columns}:
                raise BadUsage(f"{source} needs the columns `path` or `id`, and `rating`.")
            reader.fieldnames = columns
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise CommandFailed(f"{source} cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise CommandFailed(f"{source} is no CSV file: {error}") from error


async def _parse(session: AsyncSession, file: Path, row: dict[str, str]) -> Row:
    """Make sense of a row. Raises ValueError with what is wrong."""
    names = [name for name in (row.get("path"), row.get("id")) if name]
    item_id = None
    for name in names:
        item_id = item_id or await find_item_or_none(session, name)
        item_id = item_id or await find_item_or_none(session, str(file.parent / name))
    if item_id is None:
        raise ValueError(f"there is no item {names[0] if names else '(no path, no id)'}")
    origin = FILE if row.get("origin") == FILE else PERSON
    return Row(item_id, check_rating(row["rating"]), _parse_time(row.get("rated_at")), origin)


def _parse_time(text: str | None) -> datetime | None:
    """Return a moment in UTC, which is meant where no zone is named. Raises ValueError."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(
            f"rated_at should be a time such as 2026-01-31T20:15, not {text[:40]}"
        ) from None
    if moment > now() + timedelta(days=1):
        raise ValueError(f"rated_at lies in the future: {text}")
    return moment


async def _profile(services: Services, name: str | None) -> Profile:
    async with services.database.read() as session:
        try:
            return await find_profile(session, services.settings, name)
        except UnknownProfile as error:
            raise CommandFailed(str(error)) from error
