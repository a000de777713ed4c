"""Puts candidates into the order that a playlist asks for, and says why each is in its place."""

import asyncio
import heapq
import math
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from statistics import pstdev
from typing import Any

from sqlalchemy import func, select

from connectors.base import Kind
from daemon.playlists.candidates import PAGE
from daemon.playlists.problems import Abstained
from daemon.playlists.radio import Heard, draw, weigh
from daemon.playlists.reasons import tell_field, tell_listening, told
from daemon.playlists.sorts import LOVED, find_liked, name_sort
from daemon.playlists.terms import item_of, joined_spaces, term_of
from daemon.playlists.variety import Pick
from daemon.rules import tree
from daemon.services import Services
from daemon.store.models import Item, Play, Rating
from daemon.workers.worker import WorkerFailed

MOST_CANDIDATES = 20_000
"""What goes into one matrix. Journeys through more go through those nearest to their ends."""
MOST_ON_THE_WAY = 500
LONG_AGO = 60
"""Days after which something is long not played."""
MOST_SORTS = 6
LEAST_LIKED = 4
"""Ratings and full plays of liked items, before there are sorts of them."""

Rows = Sequence[Any]


@dataclass(frozen=True)
class Wish:
    """All that an order may hang on."""

    services: Services
    rows: Rows
    profile_id: int
    kind: Kind
    day: date
    seed: str
    """The same day and playlist give the same list."""
    trusted: bool
    count: int
    """About how many are wanted."""
    unsure: float = 0.0
    """How many standard deviations a prediction counts as higher."""
    temperature: float = 1.0
    """How much chance a radio has."""

    @property
    def room(self) -> int:
        """How many are put in order at most: variety has enough to choose from among them."""
        return max(20 * self.count, 2000)


async def put_in_order(order: tree.Order, wish: Wish) -> list[Pick]:
    """Return the candidates in their order. Raises Abstained."""
    name = order.name if isinstance(order, tree.Plain) else type(order).__name__
    try:
        return await _ORDERS[name](order, wish)
    except WorkerFailed as error:
        if error.kind == "NoVector":
            raise Abstained("What the order hangs on has no vector yet; see Jobs.") from error
        raise


async def _predicted(_order: tree.Order, wish: Wish) -> list[Pick]:
    expected = [row for row in wish.rows if row.predicted is not None]
    best = await _first(
        wish, expected, lambda row: (-row.predicted - wish.unsure * row.uncertainty, row.id)
    )
    return [Pick(row, told(row)) for row in best]


async def _unsure(_order: tree.Order, wish: Wish) -> list[Pick]:
    expected = [row for row in wish.rows if row.predicted is not None and row.rating is None]
    best = await _first(
        wish, expected, lambda row: (-round(row.uncertainty, 3), -row.predicted, row.id)
    )
    return [Pick(row, f"{told(row)}: a rating would teach much") for row in best]


async def _radio(_order: tree.Order, wish: Wish) -> list[Pick]:
    heard = await _find_heard(wish)
    async with wish.services.database.read() as session:
        given = await session.scalar(
            select(func.avg(Rating.value)).where(Rating.profile_id == wish.profile_id)
        )
    mean = 5.0 if given is None else given

    def order() -> list[Pick]:
        facts = []
        for row in wish.rows:
            predicted = row.predicted if wish.trusted else None
            rating = next(r for r in (row.rating, predicted, mean) if r is not None)
            facts.append(Heard(rating, *heard.get(row.id, (0, 0, None))))
        drawn = draw(weigh(facts), wish.room, seed=wish.seed, temperature=wish.temperature)
        midnight = datetime.combine(wish.day, time(), UTC)
        return [
            Pick(wish.rows[n], f"{tell_listening(facts[n], midnight)}; {told(wish.rows[n])}")
            for n in drawn
        ]

    return await asyncio.to_thread(order)


async def _newest(_order: tree.Order, wish: Wish) -> list[Pick]:
    rows = await _first(wish, wish.rows, lambda row: (-row.added.timestamp(), -row.id))
    return [Pick(row, f"added {row.added:%d %B %Y}; {told(row)}") for row in rows]


async def _random(_order: tree.Order, wish: Wish) -> list[Pick]:
    chance = random.Random(wish.seed)
    drawn = chance.sample(range(len(wish.rows)), min(wish.room, len(wish.rows)))
    return [Pick(wish.rows[n], f"by chance; {told(wish.rows[n])}") for n in drawn]


async def _by_field(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.ByField)
    name = order.fields[0][0]
    has_told = name in ("rating", "predicted", "uncertainty", "title", "artist")
    return [  # the query has sorted them
        Pick(row, told(row) if has_told else f"{tell_field(name, row.sorted_by)}; {told(row)}")
        for row in wish.rows[: wish.room]
    ]


async def _first(wish: Wish, rows: Rows, key: Callable[[Any], Any]) -> list[Any]:
    """Return the first rows by a key; sorting a large library would hold the event loop."""
    return await asyncio.to_thread(heapq.nsmallest, wish.room, rows, key)


