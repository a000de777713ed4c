"""Ten playlists and more over real media, each entry with its reason; variety and freshness."""

import asyncio
import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import select, update

from connectors.base import Kind
from daemon.playlist_settings import PlaylistSettings, VarietySettings
from daemon.playlists.problems import Abstained
from daemon.playlists.selection import Entry, choose
from daemon.playlists.sorts import name_sort
from daemon.playlists.variety import Pick, let_fresh_in, not_too_many, without_doubles
from daemon.services import Services
from daemon.store.descriptions import save_parts
from daemon.store.models import Item, Play, PlaylistWrite, PredictionState, Rating
from daemon.store.plays import record_play
from daemon.store.ratings import rate
from daemon.workers.worker import WorkerDied
from tests.household import Household, run_steps

DAY = date(2026, 11, 23)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, shared_media: Path) -> Household:
    """The real media, embedded; every track and picture rated but two of each, and predicted."""
    household = Household(tmp_path_factory.mktemp("prepared"))
    asyncio.run(_prepare(household, shared_media))
    return household


@pytest.fixture
async def house(prepared: Household, tmp_path: Path) -> AsyncIterator[Services]:
    """The prepared house, with a data folder that a test may change."""
    household = Household(prepared.home)
    household.data_dir = tmp_path / "data"
    shutil.copytree(prepared.data_dir, household.data_dir)
    async with household.open() as services:
        yield services


async def _prepare(household: Household, shared_media: Path) -> None:
    labels: dict[Kind, str] = {"music": "Wesnoth", "images": "Walls", "videos": "Clips"}
    for kind, label in labels.items():
        shutil.copytree(shared_media / kind / label, household.folder(kind) / label)
    async with household.open() as services:
        await run_steps(services, "sync", "describe", "embed")
        async with services.database.read() as session:
            items = (await session.scalars(select(Item).order_by(Item.title))).all()
        for kind in ("music", "images"):
            of_kind = [item for item in items if item.kind == kind]
            for number, item in enumerate(of_kind[:-2]):
                await rate(services.database, services.journal, 1, item.id, 10 - number)
        await run_steps(services, "train", "score")


async def play(services: Services, title: str, days: int, outcome: str = "finished") -> None:
    """Play an item so many days before the day."""
    async with services.database.read() as session:
        item = await session.scalar(select(Item).where(Item.title == title))
    assert item
    at = datetime(2026, 11, 23, tzinfo=UTC) - timedelta(days=days)
    await record_play(
        services.database, 1, item.id, source="web", event_key=f"{title} {days}", played_at=at,
        position=None, duration=None, outcome=outcome,
    )  # fmt: skip


def playlist(order: str, **more: Any) -> PlaylistSettings:
    """Return a playlist that is written whether the predictions are trusted or not."""
    values = {"name": "List", "order": order, "untrusted": True, "limit": "20 tracks"} | more
    return PlaylistSettings.model_validate(values)


async def titles(services: Services, order: str, **more: Any) -> list[str]:
    return [entry.title for entry in await choose(services, playlist(order, **more), DAY)]


TEN: list[tuple[str, dict[str, Any], str]] = [
    ("predicted", {}, r"predicted \d"),
    ("radio", {}, "^never played; (rated|predicted)"),
    ("newest", {"kind": "images"}, "added"),
    ("random", {"where": "rating >= 5"}, "^by chance; rated"),
    ("unsure", {}, "a rating would teach much"),
    ('similar to "Sad"', {}, r"like Sad \(0\.\d\d\)"),
    ('about "slow, sad strings"', {"where": "duration < 10 min"}, "about “slow, sad strings”"),
    ('chain from "Sad"', {}, "the beginning|nearest to"),
    ('path from "Sad" to "Frantic"', {}, "of the way from Sad to Frantic"),
    ('mix "Sad" + "battle drums" - "Frantic"', {}, r"near Sad \+ battle drums - Frantic"),
    ("year desc, title", {"where": 'about "a calm forest" or rated'}, r"^year (\d{4}|unknown); "),
    ("duration", {}, r"^duration \d+\.\d min; (rated|predicted)"),
    ("added desc", {"kind": "videos"}, r"^added \d\d \w+ 20\d\d; "),
    ("daily mix 1", {}, "one of those|near them"),
]


async def test_playlists_of_all_orders_over_real_media(house: Services) -> None:
    for order, more, reason in TEN:
        wanted = playlist(order, **more)
        entries = await choose(house, wanted, DAY)
        assert entries, order
        assert all(_matches(reason, entry) for entry in entries), (order, entries[0].why)
        assert len({entry.item_id for entry in entries}) == len(entries)
        assert await choose(house, wanted, DAY) == entries  # the same day, the same list


