"""The Plex connector, by the real plexapi, against a stand-in that speaks Plex's protocol."""

import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)
from connectors.plex import PlexServer
from connectors.server import Account, ItemsChanged, Resync
from connectors.server_settings import PlexSettings
from tests.media import picture_bytes
from tests.stand_ins.faults import Body, Cut, Drip, Fault, Hang, Status
from tests.stand_ins.plex import FakePlex

QUICK: dict[str, Any] = {"timeout": (1.0, 0.4), "longest": 1.5, "first_pause": 0.01}


def furnish(plex: FakePlex, count: int = 6) -> list[Any]:
    section = plex.add_section("Music", "artist", "/media/music")
    album = plex.add_album(plex.add_artist(section, "Band"), "First", year=1999)
    return [
        plex.add_track(
            album, n, f"Track {n}", f"/media/music/{n}.flac", duration=60.0 + n, size=1000 + n,
            guids=[f"mbid://r{n}"], summary=f"About {n}.",
        )
        for n in range(count)
    ]  # fmt: skip


def settings_of(plex: FakePlex, **more: Any) -> PlexSettings:
    return PlexSettings(kind="plex", name="Plex", url=plex.url, users={"me": "owner"}, **more)


@asynccontextmanager
async def connected(plex: FakePlex, **limits: Any) -> AsyncIterator[tuple[PlexServer, Account]]:
    settings = settings_of(plex)
    async with PlexServer(settings, [], "device", **QUICK) as server:
        account = await server.sign_in("me", plex.owner.name, plex.owner.token)
    async with PlexServer(settings, [account], "device", **(QUICK | limits)) as server:
        yield server, account


def keys(items: list[Any]) -> list[str]:
    return [str(item.rating_key) for item in items]


async def test_the_library_comes_with_all_its_words() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        movies = plex.add_section("Films", "movie", "/media/films")
        plex.add_movie(
            movies, "A film", "/media/films/a.mkv", duration=5400.0, size=7, guids=["imdb://tt1"],
            genres=["Drama", "War", "History"], directors=["D"],
        )  # fmt: skip
        async with connected(plex) as (server, account):
            music, films = await server.libraries()
            assert (music.count, films.count) == (6, 1)
            items = [i async for page in server.items(music) for i in page.entries]
            assert sorted(i.id for i in items) == sorted(keys(tracks))
            first = next(i for i in items if i.id == keys(tracks)[0])
            assert (first.path, first.size) == ("/media/music/0.flac", 1000)
            assert first.metadata.duration == 60.0
            assert (first.metadata.album_artist, first.metadata.album) == ("Band", "First")
            assert first.metadata.overview == "About 0."
            (film,) = [i async for page in server.items(films) for i in page.entries]
            assert film.metadata.provider_ids["imdb"] == "tt1"
            assert film.metadata.genres == ("Drama", "War", "History")  # a listing has two only
            asked = [*keys(tracks)[:2], "999999"]
            assert await server.existing(account, asked) == set(asked[:2])
            assert await server.existing(account, ["999999"]) == set()


async def test_nothing_is_fetched_item_by_item() -> None:
    async with FakePlex() as plex:
        furnish(plex, 50)
        async with connected(plex) as (server, _):
            (library,) = await server.libraries()
            plex.requests.clear()
            async for _page in server.items(library):
                pass
            assert len(plex.requests) == 2


async def test_only_what_has_changed_is_asked_for() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with connected(plex) as (server, _):
            (library,) = await server.libraries()
            later = datetime.now(UTC) + timedelta(days=1)
            assert [p async for p in server.items(library, since=later)] == []
            plex.advance(2 * 86400)
            plex.update_item(tracks[0], title="Renamed")
            found = [i async for page in server.items(library, since=later) for i in page.entries]
            assert [i.metadata.title for i in found] == ["Renamed"]


async def test_a_library_keeps_its_stamp_until_something_changes() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with connected(plex) as (server, account):
            (before,) = await server.libraries()
            await server.rate(account, keys(tracks)[0], 5)
            plex.play(plex.owner, tracks[0])
            assert (await server.libraries())[0].stamp == before.stamp != ""
            plex.update_item(tracks[0], title="Renamed")
            (renamed,) = await server.libraries()
            plex.remove_item(tracks[1])
            (fewer,) = await server.libraries()
            assert len({before.stamp, renamed.stamp, fewer.stamp}) == 3
            assert (before.roots, fewer.count) == (("/media/music",), 5)


