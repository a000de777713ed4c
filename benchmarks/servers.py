"""Media servers: a whole library in, nothing new, a long playlist with one entry in a hundred new.

Baselines: the same pages fetched bare, by `requests` on one connection; for requests, the fewest
there can be. The stand-in runs in a process of its own, its checks off.
"""

import asyncio
import gc
import multiprocessing
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import requests
from sqlalchemy import select

from benchmarks.figures import Figure, seconds, told_figure
from connectors.jellyfin.connector import FIELDS, PAGE
from connectors.jellyfin.http import authorization
from connectors.plex import PlexServer
from connectors.server_settings import JellyfinSettings, PlexSettings
from daemon.playlists.selection import Entry, find_entries
from daemon.playlists.server_target import ServerTarget
from daemon.services import Services
from daemon.store.models import Item
from tests.household import Household, run_step
from tests.servers import connect, radio
from tests.stand_ins.plex import FakePlex

ITEMS = 100_000
ENTRIES = 10_000
HELD = 0.05
"""Seconds from which the event loop counts as held."""


def measure() -> Iterator[Figure]:
    """Measure against a Jellyfin stand-in with 100,000 tracks."""
    with _stand_in(ITEMS) as (url, ask), tempfile.TemporaryDirectory() as folder:
        yield from asyncio.run(_measure(url, ask, Household(Path(folder))))
    yield asyncio.run(_measure_plex())


async def _measure(url: str, ask: Any, household: Household) -> list[Figure]:
    settings = JellyfinSettings(kind="jellyfin", name="Home", url=url, users={"me": "Anna"})
    household.also(servers=[settings])
    async with household.open() as services:
        account = await connect(services, "Home")
        await services.servers.open("Home")
        bare, pages = await asyncio.to_thread(_fetch_bare, url, account.secrets["token"])
        ask("count")
        gc.collect()
        gc.freeze()  # as the daemon does once it is open
        before = psutil.Process().memory_info().rss
        async with _watching() as held:
            begin = time.perf_counter()
            line = await run_step(services, "sync")
            ours = time.perf_counter() - begin
        grown = (psutil.Process().memory_info().rss - before) / 1e6
        assert line == f"{ITEMS} new", line
        asked = ask("count")
        figures = [
            told_figure(
                f"server: full sync, {ITEMS:,} items (the same pages, bare)", seconds(ours),
                seconds(bare), ours / bare,
            ),
            told_figure(
                f"server: its requests (pages of {PAGE})", str(asked), str(pages), asked / pages
            ),
            told_figure(
                f"server: event loop held > 50 ms in a full sync (longest {held[1] * 1e3:.0f} ms)",
                f"{held[0]} of {held[2]:,}", "", 0,
            ),
            told_figure("server: memory grown in a full sync", f"{grown:.0f} MB", "", 0),
        ]  # fmt: skip
        begin = time.perf_counter()
        await run_step(services, "sync")
        again = time.perf_counter() - begin
        count = ask("count")
        name = f"server: nothing new, {count} requests (full sync)"
        figures.append(told_figure(name, seconds(again), seconds(ours), again / ours))
        return [*figures, *await _measure_playlist(services, ask)]


