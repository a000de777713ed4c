"""Every route is guarded in one place, before anything is opened."""

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from daemon.settings import Settings, WebSettings
from tests.household import Household
from tests.web_client import PASSWORD, open_site, routes_of
from web.password import (
    CLEAR_NAME,
    HASH_NAME,
    ensure_password,
    is_loopback,
    is_right,
    store_password,
)
from web.security import PUBLIC
from web.sessions import FREE_ATTEMPTS, Attempts, Sessions


def addresses(client: TestClient) -> list[tuple[str, str, str | None]]:
    """Return method, a path and the name of every route there is."""
    found = []
    for route in routes_of(client):
        assert route.resource is not None
        info = route.resource.get_info()
        path = info.get("path") or info.get("formatter") or f"{info['prefix']}/x"
        for part in ("{id}", "{kind}", "{page}", "{run}", "{join}"):
            path = path.replace(part, "1")
        found.append((route.method, path, route.resource.name))
    return found


async def sign_in(client: TestClient, password: str = PASSWORD) -> web.StreamResponse:
    return await client.post(  # type: ignore[return-value]
        "/sign-in", data={"password": password, "next": "/"}, allow_redirects=False
    )


async def test_without_a_session_every_route_but_the_public_ones_is_closed(
    household: Household,
) -> None:
    async with open_site(household, with_password=True) as (_, client):
        routes = addresses(client)
        assert len(routes) > 20
        for method, path, name in routes:
            response = await client.request(method, path, allow_redirects=False)
            if name in PUBLIC:
                assert response.status != 401 or path == "/sign-in", (method, path)
            else:
                assert response.status == 401, (method, path, response.status)
        assert (await client.get("/nothing/here")).status == 401
        page = await client.get("/?kind=music", headers={"Accept": "text/html"},
                                allow_redirects=False)  # fmt: skip
        assert page.status == 303
        assert page.headers["Location"] == "/sign-in?next=/?kind%3Dmusic"


async def test_other_names_and_other_sites_are_refused_on_every_route(
    household: Household,
) -> None:
    async with open_site(household) as (_, client):
        for method, path, _ in addresses(client):
            rebound = await client.request(method, path, headers={"Host": "evil.example"})
            assert rebound.status == 421, (method, path)
            crossing = await client.request(
                method, path, headers={"Origin": "http://evil.example"}, allow_redirects=False
            )
            assert crossing.status == 403, (method, path)


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [("localhost:5001", True), ("127.0.0.1", True), ("[::1]:5001", True), ("192.168.1.9", True),
     ("media.home.arpa", True), ("MEDIA.home.arpa:80", True), ("evil.example", False),
     ("localhost.evil.example", False), ("", False), ("127.0.0.1.evil.example", False)],
)  # fmt: skip
async def test_only_our_own_names_are_answered_to(
    household: Household, host: str, *, is_ours: bool
) -> None:
    household.also(web=WebSettings(hosts=("media.home.arpa",)))
    async with open_site(household) as (_, client):
        response = await client.get("/healthz", headers={"Host": host})
        assert response.status == (200 if is_ours else 421 if host else 400) or not host


async def test_signing_in_gives_a_cookie_that_scripts_cannot_read(household: Household) -> None:
    async with open_site(household, with_password=True) as (services, client):
        response = await sign_in(client)
        assert response.status == 303
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Lax" in cookie
        assert (await client.get("/api/jobs")).status == 200
        saved = (services.settings.data_dir / "web-sessions").read_text()
        assert cookie.split("=")[1].split(";")[0] not in saved
        await client.post("/sign-out", allow_redirects=False)
        assert (await client.get("/api/jobs")).status == 401


async def test_a_wrong_password_signs_nobody_in_and_is_slowed_down(household: Household) -> None:
    async with open_site(household, with_password=True) as (_, client):
        for _ in range(FREE_ATTEMPTS):
            assert (await sign_in(client, "wrong")).status == 401
        refused = await sign_in(client, PASSWORD)
        assert refused.status == 429
        assert int(refused.headers["Retry-After"]) >= 1
        assert (await client.get("/api/jobs")).status == 401


