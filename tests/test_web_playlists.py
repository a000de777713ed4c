"""The Playlists pages and their API, over a server and a file."""

from collections.abc import AsyncIterator

import pytest
from aiohttp.test_utils import TestClient

from daemon.services import Services
from daemon.store.models import public_id
from tests.household import Household, find_items, run_step
from tests.servers import furnish, living_with, radio
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.web_client import open_client

Site = tuple[Services, TestClient, FakeJellyfin]


@pytest.fixture
async def site(household: Household) -> AsyncIterator[Site]:
    household.also(playlists=(radio(name="Mein Radio & mehr"),))
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with living_with(household, jellyfin) as services:
            await run_step(services, "sync")
            async with open_client(services) as client:
                yield services, client, jellyfin


NAME = "/playlists/Mein%20Radio%20%26%20mehr"


async def test_the_page_previews_writes_and_brings_back(site: Site) -> None:
    _, client, jellyfin = site
    text = await (await client.get("/playlists")).text()
    assert "Mein Radio &amp; mehr" in text
    text = await (await client.get(NAME)).text()
    assert "would be written" in text
    assert not jellyfin.playlists
    text = await (await client.post(f"{NAME}/write")).text()
    assert "6 entries" in text
    assert len(jellyfin.playlist_items("Mein Radio & mehr")) == 6
    jellyfin.empty_playlist("Mein Radio & mehr")
    answer = await client.post(f"{NAME}/restore", data={"edition": "1"})
    assert answer.status == 200
    assert len(jellyfin.playlist_items("Mein Radio & mehr")) == 6
    assert (await client.post(f"{NAME}/restore", data={"edition": "99"})).status == 404
    assert (await client.get("/playlists/nothing")).status == 404


async def test_the_api_does_the_same(site: Site) -> None:
    _, client, _ = site
    preview = await (await client.post(f"/api{NAME}/preview")).json()
    assert preview["receipts"][0]["added"] == 6
    written = await (await client.post(f"/api{NAME}/write")).json()
    (receipt,) = written["receipts"]
    assert receipt["state"] == "written"
    assert receipt["read_back"] == [entry["id"] for entry in receipt["entries"]]
    (row,) = (await (await client.get("/api/playlists")).json())["playlists"]
    assert row["editions"][0]["length"] == 6
    restored = await client.post(f"/api{NAME}/restore?edition={row['editions'][0]['edition']}")
    assert (await restored.json())["receipts"][0]["state"] == "unchanged"
    assert (await client.post(f"/api{NAME}/restore?edition=x")).status == 422


async def test_a_favourite_is_kept_and_shown(site: Site) -> None:
    services, client, _ = site
    item = public_id((await find_items(services))[0].id)
    assert (await client.put(f"/api/items/{item}/favourite")).status == 200
    assert "♥ Favourite" in await (await client.get(f"/items/{item}")).text()
    assert (await client.delete(f"/api/items/{item}/favourite")).status == 200
    assert "♡" in await (await client.get(f"/items/{item}")).text()
    assert (await client.put("/api/items/77/favourite")).status == 404


async def test_media_of_a_server_come_through_the_daemon_in_parts(site: Site) -> None:
    services, client, jellyfin = site
    item = public_id((await find_items(services))[0].id)
    answer = await client.get(f"/media/{item}", headers={"Range": "bytes=0-9"})
    assert (answer.status, answer.headers["Content-Range"][:10]) == (206, "bytes 0-9/")
    body = await answer.read()
    assert jellyfin.url.encode() not in body
    assert (await client.get(f"/thumbnail/{item}")).status in (200, 204)
