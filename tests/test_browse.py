"""Pages of items: their orders, filters, and what they cost."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, text
from sqlalchemy.dialects import sqlite

from daemon.store.browse import (
    SORTS,
    Card,
    Selection,
    Sort,
    count_kinds,
    find_cards,
    find_page,
    ids_query,
)
from daemon.store.database import Database, open_database
from daemon.store.migrate import upgrade
from daemon.store.models import Item, Location, Prediction, Profile, Rating, Source, now
from daemon.store.rate_queue import count_unrated, find_next

ME, YOU = 1, 2
COUNT = 120


def item(n: int) -> dict[str, object]:
    """Number n; ties and unknown values everywhere. Every tenth is gone, 120 and up pictures."""
    return {
        "id": 1000 + n, "kind": "music" if n < COUNT else "images", "title": f"Song {n % 37:02}",
        "artist": "Ada", "year": None if n % 4 == 0 else 1990 + n % 9, "facts": {},
        "duration": None if n % 5 == 0 else float(n % 11), "input_hash": f"h{n}",
        "added_at": now() - timedelta(days=n // 6), "gone_at": now() if n % 10 == 9 else None,
    }  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that no test changes."""
    path = tmp_path_factory.mktemp("library") / "a.db"
    upgrade(path, path.parent / "backups")
    asyncio.run(fill(path))
    return path


@pytest.fixture
async def database(library: Path) -> AsyncIterator[Database]:
    async with open_database(library) as database:
        yield database


async def fill(path: Path) -> None:
    numbers = range(COUNT + 10)
    async with open_database(path) as database, database.write() as session:
        session.add_all(Profile(id=n, name=str(n)) for n in (ME, YOU))
        session.add_all(Source(id=n, name=str(n), kind="folder", media="music") for n in (1, 2))
        await session.flush()
        await session.execute(insert(Item), [item(n) for n in numbers])
        await session.execute(
            insert(Location),
            [
                {"source_id": 1 + n % 3 // 2, "item_id": 1000 + n, "path": b"%d" % n, "size": 1,
                 "mtime_ns": 1, "soft_hash": "", "provider_ids": {}}
                for n in numbers
            ],
        )  # fmt: skip
        await session.execute(
            insert(Prediction),
            [
                {"profile_id": p, "item_id": 1000 + n, "kind": item(n)["kind"],
                 "value": (n * p) % 7 / 2, "uncertainty": n / 100}
                for n in numbers for p in (ME, YOU) if n % 8
            ],
        )  # fmt: skip
        await session.execute(
            insert(Rating),
            [
                {"profile_id": ME, "item_id": 1000 + n, "value": n % 6, "origin": "person",
                 "rated_at": now()}
                for n in numbers if n % 3 == 0
            ],
        )  # fmt: skip


async def read_all(database: Database, selection: Selection, limit: int = 7) -> list[Card]:
    found, after = [], None
    async with database.read() as session:
        for _ in range(COUNT):
            page = await find_page(session, ME, selection, after=after, limit=limit)
            found += page.cards
            after = page.after
            if after is None:
                return found
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("sort", SORTS)
async def test_small_pages_make_up_one_large_page_without_doubles(
    database: Database, sort: Sort
) -> None:
    selection = Selection("music", sort)
    small = [card.item_id for card in await read_all(database, selection)]
    large = [card.item_id for card in await read_all(database, selection, 1000)]
    assert small == large
    assert len(set(small)) == len(small)
    expected = {n for n in range(COUNT) if n % 10 != 9}
    if sort == "predicted":
        expected = {n for n in expected if n % 8}
    if sort == "rating":
        expected = {n for n in expected if n % 3 == 0}
    assert set(small) == {1000 + n for n in expected}


