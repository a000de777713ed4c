"""The sorts of things that a person likes: what is liked, and the words that set a sort apart."""

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, or_, select

from connectors.base import Kind
from daemon.services import Services
from daemon.store.models import Description, Item, Play, Rating

LOVED = 7.0
"""Rating from which something is loved; without a rating, prediction."""
PERCEIVED = ("heard:", "seen:")
"""Producers whose texts are lists of words, such as "Sounds like: slow, strings"."""


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
    words = await _words_of(services, liked)
    for item_id, of_item in words.items():
        everywhere.update(of_item)
        if item_id in of_it:
            inside.update(of_item)
    telling = sorted(inside, key=lambda word: (-(inside[word] ** 2) / (everywhere[word] + 2), word))
    return ", ".join(telling[:3]) or "what belongs together"


async def _words_of(services: Services, item_ids: Sequence[int]) -> dict[int, set[str]]:
    """Return each item's words; one that comes in two ways of writing counts as one."""
    found: dict[int, dict[str, str]] = {}
    perceived = or_(*(Description.producer.startswith(each) for each in PERCEIVED))
    async with services.database.read() as session:
        for start in range(0, len(item_ids), 500):
            part = item_ids[start : start + 500]
            for row in await session.execute(
                select(Item.id, Item.facts, Item.artist).where(Item.id.in_(part))
            ):
                words = [*row.facts.get("genres", ()), *row.facts.get("keywords", ()), row.artist]
                found[row.id] = {word.casefold(): word for word in words if word}
            for said in await session.execute(
                select(Description.item_id, Description.text).where(
                    Description.item_id.in_(part), perceived
                )
            ):
                words = said.text.partition(": ")[2].split(", ")
                found[said.item_id] = {word.casefold(): word for word in words} | found[
                    said.item_id
                ]
    return {item_id: set(words.values()) for item_id, words in found.items()}
