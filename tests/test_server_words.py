"""What a server says that a user did: plays, ratings, favourites."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, select

from connectors.server import ItemState, PlayEvent
from daemon.services import Services
from daemon.store.favourites import set_favourite
from daemon.store.journal_replay import replay_journal
from daemon.store.models import Item, Play, Profile, Rating, RatingEvent
from daemon.store.ratings import rate
from daemon.store.server_models import Account, Favourite
from daemon.store.server_plays import judge
from daemon.store.server_words import keep_events, keep_states
from tests.household import Household
from tests.test_server_identity import add_source, settle, track

DAY = datetime(2026, 11, 1, 20, 0, tzinfo=UTC)


class Room:
    """One track of 100 s that one server knows, and one account there."""

    def __init__(self, services: Services, source_id: int, account: Account, item: int) -> None:
        self.services = services
        self.source_id = source_id
        self.account = account
        self.item = item

    async def say(self, external_id: str = "1", **state: Any) -> None:
        services = self.services
        said = ItemState(external_id, **state)
        await keep_states(
            services.database, services.journal, self.source_id, "A", self.account, [said]
        )

    async def play(self, key: str, at: datetime, seconds: float | None = None,
                   is_finished: bool | None = None) -> int:  # fmt: skip
        event = PlayEvent(key, "1", at, seconds, is_finished)
        return await keep_events(self.services.database, self.source_id, "A", self.account, [event])

    async def plays(self) -> list[tuple[str, float | None]]:
        async with self.services.database.read() as session:
            rows = await session.scalars(select(Play).order_by(Play.played_at, Play.id))
            return [(row.outcome, row.position) for row in rows]

    async def rating(self) -> tuple[float, str] | None:
        async with self.services.database.read() as session:
            row = await session.get(Rating, (self.account.profile_id, self.item))
            return (row.value, row.origin) if row else None

    async def rate(self, value: float | None) -> None:
        services = self.services
        await rate(services.database, services.journal, self.account.profile_id, self.item, value)


@pytest.fixture
async def room(household: Household) -> AsyncIterator[Room]:
    async with household.open() as services:
        source = await add_source(services, "A")
        await settle(services, source, [track("1", metadata={"duration": 100.0})])
        async with services.database.write() as session:
            profile = (await session.scalars(select(Profile))).one()
            account = Account(
                source_id=source, profile_id=profile.id, user_id="u", user_name="U", cursor={},
                problem="",
            )  # fmt: skip
            session.add(account)
            await session.flush()
            item = (await session.scalars(select(Item.id))).one()
        yield Room(services, source, account, item)


async def test_counts_make_plays_once(room: Room) -> None:
    for _ in range(2):
        await room.say(plays=3, last_played=DAY)
    assert len(await room.plays()) == 3
    await room.say(plays=4, last_played=DAY + timedelta(days=1), position=20.0)
    assert (await room.plays())[-1] == ("skipped", 20.0)
    assert len(await room.plays()) == 4


async def test_an_event_explains_a_count_and_is_not_added_to_it(room: Room) -> None:
    await room.play("h1", DAY, is_finished=True)
    await room.say(plays=1, last_played=DAY)
    assert await room.plays() == [("finished", None)]


async def test_an_event_that_comes_after_its_count_betters_it(room: Room) -> None:
    await room.say(plays=1, last_played=DAY)
    assert await room.play("h1", DAY - timedelta(seconds=90), seconds=12.0) == 0
    assert await room.plays() == [("skipped", 12.0)]
    assert await room.play("h1", DAY - timedelta(seconds=90), seconds=12.0) == 0
    await room.say(plays=1, last_played=DAY)
    assert len(await room.plays()) == 1


async def test_a_play_that_was_seen_live_and_is_told_again_counts_once(room: Room) -> None:
    await room.play("live:x", DAY, seconds=99.0)
    await room.play("h7", DAY + timedelta(seconds=30))
    await room.say(plays=1, last_played=DAY)
    assert await room.plays() == [("finished", 99.0)]


async def test_two_playings_of_one_evening_stay_two(room: Room) -> None:
    await room.play("h1", DAY)
    await room.play("h2", DAY + timedelta(seconds=120))
    await room.say(plays=2, last_played=DAY)
    assert len(await room.plays()) == 2


async def test_what_was_begun_and_never_counted_is_kept_until_it_is_finished(room: Room) -> None:
    await room.say(plays=0, last_played=DAY, position=30.0)
    assert await room.plays() == [("skipped", 30.0)]
    await room.say(plays=1, last_played=DAY + timedelta(days=1))
    assert len(await room.plays()) == 1


async def test_skips_are_counted_apart(room: Room) -> None:
    await room.say(plays=1, skips=2, last_played=DAY)
    await room.say(plays=1, skips=3, last_played=DAY)
    assert sorted(outcome for outcome, _ in await room.plays()) == [
        "skipped", "skipped", "skipped", "unknown",
    ]  # fmt: skip


async def test_a_servers_rating_comes_in_and_is_no_news_twice(room: Room) -> None:
    for _ in range(2):
        await room.say(rating=8.0)
    assert await room.rating() == (8.0, "server")
    assert len(room.services.journal.path.read_text().splitlines()) == 1


async def test_a_newer_rating_by_the_person_wins_and_an_older_loses(room: Room) -> None:
    await room.rate(3.0)
    await room.say(rating=8.0, rated_at=DAY)
    assert await room.rating() == (3.0, "person")
    await room.say(rating=6.0)  # undated, but seen to change: given now
    assert await room.rating() == (6.0, "server")
    await room.rate(2.0)
    await room.say(rating=6.0)
    assert await room.rating() == (2.0, "person")


async def test_an_undated_rating_never_overrules_at_first_sight(room: Room) -> None:
    await room.rate(3.0)
    await room.say(rating=8.0)
    assert await room.rating() == (3.0, "person")


async def test_a_rating_taken_back_on_the_server_goes_unless_the_person_gave_another(
    room: Room,
) -> None:
    await room.say(rating=8.0)
    await room.say(rating=None)
    assert await room.rating() is None
    await room.say(rating=8.0)
    await room.rate(5.0)
    await room.say(rating=None)
    assert await room.rating() == (5.0, "person")


async def test_favourites_come_in_and_the_newer_word_stands(room: Room) -> None:
    async def is_favourite() -> bool | None:
        async with room.services.database.read() as session:
            row = await session.get(Favourite, (room.account.profile_id, room.item))
            return row.is_favourite if row else None

    await room.say(is_favourite=True)
    assert await is_favourite() is True
    await set_favourite(room.services.database, room.account.profile_id, room.item, False)
    await room.say(is_favourite=True)
    assert await is_favourite() is False
    await room.say(is_favourite=False)
    await room.say(is_favourite=True)
    assert await is_favourite() is True


async def test_a_play_of_what_is_not_known_is_left_out(room: Room) -> None:
    event = PlayEvent("h9", "nobody", DAY)
    assert await keep_events(
        room.services.database, room.source_id, "A", room.account, [event]
    ) == 0  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "seconds", "duration", "is_finished", "outcome"),
    [
        ("music", 95.0, 100.0, None, "finished"),
        ("music", 10.0, 100.0, None, "skipped"),
        ("music", 70.0, 100.0, None, "unknown"),
        ("videos", 3000.0, 6000.0, None, "abandoned"),
        ("videos", 60.0, 6000.0, None, "unknown"),
        ("videos", None, 6000.0, True, "finished"),
        ("videos", None, 6000.0, None, "unknown"),
        ("music", 5.0, None, None, "unknown"),
    ],
)
def test_how_far_it_went_tells_what_it_was(
    kind: Any, seconds: float | None, duration: float | None, is_finished: bool | None,
    outcome: str,
) -> None:  # fmt: skip
    assert judge(kind, seconds, duration, is_finished) == outcome


async def test_a_servers_rating_is_put_back_from_the_journal(room: Room) -> None:
    await room.say(rating=8.0)
    async with room.services.database.write() as session:
        await session.execute(delete(Rating))
        await session.execute(delete(RatingEvent))
    assert await replay_journal(room.services.database, room.services.journal, force=True) == 1
    assert await room.rating() == (8.0, "server")
