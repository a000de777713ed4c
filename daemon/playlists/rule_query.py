"""Turns a rule into one condition on items. Values only ever become bound parameters."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    null,
    or_,
    select,
    true,
)

from daemon.rules import tree
from daemon.rules.fields import FIELDS
from daemon.rules.tree import Rule
from daemon.store.models import (
    Description,
    Item,
    Location,
    Play,
    Prediction,
    Rating,
    Source,
    UtcDateTime,
)
from daemon.store.server_models import Favourite

LISTS = {"genre": "genres", "tag": "keywords", "person": "people", "studio": "studios",
         "artist": "artists"}  # fmt: skip
"""Fields that are lists among an item's facts."""
LABELLED = {"detail": "extra", "provider_id": "provider_ids"}
"""Fields that are several labels, each with its text, among an item's facts."""
FACTS = ("album_artist", "series", "season", "episode", "track", "disc", "width", "height",
         "language", "lyrics", "community_rating", "votes")  # fmt: skip
OUTCOMES = {"plays": "finished", "skips": "skipped", "abandoned": "abandoned"}
DAYS = {"hours": 1 / 24, "days": 1.0, "weeks": 7.0, "months": 30.4375, "years": 365.25}

Condition = ColumnElement[bool]


@dataclass(frozen=True)
class Scope:
    """Whose rule it is, on which day, and what was found out before."""

    profile_id: int
    day: date
    found: Mapping[Rule, Sequence[int]] = field(default_factory=dict)
    """For each `Near` and `InPlaylist` of the rule, the items."""


def condition_of(rule: Rule, scope: Scope) -> Condition:
    """Return the condition; it is true or false of every item, never unknown."""
    match rule:
        case tree.Everything():
            return true()
        case tree.All(parts):
            return and_(*(condition_of(part, scope) for part in parts))
        case tree.AnyOf(parts):
            return or_(*(condition_of(part, scope) for part in parts))
        case tree.Not(part):
            return not_(condition_of(part, scope))
        case tree.Compare(name, "!=", value):
            return not_(condition_of(tree.Compare(name, "=", value), scope))
        case tree.Compare(name, operator, value):
            return _compare(name, operator, value, scope)
        case tree.Between(name, low, high):
            lowest = _compare(name, ">=", low, scope)
            return and_(lowest, _compare(name, "<=", high, scope))
        case tree.OneOf(name, values):
            return _one_of(name, values, scope)
        case tree.Age(name, operator, amount, unit):
            return _age(name, operator, amount * DAYS[unit], scope)
        case tree.Known(name):
            return _known(name, scope)
        case tree.Near() | tree.InPlaylist():
            return Item.id.in_(_each(json.dumps(list(scope.found[rule]))))
    assert isinstance(rule, tree.Flag)
    return _flag(rule.field, scope)


def column_of(name: str, scope: Scope) -> ColumnElement[Any]:
    """Return a field that has one value an item; None where it is unknown."""
    columns: dict[str, Any] = {
        "kind": Item.kind, "title": Item.title, "album": Item.album, "year": Item.year,
        "duration": Item.duration, "added": Item.added_at,
    }  # fmt: skip
    if name in columns:
        column: ColumnElement[Any] = columns[name]
        return column
    if name in FACTS:
        return func.json_extract(Item.facts, f"$.{name}")
    mine = scope.profile_id
    if name in ("rating", "rated_at"):
        given: Any = Rating.value if name == "rating" else Rating.rated_at
        return _one(select(given).where(Rating.item_id == Item.id, Rating.profile_id == mine))
    if name in ("predicted", "uncertainty"):
        expected: Any = Prediction.value if name == "predicted" else Prediction.uncertainty
        return _one(
            select(expected).where(Prediction.item_id == Item.id, Prediction.profile_id == mine)
        )
    heard = and_(Play.item_id == Item.id, Play.profile_id == mine)
    if name == "last_played":
        return _one(select(func.max(Play.played_at, type_=UtcDateTime())).where(heard))
    if name == "first_played":
        return _one(select(func.min(Play.played_at, type_=UtcDateTime())).where(heard))
    if name in OUTCOMES:
        return _one(select(func.count()).where(heard, Play.outcome == OUTCOMES[name]))
    asked: Any = {
        "size": func.max(Location.size), "copies": func.count(),
        "modified": func.datetime(func.nullif(func.max(Location.mtime_ns), 0) // 10**9, "unixepoch",
                                  type_=UtcDateTime()),
    }[name]  # fmt: skip
    return _one(select(asked).where(Location.item_id == Item.id, Location.gone_at.is_(None)))


def sorting_column(name: str, scope: Scope) -> ColumnElement[Any]:
    """Return what an order goes by: of a list the first, of text without regard to case."""
    sort = FIELDS[name].sort
    if sort == "flag":
        return _flag(name, scope)
    if sort not in ("text", "list"):
        return column_of(name, scope)
    column: Any
    if name == "artist":
        column = Item.artist
    elif name in LISTS:
        column = func.json_extract(Item.facts, f"$.{LISTS[name]}[0]")
    elif name in LABELLED:
        each = _each_of(name)
        column = _one(select(func.min(each.c.key + ": " + each.c.value)).select_from(each))
    elif name in PLACES:
        column = _one(select(func.min(func.fold(PLACES[name]))).where(*_here()))
    else:
        column = column_of(name, scope)
    return func.nullif(func.fold(column), "")


def _compare(name: str, operator: str, value: Any, scope: Scope) -> Condition:
    texts = _texts(name, scope)
    if texts is not None:
        asked: Condition = texts(operator, str(value))
        return asked
    column = column_of(name, scope)
    if isinstance(value, date):
        return _beside_day(column, operator, value)
    compared = {
        "=": column == value, "<": column < value, "<=": column <= value, ">": column > value,
        ">=": column >= value,
    }[operator]  # fmt: skip
    return func.coalesce(compared, false())


