"""Put ratings of the journal that the database lacks back into it."""

from daemon.store.database import Database
from daemon.store.journal import Journal
from daemon.store.models import Fact
from daemon.store.ratings import replay

_FACT = "journal"


async def replay_journal(database: Database, journal: Journal, *, force: bool = False) -> int:
    """Apply what the database has not seen; return how many ratings.

    Lines about items that the catalogue does not have yet are tried again each time; when all
    lines are in the database, the journal is not read again until it has grown past it.
    """
    size = journal.size()
    async with database.read() as session:
        fact = await session.get(Fact, _FACT)
    known = fact.value if fact else {"size": 0, "pending": 0}
    if not force and known == {"size": size, "pending": 0}:
        return 0
    applied, pending = await replay(database, journal.read())
    async with database.write() as session:
        await session.merge(Fact(name=_FACT, value={"size": size, "pending": len(pending)}))
    return applied


async def count_waiting(database: Database) -> int:
    """Return how many ratings of the journal are about items that the catalogue lacks."""
    async with database.read() as session:
        fact = await session.get(Fact, _FACT)
    return int(fact.value["pending"]) if fact else 0
