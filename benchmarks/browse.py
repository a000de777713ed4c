"""Browse, best predicted first, in a library and in one a hundred times larger.

The whole application over real HTTP; the baseline is the small library in the same run.
"""

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, median, ratio_figure
from benchmarks.synthetic import fill_catalogue
from tests.household import Household
from tests.web_client import open_site

SMALL, LARGE = 1_000, 100_000
ROUNDS = 30


def measure() -> list[Figure]:
    """Compare the two."""
    times = {}
    for count in (SMALL, LARGE):
        with tempfile.TemporaryDirectory() as folder:
            times[count] = asyncio.run(_first_byte(Path(folder), count))
    name = f"Browse by prediction, {LARGE:,} items, first byte ({SMALL:,} items)"
    return [ratio_figure(name, times[LARGE], times[SMALL], at_most=1.5)]


async def _first_byte(home: Path, count: int) -> float:
    async with open_site(Household(home)) as (services, client):
        await fill_catalogue(services, count, predicted=True)
        times = []
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            async with client.get("/browse/music?sort=predicted") as response:
                await response.content.readany()
                times.append(time.perf_counter() - begin)
                assert response.status == 200
        return median(times[5:])
