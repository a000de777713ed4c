"""Plex's media queries: `type=10&userRating>>=4&updatedAt>>=1700000000&sort=titleSort:desc`.

Operators stand before the "=" of the query: none (is, or contains), ! (is not), >> and << (more,
less), > and < (at least, at most; of words: ends, begins), = (words: is exactly). A comma in the
value means or.
"""

import bisect
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tests.stand_ins.plex.library import TAGS
from tests.stand_ins.plex.records import TYPE_NUMBERS, Item, Section, State

TYPE_NAMES = {number: name for name, number in TYPE_NUMBERS.items()}

NOTHING = State()

STATE_FIELDS: dict[str, Callable[[State], Any]] = {
    "viewCount": lambda state: state.view_count or None,
    "skipCount": lambda state: state.skip_count or None,
    "lastViewedAt": lambda state: state.last_viewed_at,
    "viewOffset": lambda state: state.view_offset,
    "userRating": lambda state: state.user_rating,
    "lastRatedAt": lambda state: state.last_rated_at,
}
ITEM_FIELDS: dict[str, Callable[[Item], Any]] = {
    "addedAt": lambda item: item.added_at,
    "updatedAt": lambda item: item.updated_at,
    "title": lambda item: item.title,
    "titleSort": lambda item: str(item.fields.get("titleSort") or item.title).lower(),
    "duration": lambda item: item.duration,
    "index": lambda item: item.index,
    "guid": lambda item: item.guid,
    "id": lambda item: item.rating_key,
}
OTHER_FIELDS = (
    "year", "studio", "rating", "audienceRating", "contentRating", "originalTitle", "ratingCount",
    "originallyAvailableAt",
)  # fmt: skip
TAG_FIELDS = {element.lower(): element for element in TAGS.values()}
FIELDS = (*STATE_FIELDS, *ITEM_FIELDS, *OTHER_FIELDS, *TAG_FIELDS, "unwatched")

NAME = re.compile(rf"(?:({'|'.join(TYPE_NUMBERS)})\.)?({'|'.join(FIELDS)})(!=|>>|<<|[!<>=]|)")

RELATIVE = re.compile(r"-(\d+)(s|m|h|d|w|mon|y)")
SECONDS = {
    "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "mon": 2629746, "y": 31556952,
}  # fmt: skip


class BadQuery(Exception):
    """Answered with 400."""


@dataclass(frozen=True)
class Filter:
    """One condition."""

    type: str
    """Of the item itself or of what is above it; "": itself."""
    field: str
    operator: str
    values: tuple[str, ...]

    @property
    def wants_state(self) -> bool:
        """Whether an item that the user never touched cannot fit."""
        return not self.type and self.field in STATE_FIELDS and self.operator in ("", ">", ">>")

    def fits(self, item: Item, states: dict[Item, State]) -> bool:
        """Say whether the item meets the condition."""
        subject = item.ancestor(self.type) if self.type else item
        if subject is None:
            return False
        if self.field in TAG_FIELDS:
            names = {name.lower() for name, _ in subject.tags.get(TAG_FIELDS[self.field], ())}
            return (not names.isdisjoint(v.lower() for v in self.values)) != (self.operator == "!")
        value = _value(subject, states, self.field)
        return any(compare(value, self.operator, wanted) for wanted in self.values)


@dataclass(frozen=True)
class Query:
    """What a listing was asked for."""

    type: str
    sort: tuple[tuple[str, bool], ...]
    """Field, and whether it descends."""
    filters: tuple[Filter, ...]
    limit: int | None


def parse(pairs: Iterable[tuple[str, str]], default_type: str, now: int) -> Query:
    """Read a listing's query. Raises BadQuery."""
    type, sort, limit, filters = default_type, "titleSort", None, []
    for name, value in pairs:
        if name == "type":
            if not value.isdigit() or int(value) not in TYPE_NAMES:
                raise BadQuery(f"type {value}")
            type = TYPE_NAMES[int(value)]
        elif name == "sort":
            sort = value
        elif name == "limit":
            limit = int(value)
        elif found := NAME.fullmatch(name + ("=" if value.startswith("=") else "")):
            level, field, operator = found.groups()
            values = tuple(_moment(v, field, now) for v in value.removeprefix("=").split(","))
            filters.append(Filter("" if level == type else level or "", field, operator, values))
    return Query(type, _sort(sort, type), tuple(filters), limit)


