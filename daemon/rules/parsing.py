"""Reads rules and orders; what is wrong is told with its column."""

import difflib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import cache
from pathlib import Path as FilePath
from typing import Any, get_args

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken

from connectors.base import KINDS
from daemon.rules import tree
from daemon.rules.fields import EXAMPLES, FIELDS, OPERATORS, SORTABLE, Field
from daemon.rules.tree import Order, Plain, PlainName, Rule

LONGEST = 4000
"""Characters of a rule."""
SHORT = 60
"""Characters of a text in which a column is found by eye."""
SHOWN = 30
"""Characters of a longer one that are shown before and behind what is wrong."""
DEEPEST = 40
"""Brackets within brackets."""
SECONDS = {"s": 1, "m": 60, "h": 3600}
BYTES = {"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
LARGEST = 1e15
PLAIN: tuple[PlainName, ...] = get_args(PlainName)

TWO_WORDS = ("chain from", "path from", "similar to", "daily mix", "next episode")
"""Orders whose first word alone says nothing."""

_EXPECTED = {
    "NAME": "a field", "STRING": "text in quotes", "OPERATOR": "=, !=, <, >, contains",
    "NUMBER": "a number", "RPAR": "a closing bracket", "_AND": "and", "_OR": "or", "IN": "in (…)",
    "IS_KNOWN": "is known", "COMMA": "a comma", "LPAR": "an opening bracket", "TO": "to …",
    "ABOUT": 'about "…"', "LIKE": 'like "…"', "DATE": "a day", "AGE": "an age such as 30 days ago",
    "SIGN": "+ or -",
}  # fmt: skip
"""What people are told of what could stand in a place, by terminal; others go unmentioned."""


class RuleError(ValueError):
    """A rule or order that cannot be understood; `column` counts from 1, lines or not."""

    def __init__(self, column: int, message: str, place: str = "") -> None:
        super().__init__(f"{place or f'column {column}'}: {message}")
        self.column = column
        self.message = message


def parse_rule(text: str) -> Rule:
    """Read what is on a playlist. Raises RuleError."""
    with _showing_where(text):
        root = _parse(text, "rule")
        return _rule(root.children[0]) if root.children else tree.Everything()


def parse_order(text: str) -> Order:
    """Read the order of a playlist. Raises RuleError."""
    with _showing_where(text):
        root = _parse(text, "order")
        (child,) = root.children
        return _ORDERS[child.data](child)


@contextmanager
def _showing_where(text: str) -> Iterator[None]:
    """Tell an error of a long text with its line and what stands there.

    Nobody counts 71 columns, and a block of YAML may come folded into one line.
    """
    try:
        yield
    except RuleError as error:
        has_lines = "\n" in text.rstrip()
        if not has_lines and len(text) <= SHORT:
            raise
        *earlier, before = text[: error.column - 1].split("\n")
        place = f"line {len(earlier) + 1}, column {len(before) + 1}" if has_lines else ""
        behind = text[error.column - 1 :].split("\n")[0]
        shown = (
            ("…" if before[:-SHOWN] else "") + before[-SHOWN:] + "▸" + behind[:SHOWN].rstrip()
            + ("…" if behind[SHOWN:] else "")
        )  # fmt: skip
        shown = "".join(c if c.isprintable() else " " for c in shown)
        raise RuleError(error.column, f"{error.message}, at ▸ in: {shown}", place) from error


@cache
def _parser() -> Lark:
    grammar = FilePath(__file__).with_name("rules.lark").read_text()
    return Lark(grammar, parser="lalr", start=["rule", "order"], propagate_positions=True)


def _parse(text: str, start: str) -> Any:
    if len(text) > LONGEST:
        raise RuleError(LONGEST, f"it is longer than {LONGEST} characters")
    if lone := re.search(r"[\ud800-\udfff]", text):  # half a character: no database takes it
        raise RuleError(lone.start() + 1, f"{lone[0]!r} is no character")
    if (place := _too_deep(text)) is not None:
        raise RuleError(place + 1, f"there are more than {DEEPEST} brackets or nots in one another")
    try:
        return _parser().parse(text, start=start)
    except UnexpectedInput as error:
        meant = _meant(text) if start == "order" else None
        raise RuleError(*(meant or _explain(error, text))) from error


def _too_deep(text: str) -> int | None:
    """Return where too many brackets and nots are open; a not ends with what it is said of."""
    opened: list[int] = []
    nots = 0
    for match in re.finditer(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[()]|\w+', text, re.S):
        if match[0] == "(":
            opened.append(nots + 1)
            nots = 0
        elif match[0].lower() == "not":
            nots += 1
        else:
            nots = 0
            if match[0] == ")" and opened:
                opened.pop()
        if sum(opened) + nots > DEEPEST:
            return match.start()
    return None


def _explain(error: UnexpectedInput, text: str) -> tuple[int, str]:
    end = len(text.rstrip()) + 1
    if isinstance(error, UnexpectedCharacters):
        at = error.pos_in_stream or 0
        place, found = at + 1, text[at]
        if found in "\"'":
            return place, "the text that begins here has no closing quote"
        expected = _names(error.allowed or ())
        return place, f"{found!r} is not understood here{expected}"
    if isinstance(error, UnexpectedToken) and error.token.type != "$END":
        place = (error.token.start_pos or 0) + 1
        return place, f"{str(error.token)!r} is not understood here{_names(error.expected)}"
    allowed = error.expected if isinstance(error, UnexpectedToken | UnexpectedEOF) else ()
    return end, f"something is missing at the end{_names(allowed)}"


def _meant(text: str) -> tuple[int, str] | None:
    """Return what is wrong with a text that almost begins with an order of two words."""
    match = re.match(r"\s*(\w+)(?:\s+(\w+))?", text)
    said = (match[1].lower(), (match[2] or "").lower()) if match else ("", "")
    begun = [order for order in TWO_WORDS if order.split()[0] == said[0]]
    near = begun or difflib.get_close_matches(" ".join(said), TWO_WORDS, 1, 0.75)
    if not match or not near or " ".join(said) == near[0]:
        return None
    part = 2 if begun else 1
    if match[part] is None:
        return match.end() + 1, f"{match[1]} is half an order; did you mean {near[0]}?"
    return match.start(part) + 1, f"{match[part]!r} is not understood; did you mean {near[0]}?"


def _names(terminals: Any) -> str:
    names = [said for name, said in _EXPECTED.items() if name in terminals]
    if not names:
        return ""
    return f"; expected {', '.join(names[:-1])}{' or ' if names[1:] else ''}{names[-1]}"


def _rule(node: Any) -> Rule:
    """Build the tree of a rule."""
    if node.data in ("or_", "and_"):
        parts = tuple(_rule(child) for child in node.children)
        if len(parts) == 1:
            return parts[0]
        kind = tree.AnyOf if node.data == "or_" else tree.All
        flat: list[Rule] = []
        for part in parts:  # and within and is one and
            flat += part.parts if isinstance(part, kind) else (part,)
        return kind(tuple(flat))
    if node.data == "group":
        return _rule(node.children[0])
    if node.data == "not_":
        return tree.Not(_rule(node.children[0]))
    return _CONDITIONS[node.data](node)


def _compare(node: Any) -> Rule:
    name, operator, value = node.children
    field = _field(name)
    said = " ".join(operator.lower().split())
    if said not in OPERATORS[field.sort]:
        raise RuleError(_column(operator), _operator_problem(field, said))
    if value.type == "AGE":
        if field.sort != "date":
            raise RuleError(_column(value), f"{field.name} wants {EXAMPLES[field.sort]}")
        amount, unit = re.match(r"([\d.]+)\s*([a-z]+?)s?\s", value.lower()).groups()  # type: ignore[union-attr]
        return tree.Age(field.name, said, _finite(value, float(amount)), f"{unit}s")  # type: ignore[arg-type]
    return tree.Compare(field.name, said, _value(field, value))  # type: ignore[arg-type]


def _operator_problem(field: Field, said: str) -> str:
    if field.sort == "flag":
        return f"{field.name} is yes or no by itself: write {field.name} or not {field.name}"
    fitting = OPERATORS[field.sort]
    return f"{field.name} cannot be asked with {said}; use {', '.join(fitting)}"


def _between(node: Any) -> Rule:
    name, low, high = node.children
    field = _field(name)
    if field.sort not in ("number", "length", "bytes", "date"):
        raise RuleError(_column(name), f"{field.name} has no between")
    ends = [_value(field, end) for end in (low, high)]
    if ends[0] > ends[1]:  # type: ignore[operator]
        raise RuleError(_column(low), "the smaller one comes first")
    return tree.Between(field.name, *ends)  # type: ignore[arg-type]


def _one_of(node: Any) -> Rule:
    name, how, *values = node.children
    field = _field(name)
    if field.sort in ("flag", "date"):
        raise RuleError(_column(how), f"{field.name} cannot be one of several")
    found = tree.OneOf(field.name, tuple(_value(field, value) for value in values))
    return tree.Not(found) if how.type == "NOT_IN" else found


def _known(node: Any) -> Rule:
    name, how = node.children
    field = _field(name)
    if field.sort == "flag":
        raise RuleError(_column(how), _operator_problem(field, "is known"))
    known = tree.Known(field.name)
    return tree.Not(known) if how.type == "IS_UNKNOWN" else known


def _flag(node: Any) -> Rule:
    (name,) = node.children
    field = _field(name)
    if field.sort != "flag":
        column = (name.end_pos or 0) + 1
        raise RuleError(column, f"{field.name} wants a comparison with {EXAMPLES[field.sort]}")
    return tree.Flag(field.name)


def _near(node: Any) -> Rule:
    how, what, operator, least = node.children
    if operator is not None and operator not in (">", ">="):
        raise RuleError(_column(operator), "nearness is asked with >, such as > 0.5")
    number = None if least is None else float(least)
    if number is not None and not 0 <= number <= 1:
        raise RuleError(_column(least), "nearness lies between 0 and 1")
    to: Any = how.lower()
    return tree.Near(to, _words(what), number)


def _in_playlist(node: Any) -> Rule:
    return tree.InPlaylist(_words(node.children[1]))


_CONDITIONS: dict[str, Callable[[Any], Rule]] = {
    "compare": _compare, "between": _between, "one_of": _one_of, "known": _known, "flag": _flag,
    "near": _near, "in_playlist": _in_playlist,
}  # fmt: skip


def _field(token: Token) -> Field:
    name = token.lower()
    if name in FIELDS:
        return FIELDS[name]
    raise RuleError(_column(token), f"there is no field {token}{_close(name, FIELDS)}")


def _close(name: str, names: Any) -> str:
    close = difflib.get_close_matches(name, list(names), 1, 0.6)
    return f"; did you mean {close[0]}?" if close else f"; there are {', '.join(names)}"


def _value(field: Field, token: Token) -> tree.Value:
    """Return a value of the field's sort."""
    kinds = {
        "text": ("STRING", "NAME"), "list": ("STRING", "NAME"), "kind": ("STRING", "NAME"),
        "number": ("NUMBER",), "length": ("LENGTH", "NUMBER"), "bytes": ("SIZE", "NUMBER"),
        "date": ("DATE",), "flag": (),
    }  # fmt: skip
    if token.type not in kinds[field.sort]:
        raise RuleError(_column(token), f"{field.name} wants {EXAMPLES[field.sort]}")
    if token.type in ("STRING", "NAME"):
        words = _words(token)
        if field.sort == "kind":
            words = words.lower()
            if words not in KINDS:
                raise RuleError(_column(token), f"there is no kind {words}{_close(words, KINDS)}")
        return words
    if token.type == "DATE":
        try:
            return date.fromisoformat(token)
        except ValueError:
            raise RuleError(_column(token), f"{token} is no day of the calendar") from None
    number, unit = re.match(r"(-?[\d.]+)\s*([a-z]?)", token.lower()).groups()  # type: ignore[union-attr]
    factor = (SECONDS if token.type == "LENGTH" else BYTES).get(unit, 1)
    return _finite(token, float(number) * factor)


def _finite(token: Token, number: float) -> float:
    if abs(number) > LARGEST:
        raise RuleError(_column(token), f"{token[:24]} is too large")
    return number


def _words(token: Token) -> str:
    """Return what a text says, in quotes or not. Raises RuleError where it says nothing."""
    if token.type == "STRING":
        words = re.sub(r"\\(.)", lambda m: "\n" if m[1] == "n" else m[1], token[1:-1], flags=re.S)
    else:
        words = str(token)
    if not words.strip():
        raise RuleError(_column(token), "the text is empty")
    return words


def _by_field(node: Any) -> Order:
    keys = [tuple(key.children) for key in node.children]
    name, direction = keys[0]
    plain = " ".join(name.lower().split())
    if plain in PLAIN and direction is None and len(keys) == 1:
        return Plain(PLAIN[PLAIN.index(plain)])
    return tree.ByField(tuple(_key(*key) for key in keys))


def _key(name: Token, direction: Token | None) -> tuple[str, bool]:
    words = " ".join(name.lower().split())
    if words not in FIELDS:
        names = [*PLAIN, *SORTABLE]
        if words in PLAIN:
            raise RuleError(_column(name), f"{words} stands alone, without other orders")
        if meant := _meant(name):
            raise RuleError(_column(name), meant[1])
        raise RuleError(_column(name), f"there is no order {name}{_close(words, names)}")
    if words not in SORTABLE:
        raise RuleError(_column(name), f"a list cannot be ordered by {words}")
    return words, bool(direction) and str(direction).lower().startswith("desc")


def _daily_mix(node: Any) -> Order:
    number = float(node.children[1])
    if number != int(number) or not 1 <= number <= 9:
        raise RuleError(_column(node.children[1]), "daily mixes are numbered 1 to 9")
    return tree.DailyMix(int(number))


def _mix(node: Any) -> Order:
    terms: list[tuple[str, bool]] = []
    is_away = False
    for child in node.children[1:]:
        if isinstance(child, Tree):
            terms.append((_words(child.children[0]), is_away))  # type: ignore[arg-type]
        else:
            is_away = child == "-"
    return tree.Mix(tuple(terms))


_ORDERS: dict[str, Callable[[Any], Order]] = {
    "prompt": lambda node: tree.Prompt(_words(node.children[1])),
    "similar": lambda node: tree.SimilarTo(_words(node.children[1])),
    "chain": lambda node: tree.Chain(_words(node.children[1])),
    "path": lambda node: tree.Path(_words(node.children[1]), _words(node.children[3])),
    "mix": _mix,
    "daily_mix": _daily_mix,
    "by_field": _by_field,
}


def _column(token: Token) -> int:
    return (token.start_pos or 0) + 1
