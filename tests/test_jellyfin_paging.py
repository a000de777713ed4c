"""Listings that change while they are read in pages."""

from typing import Any

import pytest

from connectors.base import BadAnswer
from connectors.jellyfin.paging import Listed, walk


class Shelf:
    """A listing that others change while it is read."""

    def __init__(self, count: int) -> None:
        self.keys = [f"{n:03}" for n in range(count)]
        self.asked: list[tuple[int, int]] = []
        self.changes: dict[int, Any] = {}
        """Number of the question before which something happens."""
        self.lie = 0
        """How far the total is off."""

    async def ask(self, first: int, size: int) -> Listed[str]:
        if change := self.changes.get(len(self.asked)):
            change(self.keys)
        self.asked.append((first, size))
        page = self.keys[first : first + size]
        return Listed(page, page, len(self.keys) + self.lie)

    async def read(self, size: int = 20, start: str | None = None) -> list[str]:
        return [key async for part in walk(self.ask, size, start) for key in part.entries]


@pytest.mark.parametrize("count", [0, 1, 19, 20, 21, 28, 40, 100])
async def test_a_listing_is_read_once_and_whole(count: int) -> None:
    shelf = Shelf(count)
    assert await shelf.read() == shelf.keys
    assert len(shelf.asked) <= count // 20 + 1


@pytest.mark.parametrize("lie", [-50, -1, 1, 50])
async def test_a_wrong_total_neither_loses_nor_loops(lie: int) -> None:
    shelf = Shelf(55)
    shelf.lie = lie
    assert await shelf.read() == shelf.keys
    assert len(shelf.asked) <= 5


@pytest.mark.parametrize("removed", [1, 5, 8, 15, 40, 60])
async def test_what_is_removed_in_front_makes_nothing_skip(removed: int) -> None:
    shelf = Shelf(200)
    rest = shelf.keys[removed:]
    shelf.changes[3] = lambda keys: keys.__delitem__(slice(0, removed))
    assert set(await shelf.read()) >= set(rest)


@pytest.mark.parametrize("added", [1, 8, 19, 100])
async def test_what_is_added_in_front_makes_nothing_skip(added: int) -> None:
    shelf = Shelf(200)
    before = list(shelf.keys)
    shelf.changes[3] = lambda keys: keys.__setitem__(
        slice(0, 0), [f"new {n}" for n in range(added)]
    )
    assert set(await shelf.read()) >= set(before)


async def test_what_is_added_at_the_end_is_read_too() -> None:
    shelf = Shelf(45)
    shelf.changes[2] = lambda keys: keys.extend(["x", "y"])
    assert await shelf.read() == shelf.keys


async def test_reading_goes_on_where_it_was_also_when_things_moved() -> None:
    shelf = Shelf(200)
    places = [part.next async for part in walk(shelf.ask, 20)]
    assert await shelf.read(start=places[2]) == shelf.keys[60:]
    del shelf.keys[:10]
    assert await shelf.read(start=places[2]) == shelf.keys[50:]


async def test_a_place_in_a_listing_that_is_another_now_begins_anew() -> None:
    shelf = Shelf(200)
    places = [part.next async for part in walk(shelf.ask, 20)]
    shelf.keys = [f"other {n}" for n in range(50)]
    assert await shelf.read(start=places[5]) == shelf.keys
    shelf.keys = []
    assert await shelf.read(start=places[5]) == []


@pytest.mark.parametrize("start", ["", "x", "-5", "20", "20 ", "999999", "²"])
async def test_a_place_of_unknown_making_is_borne(start: str) -> None:
    shelf = Shelf(30)
    assert set(await shelf.read(start=start)) <= set(shelf.keys)


async def test_a_server_that_says_the_same_for_ever_is_given_up() -> None:
    async def ask(first: int, size: int) -> Listed[str]:
        same = [str(n) for n in range(size)]
        return Listed(same, same, None)

    with pytest.raises(BadAnswer):
        [part async for part in walk(ask, 20)]


async def test_a_listing_that_is_always_another_is_given_up() -> None:
    asked: list[int] = []

    async def ask(first: int, size: int) -> Listed[str]:
        asked.append(first)
        keys = [f"{len(asked)} {n}" for n in range(size)]
        return Listed(keys, keys, 10**6)

    with pytest.raises(BadAnswer, match="changes too much"):
        [part async for part in walk(ask, 20)]
    assert len(asked) < 50