async def test_only_the_wanted_libraries_are_read_and_every_kind_has_its_own() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        for name, kind in (("Films", "movie"), ("Series", "show"), ("Photos", "photo")):
            plex.add_section(name, kind, f"/{name}")
        async with connected(plex) as (server, account):
            found = await server.libraries()
            kinds = [{"music"}, {"videos"}, {"videos"}, {"images"}]
            assert [library.kinds for library in found] == [frozenset(k) for k in kinds]
            assert [library.count for library in found] == [6, 0, 0, 0]
        wanted = settings_of(plex, libraries=("Films", "Photos"))
        async with PlexServer(wanted, [account], "device", **QUICK) as server:
            assert [library.name for library in await server.libraries()] == ["Films", "Photos"]
            assert [s async for s in server.states(account)] == []


async def test_media_and_pictures_come_as_the_server_has_them() -> None:
    async with FakePlex() as plex:
        section = plex.add_section("Photos", "photo", "/p")
        photo = plex.add_photo(section, "B", "/p/b.jpg", thumb=picture_bytes((300, 200)))
        music = plex.add_section("Music", "artist", "/m")
        track = plex.add_track(
            plex.add_album(plex.add_artist(music, "A"), "B"), 1, "C", "/m/c.mp3",
            content=b"0123456789",
        )  # fmt: skip
        async with connected(plex) as (server, _):
            async with await server.open_artwork(str(photo.rating_key), 100) as picture:
                content = b"".join([chunk async for chunk in picture.chunks()])
                assert (picture.status, content[:2]) == (200, b"\xff\xd8")
            async with await server.open_media(str(track.rating_key), "bytes=2-4") as media:
                content = b"".join([chunk async for chunk in media.chunks()])
                assert (media.status, content) == (206, b"234")
            with pytest.raises(NotFound):
                await server.open_artwork(str(track.rating_key), 100)
            body = (
                b'<MediaContainer><Track><Media><Part key="%s"/></Media></Track></MediaContainer>'
            )
            for elsewhere in (b"@127.0.0.1:1/x", b".evil.example/x", b""):
                answer = Body(body % elsewhere, "application/xml")
                plex.faults.add("GET", "/metadata/", answer, times=1)
                with pytest.raises(NotFound):
                    await server.open_media(str(track.rating_key))


async def test_a_playlist_is_made_changed_in_place_and_read_back() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 30))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "Tonight", "music", ids[:20], description="[mark]", is_public=False
            )
            present = await server.playlist(account, made)
            assert present.item_ids == ids[:20]
            assert present.description == "[mark]"
            assert await server.set_entries(account, present, "music", ids[:20]) == 0
            wanted = [ids[25], *ids[1:10], *ids[11:20], ids[10]]
            assert await server.set_entries(account, present, "music", wanted) <= 5
            present = await server.playlist(account, made)
            assert present.item_ids == wanted
            kept = {e.item_id: e.id for e in present.entries or ()}
            assert len(set(kept.values())) == len(wanted)
            await server.set_entries(account, present, "music", ids[::-1])
            present = await server.playlist(account, made)
            assert (present.id, present.item_ids) == (made, ids[::-1])
            twice = [ids[0], ids[1], ids[0]]
            await server.set_entries(account, present, "music", twice)
            assert (await server.playlist(account, made)).item_ids == twice
            await server.delete_playlist(account, made)
            with pytest.raises(NotFound):
                await server.playlist(account, made)


async def test_long_lists_keep_addresses_short() -> None:
    async with FakePlex() as plex:
        ids = keys(furnish(plex, 450))
        async with connected(plex) as (server, account):
            made = await server.create_playlist(
                account, "Long", "music", ids, description="", is_public=False
            )
            assert (await server.playlist(account, made)).item_ids == ids


async def test_plays_and_ratings_come_and_go() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        ids = keys(tracks)
        async with connected(plex) as (server, account):
            state = await server.rate(account, ids[0], 7.5)
            assert (state.rating, state.rated_at is not None) == (7.5, True)
            assert (await server.rate(account, ids[0], None)).rating is None
            plex.play(plex.owner, tracks[1])
            plex.skip(plex.owner, tracks[2])
            plex.rate(plex.owner, tracks[3], 4.0)
            states = {s.item_id: s async for page in server.states(account) for s in page}
            assert set(states) == set(ids[1:4])
            assert (states[ids[1]].plays, states[ids[2]].skips) == (1, 1)
            (event,) = [e async for page in server.history(account) for e in page]
            assert (event.item_id, event.is_finished) == (ids[1], True)
            with pytest.raises(Refused):
                await server.set_favourite(account, ids[0], True)


