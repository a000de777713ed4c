"""What a rule and an order are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Literal

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
TextOperator = Literal["contains", "starts with", "ends with"]
Unit = Literal["hours", "days", "weeks", "months", "years"]
Value = str | float | date
PlainName = Literal[
    "predicted", "radio", "newest", "random", "rediscover", "next episode", "unsure"
]


@dataclass(frozen=True, slots=True)
class Everything:
    """An empty rule: nothing is left out."""


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds."""

    parts: tuple["Rule", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: "Rule"


@dataclass(frozen=True, slots=True)
class Compare:
    """A field beside a value: text, a number, seconds, bytes or a day."""

    field: str
    operator: Operator | TextOperator
    value: Value


@dataclass(frozen=True, slots=True)
class Between:
    """A number or a day lies between two, both included."""

    field: str
    low: float | date
    high: float | date


@dataclass(frozen=True, slots=True)
class OneOf:
    """A text or number is one of several."""

    field: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Age:
    """How long ago something was: `>` is longer ago, and never counts as longest."""

    field: str
    operator: Operator
    amount: float
    unit: Unit


@dataclass(frozen=True, slots=True)
class Known:
    """Anything at all is known in a field."""

    field: str


@dataclass(frozen=True, slots=True)
class Flag:
    """A field that is yes or no, and yes."""

    field: str


@dataclass(frozen=True, slots=True)
class Near:
    """The words, or those of another item, are near; without a number, among the nearest."""

    to: Literal["about", "like"]
    what: str
    least: float | None = None
    """Cosine."""


@dataclass(frozen=True, slots=True)
class InPlaylist:
    """On the present edition of another smart playlist."""

    name: str


Rule = (
    Everything
    | All
    | AnyOf
    | Not
    | Compare
    | Between
    | OneOf
    | Age
    | Known
    | Flag
    | Near
    | InPlaylist
)


@dataclass(frozen=True, slots=True)
class ByField:
    """Sorted by fields, each (name, highest first)."""

    fields: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """An order that needs no more than its name."""

    name: PlainName


@dataclass(frozen=True, slots=True)
class SimilarTo:
    """Most like an item first."""

    item: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """Nearest to the words first."""

    words: str


@dataclass(frozen=True, slots=True)
class Chain:
    """Each the nearest to the one before."""

    first: str


@dataclass(frozen=True, slots=True)
class Path:
    """A smooth way from one item to another."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Mix:
    """Nearest to a sum of items and words; each (item or words, is taken away)."""

    terms: tuple[tuple[str, bool], ...]


@dataclass(frozen=True, slots=True)
class DailyMix:
    """One of the sorts of things that the person likes, 1 being the largest."""

    number: int


Order = ByField | Plain | SimilarTo | Prompt | Chain | Path | Mix | DailyMix


def walk(rule: Rule) -> Iterator[Rule]:
    """Yield a rule and all that it is made of."""
    yield rule
    if isinstance(rule, All | AnyOf):
        for part in rule.parts:
            yield from walk(part)
    elif isinstance(rule, Not):
        yield from walk(rule.part)


def rename_playlist_in(rule: Rule, old: str, new: str) -> Rule:
    """Return the rule as it asks for a playlist that has another name now."""
    match rule:
        case InPlaylist(name) if name == old:
            return InPlaylist(new)
        case Not(part):
            return Not(rename_playlist_in(part, old, new))
        case All(parts) | AnyOf(parts):
            return type(rule)(tuple(rename_playlist_in(part, old, new) for part in parts))
        case _:
            return rule
