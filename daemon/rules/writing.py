"""Writes rules and orders in their one canonical way; reading it back gives the same tree."""

from datetime import date
from decimal import Decimal

from daemon.rules import tree
from daemon.rules.fields import FIELDS
from daemon.rules.tree import Order, Rule, Value

_UNITS = {"length": ((3600, "h"), (60, "min"), (1, "s")),
          "bytes": ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))}  # fmt: skip


def format_rule(rule: Rule) -> str:
    """Return a rule as text."""
    match rule:
        case tree.Everything():
            return ""
        case tree.All(parts):
            return " and ".join(_within(part, tree.AnyOf, tree.All) for part in parts)
        case tree.AnyOf(parts):
            return " or ".join(_within(part, tree.AnyOf) for part in parts)
        case tree.Not(tree.Known(field)):
            return f"{field} is unknown"
        case tree.Not(tree.OneOf(field, values)):
            return f"{field} not in ({_values(field, values)})"
        case tree.Not(part):
            return f"not {_within(part, tree.AnyOf, tree.All)}"
        case tree.Compare(field, operator, value):
            return f"{field} {operator} {_value(field, value)}"
        case tree.Between(field, low, high):
            return f"{field} between {_value(field, low)} and {_value(field, high)}"
        case tree.OneOf(field, values):
            return f"{field} in ({_values(field, values)})"
        case tree.Age(field, operator, amount, unit):
            return f"{field} {operator} {_number(amount)} {unit} ago"
        case tree.Known(field):
            return f"{field} is known"
        case tree.Near(to, what, least):
            return f"{to} {_text(what)}" + ("" if least is None else f" > {_number(least)}")
        case tree.InPlaylist(name):
            return f"playlist {_text(name)}"
    assert isinstance(rule, tree.Flag)
    return rule.field


def format_order(order: Order) -> str:
    """Return an order as text."""
    match order:
        case tree.Plain(name):
            return name
        case tree.SimilarTo(item):
            return f"similar to {_text(item)}"
        case tree.Prompt(words):
            return f"about {_text(words)}"
        case tree.Chain(first):
            return f"chain from {_text(first)}"
        case tree.Path(first, last):
            return f"path from {_text(first)} to {_text(last)}"
        case tree.DailyMix(number):
            return f"daily mix {number}"
        case tree.Mix(terms):
            (first, _), *others = terms
            more = "".join(f" {'-' if away else '+'} {_text(what)}" for what, away in others)
            return f"mix {_text(first)}{more}"
    assert isinstance(order, tree.ByField)
    return ", ".join(f"{name} {'desc' if down else 'asc'}" for name, down in order.fields)


def _within(part: Rule, *in_brackets: type) -> str:
    words = format_rule(part)
    return f"({words})" if isinstance(part, in_brackets) else words


def _values(field: str, values: tuple[Value, ...]) -> str:
    return ", ".join(_value(field, value) for value in values)


def _value(field: str, value: Value) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str):
        return _text(value)
    for factor, unit in _UNITS.get(FIELDS[field].sort, ()):
        if value and value % factor == 0:
            return f"{_number(value / factor)} {unit}"
    return _number(value)


def _number(value: float) -> str:
    words = format(Decimal(repr(float(value))), "f")
    return words.rstrip("0").rstrip(".") if "." in words else words


def _text(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
