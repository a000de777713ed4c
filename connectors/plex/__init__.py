"""Plex, on plexapi."""

import os

# plexapi reads these once, when it is imported. An attribute that is empty must not fetch its item
# again (once for each), and nobody's ~/.config/plexapi may turn on a log file or other headers.
os.environ["PLEXAPI_PLEXAPI_AUTORELOAD"] = "false"
os.environ.setdefault("PLEXAPI_CONFIG_PATH", os.devnull)

from connectors.plex.connector import PlexServer  # after the variables are set

__all__ = ["PlexServer"]
