"""Households with media servers: a stand-in or a real one, and people who are signed in there."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from connectors.server import Account
from connectors.server_settings import JellyfinSettings
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.receipt import Receipt
from daemon.playlists.reconciler import reconcile
from daemon.servers import make_server
from daemon.services import Services
from tests.household import Household
from tests.stand_ins.jellyfin import FakeJellyfin

DAY = date(2026, 11, 23)
QUICK: dict[str, Any] = {"timeout": (1.0, 0.5), "longest": 2.0, "first_pause": 0.01}


def furnish(jellyfin: FakeJellyfin, count: int = 6, **more: Any) -> list[str]:
    """Add a user and a library of tracks that differ in all."""
    jellyfin.add_user("Anna", "secret", is_admin=more.pop("is_admin", False))
    library = jellyfin.add_library("Music", "music", "/media/music")
    return [
        jellyfin.add_item(
            library, "Audio", f"Track {n:05}", f"/media/music/{n:05}.flac", runtime=60.0 + n,
            size=1000 + n, artists=("Band",), **more,
        )
        for n in range(count)
    ]  # fmt: skip


def jellyfin_settings(jellyfin: FakeJellyfin, **more: Any) -> JellyfinSettings:
    """Return the settings of a stand-in with one profile, `me`, who is Anna there."""
    return JellyfinSettings(
        kind="jellyfin", name="Home", url=jellyfin.url, users={"me": "Anna"}, **more
    )


async def connect(services: Services, name: str, password: str = "secret") -> Account:
    """Sign `me` in, as `connect` does."""
    settings = services.servers.settings_of(name)
    async with make_server(settings, [], services.servers.instance()) as server:
        account = await server.sign_in("me", settings.users["me"], password)
    services.servers.save_account(name, account)
    return account


@asynccontextmanager
async def living_with(
    household: Household, jellyfin: FakeJellyfin, **more: Any
) -> AsyncIterator[Services]:
    """Yield the services of a household that is connected with a stand-in."""
    household.also(servers=[jellyfin_settings(jellyfin, **more)])
    async with household.open() as services:
        await connect(services, "Home")
        yield services


def radio(**more: Any) -> PlaylistSettings:
    """Return a playlist that needs no predictions."""
    values = {"name": "Radio", "order": "radio", "write_to": ("Home",), **more}
    return PlaylistSettings(**values)


async def write(
    services: Services, *, day: date = DAY, revive: bool = False, **more: Any
) -> Receipt:
    """Write the radio; return its one receipt."""
    (receipt,) = await reconcile(services, radio(**more), day, revive=revive)
    return receipt


def writes(requests: Sequence[Any]) -> list[str]:
    """Return what was asked beside reading."""
    return [f"{r[0]} {r[1]}" for r in requests if r[0] not in ("GET", "HEAD")]
