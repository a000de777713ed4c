"""Media on their way from a server."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from connectors.base import ConnectorUnavailable
from connectors.streams import open_stream


async def test_a_token_never_follows_a_redirect() -> None:
    heard: list[str] = []

    async def elsewhere(request: web.Request) -> web.Response:
        heard.append(request.headers.get("X-Plex-Token", ""))
        return web.Response(text="thanks")

    async def redirect(_request: web.Request) -> web.Response:
        raise web.HTTPFound(str(other.make_url("/")))

    there, here = web.Application(), web.Application()
    there.router.add_get("/", elsewhere)
    here.router.add_get("/", redirect)
    async with (
        TestServer(there) as other,
        TestServer(here) as server,
        aiohttp.ClientSession() as session,
    ):
        with pytest.raises(ConnectorUnavailable, match="302"):
            await open_stream(
                session, "Home", str(server.make_url("/")), headers={"X-Plex-Token": "t"}
            )
    assert heard == []
