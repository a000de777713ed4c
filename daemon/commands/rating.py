"""rate, import-ratings, export-ratings."""

import argparse
import csv
import math
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

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
from daemon.store.ratings import BadRating, NewRating, check_rating, rate, rate_many

csv.field_size_limit(1 << 20)


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
    known, problems, unchanged = [], 0, 0
    async with services.database.read() as session:
        present = {
            row.item_id: (row.value, row.rated_at)
            for row in await session.execute(
                select(Rating.item_id, Rating.value, Rating.rated_at).where(
                    Rating.profile_id == profile.id, Rating.origin == "person"
                )
            )
        }
        for line, row in _read_rows(arguments.file):
            try:
                rating = await _parse(session, arguments.file, row)
            except ValueError as error:
                tell(f"{arguments.file}, line {line}: {error}")
                problems += 1
                continue
            if present.get(rating.item_id, (None,))[0] == rating.value:
                unchanged += 1
            else:
                known.append(rating)
    for start in range(0, len(known), 200):
        batch = known[start : start + 200]
        await rate_many(services.database, services.journal, profile.id, batch)
    tell(f"{len(known)} ratings taken, {unchanged} known already, {problems} rows not understood")
    return IN_PART if problems else DONE


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
    with partial.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "id", "rating", "rated_at", "origin"))
        for rating in ratings:
            path = os.fsdecode(paths.get(rating.item_id, b""))
            when = rating.rated_at.isoformat()
            writer.writerow(
                (path, public_id(rating.item_id), f"{rating.value:g}", when, rating.origin)
            )
    partial.replace(target)


def _read_rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    try:
        with source.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if "rating" not in columns or not columns & {"path", "id"}:
                raise BadUsage(f"{source} needs the columns `path` or `id`, and `rating`.")
            for row in reader:
                yield reader.line_num, row
    except OSError as error:
        raise CommandFailed(f"{source} cannot be read: {error.strerror}") from error
    except csv.Error as error:
        raise CommandFailed(f"{source} is no CSV file: {error}") from error


async def _parse(session: Any, file: Path, row: dict[str, str]) -> NewRating:
    """Turn a row into a rating. Raises ValueError with what is wrong."""
    names = [name for name in (row.get("path"), row.get("id")) if name]
    item_id = None
    for name in names:
        item_id = item_id or await find_item_or_none(session, name)
        item_id = item_id or await find_item_or_none(session, str(file.parent / name))
    if item_id is None:
        raise ValueError(f"there is no item {names[0] if names else '(no path, no id)'}")
    value = check_rating(row["rating"])
    if math.isnan(value):
        raise BadRating("a rating is a number")
    when = row.get("rated_at")
    try:
        rated_at = datetime.fromisoformat(when) if when else now()
    except ValueError:
        raise ValueError(
            f"rated_at should be a time such as 2026-01-31T20:15, not {when}"
        ) from None
    return NewRating(item_id, value, rated_at if rated_at.tzinfo else rated_at.replace(tzinfo=UTC))


async def _profile(services: Services, name: str | None) -> Profile:
    async with services.database.read() as session:
        try:
            return await find_profile(session, services.settings, name)
        except UnknownProfile as error:
            raise CommandFailed(str(error)) from error
