"""profiles: the people of the house."""

import argparse
import sys

from sqlalchemy import func, select

from daemon.commands.command import DONE, BadUsage, CommandFailed, Verbs, add_verb, answer, tell
from daemon.services import Services
from daemon.store.models import Rating
from daemon.store.profiles import UnknownProfile, add_profile, find_profiles, remove_profile


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(verbs, "profiles", profiles, "people: list, add, remove", answers=True)
    parser.add_argument("action", choices=("list", "add", "remove"), nargs="?", default="list")
    parser.add_argument("name", nargs="?")
    parser.add_argument("--yes", action="store_true", help="remove without asking")


async def profiles(services: Services, arguments: argparse.Namespace) -> int:
    """Carry out the verb."""
    if arguments.action != "list" and not (arguments.name or "").strip():
        raise BadUsage(f"profiles {arguments.action} needs a name.")
    if arguments.action == "add":
        async with services.database.write(durable=True) as session:
            if not await add_profile(session, arguments.name):
                raise CommandFailed(f"There is a profile {arguments.name} already.")
    elif arguments.action == "remove":
        await _remove(services, arguments.name, is_sure=arguments.yes)
    await _list(services, as_json=arguments.json)
    return DONE


async def _list(services: Services, *, as_json: bool) -> None:
    async with services.database.read() as session:
        counts = await session.execute(
            select(Rating.profile_id, func.count()).group_by(Rating.profile_id)
        )
        ratings = {profile_id: count for profile_id, count in counts}  # noqa: C416
        rows = [
            {"name": profile.name, "ratings": ratings.get(profile.id, 0)}
            for profile in await find_profiles(session)
        ]
    answer(rows, as_json=as_json, columns=("name", "ratings"))


async def _remove(services: Services, name: str, *, is_sure: bool) -> None:
    settings = services.settings
    if "profiles" in settings.model_fields_set and name in settings.profiles:
        raise CommandFailed(f"{name} stands in the settings; take the name out there first.")
    async with services.database.read() as session:
        everyone = [profile.name for profile in await find_profiles(session)]
    if everyone == [name]:
        raise CommandFailed(f"{name} is the only profile; add another one first.")
    if name in everyone and not is_sure:
        if not sys.stdin.isatty():
            raise BadUsage("Removing a profile forgets its taste; say --yes to do so.")
        print(f"Remove {name}, their plays and their taste? The journal keeps the ratings. [y/N] ",
              end="", file=sys.stderr, flush=True)  # fmt: skip
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise CommandFailed("Nothing was removed.")
    try:
        await remove_profile(services.database, services.journal, name)
    except UnknownProfile as error:
        raise CommandFailed(str(error)) from error
    tell(f"{name} is removed; the ratings stay in {services.journal.path}.")
