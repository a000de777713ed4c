"""What an operator says about a mounted folder."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from connectors.base import Kind


class FolderSettings(BaseModel):
    """One mounted folder; everything in it is of one kind."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    kind: Literal["folder"] = "folder"
    """The kind of source."""

    name: str
    """What the folder is called in pages, logs and playlists."""

    media: Kind
    """The kind of the items in it: music, images, videos or text."""

    path: Path
    """Where it is mounted. It may be read-only."""

    ignore: tuple[str, ...] = ()
    """Patterns of files and folders to leave out, as in .gitignore."""
