"""The stand-in for Plex lets in whom it should, refuses the rest, and serves files and events."""

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import requests
from PIL import Image
from plexapi.exceptions import BadRequest, NotFound, Unauthorized
from plexapi.myplex import MyPlexAccount, MyPlexPinLogin, MyPlexResource

from tests.stand_ins.faults import Status
from tests.stand_ins.openapi import DESCRIPTIONS
from tests.stand_ins.plex import calls, description
from tests.stand_ins.plex.home import (
    IDENTIFIED,
    SONGS,
    Connect,
    Home,
    ask,
    connections,
    titles,
    uri,
)


@pytest.fixture
def plex() -> Iterator[Home]:
    plex = Home()
    plex.furnish()
    with plex.run_in_thread():
        yield plex


@pytest.fixture
def connect(plex: Home) -> Iterator[Connect]:
    with connections(plex) as connect:
        yield connect


@pytest.fixture
def server(connect: Connect) -> Any:
    return connect()


# Who may


def test_without_a_right_token_nothing_is_told(plex: Home, connect: Connect) -> None:
    for token in ("", "wrong"):
        answer = ask(plex, "GET", "/library/sections", headers={"X-Plex-Token": token})
        assert answer.status_code == 401
    assert ask(plex, "GET", "/identity", headers={"X-Plex-Token": ""}).status_code == 200
    server = connect()
    assert ask(plex, "GET", f"/?X-Plex-Token={plex.owner.token}").status_code == 200
    plex.revoke(plex.owner)
    with pytest.raises(Unauthorized):
        server.query("/")


def test_shared_users_see_what_was_shared(plex: Home, connect: Connect) -> None:
    guest = plex.add_user("guest", sections=[plex.sections[2]])
    server = connect(guest)
    assert titles(server.library.sections()) == ["Films"]
    for path in (SONGS, f"/library/metadata/{plex.tracks[0].rating_key}"):
        with pytest.raises(NotFound):
            server.query(path)
    for path in ("/library", "/accounts", "/status/sessions"):
        with pytest.raises(BadRequest, match="403"):
            server.query(path)


def test_a_client_has_to_name_itself(plex: Home) -> None:
    plex.expect_violations = True
    headers = {"X-Plex-Token": plex.owner.token}
    path = f"{plex.url}/library/sections"
    assert requests.get(path, headers=headers, timeout=5).status_code == 400
    plex.quirks.needs_client_identifier = False
    assert requests.get(path, headers=headers, timeout=5).status_code == 200


def test_a_url_that_is_too_long_is_refused(plex: Home) -> None:
    kept = plex.create_playlist(plex.owner, "Mine")
    many = {"uri": uri(plex, plex.tracks) + ",123456" * 1000}
    answer = ask(plex, "PUT", f"/playlists/{kept.rating_key}/items", params=many)
    assert (answer.status_code, kept.entries) == (414, [])


# What is refused


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/library/sectionz", 404),
        ("GET", "/library/all", 404),
        ("DELETE", "/library/sections", 405),
        ("GET", "/:/rate", 405),
        ("GET", f"{SONGS}&startIndex=3", 400),
        ("GET", f"{SONGS}&colour>>=3", 400),
        ("PUT", "/playlists/1/items?ids=3", 400),
    ],
)
def test_what_nobody_knows_is_refused_and_raised_in_the_end(
    method: str, path: str, status: int
) -> None:
    plex = Home()
    plex.furnish()
    with pytest.raises(AssertionError, match=r"known|has no parameters"), plex.run_in_thread():
        assert ask(plex, method, path).status_code == status


def test_without_a_description_the_own_list_still_holds() -> None:
    plex = Home(checks=False)
    plex.furnish()
    more_names = ("&includeGuids=1", "&startIndex=3")
    with pytest.raises(AssertionError, match="no parameters startIndex"), plex.run_in_thread():
        assert [ask(plex, "GET", SONGS + more).status_code for more in more_names] == [200, 400]


def test_the_description_knows_all_but_the_named_exceptions() -> None:
    known = description.load()
    if known is None:
        pytest.skip(f"no {description.NAME} at {DESCRIPTIONS}")
    refused = [known.refuse(route, set(route.names)) for route in calls.ROUTES]
    assert [reason for reason in refused if reason] == []


