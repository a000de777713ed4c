"""Where media come from: one module or folder a kind of source, behind one protocol."""

from connectors.folder.settings import FolderSettings
from connectors.server_settings import (
    JellyfinSettings,
    PlexSettings,
    ServerSettings,
    SubsonicSettings,
)

SourceSettings = FolderSettings | JellyfinSettings | PlexSettings | SubsonicSettings
"""The settings of any source, told apart by `kind`."""

__all__ = [
    "FolderSettings",
    "JellyfinSettings",
    "PlexSettings",
    "ServerSettings",
    "SourceSettings",
    "SubsonicSettings",
]
