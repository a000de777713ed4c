"""Values of JSON that may be missing, null, or of another type than promised."""

from datetime import UTC, datetime
from typing import Any

TICKS = 10_000_000
"""A second."""


class Misshapen(ValueError):
    """The answer as a whole is not of the promised shape."""


def mapping(said: Any) -> dict[str, Any]:
    """Return an answer that is an object. Raises Misshapen."""
    if not isinstance(said, dict):
        raise Misshapen
    return said


def listing(said: Any) -> list[dict[str, Any]]:
    """Return an answer that is an array; what in it is no object is left out. Raises Misshapen."""
    if not isinstance(said, list):
        raise Misshapen
    return dicts(said)


def rows_of(said: Any) -> list[dict[str, Any]]:
    """Return the rows of a page; odd ones are {}, so that they count. Raises Misshapen."""
    rows = mapping(said).get("Items")
    if not isinstance(rows, list):
        raise Misshapen
    return [row if isinstance(row, dict) else {} for row in rows]


def dicts(values: Any) -> list[dict[str, Any]]:
    """Return what of a list is an object; [] for what is no list."""
    return [v for v in values if isinstance(v, dict)] if isinstance(values, list) else []


def names(values: Any) -> tuple[str, ...]:
    """Return the names of [{Name: …}], or of plain strings, each once."""
    if not isinstance(values, list):
        return ()
    found = (v.get("Name") if isinstance(v, dict) else v for v in values)
    return tuple(dict.fromkeys(v for v in found if isinstance(v, str) and v))


def text(value: Any) -> str:
    """Return a value as text; "" for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, str):
        return value.replace("\0", "")
    return f"{value:.15g}" if real(value) is not None else ""


def whole(value: Any) -> int | None:
    """Return a whole number, None for what is none."""
    number = real(value)
    return int(number) if number is not None else None


def real(value: Any) -> float | None:
    """Return a number, None for what is none, and for those that nothing here can be."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e18 < value < 1e18 else None


def plain_id(value: Any) -> str:
    """Return an id as listings have it, without dashes; "" for what is no id."""
    found = text(value).replace("-", "").lower()
    return found if len(found) == 32 and found.isascii() and found.isalnum() else ""


def moment(value: Any) -> datetime | None:
    """Return a moment in UTC; the server gives seven digits of a second, and the year 1 for never.

    Without a zone it is UTC.
    """
    if not isinstance(value, str):
        return None
    head, _, rest = value.strip().replace("Z", "+00:00").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    zone = rest[len(digits) :]
    try:
        found = datetime.fromisoformat(f"{head}.{digits[:6]:0<6}{zone}" if digits else head + zone)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
        return found.astimezone(UTC) if found.year > 1 else None
    except (ValueError, OverflowError):
        return None