def test_no_exception_is_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    known = description.load()
    if known is None:
        pytest.skip(f"no {description.NAME} at {DESCRIPTIONS}")
    excepted = {*description.ROUTES_LACKED, *description.NAMES_LACKED}
    for table in (description.ROUTES_LACKED, description.NAMES_LACKED):
        monkeypatch.setattr(description, next(n for n in dir(description)
                                              if getattr(description, n) is table), {})  # fmt: skip
    refused = {(r.method, r.template) for r in calls.ROUTES if known.refuse(r, set(r.names))}
    assert refused == excepted


# Files, live events, signing in


def test_files_and_images_are_served(plex: Home, server: Any) -> None:
    part = server.fetchItem(plex.tracks[0].rating_key).media[0].parts[0]
    url = server.url(part.key, includeToken=True)
    assert requests.get(url, timeout=5).content == b"0123456789"
    some = requests.get(url, headers={"Range": "bytes=2-4"}, timeout=5)
    assert (some.status_code, some.content) == (206, b"234")
    assert some.headers["Content-Range"] == "bytes 2-4/10"
    rest = requests.get(url, headers={"Range": "bytes=-3"}, timeout=5)
    assert rest.content == b"789"
    assert requests.get(url, headers={"Range": "bytes=20-"}, timeout=5).status_code == 416
    assert requests.get(plex.url + part.key, timeout=5).status_code == 401
    film = server.fetchItem(plex.film.rating_key)
    assert requests.get(film.thumbUrl, timeout=5).content == plex.film.thumb
    for over, size in ((False, (60, 40)), (True, (90, 60))):
        url = server.transcodeImage(film.thumb, 60, 60, minSize=over)
        assert Image.open(io.BytesIO(requests.get(url, timeout=5).content)).size == size
    missing = f"/photo/:/transcode?url=/library/metadata/{plex.photo.rating_key}/thumb/1"
    assert ask(plex, "GET", f"{missing}&width=9&height=9").status_code == 404


async def test_listeners_hear_of_plays_and_of_items() -> None:
    plex = Home()
    plex.furnish()
    async with plex, aiohttp.ClientSession() as session:
        url = f"{plex.url}/:/websockets/notifications"
        with pytest.raises(aiohttp.WSServerHandshakeError, match="401"):
            await session.ws_connect(url, headers={"X-Plex-Token": "wrong"})
        headers = {"X-Plex-Token": plex.owner.token}
        async with session.ws_connect(url, headers=headers) as socket:
            playing = plex.start_playing(plex.anna, plex.film, 10)
            message = (await socket.receive_json())["NotificationContainer"]
            assert (message["type"], message["size"]) == ("playing", 1)
            (told,) = message["PlaySessionStateNotification"]
            assert (told["ratingKey"], told["viewOffset"]) == (str(plex.film.rating_key), 10_000)
            async with session.get(
                f"{plex.url}/status/sessions", headers=headers | IDENTIFIED
            ) as answer:
                assert '<User id="2" title="anna"' in await answer.text()
            assert plex.stop_playing(playing, 6000) is not None
            message = (await socket.receive_json())["NotificationContainer"]
            assert message["PlaySessionStateNotification"][0]["state"] == "stopped"
            assert (plex.sessions, len(plex.views)) == ({}, 1)
            plex.remove_item(plex.film)
            message = (await socket.receive_json())["NotificationContainer"]
            (entry,) = message["TimelineEntry"]
            assert (entry["itemID"], entry["state"]) == (told["ratingKey"], 9)
            plex.drop_connections()
            assert (await socket.receive()).type is not aiohttp.WSMsgType.TEXT
        headers = {"X-Plex-Token": plex.anna.token}
        async with session.ws_connect(url, headers=headers) as socket:
            plex.add_movie(plex.sections[2], "New", "/films/New.mkv")
            with pytest.raises(TimeoutError):
                await socket.receive(timeout=0.05)


def test_plexapi_reads_running_sessions(plex: Home, server: Any) -> None:
    plex.start_playing(plex.anna, plex.tracks[0], 5)
    (session,) = server.sessions()
    assert (session.title, session.usernames, session.viewOffset) == ("Track 1", ["anna"], 5000)
    assert session.player.state == "playing"


