"""Reads Navidrome's smart playlists (.nsp).

The format is JSON: {"all" or "any": [{operator: {field: value}}, …], "sort", "order", "limit"};
fields and operators are those of Navidrome's documentation, "Smart Playlists".
"""

import json
import math
from collections.abc import Callable
from datetime import date
from typing import Any

from daemon.rules import tree
from daemon.rules.fields import FIELDS, SORTABLE
from daemon.rules.parsing import RuleError, parse_rule
from daemon.rules.tree import Rule
from daemon.rules.writing import format_rule

NAMES = {
    "title": "title", "album": "album", "artist": "artist", "albumartist": "album_artist",
    "genre": "genre", "year": "year", "tracknumber": "track", "duration": "duration",
    "lastplayed": "last_played", "playcount": "plays", "rating": "rating", "filepath": "path",
    "dateadded": "added", "size": "size", "loved": "favourite", "comment": "description",
    "mood": "tag", "grouping": "tag", "recordlabel": "studio", "discnumber": "disc",
    "lyrics": "lyrics", "datemodified": "modified", "daterated": "rated_at",
}  # fmt: skip
"""Navidrome's fields that have a counterpart."""
SORTS = {"random": "random", "dateadded": "added", "playcount": "plays"}
DEEPEST = 20


class NspError(ValueError):
    """The file cannot be taken over; the message says why."""


def import_nsp(text: str, name: str = "") -> dict[str, Any]:
    """Return a playlist as the settings have it: name, where, order, limit. Raises NspError."""
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NspError(f"It is not JSON: {error}") from error
    if not isinstance(given, dict) or not ({"all", "any"} & given.keys()):
        raise NspError('It is no smart playlist: there is neither "all" nor "any".')
    made: dict[str, Any] = {
        "name": str(given.get("name") or name or "Imported"),
        "kind": "music",
        "where": _where(given),
        "order": _order(given),
        "limit": f"{_limit(given.get('limit'))} tracks",
    }
    if comment := str(given.get("comment") or ""):
        made["about"] = comment[:500]
    return made


def _where(given: dict[str, Any]) -> str:
    where = format_rule(_group(given, 0))
    try:
        parse_rule(where)
    except RuleError as error:
        raise NspError(f"Its conditions cannot be taken over: {error}") from error
    return where


def _limit(value: Any) -> int:
    if value is None or value == 0:  # theirs for no limit
        return 500
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise NspError(f"The limit is no number of tracks: {json.dumps(value)[:80]}")
    return value


def _group(given: dict[str, Any], depth: int) -> Rule:
    if depth > DEEPEST:
        raise NspError("There are too many groups in one another.")
    kind = tree.All if "all" in given else tree.AnyOf
    members = given.get("all", given.get("any"))
    if not isinstance(members, list) or not members:
        raise NspError("A group of conditions is empty.")
    parts: list[Rule] = []
    for member in members:
        if not isinstance(member, dict) or len(member) != 1:
            raise NspError(f"This is no condition: {json.dumps(member)[:80]}")
        is_group = bool({"all", "any"} & member.keys())
        part = _group(member, depth + 1) if is_group else _condition(member)
        parts += part.parts if isinstance(part, kind) else (part,)
    return parts[0] if len(parts) == 1 else kind(tuple(parts))


def _condition(member: dict[str, Any]) -> Rule:
    ((operator, asked),) = member.items()
    if operator.lower() in ("inplaylist", "notinplaylist"):
        raise NspError(f"{operator}: playlists are known by their names here, not their ids.")
    if not isinstance(asked, dict) or len(asked) != 1:
        raise NspError(f"{operator} wants one field.")
    ((theirs, value),) = asked.items()
    field = NAMES.get(theirs.lower())
    if field is None:
        raise NspError(f"There is nothing here like Navidrome's field {theirs}.")
    make = _OPERATORS.get(operator.lower())
    if make is None:
        raise NspError(f"The operator {operator} is not known.")
    try:
        return make(field, value)
    except (TypeError, ValueError, OverflowError) as error:
        shown = json.dumps(value)[:80]
        raise NspError(f"{operator} {theirs}: {shown} cannot be used.") from error


