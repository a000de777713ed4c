"""Take back what was joined by mistake."""

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.identity.blend import blend
from daemon.identity.resolver import renew_presence
from daemon.store.models import Item, Join, Location, new_id, now


class UnknownJoin(LookupError):
    """There is no such join, or it was undone before."""


async def undo_join(session: AsyncSession, join_id: int) -> int:
    """Make the joined location an item of its own again; return that item.

    Its ratings begin anew: those given so far were given to the item that it was taken for.
    Raises UnknownJoin.
    """
    join = await session.get(Join, join_id)
    if join is None or join.undone_at is not None:
        raise UnknownJoin(f"There is no join {join_id} to undo.")
    location = await session.get_one(Location, join.location_id)
    joined = (await session.scalars(select(Item).where(Item.id == join.item_id))).one()
    alone = Item(
        id=new_id(), kind=joined.kind, title=joined.title, artist=joined.artist,
        album=joined.album, year=joined.year, duration=location.duration,
        facts=joined.facts if joined.own_facts is None else joined.own_facts,
        sidecar=joined.sidecar, input_hash=joined.own_hash or joined.input_hash,
    )  # fmt: skip
    if location.facts is not None:  # what the server says of it, and no file's word
        alone.own_facts, alone.own_hash, alone.sidecar = {}, "", ""
    session.add(alone)
    await session.flush()
    await session.execute(
        update(Location).where(Location.id == location.id).values(item_id=alone.id)
    )
    join.undone_at = now()
    await session.flush()
    await blend(session, [joined.id, alone.id])
    await renew_presence(session, [joined.id, alone.id])
    return alone.id
