"""The Playlists pages and their API, over a server and a file."""

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest
from aiohttp.test_utils import TestClient
from yarl import URL

from daemon.playlists.shelf import (
    READY,
    find_playlist,
    find_playlists,
    keep_playlist,
    ready_playlists,
)
from daemon.services import Services
from daemon.store.models import public_id
from daemon.store.smart_playlists import find_smart_playlists, save_smart_playlist
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
    assert "From the settings file." in text
    assert "Change it" not in text
    assert not jellyfin.playlists
    text = await (await client.post(f"{NAME}/write")).text()
    assert "6 entries" in text
    assert len(jellyfin.playlist_items("Mein Radio & mehr")) == 6
    jellyfin.empty_playlist("Mein Radio & mehr")
    answer = await client.post(f"{NAME}/restore", data={"edition": "1"})
    assert answer.status == 200
    assert len(jellyfin.playlist_items("Mein Radio & mehr")) == 6
    assert (await client.post(f"{NAME}/restore", data={"edition": "99"})).status == 404
    for receipts in ("write", "restore"):  # opened anew by a browser that comes back
        again = await client.get(f"{NAME}/{receipts}")
        assert (again.status, again.url.path) == (200, "/playlists/Mein Radio & mehr")
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


async def test_a_playlist_is_made_tried_kept_changed_and_switched_off(site: Site) -> None:
    services, client, jellyfin = site
    form = {"name": "Mine", "kind": "music", "where": "duration > 63 s", "order": "duration desc",
            "limit": "2 tracks", "write_to": "Home"}  # fmt: skip
    text = await (await client.post("/playlist-editor", data=form | {"try": ""})).text()
    assert text.index("Track 00005") < text.index("Track 00004")
    assert "Track 00003" not in text
    assert not jellyfin.playlists
    answer = await client.post("/playlist-editor", data=form | {"where": "lenght > 3", "try": ""})
    assert answer.status == 422
    text = await answer.text()
    assert "where: column 1: there is no field lenght; did you mean" in text
    assert "lenght &gt; 3" in text  # what was typed is not lost
    answer = await client.post("/playlist-editor", data=form | {"keep": ""})
    assert answer.url.path == "/playlists/Mine"
    text = await answer.text()
    assert "where <code>duration &gt; 63 s" in text
    assert 'href="/playlist-editor?name=Mine">Change it' in text
    assert await run_step(services, "playlists")
    assert jellyfin.playlist_items("Mine") != []
    text = await (await client.get("/playlist-editor?name=Mine")).text()
    assert "duration &gt; 63 s" in text
    answer = await client.post(
        "/playlist-editor",
        data=form | {"name": "Mein Radio & mehr", "was": "Mein Radio & mehr", "keep": ""},
    )
    assert "in the settings file" in await answer.text()
    await client.post("/playlists/Mine/off")
    assert (await client.get("/playlists/Mine")).status == 404
    assert jellyfin.playlist_items("Mine") != []


async def test_the_editor_loses_nothing_that_it_does_not_show(site: Site) -> None:
    services, client, _ = site
    made = {"name": "AC/DC? 100 %", "order": "title", "unrated": True, "public": True,
            "profile": "me", "refresh": "by hand"}  # fmt: skip
    assert (await client.post("/api/playlists", json=made)).status == 201
    text = await (await client.get("/playlists")).text()
    (path,) = re.findall(r'href="(/playlists/AC[^"]*)"', text)
    assert "AC/DC? 100 %" in await (await client.get(URL(path, encoded=True))).text()
    (path,) = re.findall(r'href="(/playlist-editor\?name=AC[^"]*)"', text)
    text = await (await client.get(URL(path, encoded=True))).text()
    assert 'name="was" value="AC/DC? 100 %"' in text
    form = {"name": "AC/DC? 100 %", "kind": "music", "order": "title", "limit": "5 tracks",
            "keep": ""}  # fmt: skip
    answer = await client.post("/playlist-editor", data=form)
    assert answer.status == 422  # somebody else's: not made new over it
    assert "There is a playlist AC/DC? 100 %: take another name" in await answer.text()
    answer = await client.post("/playlist-editor", data=form | {"was": "AC/DC? 100 %"})
    assert answer.status == 200
    kept = await find_playlist(services, "AC/DC? 100 %")
    assert kept is not None
    assert (kept.limit, kept.unrated, kept.public, kept.profile) == ("5 tracks", True, True, "me")
    assert kept.refresh == ""  # what the form shows is as it says


async def test_ready_made_rules_are_off_until_switched_on(site: Site) -> None:
    services, client, _ = site
    assert [p.name for p in await find_playlists(services)] == ["Mein Radio & mehr"]
    ready = await ready_playlists(services)
    assert len(ready) == len(READY)
    for each in ready:
        answer = await client.post(f"/playlists/{quote(each.name)}/on", allow_redirects=False)
        assert answer.status == 303
    assert await ready_playlists(services) == []
    on = {each.name: each for each in await find_playlists(services)}
    assert all(on[each.name] == each for each in ready)
    assert (await client.post("/playlists/Nothing/on")).status == 404
    text = await (await client.get("/playlists")).text()
    assert text.count("Switch it off") == len(READY)