async def test_an_invented_cookie_opens_nothing(household: Household) -> None:
    async with open_site(household, with_password=True) as (_, client):
        for token in ("", "x", "a" * 43):
            response = await client.get("/api/jobs", headers={"Cookie": f"anagnorisis={token}"})
            assert response.status == 401


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)",
               "/a\r\nSet-Cookie: x=y"],
)  # fmt: skip
async def test_signing_in_leads_to_our_own_pages_only(household: Household, target: str) -> None:
    async with open_site(household, with_password=True) as (_, client):
        response = await client.post(
            "/sign-in", data={"password": PASSWORD, "next": target}, allow_redirects=False
        )
        assert response.headers["Location"] == "/"
        assert "Set-Cookie: x" not in str(response.headers)


def test_sessions_outlive_a_restart_but_not_a_new_password(tmp_path: Path) -> None:
    path = tmp_path / "sessions"
    token = Sessions(path, "hash of the password").begin()
    assert Sessions(path, "hash of the password").is_open(token)
    assert not Sessions(path, "hash of another").is_open(token)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("garbage")
    assert not Sessions(path, "hash of the password").is_open(token)


def test_attempts_from_many_addresses_are_slowed_down_too() -> None:
    attempts = Attempts()
    for n in range(200):
        attempts.note_failure(f"10.0.0.{n}")
    assert attempts.seconds_to_wait("10.9.9.9") > 0


async def test_every_answer_has_the_headers_that_keep_scripts_out(household: Household) -> None:
    async with open_site(household) as (_, client):
        for path in ("/", "/api/jobs", "/nothing", "/healthz", "/media/1"):
            response = await client.get(path)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'" in policy or "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_ids_are_looked_up_never_opened(household: Household) -> None:
    async with open_site(household) as (_, client):
        for name in ("..%2f..%2fetc%2fpasswd", "1%00", "0", "-1", "f" * 40, "1 OR 1=1"):
            for path in ("/media/", "/thumbnail/", "/api/items/", "/items/"):
                assert (await client.get(path + name)).status == 404, path + name


def listening_on(tmp_path: Path, host: str, **web: Any) -> Settings:
    return Settings(data_dir=tmp_path, web=WebSettings(host=host, **web))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_password(tmp_path: Path, host: str) -> None:
    assert is_loopback(host)
    assert ensure_password(listening_on(tmp_path, host)) is None


def test_beyond_loopback_a_password_is_made_and_only_its_place_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = listening_on(tmp_path, "0.0.0.0")
    in_force = ensure_password(settings)
    clear = (tmp_path / CLEAR_NAME).read_text().strip()
    assert len(clear) >= 20
    assert in_force
    assert is_right(in_force, clear)
    assert stat.S_IMODE((tmp_path / CLEAR_NAME).stat().st_mode) == 0o600
    assert str(tmp_path / CLEAR_NAME) in caplog.text
    assert clear not in caplog.text
    again = ensure_password(settings)
    assert again
    assert is_right(again, clear)


def test_a_password_that_a_person_sets_replaces_the_one_that_was_made(tmp_path: Path) -> None:
    settings = listening_on(tmp_path, "0.0.0.0")
    ensure_password(settings)
    store_password(tmp_path, "a new password")
    in_force = ensure_password(settings)
    assert in_force
    assert is_right(in_force, "a new password")
    assert not (tmp_path / CLEAR_NAME).exists()
    assert "a new password" not in (tmp_path / HASH_NAME).read_text()
    of_settings = ensure_password(listening_on(tmp_path, "127.0.0.1", password="from settings"))
    assert of_settings
    assert is_right(of_settings, "from settings")
    assert "from settings" not in json.dumps(settings.model_dump(mode="json"))
