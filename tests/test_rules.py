"""The rule language: what it lets in, what it refuses and where, and that it reaches no SQL."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.dialects import sqlite

from connectors.base import KINDS
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.candidates import candidates_query, find_candidates
from daemon.playlists.rule_query import Scope
from daemon.rules import RuleError, format_order, format_rule, parse_order, parse_rule, tree
from daemon.rules.fields import FIELDS, OPERATORS, SORTABLE
from daemon.rules.parsing import PLAIN
from daemon.services import Services
from daemon.store.descriptions import save_parts
from daemon.store.favourites import set_favourite
from daemon.store.models import Item, Location, Play, Prediction, Rating, Source
from tests.household import Household
from tests.verbs import ROOT

DAY = date(2026, 11, 23)
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)

TRACKS: dict[str, dict[str, Any]] = {
    "Fast Car": {"artists": ["Tracy Chapman"], "genres": ["Folk", "Pop"], "year": 1988,
                 "duration": 296.0, "community_rating": 8.5, "votes": 900, "track": 2,
                 "disc": 1, "lyrics": "You got a fast car"},
    "Ärger": {"artists": ["Die Ärzte"], "genres": ["Punk"], "year": 1984, "duration": 150.0,
              "language": "de"},
    "Last Christmas": {"artists": ["Wham!"], "genres": ["Christmas", "Pop"], "year": 1984,
                       "duration": 266.0, "community_rating": 6.1, "votes": 5000},
    "So What": {"artists": ["Miles Davis", "Bill Evans"], "genres": ["Jazz"], "year": 1959,
                "duration": 562.0, "keywords": ["modal", "calm"], "studios": ["Columbia"],
                "extra": {"Key": "D minor"}, "provider_ids": {"musicbrainz_recording": "r-4"}},
    "Untitled": {},
    "It's 100% \"quoted\" \\ odd": {"artists": ["O'Neil; DROP TABLE item"], "year": 2020,
                                    "duration": 60.0},
}  # fmt: skip
"""What the catalogue of these tests has; rated, played and predicted below."""


@pytest.fixture
async def shelf(household: Household) -> AsyncIterator[Services]:
    """A catalogue of TRACKS: ratings 9, -, 2, 8, -, -; plays and predictions here and there."""
    household.folder("music")
    async with household.open() as services:
        async with services.database.write() as session:
            source = Source(name="Main", kind="folder", media="music", root=b"/music")
            session.add(source)
            await session.flush()
            for number, (title, facts) in enumerate(TRACKS.items(), 1):
                session.add(
                    Item(
                        id=number, kind="music", title=title, facts=facts,
                        artist=", ".join(facts.get("artists", ())), album=f"Album {number % 2}",
                        year=facts.get("year"), duration=facts.get("duration"),
                        added_at=NOON - timedelta(days=10 * number),
                    )
                )  # fmt: skip
                await session.flush()
                session.add(
                    Location(
                        source_id=source.id, item_id=number, path=f"Folder/{number}.ogg".encode(),
                        size=number * 10**6,
                        mtime_ns=int((NOON - timedelta(days=number)).timestamp()) * 10**9,
                        soft_hash=str(number),
                    )
                )  # fmt: skip
            for item_id, value in ((1, 9.0), (3, 2.0), (4, 8.0)):
                session.add(
                    Rating(profile_id=1, item_id=item_id, value=value, origin="person",
                           rated_at=NOON - timedelta(days=item_id))
                )  # fmt: skip
            for item_id, value in ((1, 8.6), (2, 7.0), (3, 3.0), (4, 7.9), (5, 5.5)):
                session.add(
                    Prediction(profile_id=1, item_id=item_id, kind="music", value=value,
                               uncertainty=item_id / 4)
                )  # fmt: skip
            for key, (item_id, days, outcome) in enumerate(
                [(1, 2, "finished"), (1, 40, "finished"), (3, 300, "skipped"),
                 (4, 50, "finished"), (4, 45, "abandoned")]
            ):  # fmt: skip
                session.add(
                    Play(profile_id=1, item_id=item_id, source="web", event_key=str(key),
                         played_at=NOON - timedelta(days=days), outcome=outcome)
                )  # fmt: skip
            await save_parts(session, [4], [(4, "tags", "A trumpet, slow and cool.")], ["tags"])
        await set_favourite(services.database, 1, 4, True)
        yield services


async def chosen(services: Services, rule: str) -> set[int]:
    """Return what a rule lets in."""
    order = parse_order("newest")
    async with services.database.read() as session:
        rows = await find_candidates(
            session, "music", parse_rule(rule), order, Scope(1, DAY), only_unrated=False
        )
    return {row.id for row in rows}


ALL = {1, 2, 3, 4, 5, 6}
RIGHT: list[tuple[str, set[int]]] = [
    ("", ALL),
    ("kind = music", ALL),
    ("kind != music", set()),
    ("kind in (music, videos)", ALL),
    ('title = "fast car"', {1}),
    ('title = "ÄRGER"', {2}),
    ('title contains "ä"', {2}),
    ('title starts with "last"', {3}),
    ('title ends with "WHAT"', {4}),
    ("title = 'It\\'s 100% \"quoted\" \\\\ odd'", {6}),
    ('title contains "%"', {6}),
    ('artist = "Bill Evans"', {4}),
    ('artist = "die ärzte"', {2}),
    ('artist contains "drop table"', {6}),
    ("artist is unknown", {5}),
    ('not artist starts with "t"', {2, 3, 4, 5, 6}),
    ('album = "Album 1"', {1, 3, 5}),
    ("genre = pop", {1, 3}),
    ("genre != pop", {2, 4, 5, 6}),
    ('genre in (Jazz, "Punk")', {2, 4}),
    ("genre not in (Jazz, Pop)", {2, 5, 6}),
    ("genre is unknown", {5, 6}),
    ("tag = calm and studio = columbia", {4}),
    ("language = DE", {2}),
    ("year = 1984", {2, 3}),
    ("year != 1984", {1, 4, 5, 6}),
    ("year < 1984 or year > 2000", {4, 6}),
    ("not (year < 1984 or year > 2000)", {1, 2, 3, 5}),
    ("year between 1959 and 1984", {2, 3, 4}),
    ("year is known", {1, 2, 3, 4, 6}),
    ("duration < 4 min", {2, 6}),
    ("duration >= 0.1 h", {4}),
    ("duration between 60 and 150 s", {2, 6}),
    ("size > 3.5 MB", {4, 5, 6}),
    ("track = 2", {1}),
    ("disc = 1", {1}),
    ('lyrics contains "FAST car"', {1}),
    ('detail = "key: d minor"', {4}),
    ('detail contains "minor" and detail is known', {4}),
    ('provider_id in ("musicbrainz_recording: r-4", "imdb: tt1")', {4}),
    ("copies = 1", ALL),
    ("modified < 3 days ago", {1, 2, 3}),
    ("modified < 2026-11-19", {5, 6}),
    ("community_rating >= 6 and votes > 1000", {3}),
    ('description contains "TRUMPET"', {4}),
    ('path starts with "folder/1"', {1}),
    ("source = main", ALL),
    ("library is known", set()),
    ("path is known", ALL),
    ("added > 25 days ago", {3, 4, 5, 6}),
    ("added < 1 month ago", {1, 2, 3}),
    ("added >= 2026-11-03", {1, 2}),
    ("added < 2026-10-14", {5, 6}),
    ("rating >= 8", {1, 4}),
    ("not rating >= 8", {2, 3, 5, 6}),
    ("rated", {1, 3, 4}),
    ("unrated", {2, 5, 6}),
    ("rated_at < 2 days ago", {1}),
    ("predicted >= 7.5", {1, 4}),
    ("predicted is unknown", {6}),
    ("uncertainty < 0.6 and unrated", {2}),
    ("plays >= 2", {1}),
    ("plays = 0", {2, 3, 5, 6}),
    ("skips > 0", {3}),
    ("abandoned = 1", {4}),
    ("first_played < 45 days ago", {1}),
    ("last_played > 30 days ago", {2, 3, 4, 5, 6}),
    ("last_played > 30 days ago and played", {3, 4}),
    ("last_played < 1 week ago", {1}),
    ("last_played < 2026-02-01", {3}),
    ("unplayed", {2, 5, 6}),
    ("unfinished", {4}),
    ("favourite", {4}),
    ('predicted >= 7.5 and last_played > 30 days ago and not genre = "Christmas"', {4}),
    ("NOT rated OR favourite AND genre = Jazz", {2, 4, 5, 6}),
    ("year = 1984 and not not rated", {3}),
    ("((year = 1984))", {2, 3}),
    ("size > 0.001 TB", set()),
    (" and ".join(["not genre = pop"] * 45), {2, 4, 5, 6}),
    (f"year in ({', '.join(map(str, range(1000, 1600)))}, 1984)", {2, 3}),
    (f"genre in ({', '.join(['a'] * 1200)}, Jazz)", {4}),
    (f"title not in ({', '.join(['a'] * 1200)})", ALL),
    ("duration in (60 s, 562) or rating in (2, 3)", {3, 4, 6}),
    ("added > 0001-01-01 and added <= 9999-12-31 and added < 900000000000 years ago", ALL),
    ("added < 0001-01-01 or added > 9999-12-31 or added > 999999999999999 months ago", set()),
    ('title contains "\0" or title = "\U0001f600"', set()),
]

WRONG: list[tuple[str, int, str]] = [
    ("genr = Jazz", 1, "no field genr; did you mean genre"),
    ("xyzzy = 1", 1, "no field xyzzy; there are kind"),
    ("year = soon", 8, "year wants a number"),
    ('year = "1984"', 8, "year wants a number"),
    ("year contains 3", 6, "year cannot be asked with contains; use =, !=, <"),
    ("title < b", 7, "title cannot be asked with <"),
    ("year >", 7, "something is missing at the end"),
    ("year = 1984 and", 16, "missing at the end; expected a field"),
    ("(year = 1984", 13, "missing at the end; expected a closing bracket"),
    ("year = 1984)", 12, "')' is not understood here"),
    ("year = 1984 1985", 13, "'1985' is not understood here"),
    ("year 1984", 6, "'1984' is not understood here"),
    ("= 1984", 1, "'=' is not understood here"),
    ('"Jazz"', 1, "not understood here; expected a field"),
    ('title = "open', 9, "no closing quote"),
    ("title = ''", 9, "the text is empty"),
    ("kind = film", 8, "there is no kind film"),
    ("kind = imges", 8, "did you mean images"),
    ("favourite = 1", 11, "yes or no by itself: write favourite or not favourite"),
    ("rated is known", 7, "yes or no by itself"),
    ("plays", 6, "plays wants a comparison with a number"),
    ("added = 2026-01-01", 7, "added cannot be asked with =; use <"),
    ("added < 2026-02-30", 9, "2026-02-30 is no day of the calendar"),
    ("added < 5", 9, "added wants a day or an age"),
    ("year > 30 days ago", 8, "year wants a number"),
    ("year between 2000 and 1990", 14, "the smaller one comes first"),
    ("title between a and b", 1, "title has no between"),
    ("favourite in (1)", 11, "cannot be one of several"),
    ("genre in ()", 11, "')' is not understood here; expected a field"),
    ("genre in Jazz", 10, "expected an opening bracket"),
    ("about rain < 0.5", 12, "nearness is asked with >"),
    ("like 'Fast Car' > 3", 19, "nearness lies between 0 and 1"),
    ("about", 6, "missing at the end"),
    ("duration < 4 parsecs", 14, "'parsecs' is not understood here"),
    ("year = 1984; DROP TABLE item", 12, "';' is not understood here"),
    ("year = 9999999999999999", 8, "too large"),
    ("(" * 41 + "rated" + ")" * 41, 41, "brackets or nots"),
    ("not " * 41 + "rated", 161, "brackets or nots"),
    ("not (rated or " * 20 + "not not rated" + ")" * 20, 281, "brackets or nots"),
    ('title = "a\\\n" or ' + "(" * 500 + "rated" + ")" * 500 + ' or title = "x"', 58, "brackets"),
    ("rated and " * 500 + "rated", 4000, "longer than 4000"),
    ('title = "a\ud800"', 11, "is no character"),
]  # fmt: skip

WRONG_ORDERS: list[tuple[str, int, str]] = [
    ("", 1, "missing at the end"),
    ("predicte", 1, "did you mean predicted"),
    ("description", 1, "cannot be ordered by description"),
    ("radio, title", 1, "stands alone"),
    ("title sideways", 7, "not understood here"),
    ("path from a", 12, "expected to …"),
    ("mix a + ", 8, "missing at the end"),
    ("daily mix 12", 11, "numbered 1 to 9"),
    ('chain form "Sad"', 7, "'form' is not understood; did you mean chain from?"),
    ('chain "Sad"', 6, "chain is half an order; did you mean chain from?"),
    ('Similar too "Sad"', 9, "'too' is not understood; did you mean similar to?"),
    ('path form "a" to "b"', 6, "did you mean path from?"),
    ("daily mx 1", 7, "did you mean daily mix?"),
    ("dayly mix 1", 1, "'dayly' is not understood; did you mean daily mix?"),
    ("next", 1, "next is half an order; did you mean next episode?"),
    ("next one", 6, "did you mean next episode?"),
    ("chain from", 11, "missing at the end"),
    ('title "x"', 7, "is not understood here"),
]


async def test_rules_let_in_what_they_say(shelf: Services) -> None:
    found = {rule: await chosen(shelf, rule) for rule, _ in RIGHT}
    assert found == dict(RIGHT)


@pytest.mark.parametrize(("rule", "column", "message"), WRONG)
def test_wrong_rules_are_told_with_their_column(rule: str, column: int, message: str) -> None:
    with pytest.raises(RuleError) as error:
        parse_rule(rule)
    assert message in str(error.value)
    assert error.value.column == column


@pytest.mark.parametrize(("order", "column", "message"), WRONG_ORDERS)
def test_wrong_orders_are_told_with_their_column(order: str, column: int, message: str) -> None:
    with pytest.raises(RuleError) as error:
        parse_order(order)
    assert message in str(error.value)
    assert error.value.column == column


LONG = 'not genre = "Christmas" and last_played > 30 days ago and lenght < 4 min and predicted >= 7'


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (LONG, "column 59: there is no field lenght; did you mean height?, at ▸ in: "
               "…last_played > 30 days ago and ▸lenght < 4 min and predicted >…"),
        (LONG.replace("lenght", "duration") + " and", "something is missing at the end"),
        ("predicted >= 7\nand lenght < 4 min\n", "line 2, column 5: there is no field lenght"),
        ("predicted >= 7\r\nand lenght < 4 min\r\n", "at ▸ in: and ▸lenght < 4 min"),
        ("predicted >= 7\nand\n", "line 2, column 4: something is missing at the end"),
        ("lenght < 4 min\n", "column 1: there is no field lenght"),
        ("rated" + 5000 * "\n", "column 4000: it is longer than 4000"),
        ('title = "\x1b\ud800' + 80 * "x", "column 11: "),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_long_rule_is_shown(rule: str, message: str) -> None:
    with pytest.raises(RuleError) as error:
        parse_rule(rule)
    assert message in str(error.value)
    assert str(error.value).isprintable()
    assert ("line" in str(error.value).split(":")[0]) == ("\n" in rule.rstrip())


@pytest.mark.parametrize(
    ("written", "canonical"),
    [
        ("YEAR=1984 AND  genre=Pop", 'year = 1984 and genre = "Pop"'),
        ("duration<240", "duration < 4 min"),
        ("(rated)or(played and(unfinished))", "rated or played and unfinished"),
        ("not(rated or played)", "not (rated or played)"),
        ("in playlist Radio", 'playlist "Radio"'),
        ("size > 2000000", "size > 2 MB"),
    ],
)
def test_there_is_one_way_to_write_a_rule(written: str, canonical: str) -> None:
    assert format_rule(parse_rule(written)) == canonical


@pytest.mark.parametrize("written", [
    "predicted", "radio", "newest", "random", "rediscover", "next episode", "unsure",
    "year desc, title asc", 'similar to "a"', 'about "rain"', 'chain from "a"',
    'path from "a" to "b"', 'mix "a" + "b" - "c"', "daily mix 2",
])  # fmt: skip
def test_orders_are_written_as_they_are_read(written: str) -> None:
    assert format_order(parse_order(written)) == written


texts = st.text(min_size=1, max_size=12).filter(lambda words: words.strip())
numbers = st.one_of(
    st.integers(-5000, 5000).map(float), st.floats(-1e6, 1e6, allow_subnormal=False)
)
days = st.dates()


def named(*sorts: str) -> st.SearchStrategy[str]:
    return st.sampled_from([field.name for field in FIELDS.values() if field.sort in sorts])


def amounts(field: str) -> st.SearchStrategy[float]:
    least = 0 if FIELDS[field].sort in ("length", "bytes") else -1e6
    return numbers.filter(lambda number: number >= least)


compared_texts = st.builds(
    tree.Compare, named("text", "list"), st.sampled_from(OPERATORS["text"]), texts
)
compared_numbers = named("number", "length", "bytes").flatmap(
    lambda field: st.builds(
        tree.Compare, st.just(field), st.sampled_from(OPERATORS["number"]), amounts(field)
    )
)
between = named("number", "length", "bytes").flatmap(
    lambda field: st.tuples(amounts(field), amounts(field)).map(
        lambda ends: tree.Between(field, min(ends), max(ends))
    )
)
listed_numbers = named("number", "length", "bytes").flatmap(
    lambda field: st.lists(amounts(field), min_size=1, max_size=3).map(
        lambda values: tree.OneOf(field, tuple(values))
    )
)
leaves = st.one_of(
    compared_texts, compared_numbers, between, listed_numbers,
    st.builds(
        lambda field, ends: tree.Between(field, min(ends), max(ends)),
        named("date"), st.tuples(days, days),
    ),
    st.builds(tree.Compare, named("date"), st.sampled_from(OPERATORS["date"]), days),
    st.builds(tree.Compare, st.just("kind"), st.sampled_from(("=", "!=")), st.sampled_from(KINDS)),
    st.builds(
        tree.OneOf, named("text", "list"), st.lists(texts, min_size=1, max_size=3).map(tuple)
    ),
    st.builds(
        tree.Age, named("date"), st.sampled_from(OPERATORS["date"]),
        st.integers(0, 900).map(float) | st.floats(0, 1e15, allow_subnormal=False),
        st.sampled_from(("hours", "days", "weeks", "months", "years")),
    ),
    st.builds(tree.Known, named("text", "list", "number", "length", "bytes", "date", "kind")),
    st.builds(tree.Flag, named("flag")),
    st.builds(tree.Near, st.sampled_from(("about", "like")), texts,
              st.none() | st.floats(0, 1, allow_subnormal=False)),
    st.builds(tree.InPlaylist, texts),
)  # fmt: skip


def joined(kind: type, part: st.SearchStrategy[tree.Rule]) -> st.SearchStrategy[tree.Rule]:
    """A rule of two or three parts; what is of the same sort is written as one."""
    others = part.filter(lambda each: not isinstance(each, kind))
    return st.lists(others, min_size=2, max_size=3).map(lambda parts: kind(tuple(parts)))


rules = st.recursive(
    leaves,
    lambda part: st.one_of(
        joined(tree.All, part), joined(tree.AnyOf, part), st.builds(tree.Not, part)
    ),
    max_leaves=8,
)


@given(rules)
@settings(max_examples=400, deadline=None)
def test_writing_and_reading_a_rule_is_the_identity(rule: tree.Rule) -> None:
    written = format_rule(rule)
    assert parse_rule(written) == rule
    assert format_rule(parse_rule(written)) == written


@given(
    st.text(st.characters(), max_size=60)  # with halves of characters
    | st.text(st.characters(), max_size=20).map(lambda words: f'title = "{words}"')
    | st.lists(
        st.sampled_from(
            [
                *FIELDS,
                "and",
                "or",
                "not",
                "(",
                ")",
                "=",
                "<",
                "in",
                '"x"',
                "'",
                "5",
                "ago",
                "--",
                ";",
                "like",
                "about",
                "between",
                "2026-01-01",
                "30 days ago",
                ",",
            ]
        ),
        max_size=14,
    ).map(" ".join)
)
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_rule_or_an_error_with_a_column(text: str) -> None:
    try:
        rule = parse_rule(text)
    except RuleError as error:
        column = error.column
    else:
        assert parse_rule(format_rule(rule)) == rule
        column = 1
    assert 1 <= column <= len(text) + 1


def found(rule: tree.Rule) -> dict[tree.Rule, list[int]]:
    """Return what its nearness and playlists stand for."""
    return {part: [1] for part in tree.walk(rule) if isinstance(part, tree.Near | tree.InPlaylist)}


def skeleton(rule: tree.Rule) -> str:
    """Return the SQL of a rule, as the database gets it: with marks for all values."""
    query = candidates_query(
        "music", rule, parse_order("newest"), Scope(1, DAY, found(rule)), only_unrated=False
    )
    return str(query.compile(dialect=sqlite.dialect()))


@given(rules)
@settings(max_examples=200, deadline=None)
def test_what_a_rule_says_never_becomes_sql(rule: tree.Rule) -> None:
    """Put other values in: the SQL stays the same, letter for letter."""
    assert skeleton(rule) == skeleton(_with_other_values(rule))


def _with_other_values(rule: tree.Rule) -> tree.Rule:
    match rule:
        case tree.All(parts):
            return tree.All(tuple(map(_with_other_values, parts)))
        case tree.AnyOf(parts):
            return tree.AnyOf(tuple(map(_with_other_values, parts)))
        case tree.Not(part):
            return tree.Not(_with_other_values(part))
        case tree.Compare(field, operator, str()) if field != "kind":
            return tree.Compare(field, operator, "other")
        case tree.OneOf(field, values):
            return tree.OneOf(field, tuple("other" for _ in values))
        case tree.Near(to, _, least):
            return tree.Near(to, "other", least)
        case tree.InPlaylist():
            return tree.InPlaylist("other")
    return rule


@given(rule=rules)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_no_rule_breaks_or_changes_the_catalogue(shelf: Services, rule: tree.Rule) -> None:
    scope, order = Scope(1, DAY, found(rule)), parse_order("newest")
    async with shelf.database.read() as session:
        rows = await find_candidates(session, "music", rule, order, scope, only_unrated=False)
        others = await find_candidates(
            session, "music", tree.Not(rule), order, scope, only_unrated=False
        )
        items = await session.scalar(select(func.count(Item.id)))
    ids, other_ids = {row.id for row in rows}, {row.id for row in others}
    assert ids | other_ids == ALL  # true or false of each, never unknown
    assert not ids & other_ids
    assert items == len(ALL)


named_orders = st.one_of(
    st.sampled_from([tree.Plain(name) for name in PLAIN]),
    st.lists(st.tuples(st.sampled_from(SORTABLE), st.booleans()), min_size=1, max_size=4).map(
        lambda keys: tree.ByField(tuple(keys))
    ),
    st.builds(tree.SimilarTo, texts), st.builds(tree.Prompt, texts), st.builds(tree.Chain, texts),
    st.builds(tree.Path, texts, texts), st.builds(tree.DailyMix, st.integers(1, 9)),
    st.tuples(texts, st.lists(st.tuples(texts, st.booleans()), max_size=3)).map(
        lambda terms: tree.Mix(((terms[0], False), *terms[1]))
    ),
)  # fmt: skip


@given(named_orders)
@settings(max_examples=200, deadline=None)
def test_writing_and_reading_an_order_is_the_identity(order: tree.Order) -> None:
    written = format_order(order)
    assert parse_order(written) == order
    assert format_order(parse_order(written)) == written


async def test_every_field_but_the_description_can_order_a_list(shelf: Services) -> None:
    assert set(FIELDS) - set(SORTABLE) == {"description"}
    async with shelf.database.read() as session:
        for name in SORTABLE:
            for direction in ("asc", "desc"):
                rows = await find_candidates(
                    session, "music", tree.Everything(), parse_order(f"{name} {direction}"),
                    Scope(1, DAY), only_unrated=False,
                )  # fmt: skip
                assert {row.id for row in rows} == ALL, name


def test_what_is_kept_is_no_longer_than_what_can_be_read() -> None:
    grown = " or ".join(["genre=a"] * 340)
    assert parse_rule(grown)
    with pytest.raises(ValidationError, match="longer than 4000"):
        PlaylistSettings(name="x", where=grown)


async def test_orders_by_fields_put_the_unknown_last(shelf: Services) -> None:
    async with shelf.database.read() as session:
        for order, expected in (
            ("year desc, title", [6, 1, 3, 2, 4, 5]),
            ("rating", [3, 4, 1, 2, 5, 6]),
            ("duration", [6, 2, 3, 1, 4, 5]),
            ("artist", [2, 4, 6, 1, 3, 5]),
            ("artist desc", [3, 1, 6, 4, 2, 5]),
            ("genre, title", [3, 1, 4, 2, 6, 5]),
            ("path desc", [6, 5, 4, 3, 2, 1]),
            ("detail, disc, modified", [4, 1, 6, 5, 3, 2]),
            ("favourite desc, rated desc, rating desc, title", [4, 1, 3, 6, 5, 2]),
        ):
            rows = await find_candidates(
                session, "music", tree.Everything(), parse_order(order), Scope(1, DAY),
                only_unrated=False,
            )  # fmt: skip
            assert [row.id for row in rows] == expected


def test_the_wiki_names_every_field_and_order() -> None:
    wiki = (ROOT / "wiki" / "rules.md").read_text()
    words = set(re.findall(r"[a-z_]+", wiki))
    assert set(FIELDS) <= words
    for name in PLAIN:
        assert f"`{name}`" in wiki
