"""Who signs in at a Plex server, and how."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.base import BadAnswer, ConnectorUnavailable, SignInRefused
from connectors.plex import PlexServer
from connectors.server_settings import PlexSettings
from tests.stand_ins.faults import Body, Status
from tests.stand_ins.plex import FakePlex
from tests.test_plex_connector import QUICK, connected, furnish


def named(plex: FakePlex, user: str) -> PlexSettings:
    return PlexSettings(kind="plex", name="Plex", url=plex.url, users={"me": user})


def opened(plex: FakePlex, user: str, url: str = "", accounts: Any = ()) -> PlexServer:
    return PlexServer(
        named(plex, user), accounts, "device", plex_tv=url or plex.plex_tv.url, poll=0.01, **QUICK
    )


@pytest.mark.parametrize("user", ["owner", "OWNER", "owner@example.org", ""])
async def test_a_code_signs_in_whoever_the_settings_name_by_name_or_address(user: str) -> None:
    async with FakePlex() as plex:
        furnish(plex)
        plex.owner.name = "owner"
        async with opened(plex, user) as server:
            link = await server.begin_link("me")
            assert link.url == f"{plex.plex_tv.url}/link"
            assert len(link.code) == 4
            plex.plex_tv.approve(link.code, plex.owner)
            account = await link.wait(5)
            assert (account.profile, account.user_name) == ("me", user or "owner")
            assert (account.user_id, account.secrets["token"]) == ("1", plex.owner.token)
            await server.check(account)


async def test_another_user_gets_the_token_of_this_server_and_not_the_one_of_plex_tv() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        anna = plex.add_user("anna")
        async with opened(plex, "anna") as server:
            link = await server.begin_link("me")
            plex.plex_tv.approve(link.code, anna)
            account = await link.wait(5)
            assert account.secrets == {"token": anna.token}
            assert account.user_id == "user:anna"  # only the owner may ask for ids
        async with connected(plex) as (_, owner), opened(plex, "anna", "", [owner]) as server:
            link = await server.begin_link("me")
            plex.plex_tv.approve(link.code, anna)
            assert (await link.wait(5)).user_id == str(anna.id)


async def test_a_code_that_nobody_enters_runs_out() -> None:
    async with FakePlex() as plex, opened(plex, "owner") as server:
        link = await server.begin_link("me")
        with pytest.raises(SignInRefused):
            await link.wait(0.05)
        plex.plex_tv.expire(link.code)
        with pytest.raises(SignInRefused):
            await link.wait(5)


async def test_a_hiccup_of_plex_tv_while_waiting_ends_nothing() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with opened(plex, "owner") as server:
            link = await server.begin_link("me")
            plex.plex_tv.approve(link.code, plex.owner)
            plex.plex_tv.faults.add("GET", "/pins/", Status(503), times=4)
            assert (await link.wait(5)).user_id == "1"


@pytest.mark.parametrize("body", [b"{}", b"[]", b"no", b"null", b'{"id": 3}'])
async def test_a_plex_tv_that_gives_no_code_is_told(body: bytes) -> None:
    async with FakePlex() as plex, opened(plex, "owner") as server:
        plex.plex_tv.faults.add("POST", "/pins", Body(body))
        with pytest.raises(BadAnswer):
            await server.begin_link("me")


async def test_a_plex_tv_that_is_down_is_named() -> None:
    async with FakePlex() as plex, opened(plex, "owner") as server:
        await plex.plex_tv.stop_serving()
        with pytest.raises(ConnectorUnavailable, match=r"plex\.tv"):
            await server.begin_link("me")


async def test_somebody_without_access_to_the_server_is_told_so() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        anna = plex.add_user("anna")
        async with opened(plex, "anna") as server:
            link = await server.begin_link("me")
            plex.plex_tv.approve(link.code, anna)
            plex.plex_tv.faults.add("GET", "/resources", Body(b"[]"))
            with pytest.raises(SignInRefused, match="no access"):
                await link.wait(5)


async def test_a_token_is_checked_and_a_password_is_explained() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        anna = plex.add_user("anna")
        async with opened(plex, "anna") as server:
            with pytest.raises(SignInRefused, match="by a link"):
                await server.sign_in("me", "anna", "her password")
            assert (await server.account_from_token("me", "anna", anna.token)).user_name == "anna"
            owner = await server.sign_in("me", "whatever", plex.owner.token)
            assert owner.user_id == "1"
            with pytest.raises(SignInRefused, match="connect"):
                await server.libraries()  # nobody has signed in yet


# Users of a home, who cannot sign in themselves


@asynccontextmanager
async def home(plex: FakePlex, *, is_protected: bool = False) -> AsyncIterator[str]:
    """Stand for a plex.tv where the owner's home has a child."""
    child = plex.add_user("kid")
    switched: list[str] = []

    async def pins(request: web.Request) -> web.Response:
        return web.json_response({"id": 1, "code": "abcd", "authToken": "home-admin"})

    async def user(request: web.Request) -> web.Response:
        return web.json_response({"username": "owner", "email": "o@example.org"})

    async def users(request: web.Request) -> web.Response:
        assert request.headers["X-Plex-Token"] == "home-admin"
        text = (
            '<MediaContainer><User id="70001" title="owner" admin="1"/>'
            f'<User id="70002" title="Kid" username="" protected="{int(is_protected)}"/>'
            "</MediaContainer>"
        )
        return web.Response(text=text, content_type="application/xml")

    async def switch(request: web.Request) -> web.Response:
        switched.append(request.match_info["id"])
        text = '<user id="70002" authenticationToken="kid-of-home"/>'
        return web.Response(status=201, text=text, content_type="application/xml")

    async def resources(request: web.Request) -> web.Response:
        tokens = {"kid-of-home": child.token, "home-admin": plex.owner.token}
        found = {
            "clientIdentifier": plex.machine_identifier,
            "accessToken": tokens[request.headers["X-Plex-Token"]],
        }
        return web.json_response([{"clientIdentifier": "other", "accessToken": "x"}, found, "odd"])

    app = web.Application()
    app.router.add_post("/api/v2/pins", pins)
    app.router.add_get("/api/v2/pins/1", pins)
    app.router.add_get("/api/v2/user", user)
    app.router.add_get("/api/home/users", users)
    app.router.add_post("/api/home/users/{id}/switch", switch)
    app.router.add_get("/api/v2/resources", resources)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")
    assert switched in ([], ["70002"])


async def test_a_user_of_the_home_is_switched_to() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with home(plex) as url, opened(plex, "kid", url) as server:
            account = await (await server.begin_link("me")).wait(5)
            assert account.user_name == "kid"
            assert account.secrets["token"] == plex.users[1].token


async def test_a_user_of_the_home_with_a_pin_is_told_of_it() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with home(plex, is_protected=True) as url, opened(plex, "kid", url) as server:
            link = await server.begin_link("me")
            with pytest.raises(SignInRefused, match="PIN"):
                await link.wait(5)


async def test_whoever_is_nobodys_user_stays_who_signed_in() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        async with home(plex) as url, opened(plex, "stranger", url) as server:
            account = await (await server.begin_link("me")).wait(5)
            assert (account.user_name, account.user_id) == ("owner", "1")