@pytest.mark.parametrize(
    ("sort", "attribute", "is_up"),
    [("predicted", "predicted", False), ("title", "title", True), ("year", "year", False),
     ("rating", "rating", False), ("longest", "duration", False)],
)  # fmt: skip
async def test_the_order_is_what_the_sort_says_and_the_unknown_come_last(
    database: Database, sort: Sort, attribute: str, is_up: bool
) -> None:
    values = [
        getattr(card, attribute) for card in await read_all(database, Selection("music", sort))
    ]
    known = [value for value in values if value is not None]
    assert known == sorted(known, reverse=not is_up)
    assert values[: len(known)] == known


async def test_the_newest_come_first(database: Database) -> None:
    ids = [card.item_id for card in await read_all(database, Selection("music"))]
    assert ids == sorted(ids, key=lambda number: ((number - 1000) // 6, -number))


async def test_filters_leave_only_what_they_name(database: Database) -> None:
    rated = await read_all(database, Selection("music", "title", "rated"))
    unrated = await read_all(database, Selection("music", "title", "unrated"))
    assert all(card.rating is not None for card in rated)
    assert all(card.rating is None for card in unrated)
    everything = {card.item_id for card in await read_all(database, Selection("music", "title"))}
    assert {card.item_id for card in rated + unrated} == everything
    second = await read_all(database, Selection("music", "year", "unrated", source_id=2))
    assert {card.item_id for card in second} == {
        1000 + n for n in range(COUNT) if n % 3 == 2 and n % 10 != 9
    }


async def test_nothing_is_best_rated_among_the_unrated(database: Database) -> None:
    assert await read_all(database, Selection("music", "rating", "unrated")) == []


async def test_a_card_shows_the_profile_its_own_rating_and_prediction(database: Database) -> None:
    async with database.read() as session:
        [mine] = await find_cards(session, ME, [1003], {1003: "because"})
        [yours, *rest] = await find_cards(session, YOU, [1003, 999_999])
    assert (mine.rating, mine.predicted, mine.why) == (3, 1.5, "because")
    assert (yours.rating, yours.predicted) == (None, 3.0)
    assert rest == []


@pytest.mark.parametrize("sort", SORTS)
async def test_an_index_gives_the_order_of_every_sort(database: Database, sort: Sort) -> None:
    for rated in ("", "unrated"):
        query = ids_query(ME, Selection("music", sort, rated)).limit(10)
        sql = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
        async with database.read() as session:
            rows = await session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))
            plan = [row.detail for row in rows]
        assert not any(line.startswith("SCAN") for line in plan), plan
        if sort != "rating":  # few are rated, and equal ratings are sorted by hand
            assert not any("TEMP B-TREE" in line for line in plan), plan


@pytest.mark.parametrize("sort", [sort for sort in SORTS if sort != "predicted"])
async def test_what_is_rated_is_found_by_the_ratings(database: Database, sort: Sort) -> None:
    query = ids_query(ME, Selection("music", sort, "rated")).limit(10)
    sql = query.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    async with database.read() as session:
        rows = await session.execute(text(f"EXPLAIN QUERY PLAN {sql}"))
        plan = [row.detail for row in rows]
    assert plan[0].startswith("SEARCH rating"), plan


async def test_counts_are_those_of_present_items(database: Database) -> None:
    async with database.read() as session:
        counts = await count_kinds(session)
    assert counts == {"music": 108, "images": 9, "videos": 0, "text": 0}


async def test_rating_goes_through_all_unrated_items_and_ends(database: Database) -> None:
    seen: list[int] = []
    async with database.read() as session:
        unrated = await count_unrated(session, ME, "music")
        while True:
            found = await find_next(
                session, ME, "music", left_out=seen, seed=5, uncertain=len(seen) % 2 == 0
            )
            if found is None:
                break
            assert found not in seen
            seen.append(found)
    assert len(seen) == unrated == 72


async def test_the_widest_prediction_is_asked_for_first(database: Database) -> None:
    async with database.read() as session:
        found = await find_next(session, ME, "music", left_out=[], seed=1, uncertain=True)
        orders = {
            await find_next(session, ME, "music", left_out=[], seed=seed, uncertain=False)
            for seed in range(12)
        }
    assert found == 1000 + 118
    assert len(orders) > 4
