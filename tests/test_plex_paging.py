"""Long listings of Plex in pages, while they change."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.base import BadAnswer
from connectors.plex.paging import Listed, walk


class Changing:
    """A listing; before each answer the next change is made."""

    def __init__(
        self, keys: Sequence[int], changes: Sequence[Callable[[list[int]], None]] = (),
        *, total: Callable[[int], int | None] = lambda n: n, most: int | None = None,
    ) -> None:  # fmt: skip
        self.keys = list(keys)
        self.asked: list[int] = []
        self._changes = list(changes)
        self._total = total
        self._most = most

    async def ask(self, first: int, size: int) -> Listed[int]:
        if self.asked and self._changes:
            self._changes.pop(0)(self.keys)
        self.asked.append(first)
        shown = self.keys[first : first + min(size, self._most or size)]
        return Listed([str(key) for key in shown], shown, self._total(len(self.keys)))

    async def read(self, size: int, start: str | None = None) -> list[int]:
        return [key async for part in walk(self.ask, size, start) for key in part.entries]


async def test_a_listing_that_stays_is_read_once_and_in_order() -> None:
    for count in range(25):
        assert await Changing(range(count)).read(5) == list(range(count))


@given(
    st.integers(0, 60),
    st.integers(2, 9),
    st.lists(st.tuples(st.sets(st.integers(0, 60), max_size=12), st.integers(0, 5)), max_size=12),
)
def test_what_stays_is_never_lost_whatever_else_comes_and_goes(
    count: int, size: int, changes: list[tuple[set[int], int]]
) -> None:
    highest = [1000]

    def make(removed: set[int], added: int) -> Callable[[list[int]], None]:
        def change(keys: list[int]) -> None:
            keys[:] = [key for key in keys if key not in removed]
            highest[0] += added
            keys += range(highest[0] - added, highest[0])

        return change

    listing = Changing(range(count), [make(*change) for change in changes])
    read = asyncio.run(listing.read(size))
    stayed = set(range(count)) & set(listing.keys)
    assert stayed <= set(read)


async def test_reading_goes_on_behind_a_break_even_after_much_was_removed() -> None:
    listing = Changing(range(100))
    pages = walk(listing.ask, 20)
    first = await anext(pages)
    second = await anext(pages)
    await pages.aclose()  # type: ignore[attr-defined]
    del listing.keys[:25]
    rest = await listing.read(20, second.next)
    done = {*first.entries, *second.entries}
    assert set(range(25, 100)) <= done | set(rest)
    assert sorted(set(rest) - done) == list(range(32, 100))


async def test_a_place_that_an_older_version_left_is_understood() -> None:
    assert await Changing(range(10)).read(4, "6") == [6, 7, 8, 9]
    assert await Changing(range(3)).read(4, "nonsense") == [0, 1, 2]


async def test_a_server_that_gives_fewer_than_asked_is_read_whole() -> None:
    assert await Changing(range(23), most=4).read(10) == list(range(23))


@pytest.mark.parametrize("drift", [-3, 2, 50])
async def test_a_total_that_is_wrong_neither_loses_nor_loops(drift: int) -> None:
    listing = Changing(range(23), total=lambda n: n + drift)
    assert await listing.read(10) == list(range(23))
    assert len(listing.asked) <= 5


async def test_a_server_that_always_shows_the_same_is_not_followed_for_ever() -> None:
    async def ask(first: int, size: int) -> Listed[int]:
        return Listed(["1", "2"], [1, 2], 100)

    with pytest.raises(BadAnswer):
        [part async for part in walk(ask, 2)]


async def test_a_server_in_a_new_order_each_time_is_not_followed_for_ever() -> None:
    asked = [0]

    async def ask(first: int, size: int) -> Listed[int]:
        asked[0] += size
        keys = range(asked[0], asked[0] + size)
        return Listed([str(key) for key in keys], list(keys), 1000)

    with pytest.raises(BadAnswer):
        [part async for part in walk(ask, 10)]
