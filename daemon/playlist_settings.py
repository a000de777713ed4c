"""The settings of smart playlists: what is on them, in which order, and where they are written."""

import re
from typing import Annotated, Literal

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, BeforeValidator, Field

from connectors.base import Kind
from daemon.options import Section
from daemon.rules import format_order, format_rule, parse_order, parse_rule
from daemon.rules.parsing import LARGEST
from daemon.rules.tree import Order, Rule, walk

MOST_ITEMS = 100_000
"""Of a list; players give up far below."""


def _limit(value: object) -> str:
    amount, unit = parse_limit(str(value))
    if unit == "items" and not (amount.is_integer() and amount <= MOST_ITEMS):
        raise ValueError(f"should be a whole number of items, at most {MOST_ITEMS}")
    if amount > LARGEST:
        raise ValueError("is too large")
    return str(value)


def parse_limit(text: str) -> tuple[float, Literal["items", "seconds", "bytes"]]:
    """Turn `60 tracks`, `3 h` or `2 GB` into an amount and what it counts."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not match or not float(match[1]):
        raise ValueError("should be an amount such as 60 tracks, 3 h or 2 GB")
    amount, unit = float(match[1]), match[2].lower()
    if unit in ("", "items", "tracks", "pictures", "videos", "texts"):
        return amount, "items"
    if unit in ("h", "min"):
        return amount * (3600 if unit == "h" else 60), "seconds"
    if unit in ("gb", "mb"):
        return amount * (1e9 if unit == "gb" else 1e6), "bytes"
    raise ValueError(f"should be in tracks, items, h, min, GB or MB, not {match[2]}")


WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
BY_HAND = "by hand"


def _refresh(text: str) -> str:
    words = " ".join(text.lower().split())
    if words not in ("", BY_HAND):
        parse_refresh(words)
    return words


def parse_refresh(text: str) -> CronTrigger:
    """Turn `daily 06:00` or `weekly sun 18:30` into its times, in local time."""
    match = re.fullmatch(
        rf"(?:daily|weekly ({'|'.join(WEEKDAYS)})) ([01]?\d|2[0-3]):([0-5]\d)", text
    )
    if not match:
        raise ValueError("should be daily 06:00, weekly sun 18:30, or by hand")
    day, hour, minute = match.groups()
    return CronTrigger(day_of_week=day, hour=int(hour), minute=int(minute))


def _rule(text: str) -> str:
    written = format_rule(parse_rule(text))
    parse_rule(written)  # what is kept is read again: it may not have grown too long
    return written


def _order(text: str) -> str:
    return format_order(parse_order(text))


def _share(value: object) -> object:
    """Turn 30% into 0.3."""
    if isinstance(value, str) and value.strip().endswith("%"):
        try:
            return float(value.strip()[:-1]) / 100
        except ValueError:
            raise ValueError("should be a share such as 30% or 0.3") from None
    return value


class VarietySettings(Section):
    """What keeps a list from being more of the same; 0 means no matter."""

    per_artist: int = Field(default=0, ge=0)
    """How many by one artist at most."""

    per_album: int = Field(default=0, ge=0)
    """How many of one album, or of one series, at most."""

    per_genre: int = Field(default=0, ge=0)
    """How many of one genre at most, by the first that an item has."""

    distance: float = Field(default=0.0, ge=0, le=1)
    """How far neighbours lie apart at least: 0.1 a little, 0.5 a lot."""

    fresh: Annotated[float, BeforeValidator(_share)] = Field(default=0.0, ge=0, le=1)
    """How much of it was on none of the last three editions, such as 30%."""

    unsure: float = Field(default=0.0, ge=0, le=2)
    """How far surprises are let in: each prediction counts as higher by this many of its standard
    deviations."""

    temperature: float = Field(default=1.0, ge=0.1, le=10)
    """How much chance a radio has: below 1 what is likely comes sooner, above 1 all come alike."""


class PlaylistSettings(Section):
    """One smart playlist."""

    name: str = Field(min_length=1, max_length=120)
    """What it is called; also the name of its file."""

    profile: str = ""
    """Whose taste it follows; without one, the first profile's."""

    kind: Kind = "music"
    """Which items are on it."""

    where: Annotated[str, AfterValidator(_rule)] = ""
    """Which of them, as a rule: `predicted >= 7.5 and not genre = "Christmas"`. See the wiki."""

    order: Annotated[str, AfterValidator(_order)] = "predicted"
    """Best first (predicted), or another: radio, newest, similar to "…", chain from "…", any
    field. See the wiki."""

    variety: VarietySettings = VarietySettings()
    """What keeps a list from being more of the same."""

    unrated: bool | None = None
    """Only what has no rating by the person. Without a word: yes for predicted, no for radio."""

    limit: Annotated[str, BeforeValidator(_limit)] = "60 tracks"
    """How long: a number of tracks (or items), hours (3 h), or bytes (2 GB)."""

    refresh: Annotated[str, AfterValidator(_refresh)] = ""
    """When it is written anew: `daily 06:00`, `weekly sun 18:30` or `by hand`. Without a word: with
    the nightly run and at schedule.refresh_playlists."""

    untrusted: bool = False
    """Whether to write it even while the predictions do not beat the person's mean."""

    public: bool = False
    """Whether all users of a server see it, where the server knows such playlists."""

    about: str = Field(default="", max_length=500)
    """What servers show as its description, where they can."""

    write_to: tuple[str, ...] = ()
    """Names of servers, and folders for its M3U8 file; without any, `playlists` in the data
    folder."""

    @property
    def only_unrated(self) -> bool:
        """Tell whether rated items are left out."""
        if self.unrated is not None:
            return self.unrated
        return self.order == "predicted" and not self.asks("rating", "rated", "unrated")

    @property
    def rule(self) -> Rule:
        """`where`, understood."""
        return parse_rule(self.where)

    @property
    def ordering(self) -> Order:
        """`order`, understood."""
        return parse_order(self.order)

    def asks(self, *fields: str) -> bool:
        """Tell whether the rule speaks of any of the fields."""
        return any(getattr(part, "field", "") in fields for part in walk(self.rule))
