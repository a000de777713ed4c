"""The fields that rules can speak of."""

from dataclasses import dataclass
from typing import Literal

Sort = Literal["text", "list", "number", "length", "bytes", "date", "kind", "flag"]

OPERATORS: dict[Sort, tuple[str, ...]] = {
    "text": ("=", "!=", "contains", "starts with", "ends with"),
    "list": ("=", "!=", "contains", "starts with", "ends with"),
    "number": ("=", "!=", "<", "<=", ">", ">="),
    "length": ("=", "!=", "<", "<=", ">", ">="),
    "bytes": ("=", "!=", "<", "<=", ">", ">="),
    "date": ("<", "<=", ">", ">="),
    "kind": ("=", "!="),
    "flag": (),
}

EXAMPLES: dict[Sort, str] = {
    "text": 'text, such as "Tracy Chapman"',
    "list": 'text, such as "Jazz"',
    "number": "a number, such as 7.5",
    "length": "a length, such as 4 min",
    "bytes": "a size, such as 20 MB",
    "date": "a day or an age, such as 2026-01-31 or 30 days ago",
    "kind": "music, images, videos or text",
    "flag": "nothing: it is yes or no by itself",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field, of one sort, and what it says."""

    name: str
    sort: Sort
    about: str


FIELDS = {
    field.name: field
    for field in (
        Field("kind", "kind", "music, images, videos or text"),
        Field("title", "text", "the title"),
        Field("artist", "list", "who made it; any of several"),
        Field("album", "text", "the album"),
        Field("album_artist", "text", "whose album it is"),
        Field("genre", "list", "the genres"),
        Field("tag", "list", "keywords and tags"),
        Field("person", "list", "directors, actors, writers, composers, photographers"),
        Field("studio", "list", "studios and labels"),
        Field("series", "text", "the series of an episode"),
        Field("season", "number", "the season of an episode"),
        Field("episode", "number", "the episode within its season"),
        Field("disc", "number", "the disc within its album"),
        Field("track", "number", "the track within its disc"),
        Field("year", "number", "the year it came out"),
        Field("duration", "length", "how long it plays"),
        Field("size", "bytes", "how large its file is"),
        Field("width", "number", "pixels across"),
        Field("height", "number", "pixels down"),
        Field("language", "text", "the language, as its file or server says"),
        Field("community_rating", "number", "what others think, 0 to 10"),
        Field("votes", "number", "how many others"),
        Field("description", "text", "all words about it, by whomever"),
        Field("lyrics", "text", "what is sung"),
        Field("detail", "list", 'what else its file says, such as "camera: Pentax K-1"'),
        Field("provider_id", "list", 'what others know it by, such as "imdb: tt0111161"'),
        Field("path", "text", "the path below its folder, or on the server"),
        Field("source", "list", "the folder or server it is in, by its name"),
        Field("library", "list", "the library on the server"),
        Field("copies", "number", "in how many places it is"),
        Field("added", "date", "when it was first seen"),
        Field("modified", "date", "when its file was last changed"),
        Field("rating", "number", "the person's rating, 0 to 10"),
        Field("rated_at", "date", "when the person rated it"),
        Field("predicted", "number", "what the person would probably rate it"),
        Field("uncertainty", "number", "how unsure the prediction is, in rating points"),
        Field("plays", "number", "how often it was heard or watched to its end"),
        Field("skips", "number", "how often it was skipped"),
        Field("abandoned", "number", "how often it was left before its end"),
        Field("first_played", "date", "when it was first played at all"),
        Field("last_played", "date", "when it was last played at all"),
        Field("rated", "flag", "the person has rated it"),
        Field("unrated", "flag", "the person has not"),
        Field("played", "flag", "it was played at least once"),
        Field("unplayed", "flag", "it was never played"),
        Field("unfinished", "flag", "when it was last played, it was left before its end"),
        Field("favourite", "flag", "the person's favourite"),
    )
}

SORTABLE = tuple(name for name in FIELDS if name != "description")
"""Fields that an order can go by; a list goes by its first."""