def _matches(reason: str, entry: Entry) -> bool:
    return re.search(reason, entry.why) is not None


async def test_journeys_begin_and_end_where_they_should(house: Services) -> None:
    chain = await titles(house, 'chain from "Sad"')
    assert chain[0] == "Sad"
    assert len(chain) == 10
    way = await titles(house, 'path from "Sad" to "Frantic"', limit="5 tracks")
    assert (way[0], way[-1], len(way)) == ("Sad", "Frantic", 5)
    assert "Sad" not in await titles(house, 'similar to "Sad"')
    calm = await titles(house, 'about "a calm lake between mountains"', kind="images")
    assert len(calm) == 10


async def test_journeys_through_more_than_one_matrix_are_the_same(
    house: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = ('similar to "Sad"', 'about "battle drums"', 'mix "Sad" - "Frantic"')
    whole = [await titles(house, order) for order in orders]
    monkeypatch.setattr("daemon.playlists.orders.MOST_CANDIDATES", 4)
    assert [await titles(house, order) for order in orders] == whole
    chain = await titles(house, 'chain from "Sad"')
    assert (chain[0], len(chain)) == ("Sad", 4)
    assert chain[1] == whole[0][0]
    way = await titles(house, 'path from "Sad" to "Frantic"')
    assert (way[0], way[-1], len(way)) == ("Sad", "Frantic", 4)


async def test_of_namesakes_the_one_of_the_kind_is_meant(house: Services) -> None:
    async with house.database.write() as session:
        first = select(Item.id).where(Item.kind == "images").order_by(Item.id).limit(1)
        await session.execute(
            update(Item).where(Item.id == first.scalar_subquery()).values(title="Sad")
        )
    assert (await titles(house, 'chain from "Sad"'))[0] == "Sad"
    pictures = await choose(house, playlist('chain from "Sad"', kind="images"), DAY)
    assert (pictures[0].title, pictures[0].why[:13]) == ("Sad", "the beginning")


async def test_what_cannot_be_found_is_told(house: Services) -> None:
    with pytest.raises(Abstained, match="There is no item Nowhere"):
        await choose(house, playlist('similar to "Nowhere Man"'), DAY)
    with pytest.raises(Abstained, match="sorts of what is liked"):
        await choose(house, playlist("daily mix 9"), DAY)
    with pytest.raises(Abstained, match="There is no playlist Nowhere"):
        await choose(house, playlist("newest", where="playlist Nowhere"), DAY)


async def test_a_worker_that_is_away_leaves_the_list_as_it_is(
    house: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_arguments: Any) -> None:
        raise WorkerDied("vectors was ended")

    monkeypatch.setattr(house.index, "call", die)
    with pytest.raises(Abstained, match="cannot be asked now: vectors was ended"):
        await choose(house, playlist('similar to "Sad"'), DAY)
    assert await choose(house, playlist("newest"), DAY)  # needs no vectors


async def test_what_is_predicted_names_what_speaks_for_it(house: Services) -> None:
    async with house.database.write() as session:
        await session.execute(update(PredictionState).values(trusted=True))
    entries = await choose(house, playlist("predicted"), DAY)
    assert all(re.search(r"predicted \d.*, as you rated .+ \d", entry.why) for entry in entries)


async def test_a_rule_over_predictions_writes_nothing_untrusted(house: Services) -> None:
    async with house.database.write() as session:
        await session.execute(update(PredictionState).values(trusted=False))
    for wanted in (
        playlist("predicted", untrusted=False),
        playlist("newest", where="predicted > 3", untrusted=False),
        playlist("uncertainty desc", untrusted=False),
    ):
        with pytest.raises(Abstained, match="do not beat the mean"):
            await choose(house, wanted, DAY)
    assert await choose(house, playlist("radio", untrusted=False), DAY)


async def test_what_is_loved_and_long_not_heard_is_rediscovered(house: Services) -> None:
    async with house.database.read() as session:
        loved = (
            await session.scalars(
                select(Item.title)
                .join(Rating, Rating.item_id == Item.id)
                .where(Item.kind == "music", Rating.value >= 7)
                .order_by(Rating.value.desc())
            )
        ).all()
    await play(house, loved[0], 3)
    await play(house, loved[1], 400)
    await play(house, loved[2], 100)
    entries = await choose(house, playlist("rediscover"), DAY)
    assert loved[0] not in [entry.title for entry in entries]
    assert entries[0].title == loved[1]
    assert "last played 400 days ago" in entries[0].why
    assert "rated" in entries[0].why


async def test_the_next_episode_and_what_was_left(house: Services) -> None:
    async with house.database.read() as session:
        clips = (await session.scalars(select(Item).where(Item.kind == "videos"))).all()
    first, second, third = sorted(clips, key=lambda item: item.title)
    async with house.database.write() as session:
        for number, item in enumerate((first, second), 1):
            facts = item.facts | {"series": "Hills", "season": 1, "episode": number}
            await session.execute(update(Item).where(Item.id == item.id).values(facts=facts))
    await play(house, first.title, 5)
    await play(house, third.title, 2, "abandoned")
    entries = await choose(house, playlist("next episode", kind="videos"), DAY)
    assert [(entry.title, entry.why) for entry in entries] == [
        (third.title, "left before its end"),
        (second.title, "Hills: the next after 1x01"),
    ]
    await play(house, second.title, 1)
    entries = await choose(house, playlist("next episode", kind="videos"), DAY)
    assert [entry.title for entry in entries] == [third.title]


async def test_other_playlists_and_fresh_editions(house: Services) -> None:
    first = await choose(house, playlist("year", limit="6 tracks"), DAY)
    yesterday = datetime(2026, 11, 22, 12, tzinfo=UTC)
    ids = [entry.item_id for entry in first]
    async with house.database.write() as session:
        session.add(
            PlaylistWrite(playlist="List", target="x", at=yesterday, item_ids=ids,
                          content_hash="", verified=True)
        )  # fmt: skip
    again = await choose(house, playlist("year", where="playlist List"), DAY)
    assert {entry.item_id for entry in again} == set(ids)
    rest = await choose(house, playlist("year", where="not playlist List"), DAY)
    assert {entry.item_id for entry in rest}.isdisjoint(ids)
    fresh = playlist("year", limit="6 tracks", variety={"fresh": "50%"})
    entries = await choose(house, fresh, DAY)
    assert len(entries) == 6
    assert sum(entry.item_id not in ids for entry in entries) == 3
    assert [e.item_id for e in entries if e.item_id in ids] == ids[:3]
    async with house.database.write() as session:  # today's own edition does not make it stale
        session.add(
            PlaylistWrite(playlist="List", target="x", content_hash="", verified=True,
                          at=datetime(2026, 11, 23, 12, tzinfo=UTC),
                          item_ids=[entry.item_id for entry in entries])
        )  # fmt: skip
    assert await choose(house, fresh, DAY) == entries


async def test_neighbours_are_kept_apart(house: Services) -> None:
    near = await titles(house, 'similar to "Sad"')
    apart = await titles(house, 'similar to "Sad"', variety={"distance": 0.9})
    assert sorted(near) == sorted(apart)
    assert near != apart
    assert near[0] == apart[0]


def row(number: int, artist: str = "", title: str = "", **more: Any) -> Any:
    values = {
        "id": number, "kind": "music", "title": title or f"Track {number}", "artist": artist,
        "album": "", "series": None, "genre": None, "duration": 200.0, "artists": None,
        "album_artist": None, "recording": None,
    }  # fmt: skip
    return SimpleNamespace(**(values | more))


def picks(*rows: Any) -> list[Pick]:
    return [Pick(each, "because") for each in rows]


def ids(found: Any) -> list[int]:
    return [pick.row.id for pick in found]


def test_the_same_recording_comes_once() -> None:
    found = without_doubles(
        picks(
            row(1, "Band", "Song"), row(2, "BAND", "song", duration=202.0),
            row(3, "Band", "Song", duration=320.0),  # live
            row(4, "Other", "Song"), row(5, "", "Song"), row(6, "", "Song"),
            row(7, "Band", "First", recording="r-1"),
            row(8, "Band feat. X", "1st", recording="r-1"),
            row(9, "Band", "First", recording="r-2", duration=300.0),
        )
    )  # fmt: skip
    assert ids(found) == [1, 3, 4, 5, 6, 7, 9]


def test_there_are_not_too_many_of_anything() -> None:
    many = picks(
        row(1, "A", genre="Jazz", album="X"), row(2, "a", genre="Pop", album="Y"),
        row(3, "A", genre="Folk"), row(4, "B", genre="jazz"), row(5, "C", genre="Pop", album="x"),
        row(6, ""), row(7, ""),
    )  # fmt: skip
    assert ids(not_too_many(many, VarietySettings(per_artist=2))) == [1, 2, 4, 5, 6, 7]
    assert ids(not_too_many(many, VarietySettings(per_genre=1))) == [1, 2, 3, 6, 7]
    assert ids(not_too_many(many, VarietySettings(per_album=1))) == [1, 2, 3, 4, 6, 7]
    assert ids(not_too_many(many, VarietySettings())) == [1, 2, 3, 4, 5, 6, 7]


def test_each_of_several_artists_counts_and_albums_may_be_namesakes() -> None:
    many = picks(
        row(1, "Ann, Bo", artists='["Ann", "Bo"]'), row(2, "Ann", artists='["ann"]'),
        row(3, "Bo, Cy", artists='["Bo", "Cy"]'), row(4, "Cy", artists='["Cy"]'),
    )  # fmt: skip
    assert ids(not_too_many(many, VarietySettings(per_artist=1))) == [1, 4]
    hits = picks(
        row(1, album="Greatest Hits", album_artist="Queen"),
        row(2, album="Greatest Hits", album_artist="ABBA"),
        row(3, album="Greatest hits", album_artist="queen"),
    )
    assert ids(not_too_many(hits, VarietySettings(per_album=1))) == [1, 2]


@pytest.mark.parametrize(
    ("fresh", "length", "expected"),
    [(0.5, 4, [1, 2, 5, 6]), (1.0, 4, [5, 6]), (0.0, 4, [1, 2, 3, 4]), (0.3, 3, [1, 2, 5])],
)
def test_freshness_is_kept_even_where_the_list_gets_shorter(
    fresh: float, length: int, expected: list[int]
) -> None:
    stale = {1, 2, 3, 4}
    many = picks(*(row(number) for number in range(1, 7)))
    assert ids(let_fresh_in(many, [stale], fresh, length)) == expected


def test_freshness_never_empties_a_small_library() -> None:
    """Day after day, by the rule of three editions: whatever the size, there is a list."""
    for size in (5, 40, 51, 70, 85, 300):
        many = picks(*(row(number) for number in range(size)))
        editions: list[set[int]] = []
        for _ in range(12):
            found = ids(let_fresh_in(many, editions[:3], 0.3, 60))
            assert 2 * len(found) >= min(size, 60)
            assert len(set(found)) == len(found)
            if editions and size >= 120:
                assert sum(item not in editions[0] for item in found) >= 18
            editions.insert(0, set(found))
        if size >= 85:
            assert len(set.union(*editions)) > 60  # and it does change


async def test_plays_are_counted_by_their_profile(house: Services) -> None:
    await play(house, "Sad", 3)
    async with house.database.write() as session:
        await session.execute(update(Play).values(profile_id=1))
    assert await titles(house, "newest", where="played") == ["Sad"]


async def test_a_sort_is_named_by_what_models_perceived_too(house: Services) -> None:
    async with house.database.read() as session:
        ids = list(await session.scalars(select(Item.id).where(Item.kind == "images")))
    said = [(item_id, "seen:eyes", "Looks like: palace, Lake") for item_id in ids[:4]]
    async with house.database.write() as session:
        await save_parts(session, ids[:4], said, ["seen:eyes"])
    assert set((await name_sort(house, ids[:4], ids)).split(", ")) >= {"palace", "Lake"}
    assert "palace" not in await name_sort(house, ids[4:], ids)


async def test_radio_tells_what_was_heard(house: Services) -> None:
    await play(house, "Sad", 40)
    await play(house, "Sad", 30)
    await play(house, "Frantic", 1, "skipped")
    whys = {entry.title: entry.why for entry in await choose(house, playlist("radio"), DAY)}
    assert whys["Sad"].startswith("played 2 times, last 30 days ago; ")
    assert whys["Frantic"].startswith("skipped once, last lately; ")


async def test_a_list_in_hours_has_an_end_and_holds_what_fits(house: Services) -> None:
    pictures = await choose(house, playlist("newest", kind="images", limit="8 min"), DAY)
    assert len(pictures) == 2  # of no length: taken for four minutes each
    async with house.database.read() as session:
        rows = (
            await session.execute(
                select(Item.title, Item.duration)
                .where(Item.kind == "music")
                .order_by(Item.duration.desc())
            )
        ).all()
    limit = f"{rows[1].duration / 60 + 0.01:.2f} min"
    first = await titles(house, "duration desc", limit=limit)
    assert first == [rows[1].title]  # the longest alone would be too long
