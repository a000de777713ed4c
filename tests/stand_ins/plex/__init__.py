"""A small real HTTP server that keeps state and speaks Plex Media Server's protocol, for tests.

`server.FakePlex` is what to use; `quirks.Quirks` lists the switches.
"""

from tests.stand_ins.plex.quirks import Quirks
from tests.stand_ins.plex.server import FakePlex

__all__ = ["FakePlex", "Quirks"]
