"""The sorts of things that a person likes: what is liked, and the words that set a sort apart."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select

from connectors.base import Kind
from daemon.services import Services
from daemon.store.item_words import words_of
from daemon.store.models import Item, Play, Rating

LOVED = 7.0
"""Rating from which something is loved; without a rating, prediction."""
FIELDS = ("genres", "keywords", "artists")
"""Facts whose words name a sort."""


async def find_liked(services: Services, profile_id: int, kind: Kind) -> dict[int, float]:
    """Return the items of the kind that are loved or often finished, each with its weight."""
    async with services.database.read() as session:
        rated = await session.execute(
            select(Rating.item_id, Rating.value)
            .join(Item, Item.id == Rating.item_id)
            .where(Rating.profile_id == profile_id, Item.kind == kind,
                   Rating.value >= LOVED)
            .order_by(Rating.item_id)
        )  # fmt: skip
        liked = {row.item_id: float(row.value) / 10 for row in rated}
        heard = await session.execute(
            select(Play.item_id)
            .join(Item, Item.id == Play.item_id)
            .where(Play.profile_id == profile_id, Item.kind == kind,
                   Play.outcome == "finished")
            .group_by(Play.item_id)
            .having(func.count() >= 3)
            .order_by(Play.item_id)
        )  # fmt: skip
        low = set(
            await session.scalars(
                select(Rating.item_id).where(Rating.profile_id == profile_id, Rating.value < LOVED)
            )
        )
    for item_id in heard.scalars():
        if item_id not in low:
            liked.setdefault(item_id, 0.5)
    return liked


async def name_sort(services: Services, members: Sequence[int], liked: Sequence[int]) -> str:
    """Return the words that are commoner in a sort: genres, tags, makers, what models perceived."""
    inside, everywhere = Counter[str](), Counter[str]()
    of_it = set(members)
    async with services.database.read() as session:
        words = await words_of(session, liked, FIELDS)
    for item_id, of_item in words.items():
        everywhere.update(of_item.values())
        if item_id in of_it:
            inside.update(of_item.values())
    telling = sorted(inside, key=lambda word: (-(inside[word] ** 2) / (everywhere[word] + 2), word))
    return ", ".join(telling[:3]) or "what belongs together"
