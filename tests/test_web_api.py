"""The JSON API does what its description says."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from daemon.services import Services
from daemon.store.models import public_id
from tests.household import Household, find_items, ratings, run_step, run_steps
from tests.media import make_audio
from tests.web_client import open_site, routes_of

Site = tuple[Services, TestClient]


@pytest.fixture
async def site(household: Household) -> AsyncIterator[Site]:
    for n in range(5):
        make_audio(household.folder("music") / f"{n}.mp3", seconds=0.3, frequency=300 + 50 * n,
                   title=f"Track {n}", artist="Ada")  # fmt: skip
    async with open_site(household) as (services, client):
        await run_steps(services, "sync", "describe")
        yield services, client


async def get(client: TestClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status == 200, await response.text()
    return await response.json()


async def test_every_route_is_described_and_every_description_has_its_route(site: Site) -> None:
    _, client = site
    described = (await get(client, "/api/openapi.json"))["paths"]
    described_routes = {(method.upper(), path) for path, ms in described.items() for method in ms}
    routes = set()
    for route in routes_of(client):
        assert route.resource is not None
        path = route.resource.canonical
        if path.startswith("/api/") and route.method != "HEAD":
            routes.add((route.method, path))
    assert routes == described_routes


async def test_a_rating_is_on_disk_when_the_answer_comes(site: Site) -> None:
    services, client = site
    item = (await find_items(services))[0]
    path = f"/api/items/{public_id(item.id)}"
    response = await client.put(f"{path}/rating", json={"value": 7.5})
    assert response.status == 200
    answer = await response.json()
    lines = services.journal.path.read_text().splitlines()
    assert json.loads(lines[-1])["event"] == answer["event"]
    assert (await get(client, path))["rating"] == 7.5
    assert (await client.delete(f"{path}/rating")).status == 200
    assert (await get(client, path))["rating"] is None
    assert await ratings(services) == {}


NO_RATINGS = (
    '{"value": 10.5}', '{"value": -1}', '{"value": "NaN"}', '{"value": NaN}', '{"value": true}',
    '{"value": null}', "{}", "[]", "7", "", '{"value": "a lot"}', '{"value": 1e999}',
)  # fmt: skip


@pytest.mark.parametrize("body", NO_RATINGS)
async def test_what_is_no_rating_changes_nothing(site: Site, body: str) -> None:
    services, client = site
    item = (await find_items(services))[0]
    response = await client.put(f"/api/items/{public_id(item.id)}/rating", data=body)
    assert response.status == 422
    assert "error" in await response.json()
    assert await ratings(services) == {}
    assert services.journal.size() == 0


async def test_a_rating_that_cannot_be_kept_is_refused(site: Site) -> None:
    services, client = site
    item = (await find_items(services))[0]
    services.journal.path.mkdir()  # nothing can be appended to a folder
    response = await client.put(f"/api/items/{public_id(item.id)}/rating", json={"value": 5})
    assert response.status == 503
    assert "Nothing was changed" in (await response.json())["error"]
    assert await ratings(services) == {}


async def test_lists_are_paged_without_doubles(site: Site) -> None:
    _, client = site
    seen, after = [], ""
    while after is not None:
        page = await get(client, f"/api/items?kind=music&sort=title&limit=2{after}")
        seen += [item["title"] for item in page["items"]]
        after = page["after"] and f"&after={page['after']}"
    assert seen == [f"Track {n}" for n in range(5)]
    for query in ("kind=songs", "sort=best", "limit=0", "limit=201", "limit=x", "filter=y"):
        assert (await client.get(f"/api/items?{query}")).status == 400, query


async def test_search_finds_and_says_why(site: Site) -> None:
    _, client = site
    found = (await get(client, "/api/search?q=ada&mode=words"))["items"]
    assert len(found) == 5
    assert all("Ada" in item["why"] for item in found)
    assert (await get(client, "/api/search?q=track+3&mode=name"))["items"][0]["title"] == "Track 3"
    unavailable = await client.get("/api/search?q=anything")
    assert unavailable.status == 503
    assert "Nothing is embedded yet" in (await unavailable.json())["error"]


async def test_a_play_is_kept_once(site: Site) -> None:
    services, client = site
    item = (await find_items(services))[0]
    play = {"item": public_id(item.id), "event": "0123456789", "outcome": "finished",
            "position": 61.5, "duration": 62}  # fmt: skip
    assert (await client.post("/api/plays", json=play)).status == 201
    assert (await client.post("/api/plays", json=play)).status == 200
    for change in ({"item": "1"}, {"event": "x"}, {"outcome": "liked"}, {"played_at": "noon"}):
        response = await client.post("/api/plays", json=play | {"event": "another event"} | change)
        assert response.status in (404, 422), change


async def test_steps_are_queued_followed_and_cancelled(site: Site) -> None:
    _, client = site
    response = await client.post("/api/jobs", json={"steps": ["train", "score"]})
    assert response.status == 201
    runs = (await get(client, "/api/jobs"))["runs"]
    assert [(run["step"], run["state"]) for run in runs] == [
        ("score", "queued"), ("train", "queued"),
    ]  # fmt: skip
    for run in runs:
        assert (await client.post(f"/api/jobs/{run['id']}/cancel")).status == 200
        assert (await client.post(f"/api/jobs/{run['id']}/cancel")).status == 404
    assert (await client.post("/api/jobs", json={"steps": ["dance"]})).status == 422
    assert (await client.post("/api/jobs/x/cancel")).status == 404


async def test_events_tell_of_runs(site: Site) -> None:
    services, client = site
    async with client.get("/api/events") as stream:
        assert await stream.content.readline() == b"event: jobs\n"
        assert await stream.content.readline() == b"data: []\n"
        await client.post("/api/jobs", json={"steps": ["train"]})
        services.events.publish("jobs")
        await stream.content.readline()
        assert await asyncio.wait_for(stream.content.readline(), 5) == b"event: jobs\n"
        data = json.loads((await stream.content.readline()).removeprefix(b"data: "))
        assert [run["step"] for run in data] == ["train"]


async def test_sources_and_taste_are_told(site: Site) -> None:
    services, client = site
    (source,) = (await get(client, "/api/sources"))["sources"]
    assert (source["name"], source["problem"]) == ("music", "")
    (profile,) = (await get(client, "/api/taste"))["profiles"]
    assert profile["ratings"] == 0
    assert profile["trusted"] is False
    assert (await client.get("/api/items?profile=nobody")).status == 404
    assert (await get(client, "/api/items?profile=me"))["items"]
    assert services.settings.profiles == ("me",)


async def test_machines_can_watch_it(site: Site) -> None:
    _, client = site
    assert (await client.get("/healthz")).status == 200
    assert (await client.get("/readyz")).status == 200
    metrics = await (await client.get("/metrics")).text()
    assert 'anagnorisis_items{kind="music"} 5.0' in metrics
    assert "anagnorisis_event_loop_longest_seconds" in metrics


async def test_a_gone_item_is_told_to_be_gone(household: Household, site: Site) -> None:
    services, client = site
    (household.folder("music") / "0.mp3").unlink()
    await run_step(services, "sync")
    gone = [item for item in await find_items(services) if item.gone_at]
    row = await get(client, f"/api/items/{public_id(gone[0].id)}")
    assert row["gone"] is True
    assert Path(row["path"]).name == "0.mp3"
