"""Reads the .nfo files that Kodi, Jellyfin and their helpers write beside media.

The format: https://kodi.wiki/view/NFO_files. One element of XML, for several episodes in a file
several, or none but an address at a provider; an address may also follow the XML.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connectors.base import UnreadableFile
from connectors.folder import ratings
from connectors.folder.bounds import MOST, number, year_of
from connectors.folder.plaintext import decode

LARGEST = 1 << 20
"""Bytes of a file that are read."""

_ROOTS = ("movie", "episodedetails", "tvshow", "album", "artist", "musicvideo", "video", "song")


@dataclass(slots=True)
class Nfo:
    """What one file says; names of `Metadata` to what may be out of bounds."""

    root: str = ""
    """The name of the element: movie, episodedetails, tvshow, album, artist, …"""
    values: dict[str, Any] = field(default_factory=dict)
    rating: float | None = None
    """The person's own word, 0 to 10 (<userrating>)."""


def read_nfo_file(path: bytes) -> Nfo:
    """Read one file; an empty answer where there is nothing to understand in it."""
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST)
    except OSError:
        return Nfo()
    return parse_nfo(content)


def parse_nfo(content: bytes) -> Nfo:
    """Understand the content of a file as far as it goes."""
    elements = _elements(content)
    if not elements:
        provider_ids = _ids_in_addresses(content)
        return Nfo(values={"provider_ids": provider_ids} if provider_ids else {})
    first = elements[0]
    nfo = Nfo(str(first.tag), _values(first), _user_rating(first))
    if len(elements) > 1:  # a file with two episodes is neither of the two
        nfo.values["provider_ids"] = {}
        nfo.values["title"] = " / ".join(_text(element, "title") for element in elements[:MOST])
        plots = (_text(element, "plot") for element in elements[:MOST])
        nfo.values["overview"] = "\n\n".join(plot for plot in plots if plot)
    return nfo


_DECLARATION = re.compile(r"<\?xml[^>]*\?>|<!DOCTYPE[^>\[]*>", re.IGNORECASE)
_BARE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9a-fA-F]{1,6});)")


def _elements(content: bytes) -> list[Element]:
    """Return the root elements; none where there is no XML that can be mended."""
    try:
        text = _text_of(content)
    except (UnreadableFile, ValueError, LookupError):
        return []
    text = _DECLARATION.sub("", text)
    ends = [text.rfind(f"</{root}>") + len(root) + 3 for root in _ROOTS if f"</{root}>" in text]
    start = text.find("<")
    if not ends or start < 0:
        return []
    body = text[start : max(ends)]
    for mended in (body, _BARE_AMPERSAND.sub("&amp;", body)):
        try:
            wrapped = fromstring(f"<all>{mended}</all>")
        except (ParseError, DefusedXmlException, ValueError):
            continue
        return [element for element in wrapped if element.tag in _ROOTS]
    return []


def _text_of(content: bytes) -> str:
    match = re.match(rb"\s*<\?xml[^>]{0,100}encoding=[\"']([\w.-]{1,40})[\"']", content)
    if match and match[1].lower() not in (b"utf-8", b"utf-16"):
        return content.decode(match[1].decode(), "replace")
    return decode(content)


_ADDRESSES = (
    ("imdb", re.compile(rb"imdb\.com/(?:[a-z]{2}/)?title/(tt\d{5,10})")),
    ("tmdb", re.compile(rb"themoviedb\.org/movie/(\d{1,10})")),
    ("tmdb_tv", re.compile(rb"themoviedb\.org/tv/(\d{1,10})")),
    ("tvdb", re.compile(rb"thetvdb\.com/\S{0,100}[?&/](?:id=|series/)(\d{1,10})")),
)


def _ids_in_addresses(content: bytes) -> dict[str, str]:
    found = ((provider, regex.search(content)) for provider, regex in _ADDRESSES)
    return {provider: match[1].decode() for provider, match in found if match}


def _text(element: Element, *names: str) -> str:
    """Return the first text that is not empty under one of the names."""
    for name in names:
        text = (element.findtext(name) or "").strip()
        if text:
            return text
    return ""


