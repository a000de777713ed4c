"""Holds requests against the community's description of the API, where it lies beside the checkout.

It describes JSON, and less than servers take, so it is a hint: methods, paths and names of
parameters are compared, and what is known to be missing is listed here with the reason.
"""

import functools
import re
from typing import Any

import yaml

from tests.stand_ins.openapi import DESCRIPTIONS
from tests.stand_ins.plex.calls import LESS, RELOAD, Route

NAME = "plex-openapi.yaml"

ROUTES_LACKED = {
    ("GET", "/accounts"): "plexapi's systemAccounts",
    ("GET", "/library"): "plexapi's library",
    ("GET", "/library/sections"): "plexapi's library.sections",
    ("GET", "/library/metadata/{id}/children"): "plexapi's albums, tracks, seasons, photos",
    (
        "GET",
        "/:/scrobble",
    ): "plexapi's markPlayed; the description says in words that GET is answered",
    ("GET", "/:/unscrobble"): "plexapi's markUnplayed; as scrobble",
    ("GET", "/:/progress"): "plexapi's updateProgress",
}
"""Operations that servers have and the description lacks, and who relies on them."""

NAMES_LACKED = {
    ("GET", "/library/sections/{section}/all"): (
        f"{LESS} includeAdvanced includeCollections includeExternalMedia",
        "plexapi's search; the description names the first four in words, for histories",
    ),
    ("GET", "/library/sections/{section}/collections"): (
        f"{LESS} includeGuids includeMeta includeAdvanced includeCollections includeExternalMedia",
        "plexapi's search asks what can be filtered",
    ),
    ("GET", "/library/metadata/{ids}"): (RELOAD, "plexapi's reload"),
    ("GET", "/library/metadata/{id}/allLeaves"): (
        f"{LESS} includeGuids",
        "plexapi's episodes and tracks",
    ),
    ("GET", "/status/sessions/history/all"): (
        f"{LESS} viewedAt> viewedAt< viewedAt>> viewedAt<<",
        "named in the description's words only",
    ),
    ("GET", "/playlists"): (
        f"{LESS} title sort sectionID type",
        "plexapi's playlists and optimizedItems",
    ),
    ("POST", "/playlists"): ("type title smart", "plexapi's createPlaylist"),
    ("GET", "/playlists/{id}"): (RELOAD, "plexapi's reload"),
    ("PUT", "/playlists/{id}"): (
        "title summary title.value title.locked summary.value summary.locked",
        "edited 'in the same manner as metadata', whose names are not listed",
    ),
    ("GET", "/playlists/{id}/items"): (f"includeGuids {LESS}", "plexapi's items"),
}
"""Names of the query that servers take and the description lacks."""


class Description:
    """The described operations: method and path to the names of their queries."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._shared = document["components"]["parameters"]
        self._operations: dict[tuple[str, str], tuple[set[str], bool]] = {}
        for path, operations in document["paths"].items():
            common = operations.get("parameters", [])
            for method, operation in operations.items():
                if isinstance(operation, dict):
                    parameters = [*common, *operation.get("parameters", [])]
                    key = (method.upper(), _nameless(path))
                    self._operations[key] = self._names(parameters)

    def _names(self, parameters: list[dict[str, Any]]) -> tuple[set[str], bool]:
        """Return the names, and whether it takes media queries."""
        full = [self._shared[p["$ref"].rsplit("/")[-1]] if "$ref" in p else p for p in parameters]
        names = {parameter["name"] for parameter in full if parameter["in"] == "query"}
        takes_filters = "mediaQuery" in names
        if takes_filters:
            names |= {"type", "sourceType", "sort", "group", "limit"}
        return names, takes_filters

    def refuse(self, route: Route, names: set[str]) -> str:
        """Return why the description does not allow a request that the stand-in knows, or ""."""
        key = (route.method, route.template)
        found = self._operations.get((route.method, _nameless(route.template)))
        if found is None:
            return "" if key in ROUTES_LACKED else f"{' '.join(key)} is not described"
        known, takes_filters = found
        if takes_filters and route.takes_filters:
            names = names & route.names  # what is left are conditions on fields
        lacked = set(NAMES_LACKED.get(key, ("",))[0].split())
        unknown = sorted(n for n in names - known - lacked if not n.startswith("X-Plex-"))
        return f"{' '.join(key)} has no parameters {', '.join(unknown)}" if unknown else ""


@functools.cache
def load() -> Description | None:
    """Read the description; None where it does not lie beside the checkout."""
    path = DESCRIPTIONS / NAME
    if not path.is_file():
        return None
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return Description(yaml.load(path.read_bytes(), loader))


def _nameless(template: str) -> str:
    return re.sub(r"\{[^}]+\}", "{}", template)
