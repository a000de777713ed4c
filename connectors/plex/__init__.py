"""Plex, on plexapi."""

import os

# Else reading an attribute that is empty fetches the item again, once for each.
os.environ.setdefault("PLEXAPI_PLEXAPI_AUTORELOAD", "false")

from connectors.plex.connector import PlexServer  # after the variable is set

__all__ = ["PlexServer"]