def _one_of(name: str, values: Sequence[Any], scope: Scope) -> Condition:
    """Compare with all values at once: a long list would be too deep a tree for the database."""
    texts = _texts(name, scope)
    if texts is not None:
        asked: Condition = texts("in", values)
        return asked
    return func.coalesce(column_of(name, scope).in_(_each(json.dumps(values))), false())


def _beside_day(column: ColumnElement[Any], operator: str, day: date) -> Condition:
    """Compare with a day as a whole: after it, before it, or also on it."""
    begin, end = _midnight(day), _midnight(day, days=1)
    compared = {
        "<": column < begin, "<=": column < end, ">": column >= end, ">=": column >= begin,
    }[operator]  # fmt: skip
    return func.coalesce(compared, false())


def _age(name: str, operator: str, days: float, scope: Scope) -> Condition:
    column = column_of(name, scope)
    try:
        then = _midnight(scope.day) - timedelta(days=days)
    except OverflowError:
        then = datetime(1, 1, 2, tzinfo=UTC)
    compared = {
        ">": column < then, ">=": column <= then, "<": column > then, "<=": column >= then,
    }[operator]  # fmt: skip
    return func.coalesce(compared, true() if operator.startswith(">") else false())


def _midnight(day: date, *, days: int = 0) -> datetime:
    """Return when a day begins here, or one so many days later; the calendar ends at its ends."""
    try:
        return datetime.combine(day + timedelta(days=days), time()).astimezone(UTC)
    except (OverflowError, ValueError):
        return (datetime.min if day.year < 5000 else datetime.max).replace(tzinfo=UTC)


def _known(name: str, scope: Scope) -> Condition:
    texts = _texts(name, scope)
    if texts is not None:
        asked: Condition = texts("known", "")
        return asked
    return column_of(name, scope).is_not(null())


def _flag(name: str, scope: Scope) -> Condition:
    if name in ("unrated", "unplayed"):
        return not_(_flag(name.removeprefix("un"), scope))
    mine = scope.profile_id
    if name == "rated":
        return select(Rating.item_id).where(
            Rating.item_id == Item.id, Rating.profile_id == mine
        ).correlate(Item).exists()  # fmt: skip
    heard = and_(Play.item_id == Item.id, Play.profile_id == mine)
    if name == "played":
        return select(Play.id).where(heard).correlate(Item).exists()
    if name == "unfinished":
        last = select(Play.outcome).where(heard).order_by(Play.played_at.desc(), Play.id.desc())
        return func.coalesce(_one(last.limit(1)) == "abandoned", false())
    assert name == "favourite", name
    return select(Favourite.item_id).where(
        Favourite.item_id == Item.id, Favourite.profile_id == mine, Favourite.is_favourite
    ).correlate(Item).exists()  # fmt: skip


def _texts(name: str, scope: Scope) -> Any:
    """Return how a field of text, or of several texts, is asked; None for the other fields."""
    sort = FIELDS[name].sort
    if sort not in ("text", "list", "kind"):
        return None

    def ask(operator: str, value: Any) -> Condition:
        if name in LISTS or name in LABELLED:
            each = _each_of(name)
            said = each.c.key + ": " + each.c.value if name in LABELLED else each.c.value
            held = select(literal(1)).select_from(each)
            found = held.where(_beside_text(said, operator, value)).correlate(Item).exists()
            if name == "artist":
                return or_(found, _beside_text(Item.artist, operator, value))
            return found
        if name == "description":
            said = select(Description.item_id).where(Description.item_id == Item.id)
            return (
                said.where(_beside_text(Description.text, operator, value)).correlate(Item).exists()
            )
        if name in PLACES:
            here = select(Location.id).where(*_here())
            return here.where(_beside_text(PLACES[name], operator, value)).correlate(Item).exists()
        return _beside_text(column_of(name, scope), operator, value)

    return ask


PLACES: dict[str, Any] = {
    "path": case((Location.server_path.is_not(None), Location.server_path), else_=Location.path),
    "source": Source.name,
    "library": Location.library,
}
"""Fields of the places where an item is."""


def _here() -> tuple[Condition, ...]:
    """Join an item's present places with their sources."""
    return (
        Location.item_id == Item.id, Location.gone_at.is_(None), Source.id == Location.source_id
    )  # fmt: skip


def _each_of(name: str) -> Any:
    path = f"$.{LISTS.get(name) or LABELLED[name]}"
    return func.json_each(Item.facts, path).table_valued("key", "value")


def _beside_text(column: Any, operator: str, value: Any) -> Condition:
    """Compare regardless of case; `fold` is that of `daemon.store.database`."""
    if operator == "known":
        return func.coalesce(func.length(column), 0) > 0  # of text and of bytes, as paths are
    folded = func.fold(column)
    if operator == "in":
        return func.coalesce(folded.in_(_each(json.dumps([str(v).casefold() for v in value]))),
                             false())  # fmt: skip
    if operator == "=":
        compared = folded == value.casefold()
    elif operator == "contains":
        compared = func.instr(folded, value.casefold()) > 0
    elif operator == "starts with":
        compared = func.substr(folded, 1, len(value.casefold())) == value.casefold()
    else:
        compared = func.substr(folded, -len(value.casefold())) == value.casefold()
    return func.coalesce(compared, false())


def _one(statement: Any) -> ColumnElement[Any]:
    column: ColumnElement[Any] = statement.correlate(Item).scalar_subquery()
    return column


def _each(values: str) -> Any:
    each = func.json_each(values).table_valued("value")
    return select(each.c.value)
