"""Where media come from: one module or folder a kind of source, behind `connectors.base`."""

from connectors.folder.settings import FolderSettings

SourceSettings = FolderSettings
"""The settings of any source; media servers will make this a union told apart by `kind`."""

__all__ = ["FolderSettings", "SourceSettings"]