async def test_what_is_switched_off_comes_back_as_it_was(site: Site) -> None:
    services, client, _ = site
    made = {"name": "Mine", "order": "title asc", "unrated": True, "refresh": "by hand"}
    assert (await client.post("/api/playlists", json=made)).status == 201
    before = await find_playlist(services, "Mine")
    text = await (await client.post("/playlists/Mine/off")).text()
    assert "Remove it" in text
    assert await find_playlist(services, "Mine") is None
    form = {"name": "Mine", "kind": "music", "keep": ""}
    answer = await client.post("/playlist-editor", data=form)
    assert "There is a playlist Mine: take another name" in await answer.text()
    async with services.database.read() as session:
        (row,) = await find_smart_playlists(session)
    assert row.settings == {**made, "off": True}
    text = await (await client.post("/playlists/Mine/on")).text()
    assert "Remove it" not in text
    assert await find_playlist(services, "Mine") == before
    await client.post("/playlists/Mine/off")
    answer = await client.post(  # or it is changed and so switched on
        "/playlist-editor", data=form | {"order": "year asc", "was": "Mine"}
    )
    assert answer.status == 200
    kept = await find_playlist(services, "Mine")
    assert (kept and kept.order, kept and kept.unrated) == ("year asc", True)
    assert (await client.post("/playlists/Mine/remove")).status == 409  # it is on
    await client.post("/playlists/Mine/off")
    assert (await client.post("/playlists/Mine/remove")).status == 200
    assert (await client.post("/playlists/Mine/on")).status == 404


async def test_a_changed_ready_made_rule_is_kept_too(site: Site) -> None:
    services, client, _ = site
    for order, is_ready in (("rediscover", True), ("rating desc", False)):
        await client.post("/playlists/Rediscover/on")
        kept = await find_playlist(services, "Rediscover")
        assert kept is not None
        await keep_playlist(services, kept.model_copy(update={"order": order}))
        text = await (await client.post("/playlists/Rediscover/off")).text()
        assert ("Remove it" not in text) == is_ready
        assert (
            any(each.name == "Rediscover" for each in await ready_playlists(services)) == is_ready
        )
    await client.post("/playlists/Rediscover/on")
    kept = await find_playlist(services, "Rediscover")
    assert kept is not None
    assert kept.order == "rating desc"


async def test_one_whose_server_is_gone_is_not_written_to_a_folder_instead(site: Site) -> None:
    services, client, _ = site
    values = {"order": "title", "write_to": ["Gone"], "off": True}
    async with services.database.write() as session:
        await save_smart_playlist(session, "Lost", values)
    answer = await client.post("/playlists/Lost/on")
    assert answer.status == 409
    assert "There is no server Gone" in await answer.text()
    assert await find_playlist(services, "Lost") is None


async def test_the_api_keeps_and_forgets(site: Site) -> None:
    services, client, _ = site
    rule = {"name": "Short", "where": "duration<62", "order": "title", "variety": {"fresh": "20%"}}
    answer = await client.post("/api/playlists", json=rule)
    assert answer.status == 201
    assert (await answer.json())["where"] == "duration < 62 s"
    preview = await (await client.post("/api/playlists/Short/preview")).json()
    assert [e["title"] for e in preview["receipts"][0]["entries"]] == ["Track 00000", "Track 00001"]
    for wrong, message in (
        ({"where": "duration <"}, "where: column 11"),
        ({"order": "sideways"}, "order: column 1: there is no order sideways"),
        ({"write_to": ["/etc"]}, "no server /etc"),
        ({"variety": {"fresh": 7}}, "variety.fresh"),
        ({"colour": "red"}, "colour"),
    ):
        answer = await client.post("/api/playlists", json=rule | wrong)
        assert answer.status == 422
        assert message in await answer.text()
    assert (await client.delete("/api/playlists/Short")).status == 409  # it is on
    assert (await client.post("/api/playlists/Short/off")).status == 204
    assert (await client.post("/api/playlists/Short/off")).status == 404
    rows = await (await client.get("/api/playlists")).json()
    assert [(row["name"], row["where"]) for row in rows["off"]] == [("Short", "duration < 62 s")]
    answer = await client.post("/api/playlists/Short/on")
    assert (await answer.json())["variety"]["fresh"] == 0.2
    assert (await client.post("/api/playlists/Short/on")).status == 404
    assert (await client.post("/api/playlists/Short/off")).status == 204
    assert (await client.delete("/api/playlists/Short")).status == 204
    assert (await client.delete("/api/playlists/Short")).status == 404
    for request in (
        client.delete(f"/api{NAME}"), client.post(f"/api{NAME}/off"), client.post(f"{NAME}/off"),
        client.post(f"{NAME}/remove"),
    ):  # fmt: skip
        assert (await request).status == 409
    rows = await (await client.get("/api/playlists")).json()
    assert rows["off"] == []
    assert [row["name"] for row in rows["playlists"]] == ["Mein Radio & mehr"]
    assert len(rows["ready"]) == len(READY)
    async with services.database.write() as session:  # as a later version might leave it
        await save_smart_playlist(session, "Odd", {"order": "by colour"})
    assert (await client.get("/playlists")).status == 200
