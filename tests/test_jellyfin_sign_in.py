"""Opening a Jellyfin server and signing in there."""

import asyncio
import logging

import pytest

from connectors.base import (
    BadAnswer,
    ConnectorUnavailable,
    Misconfigured,
    Refused,
    SignInRefused,
)
from connectors.jellyfin import JellyfinServer
from tests.stand_ins.faults import Body, Status
from tests.stand_ins.jellyfin import FakeJellyfin
from tests.test_jellyfin_connector import QUICK, connected, furnish, settings_of


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b'{"Version": "4.8.3.0", "ProductName": "Emby Server"}', "is Emby Server and no Jellyfin"),
        (b'{"Version": "10.8.13", "ProductName": "Jellyfin Server"}', r"Jellyfin 10\.8\.13; 10\.9"),
        (b'{"Version": null}', "of an unknown version"), (b"{}", "of an unknown version"),
        (b'{"Version": "latest"}', "latest; 10.9 is the oldest"),
    ],
)  # fmt: skip
async def test_what_cannot_be_used_is_told_with_what_to_do(said: bytes, reason: str) -> None:
    async with FakeJellyfin() as jellyfin:
        jellyfin.faults.add("GET", "/System/Info/Public", Body(said))
        with pytest.raises(Misconfigured, match=reason):
            await JellyfinServer(settings_of(jellyfin), [], "d", **QUICK).__aenter__()


async def test_one_whose_sign_in_has_ended_does_not_keep_the_others_out() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with (
            connected(jellyfin) as (_, anna),
            connected(jellyfin, "Ben", "other") as (_, ben),
        ):
            jellyfin.revoke_tokens("Ben")
            settings = settings_of(jellyfin)
            async with JellyfinServer(settings, [anna, ben], "device", **QUICK) as server:
                assert await server.libraries()
                with pytest.raises(SignInRefused):
                    await server.check(ben)


async def test_a_user_who_signs_in_again_leaves_no_second_device() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with connected(jellyfin) as (server, first):
            await server.libraries()
            ben = await server.sign_in("ben", "Ben", "other")
            second = await server.sign_in("anna", "anna", "secret")
            devices = {token.device for token in jellyfin.tokens.values()}
            assert len(devices) == len(jellyfin.tokens) == 2
            with pytest.raises(SignInRefused):
                await server.check(first)
            await server.check(second)
            await server.check(ben)
            assert "secret" not in str({**second.secrets})


async def test_a_wrong_password_and_a_sick_server_are_told_apart() -> None:
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        async with JellyfinServer(settings_of(jellyfin), [], "device", **QUICK) as server:
            with pytest.raises(SignInRefused, match="name or password is wrong"):
                await server.sign_in("anna", "Anna", "guess")
            jellyfin.quirks.login_fails_with_500 = True
            with pytest.raises(ConnectorUnavailable, match="until Jellyfin is restarted"):
                await server.sign_in("anna", "Anna", "secret")
            jellyfin.quirks.login_fails_with_500 = False
            jellyfin.faults.add("POST", "/AuthenticateByName", Body(b'{"User": 3}'))
            with pytest.raises(BadAnswer, match="no token"):
                await server.sign_in("anna", "Anna", "secret")
            with pytest.raises(SignInRefused, match="python -m daemon connect 'Home'"):
                await server.libraries()


async def test_a_code_that_nobody_enters_ends_and_a_server_that_is_away_is_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakeJellyfin() as jellyfin:
        furnish(jellyfin)
        options = {"poll": 0.02, **QUICK}
        async with JellyfinServer(settings_of(jellyfin), [], "device", **options) as server:
            jellyfin.quirks.quick_connect = False
            with pytest.raises(Refused, match="use --password"):
                await server.begin_link("anna")
            jellyfin.quirks.quick_connect = True
            link = await server.begin_link("anna")
            (secret,) = jellyfin.quick_connects
            with pytest.raises(SignInRefused, match="not entered in time"):
                await link.wait(0.1)
            jellyfin.faults.add("GET", "/QuickConnect/Connect", Status(500), times=3)
            waiting = asyncio.create_task(link.wait(5))
            await asyncio.sleep(0.05)
            jellyfin.approve(link.code, "Anna")
            account = await waiting
            assert account.user_name == "Anna"
            again = await server.begin_link("anna")
            jellyfin.quick_connects.clear()
            with pytest.raises(SignInRefused):
                await again.wait(5)
        async with JellyfinServer(settings_of(jellyfin), [account], "device", **QUICK) as server:
            assert await server.libraries()
        assert account.secrets["token"] not in caplog.text
        assert secret not in caplog.text
