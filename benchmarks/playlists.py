"""Smart playlists over a large library: the rule, the order, and all the rest of choosing.

Baseline: reading the same columns of all items of the kind from the database, without any rule.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import insert

from benchmarks.figures import Figure, median, seconds, told_figure
from benchmarks.synthetic import fill_catalogue
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.candidates import find_candidates
from daemon.playlists.rule_query import Scope
from daemon.playlists.selection import choose
from daemon.rules import parse_order, parse_rule
from daemon.services import Services
from daemon.store.models import Play
from tests.household import Household

ITEMS, PLAYS, ROUNDS = 100_000, 20_000, 3
DAY = date(2026, 11, 23)
LISTS = (
    ("a rule", "predicted >= 7.5 and last_played > 30 days ago and not genre = \"Genre 3\"",
     "predicted"),
    ("a rule by radio", "predicted >= 5", "radio"),
    ("texts in a rule", 'title contains "77" or artist starts with "artist 1"', "year desc"),
    ("similar", "", 'similar to "Track 5"'),
    ("a chain", "", 'chain from "Track 5"'),
    ("a path", "", 'path from "Track 5" to "Track 99"'),
)  # fmt: skip


def measure() -> Iterator[Figure]:
    """Time each list beside the bare reading."""
    with tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_measure(Household(Path(folder))))


async def _measure(household: Household) -> list[Figure]:
    async with household.open() as services:
        ids = await fill_catalogue(services, ITEMS, predicted=True, vectors=True)
        await _add_plays(services, ids)
        bare = median([await _time_of_reading(services) for _ in range(ROUNDS)])
        figures = []
        for name, where, order in LISTS:
            playlist = PlaylistSettings(name=name, where=where, order=order, untrusted=True,
                                        unrated=False)  # fmt: skip
            times = []
            for _ in range(ROUNDS):
                begin = time.perf_counter()
                entries = await choose(services, playlist, DAY)
                times.append(time.perf_counter() - begin)
                assert len(entries) == 60, len(entries)
            took = median(times)
            figures.append(
                told_figure(
                    f"playlist: {name}, {ITEMS:,} items, {PLAYS:,} plays (all items, bare)",
                    seconds(took), seconds(bare), took / bare,
                )
            )  # fmt: skip
        return figures


async def _time_of_reading(services: Services) -> float:
    begin = time.perf_counter()
    async with services.database.read() as session:
        rows = await find_candidates(
            session, "music", parse_rule(""), parse_order("random"), Scope(1, DAY),
            only_unrated=False,
        )  # fmt: skip
    assert len(rows) == ITEMS
    return time.perf_counter() - begin


async def _add_plays(services: Services, ids: list[int]) -> None:
    chance = random.Random(5)
    day = datetime(2026, 11, 23, tzinfo=UTC)
    rows = [
        {
            "profile_id": 1, "item_id": chance.choice(ids), "source": "web", "event_key": str(n),
            "played_at": day - timedelta(days=chance.uniform(0, 400)), "position": None,
            "duration": None, "outcome": chance.choice(("finished", "skipped")),
        }
        for n in range(PLAYS)
    ]  # fmt: skip
    async with services.database.write() as session:
        await session.execute(insert(Play), rows)
