"""Servers that speak the Subsonic API, by a small tolerant client of ours on aiohttp.

The libraries for it crash on what real servers leave out, or send as another type.
"""

from connectors.subsonic.connector import SubsonicServer

__all__ = ["SubsonicServer"]
