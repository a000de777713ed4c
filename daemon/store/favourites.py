"""Favourites: a person's hearts, beside the ratings."""

from sqlalchemy.dialects.sqlite import insert

from daemon.store.database import Database
from daemon.store.models import now
from daemon.store.ratings import PERSON
from daemon.store.server_models import Favourite


async def set_favourite(
    database: Database, profile_id: int, item_id: int, is_favourite: bool
) -> None:
    """Keep whether the person holds an item for a favourite, when it is on disk."""
    values = {"is_favourite": is_favourite, "origin": PERSON, "changed_at": now()}
    async with database.write(durable=True) as session:
        await session.execute(
            insert(Favourite)
            .values(profile_id=profile_id, item_id=item_id, **values)
            .on_conflict_do_update(index_elements=["profile_id", "item_id"], set_=values)
        )
