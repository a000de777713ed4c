"""A small real HTTP server that keeps state and speaks Jellyfin's protocol, for tests.

`server.FakeJellyfin` is what to use; `quirks.Quirks` lists the switches.
"""

from tests.stand_ins.jellyfin.quirks import VERSIONS, Quirks
from tests.stand_ins.jellyfin.server import FakeJellyfin

__all__ = ["VERSIONS", "FakeJellyfin", "Quirks"]