async def _measure_playlist(services: Services, ask: Any) -> list[Figure]:
    """Change 1 % of a long list: the server takes a whole list in one request, so that is least."""
    async with services.database.read() as session:
        ids = list(await session.scalars(select(Item.id).limit(ENTRIES + ENTRIES // 100)))
        entries = await find_entries(session, ids, "")
    server = await services.servers.open("Home")
    account = services.servers.accounts("Home")[0]
    target = ServerTarget(services, radio(), server, "Home", account)
    first = entries[:ENTRIES]
    changed: list[Entry] = [
        entries[ENTRIES + n // 100] if n % 100 == 50 else entry for n, entry in enumerate(first)
    ]
    await target.bring(first, dry=False, revive=True)
    ask("count")
    begin = time.perf_counter()
    receipt, _ = await target.bring(changed, dry=False, revive=True)
    took = time.perf_counter() - begin
    asked = ask("count")
    assert receipt.state == "written", receipt.message
    assert (receipt.added, receipt.removed) == (ENTRIES // 100, ENTRIES // 100)
    await target.bring(changed, dry=False, revive=True)
    idle = ask("writes")
    return [
        told_figure(
            f"server: reconcile {ENTRIES:,} entries, 1 % changed, {seconds(took)}; writes (fewest)",
            str(receipt.requests), "1", float(receipt.requests),
        ),
        told_figure(
            f"server: its requests in all, {ENTRIES // 100} of them to ask what is still there",
            str(asked), "", 0,
        ),
        told_figure("server: writes of a second run (fewest)", str(idle), "0", float(idle)),
    ]  # fmt: skip


async def _measure_plex() -> Figure:
    """Change 1 % of a long list on Plex: each new entry is one deletion and one move, all added
    in one request.
    """  # noqa: D205
    plex = FakePlex(checks=False)
    section = plex.add_section("Music", "artist", "/music")
    album = plex.add_album(plex.add_artist(section, "Band"), "First")
    changes = ENTRIES // 100
    ids = [
        str(plex.add_track(album, n, f"Track {n}", f"/music/{n}.flac").rating_key)
        for n in range(ENTRIES + changes)
    ]
    with plex.run_in_thread():
        settings = PlexSettings(kind="plex", name="Plex", url=plex.url, users={"me": "owner"})
        async with PlexServer(settings, [], "bench") as server:
            account = await server.sign_in("me", "owner", plex.owner.token)
        async with PlexServer(settings, [account], "bench") as server:
            made = await server.create_playlist(
                account, "Long", "music", ids[:ENTRIES], description="", is_public=False
            )
            present = await server.playlist(account, made)
            wanted = [ids[ENTRIES + n // 100] if n % 100 == 50 else ids[n] for n in range(ENTRIES)]
            begin = time.perf_counter()
            sent = await server.set_entries(account, present, "music", wanted)
            took = time.perf_counter() - begin
            assert (await server.playlist(account, made)).item_ids == wanted
    fewest = 2 * changes + 1
    name = f"Plex: reconcile {ENTRIES:,}, 1 % changed, {seconds(took)}; requests (fewest writes)"
    return told_figure(name, str(sent), str(fewest), sent / fewest)


def _fetch_bare(url: str, token: str) -> tuple[float, int]:
    """Fetch the pages that a full sync needs; return the seconds and the number of pages."""
    session = requests.Session()
    session.headers["Authorization"] = authorization("bare", token)
    user = session.get(f"{url}/Users/Me", timeout=60).json()["Id"]
    (view,) = session.get(f"{url}/UserViews", params={"userId": user}, timeout=60).json()["Items"]
    begin = time.perf_counter()
    pages = 0
    while True:
        params: list[tuple[str, Any]] = [
            ("userId", user), ("parentId", view["Id"]), ("recursive", "true"),
            ("includeItemTypes", "Audio"), ("startIndex", pages * PAGE), ("limit", PAGE),
            ("sortBy", "DateCreated"), ("sortBy", "SortName"), ("enableUserData", "false"),
            ("enableImages", "false"), *(("fields", field) for field in FIELDS),
        ]  # fmt: skip
        found = session.get(f"{url}/Items", params=params, timeout=60).json()["Items"]
        pages += 1
        if len(found) < PAGE:
            return time.perf_counter() - begin, pages


@asynccontextmanager
async def _watching() -> AsyncIterator[list[float]]:
    """Yield [turns held, longest hold in seconds, turns]."""
    told: list[float] = [0, 0.0, 0]

    async def watch() -> None:
        while True:
            begin = time.perf_counter()
            await asyncio.sleep(0.01)
            late = time.perf_counter() - begin - 0.01
            told[0] += late > HELD
            told[1] = max(told[1], late)
            told[2] += 1

    task = asyncio.create_task(watch())
    try:
        yield told
    finally:
        task.cancel()


@contextmanager
def _stand_in(items: int) -> Iterator[tuple[str, Any]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, items), daemon=True)
    process.start()

    def ask(what: str) -> int:
        ours.send(what)
        return int(ours.recv())

    try:
        yield str(ours.recv()), ask
    finally:
        process.terminate()
        process.join()


def _serve(connection: Connection, items: int) -> None:
    from tests.servers import furnish
    from tests.stand_ins.jellyfin import FakeJellyfin

    os.nice(1)
    jellyfin = FakeJellyfin(checks=False)
    furnish(jellyfin, items, created=datetime(2025, 1, 1, tzinfo=UTC))
    with jellyfin.run_in_thread():
        connection.send(jellyfin.url)
        while True:
            what = connection.recv()
            seen = list(jellyfin.requests)
            jellyfin.requests.clear()
            writes = [r for r in seen if r[0] not in ("GET", "HEAD")]
            connection.send(len(writes if what == "writes" else seen))
