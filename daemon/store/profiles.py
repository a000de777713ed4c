"""The people of the house."""

import uuid
from collections.abc import Sequence

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.settings import Settings
from daemon.store.database import Database
from daemon.store.journal import Journal
from daemon.store.models import (
    Play,
    Prediction,
    PredictionState,
    Profile,
    Rating,
    RatingEvent,
    TasteModel,
    now,
)
from daemon.store.server_models import Account, Favourite, ServerState


class UnknownProfile(LookupError):
    """Nobody has that name."""


async def find_profiles(session: AsyncSession) -> Sequence[Profile]:
    """Return everyone, in the order they came."""
    return (await session.scalars(select(Profile).order_by(Profile.id))).all()


async def default_profile(session: AsyncSession, settings: Settings) -> Profile:
    """Return who is meant when no one is named: the only one, or the first of the settings."""
    profiles = await find_profiles(session)
    named = {profile.name: profile for profile in profiles}
    if len(profiles) > 1:
        for name in settings.profiles:
            if name in named:
                return named[name]
    return profiles[0]


async def find_profile(session: AsyncSession, settings: Settings, name: str | None) -> Profile:
    """Return the profile called `name`, or the default one. Raises UnknownProfile."""
    if name is None:
        return await default_profile(session, settings)
    found = await session.scalar(select(Profile).where(Profile.name == name))
    if found is None:
        names = ", ".join(profile.name for profile in await find_profiles(session))
        raise UnknownProfile(f"There is no profile {name}; there are {names}.")
    return found


async def add_profile(session: AsyncSession, name: str) -> bool:
    """Add someone; False if the name was there."""
    added = await session.execute(
        insert(Profile).values(name=name, created_at=now()).on_conflict_do_nothing()
    )
    return bool(added.rowcount)  # type: ignore[attr-defined]


async def ensure_profiles(session: AsyncSession, settings: Settings) -> None:
    """Add the profiles of the settings; the default one only where there is nobody."""
    if "profiles" in settings.model_fields_set or not await find_profiles(session):
        for name in settings.profiles:
            await add_profile(session, name)


async def remove_profile(database: Database, journal: Journal, name: str) -> None:
    """Remove someone and all that was learnt from them; the journal keeps the ratings.

    Raises UnknownProfile.
    """
    async with database.read() as session:
        profile = await session.scalar(select(Profile).where(Profile.name == name))
    if profile is None:
        raise UnknownProfile(f"There is no profile {name}.")
    await journal.append(
        [{"event": uuid.uuid4().hex, "profile": name, "removed": True, "at": now().isoformat()}]
    )
    async with database.write(durable=True) as session:
        await forget_profile(session, profile.id)


async def forget_profile(session: AsyncSession, profile_id: int) -> None:
    """Delete someone and all that belongs to them from the database."""
    accounts = select(Account.id).where(Account.profile_id == profile_id)
    await session.execute(delete(ServerState).where(ServerState.account_id.in_(accounts)))
    for table in (
        Account, Favourite, Rating, RatingEvent, Play, Prediction, PredictionState, TasteModel,
    ):  # fmt: skip
        await session.execute(delete(table).where(table.profile_id == profile_id))
    await session.execute(delete(Profile).where(Profile.id == profile_id))