@pytest.fixture
def plex_tv(plex: Home, monkeypatch: pytest.MonkeyPatch) -> str:
    root = f"{plex.plex_tv.url}/api/v2"
    monkeypatch.setattr(MyPlexPinLogin, "PINS", f"{root}/pins")
    monkeypatch.setattr(MyPlexAccount, "key", f"{root}/user")
    monkeypatch.setattr(MyPlexResource, "key", f"{root}/resources?includeHttps=1&includeRelay=1")
    return root


@pytest.mark.usefixtures("plex_tv")
def test_plexapi_signs_in_by_pin_and_finds_the_servers_token(plex: Home) -> None:
    with requests.Session() as session:
        login = MyPlexPinLogin(session=session)
        assert len(login.pin) == 4
        assert login.checkLogin() is False
        plex.plex_tv.approve(login.pin, plex.anna)
        assert login.checkLogin() is True
        account = MyPlexAccount(token=login.token, session=session)
        assert account.username == "anna"
        (resource,) = account.resources()
        assert resource.clientIdentifier == plex.machine_identifier
        assert (resource.owned, resource.accessToken) == (False, plex.anna.token)
        assert [connection.uri for connection in resource.connections] == [plex.url]
        assert login.token != plex.anna.token


def test_a_pin_runs_out_and_is_seen_by_its_client_only(plex: Home, plex_tv: str) -> None:
    with requests.Session() as session:
        login = MyPlexPinLogin(session=session, oauth=True)
        code = login._getCode()
        assert len(code) == 24
        other = requests.get(f"{plex_tv}/pins/{login._id}", headers=IDENTIFIED, timeout=5)
        assert other.status_code == 404
        plex.plex_tv.expire(code)
        assert (login.checkLogin(), login.expired) == (False, True)
    json = {"Accept": "application/json"} | IDENTIFIED
    made = requests.post(f"{plex_tv}/pins", data={"strong": "true"}, headers=json, timeout=5)
    assert (made.status_code, len(made.json()["code"])) == (201, 24)
    assert made.json()["authToken"] is None
    assert requests.get(f"{plex_tv}/user", headers=IDENTIFIED, timeout=5).status_code == 401


# Faults


def test_faults_come_before_or_after_the_deed(plex: Home, server: Any) -> None:
    kept = plex.create_playlist(plex.owner, "Mine")
    path = f"/playlists/{kept.rating_key}/items"
    plex.faults.add("PUT", path, Status(503), times=1)
    plex.faults.add("PUT", path, Status(503, after=True), times=1)
    wanted = {"uri": uri(plex, plex.tracks[:2])}
    counts = []
    for _ in range(3):
        status = ask(plex, "PUT", path, params=wanted).status_code
        counts.append((status, len(kept.entries)))
    assert counts == [(503, 0), (503, 2), (200, 4)]
    assert plex.count("PUT", "/playlists") == 3
    assert plex.requests[-1] == ("PUT", path, {"uri": [wanted["uri"]]})


async def test_a_server_goes_down_and_comes_back_with_its_state() -> None:
    async with Home() as plex, aiohttp.ClientSession() as session:
        plex.furnish()
        headers = IDENTIFIED | {"X-Plex-Token": plex.owner.token}
        await plex.stop_serving()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(plex.url, headers=headers)
        await plex.start_serving()
        async with session.get(plex.url + SONGS, headers=headers) as answer:
            assert 'size="5"' in await answer.text()


def test_a_page_of_a_large_library_costs_no_more_than_a_page(plex: Home, server: Any) -> None:
    album = plex.add_album(plex.tracks[0].parent.parent, "Large")  # type: ignore[union-attr, arg-type]
    for n in range(20_000):
        plex.add_track(album, n, f"Song {n:05}", f"/music/{n}.mp3")
    paged = f"{SONGS}&sort=titleSort&X-Plex-Container-Size=100&X-Plex-Container-Start="
    assert server.query(f"{paged}0").get("totalSize") == "20005"
    begin = datetime.now(UTC)
    for start in range(0, 20_000, 4000):
        assert titles(server.query(f"{paged}{start}"))[0] == f"Song {start:05}"
    assert datetime.now(UTC) - begin < timedelta(seconds=1)