def _sort(text: str, type: str) -> tuple[tuple[str, bool], ...]:
    keys = []
    for part in text.split(","):
        name, _, direction = part.partition(":")
        field = name.removeprefix(f"{type}.")
        if field not in (*STATE_FIELDS, *ITEM_FIELDS, *OTHER_FIELDS):
            raise BadQuery(f"sort {part}")
        keys.append((field, direction.startswith("desc")))
    return tuple(keys)


def _moment(value: str, field: str, now: int) -> str:
    relative = RELATIVE.fullmatch(value)
    if relative and field.endswith("At"):
        return str(now - int(relative[1]) * SECONDS[relative[2]])
    return value


def _value(item: Item, states: dict[Item, State], field: str) -> Any:
    if field in ITEM_FIELDS:
        return ITEM_FIELDS[field](item)
    state = states.get(item, NOTHING)
    if field in STATE_FIELDS:
        return STATE_FIELDS[field](state)
    if field == "unwatched":
        return int(not state.view_count)
    return item.fields.get(field)


def compare(value: Any, operator: str, wanted: str) -> bool:
    """Say whether a value is as the operator wants it. Raises BadQuery."""
    if value is None:
        return operator.startswith("!")
    if isinstance(value, str):
        value, wanted = value.lower(), wanted.lower()
        tests: dict[str, bool] = {
            "": wanted in value, "!": wanted not in value, "=": wanted == value,
            "!=": wanted != value, "<": value.startswith(wanted), ">": value.endswith(wanted),
        }  # fmt: skip
        return tests.get(operator, False)
    try:
        number = float(wanted)
    except ValueError as error:
        raise BadQuery(f"{wanted} is no number") from error
    compared: dict[str, bool] = {
        "": value == number, "=": value == number, "!": value != number, "!=": value != number,
        ">>": value > number, "<<": value < number, ">": value >= number, "<": value <= number,
    }  # fmt: skip
    return compared[operator]


class Listings:
    """Finds what a query asks for, at a cost that does not grow with the library.

    What was found is kept while nothing changes. Conditions on what a user did start from the few
    items that the user touched, those on updatedAt and addedAt from the newest.
    """

    def __init__(self) -> None:
        self._found: dict[object, list[Item]] = {}

    def forget(self) -> None:
        """Let go of what was found."""
        self._found.clear()

    def find(
        self, section: Section, query: Query, states: dict[Item, State], revision: tuple[int, int]
    ) -> Sequence[Item]:
        """Return the items in order; `revision`: changes with what the user did."""
        fields = [field for field, _ in query.sort] + [f.field for f in query.filters]
        is_personal = any(field in STATE_FIELDS or field == "unwatched" for field in fields)
        key = (section.key, section.revision, query, revision if is_personal else ())
        if key not in self._found:
            if len(self._found) >= 32:
                self._found.clear()
            candidates = self._candidates(section, query, states, revision)
            fitting = [i for i in candidates if all(f.fits(i, states) for f in query.filters)]
            self._found[key] = _in_order(fitting, query.sort, states)[: query.limit]
        return self._found[key]

    def _candidates(
        self, section: Section, query: Query, states: dict[Item, State], revision: tuple[int, int]
    ) -> Iterable[Item]:
        if any(condition.wants_state for condition in query.filters):
            return [i for i in list(states) if i.section is section and i.type == query.type]
        for condition in query.filters:
            is_since = condition.operator in (">", ">>") and condition.values[0].isdigit()
            if is_since and not condition.type and condition.field in ("updatedAt", "addedAt"):
                by_time = Query(query.type, ((condition.field, False),), (), None)
                items = self.find(section, by_time, states, revision)
                moment = ITEM_FIELDS[condition.field]
                first = min(map(int, condition.values))
                return items[bisect.bisect_left(items, first, key=moment) :]
        return list(section.items.get(query.type, ()))


def _in_order(
    items: Iterable[Item], sort: tuple[tuple[str, bool], ...], states: dict[Item, State]
) -> list[Item]:
    """Sort by the last key first; what has no value comes last."""
    found = sorted(items, key=lambda item: item.rating_key)
    for field, descends in reversed(sort):
        values = {item: _value(item, states, field) for item in found}
        known = [item for item in found if values[item] is not None]
        known.sort(key=values.__getitem__, reverse=descends)
        found = known + [item for item in found if values[item] is None]
    return found
