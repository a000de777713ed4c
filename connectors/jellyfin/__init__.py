"""Jellyfin, on jellyfin-apiclient-python with its HTTP class replaced by a strict one."""

from connectors.jellyfin.connector import JellyfinServer

__all__ = ["JellyfinServer"]