def _is(field: str, value: Any) -> Rule:
    if FIELDS[field].sort == "flag":
        return tree.Flag(field) if value in (True, "true", 1) else tree.Not(tree.Flag(field))
    found = _value(field, value)
    if field == "rating" and not found:
        return tree.Flag("unrated")  # theirs has no other word for it
    if isinstance(found, date):
        return tree.Between(field, found, found)
    return tree.Compare(field, "=", found)


def _is_there(is_missing: bool) -> Callable[[str, Any], Rule]:
    def make(field: str, value: Any) -> Rule:
        known = tree.Flag(field) if FIELDS[field].sort == "flag" else tree.Known(field)
        return tree.Not(known) if is_missing == (value in (True, "true", 1)) else known

    return make


def _value(field: str, value: Any) -> Any:
    sort = FIELDS[field].sort
    if sort in ("text", "list"):
        if not isinstance(value, str | int | float) or not str(value).strip():
            raise ValueError(value)
        return str(value)
    if sort == "date":
        return date.fromisoformat(str(value)[:10])
    number = float(value)
    if sort == "flag" or not math.isfinite(number):
        raise ValueError(value)
    return number * 2 if field == "rating" else number  # theirs are stars, 0 to 5


def _compare(operator: Any) -> Callable[[str, Any], Rule]:
    def make(field: str, value: Any) -> Rule:
        is_text = FIELDS[field].sort in ("text", "list")
        if is_text != (operator in ("contains", "starts with", "ends with")):
            raise ValueError(operator)
        found = tree.Compare(field, operator, _value(field, value))
        is_low = field == "rating" and operator == "<"  # theirs counts what is unrated as 0
        return tree.AnyOf((found, tree.Flag("unrated"))) if is_low else found

    return make


def _between(field: str, value: Any) -> Rule:
    low, high = (_value(field, end) for end in value)
    if isinstance(low, str) or low > high:
        raise ValueError(value)
    return tree.Between(field, low, high)


def _ago(operator: Any) -> Callable[[str, Any], Rule]:
    def make(field: str, value: Any) -> Rule:
        if FIELDS[field].sort != "date":
            raise ValueError(field)
        days = float(value)
        if not 0 <= days < math.inf:
            raise ValueError(value)
        return tree.Age(field, operator, days, "days")

    return make


_OPERATORS: dict[str, Callable[[str, Any], Rule]] = {
    "is": _is,
    "isnot": lambda field, value: tree.Not(_is(field, value)),
    "gt": _compare(">"),
    "lt": _compare("<"),
    "before": _compare("<"),
    "after": _compare(">"),
    "contains": _compare("contains"),
    "notcontains": lambda field, value: tree.Not(_compare("contains")(field, value)),
    "startswith": _compare("starts with"),
    "endswith": _compare("ends with"),
    "intherange": _between,
    "inthelast": _ago("<"),
    "notinthelast": _ago(">"),
    "ismissing": _is_there(is_missing=True),
    "ispresent": _is_there(is_missing=False),
}


def _order(given: dict[str, Any]) -> str:
    keys = [key.strip() for key in str(given.get("sort") or "title").split(",") if key.strip()]
    turned = str(given.get("order") or "asc").lower() == "desc"
    made = []
    for key in keys:
        name = key.lstrip("+-").lower()
        if name == "random":
            return "random"
        field = SORTS.get(name) or NAMES.get(name)
        if field not in SORTABLE:
            raise NspError(f"A list cannot be sorted by {name} here.")
        made.append(f"{field} {'desc' if key.startswith('-') != turned else 'asc'}")
    return ", ".join(made)