async def _rediscover(_order: tree.Order, wish: Wish) -> list[Pick]:
    """Take what is loved and long not played; the longer ago and the more loved, the earlier."""
    heard = await _find_heard(wish)
    midnight = datetime.combine(wish.day, time(), UTC)
    found = []
    for row in wish.rows:
        predicted = row.predicted if wish.trusted else None
        liking = row.rating if row.rating is not None else predicted
        _, _, last = heard.get(row.id, (0, 0, None))
        if liking is None or liking < LOVED or (last is None and row.rating is None):
            continue
        days = (midnight - last).days if last else 2 * LONG_AGO
        if days < LONG_AGO:
            continue
        ago = f"last played {days} days ago" if last else "not played that is known of"
        found.append((-liking * math.log(days), row.id, Pick(row, f"{told(row)}, {ago}")))
    return [pick for _, _, pick in sorted(found, key=lambda each: each[:2])]


async def _next_episode(_order: tree.Order, wish: Wish) -> list[Pick]:
    """Take what was left unfinished, and of each series the one after the last finished."""
    async with wish.services.database.read() as session:
        plays = await session.stream(
            select(Play.item_id, Play.outcome, Play.played_at)
            .join(Item, Item.id == Play.item_id)
            .where(Play.profile_id == wish.profile_id, Item.kind == wish.kind)
            .order_by(Play.played_at, Play.id)
        )
        last = {
            row.item_id: (row.outcome, row.played_at)
            async for rows in plays.partitions(PAGE)
            for row in rows
        }
    found: list[tuple[datetime, int, Pick]] = []
    series: dict[str, list[Any]] = {}
    for row in wish.rows:
        if row.series and row.episode is not None:
            series.setdefault(row.series, []).append(row)
        elif last.get(row.id, ("",))[0] == "abandoned":
            found.append((last[row.id][1], row.id, Pick(row, "left before its end")))
    for name, episodes in series.items():
        episodes.sort(key=lambda row: (row.season or 0, row.episode, row.id))
        seen = [(last[row.id][1], n) for n, row in enumerate(episodes) if row.id in last]
        if not seen:
            continue
        at, place = max(seen)
        if last[episodes[place].id][0] == "abandoned":
            why = f"{name}: left before its end"
        else:
            place, why = place + 1, f"{name}: the next after {_number(episodes[place])}"
        if place < len(episodes) and last.get(episodes[place].id, ("",))[0] != "finished":
            found.append((at, episodes[place].id, Pick(episodes[place], why)))
    return [pick for _, _, pick in sorted(found, key=lambda each: each[:2], reverse=True)]


def _number(row: Any) -> str:
    return f"{row.season or 0}x{row.episode:02}"


async def _similar(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.SimilarTo)
    item = await item_of(wish.services, order.item, wish.kind)
    found = await _arrange(wish, "near", [[1.0, item.id, []]], wish.room)
    why = f"like {item.title} ({{:.2f}})"
    return [Pick(row, f"{why.format(c)}; {told(row)}") for row, c in found if row.id != item.id]


async def _prompt(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.Prompt)
    term = await term_of(wish.services, order.words, wish.kind)
    if term[1]:  # a title that is also a prompt: the words are meant
        term = [1.0, 0, await wish.services.search.points(order.words, wish.kind)]
    found = await _arrange(wish, "near", [term], wish.room)
    return [Pick(row, f"about “{order.words}” ({c:.2f}); {told(row)}") for row, c in found]


async def _mix(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.Mix)
    terms = [
        await term_of(wish.services, what, wish.kind, sign=-1.0 if is_away else 1.0)
        for what, is_away in order.terms
    ]
    named = {item_id for _, item_id, _ in terms}
    words = " ".join(
        f"{'-' if is_away else '+'} {what}" for what, is_away in order.terms
    ).removeprefix("+ ")
    found = await _arrange(wish, "near", terms, wish.room)
    return [Pick(row, f"near {words} ({c:.2f}); {told(row)}") for row, c in found
            if row.id not in named]  # fmt: skip


async def _chain(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.Chain)
    item = await item_of(wish.services, order.first, wish.kind)
    count = min(MOST_ON_THE_WAY, 2 * wish.count)
    picks: list[Pick] = []
    for row, cosine in await _arrange(wish, "chain", [[1.0, item.id, []]], count):
        before = picks[-1].row.title if picks else item.title
        why = "the beginning" if row.id == item.id else f"nearest to {before} ({cosine:.2f})"
        picks.append(Pick(row, f"{why}; {told(row)}"))
    return picks


async def _path(order: tree.Order, wish: Wish) -> list[Pick]:
    assert isinstance(order, tree.Path)
    ends = [
        await term_of(wish.services, name, wish.kind, words_too=True)
        for name in (order.first, order.last)
    ]
    found = await _arrange(wish, "path", ends, min(MOST_ON_THE_WAY, wish.count))
    last = max(len(found) - 1, 1)
    return [
        Pick(row, f"{n / last:.0%} of the way from {order.first} to {order.last}; {told(row)}")
        for n, (row, _) in enumerate(found)
    ]