async def test_a_code_signs_in() -> None:
    async with FakePlex() as plex:
        furnish(plex)
        await plex.plex_tv.start_serving() if not plex.plex_tv.port else None
        settings = settings_of(plex)
        async with PlexServer(settings, [], "device", plex_tv=plex.plex_tv.url, **QUICK) as server:
            link = await server.begin_link("me")
            plex.plex_tv.approve(link.code, plex.owner)
            account = await link.wait(5)
            await server.check(account)
            with pytest.raises(SignInRefused):
                await server.sign_in("me", "owner", "nonsense")


async def test_live_events_survive_a_cut() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        async with connected(plex) as (_, account):
            pass
        async with (
            PlexServer(
                settings_of(plex), [account], "device", reconnect=(0.01, 0.05), **QUICK
            ) as server,
            aclosing(server.watch([account])) as events,
        ):
            assert isinstance(await anext(events), Resync)
            plex.push_timeline(tracks[0], 9)
            assert await anext(events) == ItemsChanged((), (keys(tracks)[0],))
            plex.drop_connections()
            assert isinstance(await anext(events), Resync)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (Status(401), SignInRefused),
        (Status(403), NotAllowed),
        (Status(404), NotFound),
        (Status(429, {"Retry-After": "60"}), ConnectorUnavailable),
        (Status(500), ConnectorUnavailable),
        (Status(503), ConnectorUnavailable),
        (Hang(2), ConnectorUnavailable),
        (Cut(0.5), ConnectorUnavailable),
        (Cut(0), ConnectorUnavailable),
        (Body(b"<html>"), BadAnswer),
        (Body(b"<html></html>", "text/xml"), BadAnswer),
        (Body(b'{"a": 3}'), BadAnswer),
        (Body(b""), BadAnswer),
        (Body(b'<!DOCTYPE a [<!ENTITY b "b">]><a>&b;</a>', "text/xml"), BadAnswer),
        (Drip(0.1), ConnectorUnavailable),
    ],
    ids=str,
)
async def test_every_failure_is_told_apart_and_no_token_is_told(
    fault: Fault, expected: type[ConnectorError], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with FakePlex() as plex:
        furnish(plex)
        limits = {"longest": 0.3} if isinstance(fault, Drip) else {}
        async with connected(plex, **limits) as (server, account):
            (library,) = await server.libraries()
            plex.faults.add("GET", r"/all$", fault)
            with pytest.raises(expected) as problem:
                [page async for page in server.items(library)]
            plex.faults.clear()
    token = account.secrets["token"]
    assert token not in str(problem.value)
    assert token not in caplog.text


async def test_a_total_that_drifts_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.plex.listing.PAGE", 2)
    async with FakePlex(total_drifts=True) as plex:
        ids = keys(furnish(plex))
        async with connected(plex) as (server, _):
            (library,) = await server.libraries()
            items = [i.id async for page in server.items(library) for i in page.entries]
            assert sorted(items) == sorted(ids)


async def test_a_skip_that_changes_no_date_is_found_when_all_is_read() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        section = plex.add_section("Films", "movie", "/films")
        film = plex.add_movie(section, "F", "/films/f.mkv", duration=6000.0)
        async with connected(plex) as (server, account):
            long_ago = datetime.now(UTC) - timedelta(days=99)
            later = datetime.now(UTC) + timedelta(days=2)
            plex.play(plex.owner, film, 60)
            plex.skip(plex.owner, tracks[0])
            plex.play(plex.owner, tracks[1])
            states = {
                s.item_id async for page in server.states(account, since=long_ago) for s in page
            }
            assert states == set(keys([film, tracks[1]]))
            states = {s.item_id async for page in server.states(account, since=later) for s in page}
            assert states == set(keys([film]))  # what was left in the middle is always told
            states = {s.item_id async for page in server.states(account) for s in page}
            assert states == set(keys([film, *tracks[:2]]))


async def test_a_server_that_does_not_know_a_field_still_tells_the_rest() -> None:
    async with FakePlex() as plex:
        tracks = furnish(plex)
        plex.play(plex.owner, tracks[0])
        async with connected(plex) as (server, account):
            plex.faults.add("GET", "/all$", Status(400), skip=1)
            since = datetime.now(UTC) - timedelta(days=1)
            states = [s.item_id async for page in server.states(account, since=since) for s in page]
            assert states == keys(tracks[:1])
