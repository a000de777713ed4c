"""The taste models of each profile, and what they and their predictions were made from."""

import hashlib
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.labels import Labels
from daemon.store.models import ItemVector, Play, Rating, RatingEvent, TasteModel
from daemon.store.server_models import Favourite
from daemon.vectors.index import Space

HEARD = " heard "
"""Before what a fingerprint says of plays and hearts: pages do not wait for those."""


class UnknownModel(LookupError):
    """There is no such taste model of the profile."""


async def newest_model(session: AsyncSession, profile_id: int) -> TasteModel | None:
    """Return the profile's last trained model, in use or not."""
    model: TasteModel | None = await session.scalar(
        select(TasteModel)
        .where(TasteModel.profile_id == profile_id)
        .order_by(TasteModel.id.desc())
        .limit(1)
    )
    return model


async def find_models(session: AsyncSession, profile_id: int) -> Sequence[TasteModel]:
    """Return all models that were trained for a profile, the newest first."""
    return (
        await session.scalars(
            select(TasteModel)
            .where(TasteModel.profile_id == profile_id)
            .order_by(TasteModel.id.desc())
        )
    ).all()


async def use_none(session: AsyncSession, profile_id: int) -> None:
    """Take all models of a profile out of use."""
    await session.execute(
        update(TasteModel).where(TasteModel.profile_id == profile_id).values(in_use=False)
    )


async def model_in_use(session: AsyncSession, profile_id: int) -> TasteModel | None:
    """Return the profile's taste model that is in use."""
    model: TasteModel | None = await session.scalar(
        select(TasteModel).where(TasteModel.profile_id == profile_id, TasteModel.in_use)
    )
    return model


def blend_of(model: TasteModel) -> dict[str, Any] | None:
    """Return how the transformer takes part, None where it does not."""
    found = model.settings.get("evaluator") or {}
    if not found.get("weight"):
        return None
    return {key: found[key] for key in ("name", "weight", "narrowing") if key in found}


def transformer_of(model: TasteModel) -> dict[str, Any] | None:
    """Return the transformer's weight and held-out figures; None before it was trained."""
    found = model.settings.get("evaluator") or {}
    return {key: found[key] for key in ("weight", "figures") if key in found} or None


async def fingerprint_of(session: AsyncSession, profile_id: int, space: Space | None) -> str:
    """Return what the predictions depend on: rating events, plays, hearts, model, vectors."""
    events = await session.execute(
        select(func.count(), func.max(text("rowid")))
        .select_from(RatingEvent)
        .where(RatingEvent.profile_id == profile_id)
    )
    plays = await session.scalar(select(func.max(Play.id)).where(Play.profile_id == profile_id))
    hearts = await session.execute(
        select(func.count(), func.max(Favourite.changed_at)).where(
            Favourite.profile_id == profile_id
        )
    )
    model = await model_in_use(session, profile_id)
    vectors = await session.scalar(select(func.max(ItemVector.id)))
    heard = f"{HEARD}{plays} {tuple(hearts.one())}"
    told = ""
    if model:
        found = model.settings.get("evaluator") or {}
        learnt = f"{found.get('labels')} {found.get('predicted')}"
        told = f"{model.id} {model.trusted} {blend_of(model)} {learnt}"
    return f"{tuple(events.one())} {told} {space} {vectors}{heard}"


async def news_of(
    session: AsyncSession, profile_id: int, labels: Labels, spaces: Sequence[str]
) -> str:
    """Return what a model is trained on, in short: the labels, and the vectors of what is rated.

    Of vectors, since what is rated today may get its first one only tomorrow.
    """
    rows = await session.execute(
        select(func.count(), func.max(ItemVector.id))
        .join(Rating, (Rating.item_id == ItemVector.item_id) & (Rating.profile_id == profile_id))
        .where(ItemVector.space.in_(spaces))
    )
    known = repr((spaces, labels.items, labels.values, labels.scales, tuple(rows.one())))
    return hashlib.blake2b(known.encode(), digest_size=16).hexdigest()