async def _daily_mix(order: tree.Order, wish: Wish) -> list[Pick]:
    """One sort of what the person likes: some of it known, the rest near it and well predicted."""
    assert isinstance(order, tree.DailyMix)
    spaces = [[s.name, s.dimensions] for s in await joined_spaces(wish.services, wish.kind)]
    liked = await find_liked(wish.services, wish.profile_id, wish.kind)
    if len(liked) < LEAST_LIKED:
        raise Abstained(f"Daily mixes begin with {LEAST_LIKED} liked items; rate or play more.")
    sorts = await wish.services.index.call(
        "sorts", spaces, list(liked), list(liked.values()), MOST_SORTS, 0
    )
    members = [item_id for item_id, s in zip(liked, sorts, strict=True) if s == order.number - 1]
    if not members:
        raise Abstained(f"There are only {max(sorts) + 1} sorts of what is liked so far.")
    near = await _arrange(
        wish, "near", [[1.0, item_id, []] for item_id in members[:200]], wish.room
    )
    name = await name_sort(wish.services, members, list(liked))
    return await asyncio.to_thread(_mixed, near, set(members), wish, name)


def _mixed(
    near: Sequence[tuple[Any, float]], members: set[int], wish: Wish, name: str
) -> list[Pick]:
    """Order by nearness and liking together, with some of chance, anew each day."""
    chance = random.Random(wish.seed)
    spread = pstdev(cosine for _, cosine in near) if near else 0.0
    scored = []
    for row, cosine in near:
        expected = row.predicted if wish.trusted and row.predicted is not None else 5.0
        liking = row.rating if row.rating is not None else expected
        score = cosine / (spread or 1.0) + liking / 2 + chance.gauss(0, 0.5)
        if liking >= 4:
            why = "one of those" if row.id in members else f"near them ({cosine:.2f})"
            scored.append((-score, row.id, Pick(row, f"{name}: {why}; {told(row)}")))
    return [pick for _, _, pick in sorted(scored, key=lambda each: each[:2])]


async def _arrange(
    wish: Wish, how: str, terms: list[list[Any]], count: int
) -> list[tuple[Any, float]]:
    """Return (row, cosine) in the order of a journey through the vectors."""
    spaces = [[s.name, s.dimensions] for s in await joined_spaces(wish.services, wish.kind)]
    by_id = {row.id: row for row in wish.rows}
    ids = list(by_id)
    if how == "near":
        found = await _nearest(wish, spaces, ids, terms, count)
    else:
        if len(ids) > MOST_CANDIDATES:  # the ends themselves are among them
            around = await _nearest(wish, spaces, ids, terms, MOST_CANDIDATES)
            ids = [item_id for item_id, _ in around]
        found = await wish.services.index.call("arrange", how, spaces, ids, terms, count)
    return [(by_id[item_id], cosine) for item_id, cosine in found]


async def _nearest(
    wish: Wish, spaces: list[list[Any]], ids: Sequence[int], terms: list[list[Any]], count: int
) -> list[list[Any]]:
    """Return [item id, cosine], the nearest first: of all, and in bounded memory."""
    found: list[list[Any]] = []
    for start in range(0, len(ids), MOST_CANDIDATES):
        part = ids[start : start + MOST_CANDIDATES]
        found += await wish.services.index.call("arrange", "near", spaces, part, terms, count)
        if len(found) > len(part):
            found = await asyncio.to_thread(
                heapq.nsmallest, count, found, lambda each: (-each[1], each[0])
            )
    return found


async def _find_heard(wish: Wish) -> dict[int, Any]:
    """Return (full plays, skips, last played) by item."""
    async with wish.services.database.read() as session:
        plays = await session.stream(
            select(
                Play.item_id,
                func.count().filter(Play.outcome == "finished"),
                func.count().filter(Play.outcome == "skipped"),
                func.max(Play.played_at, type_=Play.played_at.type),
            )
            .join(Item, Item.id == Play.item_id)
            .where(Play.profile_id == wish.profile_id, Item.kind == wish.kind)
            .group_by(Play.item_id)
        )
        return {
            item_id: counts async for rows in plays.partitions(PAGE) for item_id, *counts in rows
        }


_ORDERS: dict[str, Callable[[Any, Wish], Awaitable[list[Pick]]]] = {
    "predicted": _predicted, "unsure": _unsure, "radio": _radio, "newest": _newest,
    "random": _random, "rediscover": _rediscover, "next episode": _next_episode,
    "ByField": _by_field, "SimilarTo": _similar, "Prompt": _prompt, "Mix": _mix,
    "Chain": _chain, "Path": _path, "DailyMix": _daily_mix,
}  # fmt: skip
