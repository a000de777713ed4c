"""What goes wrong on the way: odd requests, files that come and go, restarts."""

import gzip
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from daemon.services import Services
from daemon.settings import Settings, WebSettings
from daemon.store.models import public_id
from tests.household import Household, find_items, item_at, run_step, run_steps
from tests.media import make_audio, make_document, make_picture
from tests.web_client import open_site
from web import thumbnails
from web.item import MARKDOWN
from web.keys import LOOP_MONITOR
from web.password import CLEAR_NAME, ensure_password, is_right, store_password
from web.sessions import Sessions


async def status(client: TestClient, method: str, path: str, **request: Any) -> int:
    response = await client.request(method, path, allow_redirects=False, **request)
    return response.status


async def a_track(household: Household, services: Services) -> str:
    await run_step(services, "sync")
    return public_id((await find_items(services))[0].id)


FORM = "application/x-www-form-urlencoded"


async def test_odd_requests_are_refused_not_stumbled_over(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3")
    async with open_site(household) as (services, client):
        item = await a_track(household, services)
        rating, endless = f"/api/items/{item}/rating", "9" * 5000
        play = {"item": item, "event": "0123456789", "outcome": "finished"}
        odd: list[tuple[int, str, str, dict[str, Any]]] = [
            (400, "GET", f"/api/items?limit={endless}", {}),
            (404, "POST", f"/api/joins/{endless}/undo", {}),
            (404, "POST", f"/items/{item}/joins/{endless}/undo", {}),
            (404, "POST", f"/api/jobs/{endless}/cancel", {}),
            (422, "PUT", rating, {"data": "[" * 100_000}),
            (422, "PUT", rating, {"data": "1", "headers": {"Content-Type": "text/x; charset=z"}}),
            (422, "POST", "/api/jobs", {"json": {"steps": [{}]}}),
            (422, "POST", "/api/jobs", {"json": {"steps": [["sync"]]}}),
            (422, "POST", "/api/jobs", {"json": {"steps": ["sync"] * 1000}}),
            (422, "POST", "/api/plays", {"json": play | {"played_at": "0001-01-01T00:00+14:00"}}),
            (415, "POST", "/profile", {"data": b"x", "headers": {
                "Content-Type": "multipart/form-data; boundary=x"}}),
            (400, "POST", "/profile", {"data": b"a=b", "headers": {
                "Content-Type": f"{FORM}; charset=z"}}),
            (400, "POST", "/profile", {"data": b"a=\xff", "headers": {"Content-Type": FORM}}),
            (303, "POST", "/sign-in", {"data": {"password": "none is asked for"}}),
            (404, "POST", "/rate/music", {"data": {"item": "1", "value": "5"}}),
        ]  # fmt: skip
        for expected, method, path, request in odd:
            assert await status(client, method, path, **request) == expected, (path[:40], request)


async def test_a_rating_that_cannot_be_kept_is_told_in_sentences(household: Household) -> None:
    make_audio(household.folder("music") / "a.mp3")
    async with open_site(household) as (services, client):
        item = await a_track(household, services)
        services.journal.path.mkdir()
        response = await client.put(f"/api/items/{item}/rating", json={"value": 5})
        assert (await response.json())["error"].endswith("Is a directory. Nothing was changed.")


async def test_a_packed_neighbour_is_not_sent_in_a_files_place(household: Household) -> None:
    path = household.folder("text") / "a.txt"
    make_document(path, "The true text.")
    (path.parent / "a.txt.gz").write_bytes(gzip.compress(b"Another text."))
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        media = f"/media/{public_id(await item_at(services, path))}"
        response = await client.get(media, headers={"Accept-Encoding": "gzip, br"})
        assert await response.text() == "The true text."
        etag = response.headers["ETag"]
        again = await client.get(media, headers={"If-None-Match": etag, "Accept-Encoding": "gzip"})
        assert again.status == 304


async def test_a_file_keeps_its_name_when_it_is_downloaded(household: Household) -> None:
    path = household.folder("text") / "Zoë's \"list\";\r\nX-Bad: 1.txt"  # fmt: skip
    make_document(path, "A text.")
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        response = await client.get(f"/media/{public_id(await item_at(services, path))}")
        disposition = response.headers["Content-Disposition"]
        assert disposition.startswith("inline; filename*=UTF-8''Zo%C3%AB%27s%20%22list%22%3B")
        assert "X-Bad" not in response.headers
        assert response.headers["Cache-Control"] == "private, no-cache"


async def test_a_long_note_in_any_script_can_be_edited(household: Household) -> None:
    path = household.folder("text") / "a.txt"
    make_document(path, "A text.")
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        address = f"/items/{public_id(await item_at(services, path))}/note"
        before = ""
        for note in ("ж" * (16 << 10), "я" * (16 << 10)):
            form = {"note": note, "before": before}
            assert await status(client, "POST", address, data=form) == 303
            assert (path.parent / "a.txt.meta").read_text() == note
            before = note
        too_long = {"note": "ж" * (16 << 10) + "x", "before": before}
        assert await status(client, "POST", address, data=too_long) == 422


@pytest.fixture
async def picture(household: Household) -> Path:
    path = household.folder("images") / "a.jpg"
    make_picture(path, size=(600, 400))
    return path


async def test_a_thumbnail_comes_back_with_the_mount(
    household: Household, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "RETRY_AFTER", 0.2)
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        address = f"/thumbnail/{public_id(await item_at(services, picture))}"
        away = picture.rename(household.home / "away.jpg")
        assert await status(client, "GET", address) == 204
        away.rename(picture)
        time.sleep(0.2)  # noqa: ASYNC251  # nothing else runs
        assert await status(client, "GET", address) == 200


async def test_a_thumbnail_that_failed_is_not_tried_at_every_view(
    household: Household, picture: Path
) -> None:
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        address = f"/thumbnail/{public_id(await item_at(services, picture))}"
        picture.write_bytes(picture.read_bytes()[:200])
        assert await status(client, "GET", address) == 204
        await services.workers.pages.close()
        assert await status(client, "GET", address) == 204
        assert services.workers.pages.process_id is None


async def test_no_room_for_thumbnails_is_no_error_of_the_page(
    household: Household, picture: Path
) -> None:
    async with open_site(household) as (services, client):
        await run_step(services, "sync")
        (services.settings.data_dir / "thumbnails").write_text("a file where the folder should be")
        item = public_id(await item_at(services, picture))
        assert await status(client, "GET", f"/thumbnail/{item}") == 204


async def test_a_cover_that_is_added_later_is_shown(household: Household) -> None:
    path = household.folder("music") / "a.mp3"
    make_audio(path)
    async with open_site(household) as (services, client):
        address = f"/thumbnail/{await a_track(household, services)}"
        assert await status(client, "GET", address) == 204
        make_picture(path.parent / "Cover.jpg", size=(300, 300))
        assert await status(client, "GET", address) == 200


async def test_a_text_that_is_slow_to_render_holds_up_nobody(household: Household) -> None:
    path = household.folder("text") / "a.md"
    make_document(path, "[" * (60 << 10))
    begin = time.perf_counter()
    MARKDOWN.render(path.read_text())
    slow = time.perf_counter() - begin
    async with open_site(household) as (services, client):
        await run_steps(services, "sync", "describe")
        item = public_id(await item_at(services, path))
        assert isinstance(client.server, TestServer)
        monitor = client.server.app[LOOP_MONITOR]
        monitor.longest = 0.0
        assert await status(client, "GET", f"/items/{item}") == 200
        assert monitor.longest < slow / 2


@pytest.mark.parametrize("password", ["of the settings", None])
def test_a_restart_signs_nobody_out_but_another_password_does(
    tmp_path: Path, password: str | None
) -> None:
    def start(password: str | None) -> Sessions:
        web = WebSettings.model_validate({"host": "0.0.0.0", "password": password})
        in_force = ensure_password(Settings(data_dir=tmp_path, web=web))
        assert in_force
        return Sessions(tmp_path / "web-sessions", in_force)

    token = start(password).begin()
    assert start(password).is_open(token)
    assert not start("another").is_open(token)
    store_password(tmp_path, "a third")
    assert not start(None).is_open(token)


def test_an_emptied_password_file_does_not_let_everyone_in(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, web=WebSettings(host="0.0.0.0"))
    ensure_password(settings)
    (tmp_path / CLEAR_NAME).write_text("\n")
    in_force = ensure_password(settings)
    assert in_force
    assert not is_right(in_force, "")
    assert is_right(in_force, (tmp_path / CLEAR_NAME).read_text().strip())