def _texts(element: Element, *names: str) -> list[str]:
    """Return all texts under the names; some writers put several into one, by slashes."""
    found = []
    for name in names:
        for child in element.findall(name)[:MOST]:
            found += [part.strip() for part in (child.text or "").split(" / ")]
    return found


def _values(element: Element) -> dict[str, Any]:
    rating, votes = _community_rating(element)
    actors = [_text(actor, "name") for actor in element.findall("actor")[:MOST]]
    is_music = element.tag in ("album", "artist", "song")
    artist_names = _texts(element, "artist") or [
        _text(credit, "artist") for credit in element.findall("albumArtistCredits")[:MOST]
    ]
    directors = _texts(element, "director")
    return {
        "title": _text(element, "title", "name"),
        "artists": artist_names if is_music or element.tag == "musicvideo" else directors,
        "series": _text(element, "showtitle", "set/name"),
        "album": _text(element, "album") if element.tag == "musicvideo" else "",
        "season": _text(element, "season"),
        "episode": _text(element, "episode"),
        "genres": _texts(element, "genre", "style"),
        "keywords": _texts(element, "tag", "theme", "mood"),
        "people": directors + _texts(element, "credits", "writer") + ([] if is_music else actors),
        "studios": _texts(element, "studio", "label"),
        "year": year_of(_text(element, "year", "premiered", "releasedate", "aired")),
        "overview": _text(element, "plot", "review", "biography", "outline"),
        "community_rating": rating,
        "votes": votes,
        "provider_ids": _provider_ids(element),
        "extra": _extra(element),
    }


def _extra(element: Element) -> dict[str, str]:
    labels = {
        "tagline": "Tagline", "country": "Country", "mpaa": "Certification",
        "originaltitle": "Original title", "status": "Status",
    }  # fmt: skip
    return {label: text for name, label in labels.items() if (text := _text(element, name))}


def _community_rating(element: Element) -> tuple[float | None, int | None]:
    """Return the rating, 0 to 10, and its votes: of <ratings> the default's, else the first."""
    entries = element.findall("ratings/rating")[:MOST]
    entries.sort(key=lambda entry: entry.get("default", "").lower() != "true")
    for entry in entries:
        rating = _scaled(_text(entry, "value"), entry.get("max"))
        if rating:
            return rating, _count(_text(entry, "votes"))
    old = element.find("rating")
    if old is None:
        return None, None
    rating = _scaled(old.text or "", old.get("max"))
    return (rating, _count(old.get("votes") or _text(element, "votes"))) if rating else (None, None)


def _scaled(text: str, maximum: str | None) -> float | None:
    """Return a rating from 0 to `maximum` as one to 10."""
    value: float | None = number(text.strip().replace(",", "."), 0.0, 1000.0)
    highest: float = number(maximum or 10, 1.0, 1000.0) or 10.0
    if value is None or value > highest:
        return None
    return round(value * 10 / highest, 4)


def _count(text: str) -> int | None:
    digits = re.sub(r"[,.'\s]", "", text)
    return int(digits) if digits.isdigit() and len(digits) < 13 else None


_OLD_IDS = {
    "imdbid": "imdb", "imdb_id": "imdb", "tmdbid": "tmdb", "tvdbid": "tvdb", "id": "imdb",
    "musicbrainztrackid": "musicbrainz_recording",
}  # fmt: skip


def _provider_ids(element: Element) -> dict[str, str]:
    """Return provider ids by <uniqueid type=…> and by the older elements."""
    found: dict[str, str] = {}
    for child in element.findall("uniqueid")[:MOST]:
        provider, value = child.get("type", "").lower(), (child.text or "").strip()
        if provider and provider != "unknown" and value:
            found.setdefault(provider, value)
    for name, provider in _OLD_IDS.items():
        value = _text(element, name)
        if value and (provider != "imdb" or re.fullmatch(r"tt\d+", value)):
            found.setdefault(provider, value)
    return found


def _user_rating(element: Element) -> float | None:
    return ratings.from_user_rating(_text(element, "userrating"))
