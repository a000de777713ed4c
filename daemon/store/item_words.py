"""Single words about items: of their genres and makers, and what models heard and saw in them."""

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.descriptions import WORDS_OF_MODELS
from daemon.store.models import Description, Item

PAGE = 500


async def words_of(
    session: AsyncSession, item_ids: Sequence[int], fields: Sequence[str]
) -> dict[int, dict[str, str]]:
    """Return each item's words by their casefolded form: those of `fields` among its facts first.

    What comes in two ways of writing counts as one.
    """
    found: dict[int, dict[str, str]] = {}
    perceived = or_(*(Description.producer.startswith(f"{each}:") for each in WORDS_OF_MODELS))
    for start in range(0, len(item_ids), PAGE):
        part = item_ids[start : start + PAGE]
        for row in await session.execute(select(Item.id, Item.facts).where(Item.id.in_(part))):
            words = [word for field in fields for word in row.facts.get(field, ())]
            found[row.id] = {word.casefold(): word for word in words if word}
        for said in await session.execute(
            select(Description.item_id, Description.text).where(
                Description.item_id.in_(part), perceived
            )
        ):
            words = said.text.partition(": ")[2].split(", ")
            found[said.item_id] = {word.casefold(): word for word in words} | found[said.item_id]
    return found
