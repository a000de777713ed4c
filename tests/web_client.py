"""The whole web application over a household, and a browser-like client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp.test_utils import TestClient, TestServer
from aiohttp.web import AbstractRoute
from argon2 import PasswordHasher

from daemon.jobs.runner import Runner
from daemon.services import Services
from tests.household import Household
from web.app import create_app

PASSWORD = "correct horse battery"


@asynccontextmanager
async def open_client(
    services: Services, *, with_password: bool = False
) -> AsyncIterator[TestClient]:
    """Yield a client; it keeps cookies, as a browser does."""
    password = PasswordHasher(time_cost=1, memory_cost=64).hash(PASSWORD) if with_password else None
    app = create_app(services, Runner(services), password=password)
    async with TestClient(TestServer(app, host="127.0.0.1")) as client:
        yield client


@asynccontextmanager
async def open_site(
    household: Household, *, with_password: bool = False
) -> AsyncIterator[tuple[Services, TestClient]]:
    """Yield the services of a household and a client of its pages."""
    async with (
        household.open() as services,
        open_client(services, with_password=with_password) as client,
    ):
        yield services, client


def routes_of(client: TestClient) -> list[AbstractRoute]:
    """Return every route of the application behind the client."""
    server = client.server
    assert isinstance(server, TestServer)
    return list(server.app.router.routes())
