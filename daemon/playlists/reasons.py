"""The words in which an entry says why it is there."""

from datetime import datetime
from typing import Any

from daemon.playlists.radio import Heard
from daemon.rules.fields import FIELDS


def told(row: Any) -> str:
    """Return what is known of the person's liking."""
    if row.rating is not None:
        return f"rated {row.rating:g}"
    if row.predicted is not None:
        return f"predicted {row.predicted:.1f} ± {row.uncertainty:.1f}"
    return "not rated yet"


def tell_listening(heard: Heard, midnight: datetime) -> str:
    """Return what of a person's listening makes a thing likely, or less so."""
    if heard.last_played is None:
        return "never played"
    days = max(0, (midnight - heard.last_played).days)
    counts = [(heard.full_plays, "played"), (heard.skips, "skipped")]
    often = ", ".join(
        f"{done} {'once' if count == 1 else f'{count} times'}" for count, done in counts if count
    )
    return f"{often or 'played'}, last {f'{days} days ago' if days > 1 else 'lately'}"


def tell_field(name: str, value: Any) -> str:
    """Return what the field says by which a list is sorted."""
    words = name.replace("_", " ")
    if value is None:
        return f"{words} unknown"
    if FIELDS[name].sort == "flag":
        return words if value else f"not {words}"
    if FIELDS[name].sort == "date":
        return f"{words} {value:%d %B %Y}"
    if FIELDS[name].sort == "length":
        return f"{words} {value / 60:.1f} min"
    if FIELDS[name].sort == "bytes":
        return f"{words} {value / 1e6:.1f} MB"
    return f"{words} {value:g}" if isinstance(value, int | float) else f"{words} {value}"
