"""What holds of every Subsonic server: tried on a real supysonic and on the stand-in."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from connectors.base import NotAllowed, NotFound, Refused, SignInRefused
from connectors.server import Account, Capability, Library, ServerItem, ServerPlaylist
from connectors.server_settings import SubsonicSettings
from connectors.subsonic import SubsonicServer
from tests.media import make_audio, picture_bytes, tag_audio
from tests.stand_ins.subsonic import FakeSubsonic
from tests.stand_ins.supysonic_server import Supysonic, run_supysonic

QUICK: dict[str, Any] = {"timeout": 5.0, "longest": 10.0, "first_pause": 0.01}
SONGS = 5


class Home:
    """A server with five songs, and what the tests do to it behind the connector's back."""

    def __init__(self, url: str, real: Supysonic | None, fake: FakeSubsonic | None) -> None:
        self.settings = SubsonicSettings(
            kind="subsonic", name="Home", url=url, users={"me": "anna"}
        )  # fmt: skip
        self.real, self.fake = real, fake
        self.server: SubsonicServer
        self.account: Account
        self.other: Account

    def add(self, title: str) -> None:
        if self.real:
            make_audio(self.real.music / f"{title}.mp3", title=title)
            self.real.scan()
        elif self.fake:
            self.fake.add_song(title, title)
            self.fake.scanned = "2026-11-02T00:00:00Z"

    def remove(self, title: str) -> None:
        if self.real:
            (self.real.music / f"{title}.mp3").unlink()
            self.real.scan()
        elif self.fake:
            self.fake.songs.pop(next(i for i, s in self.fake.songs.items() if s["title"] == title))
            self.fake.scanned = "2026-11-03T00:00:00Z"

    def reissue(self) -> None:
        if self.real:
            self.real.reissue_ids()
        elif self.fake:
            self.fake.reissue_all_ids()

    async def library(self) -> Library:
        (library,) = await self.server.libraries()
        return library

    async def items(self) -> dict[str, ServerItem]:
        """Return the songs by title, in the server's order."""
        pages = [page async for page in self.server.items(await self.library())]
        return {item.metadata.title: item for page in pages for item in page.entries}

    async def ids(self) -> list[str]:
        return [item.id for item in (await self.items()).values()]

    async def make(self, name: str, ids: list[str]) -> ServerPlaylist:
        made = await self.server.create_playlist(
            self.account, name, "music", ids, description=f"[{name}]", is_public=False
        )
        return await self.server.playlist(self.account, made)


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("music")
    for n in range(SONGS):
        make_audio(
            folder / f"{n}.mp3", seconds=1 + n / 2, title=f"Track {n}", artist="Band",
            album="First", track=n + 1,
        )  # fmt: skip
    tag_audio(folder / "0.mp3", cover=picture_bytes())
    return folder


@pytest.fixture(params=["supysonic", "stand-in"])
async def home(request: pytest.FixtureRequest, tmp_path: Path, music: Path) -> AsyncIterator[Home]:
    users = {"anna": "secret", "ben": "other"}
    with ExitStack() as stack:
        if request.param == "supysonic":
            here = tmp_path / "music"
            here.mkdir()
            for file in music.iterdir():
                (here / file.name).hardlink_to(file)
            real = stack.enter_context(run_supysonic(tmp_path / "supysonic", here, users))
            home = Home(real.url, real, None)
        else:
            fake = FakeSubsonic(users=users)
            for n in range(SONGS):
                cover = {"coverArt": "mf-0"} if n == 0 else {}
                fake.add_song(
                    f"s{n}", f"Track {n}", path=f"{n}.mp3", track=n + 1, duration=1 + n // 2,
                    **cover,
                )  # fmt: skip
            stack.enter_context(fake.run_in_thread())
            home = Home(fake.url, None, fake)
        async with SubsonicServer(home.settings, [], "d", **QUICK) as server:
            home.account = await server.sign_in("me", "anna", "secret")
            home.other = await server.sign_in("you", "ben", "other")
        async with SubsonicServer(
            home.settings, [home.account, home.other], "d", **QUICK
        ) as home.server:
            yield home


async def test_a_wrong_password_is_refused_and_a_right_one_stays_good(home: Home) -> None:
    await home.server.check(home.account)
    async with SubsonicServer(home.settings, [], "d", **QUICK) as server:
        for user, password in (("anna", "wrong"), ("nobody", "secret"), ("anna", "")):
            with pytest.raises(SignInRefused) as problem:
                await server.sign_in("me", user, password)
            assert "secret" not in str(problem.value)
    assert "secret" not in repr(home.account)


async def test_a_server_says_who_it_is_and_what_it_can(home: Home) -> None:
    again = SubsonicServer(home.settings, [home.account], "other", **QUICK)
    assert again.info.id == home.server.info.id
    assert home.server.info.version
    assert {Capability.RATE, Capability.MARK} <= home.server.info.capabilities
    assert not {Capability.CHANGES, Capability.HISTORY} & home.server.info.capabilities


async def test_the_library_is_listed_with_its_tags(home: Home) -> None:
    items = await home.items()
    assert sorted(items) == [f"Track {n}" for n in range(SONGS)]
    one = items["Track 1"]
    assert one.kind == "music"
    assert (one.metadata.artists, one.metadata.album, one.metadata.track) == (("Band",), "First", 2)
    assert one.metadata.duration == 1.0
    assert one.path == "/1.mp3"
    assert one.has_real_path == bool(home.real)
    assert one.size
    assert one.stamp
    ids = [i async for page in home.server.ids(await home.library()) for i in page]
    assert sorted(ids) == sorted(item.id for item in items.values())


async def test_the_stamp_of_a_library_stays_until_something_is_new(home: Home) -> None:
    before = await home.library()
    assert before.stamp
    assert await home.library() == before
    if home.real:  # it keeps whole seconds
        home.real.wait_for_another_second()
    home.add("New")
    after = await home.library()
    assert after.stamp != before.stamp
    assert len(await home.items()) == SONGS + 1


async def test_a_song_that_is_removed_is_no_more(home: Home) -> None:
    home.add("Gone")
    items = await home.items()
    gone = items["Gone"].id
    ids = [item.id for item in items.values()]
    assert await home.server.existing(home.account, ids) == set(ids)
    if home.real:
        home.real.wait_for_another_second()
    home.remove("Gone")
    assert "Gone" not in await home.items()
    assert await home.server.existing(home.account, [*ids, "no-such"]) == {*ids} - {gone}
    assert len(await home.server.states_of(home.account, ids)) == SONGS
    with pytest.raises(NotFound):
        await home.server.rate(home.account, gone, 8.0)


async def test_ids_that_are_given_anew_are_all_new(home: Home) -> None:
    before = await home.ids()
    if home.real:
        home.real.wait_for_another_second()
    home.reissue()
    after = await home.ids()
    assert len(after) == SONGS
    assert not set(before) & set(after)
    assert await home.server.existing(home.account, [*before, *after]) == set(after)


@pytest.mark.parametrize(
    ("rating", "kept"), [(10.0, 10.0), (7.0, 8.0), (6.9, 6.0), (0.0, 2.0), (None, None)]
)
async def test_a_rating_is_kept_in_stars(
    home: Home, rating: float | None, kept: float | None
) -> None:
    item_id = (await home.ids())[0]
    await home.server.rate(home.account, item_id, 4.0)
    assert (await home.server.rate(home.account, item_id, rating)).rating == kept
    (state,) = await home.server.states_of(home.account, [item_id])
    assert state.rating == kept


async def test_a_favourite_is_one_until_it_is_none(home: Home) -> None:
    item_id = (await home.ids())[0]
    for wanted in (True, True, False, False):  # again: supysonic refuses to star twice
        state = await home.server.set_favourite(home.account, item_id, wanted)
        assert state.is_favourite == wanted


async def test_only_what_was_touched_is_told_of(home: Home) -> None:
    ids = await home.ids()
    assert [s async for page in home.server.states(home.account) for s in page] == []
    await home.server.rate(home.account, ids[1], 6.0)
    await home.server.set_favourite(home.account, ids[2], True)
    states = {s.item_id: s async for page in home.server.states(home.account) for s in page}
    assert set(states) == {ids[1], ids[2]}
    assert (states[ids[1]].rating, states[ids[2]].is_favourite) == (6.0, True)
    assert [p async for p in home.server.history(home.account)] == []


async def test_a_playlist_is_made_described_and_read_back(home: Home) -> None:
    ids = await home.ids()
    wanted = [ids[3], ids[0], ids[2]]
    made = await home.make("Evening", wanted)
    assert made.item_ids == wanted
    assert (made.name, made.owner_id, made.description) == ("Evening", "anna", "[Evening]")
    assert made.is_public is False
    (listed,) = await home.server.playlists(home.account)
    assert (listed.id, listed.description, listed.count) == (made.id, "[Evening]", 3)
    assert listed.entries is None
    await home.server.describe_playlist(home.account, made.id, description="new", is_public=True)
    again = await home.server.playlist(home.account, made.id)
    assert (again.description, again.is_public, again.item_ids) == ("new", True, wanted)


async def test_a_playlist_is_never_taken_for_another_of_its_name(home: Home) -> None:
    ids = await home.ids()
    first = await home.make("Evening", ids[:2])
    second = await home.make("Evening", ids[2:4])
    assert first.id != second.id
    assert (await home.server.playlist(home.account, first.id)).item_ids == ids[:2]


@pytest.mark.parametrize("order", [[3, 1, 0], [0], [], [4, 3, 2, 1, 0], [1, 1, 2, 1]])
async def test_a_playlist_is_brought_to_any_order_in_place(home: Home, order: list[int]) -> None:
    ids = await home.ids()
    made = await home.make("Evening", ids[:3])
    wanted = [ids[n] for n in order]
    assert await home.server.set_entries(home.account, made, "music", wanted) >= 1
    after = await home.server.playlist(home.account, made.id)
    assert after.item_ids == wanted
    assert (after.name, after.description, after.created) == (
        made.name, made.description, made.created,
    )  # fmt: skip
    assert await home.server.set_entries(home.account, after, "music", wanted) == 0


async def test_a_long_list_is_one_write_and_keeps_its_order(home: Home) -> None:
    ids = await home.ids()
    length = 10_000 if home.fake else 510  # supysonic takes 2 ms to read back one entry
    wanted = [ids[(n * n) % SONGS] for n in range(length)]
    made = await home.make("Long", ids[:1])
    sent = await home.server.set_entries(home.account, made, "music", wanted)
    assert sent == 2  # the second reads whether the end was cut off
    after = await home.server.playlist(home.account, made.id)
    assert after.item_ids == wanted
    assert await home.server.set_entries(home.account, after, "music", wanted[1:]) == 1


async def test_what_is_not_there_is_not_found(home: Home) -> None:
    made = await home.make("Evening", [])
    await home.server.delete_playlist(home.account, made.id)
    with pytest.raises(NotFound):
        await home.server.playlist(home.account, made.id)
    with pytest.raises(NotFound):
        await home.server.delete_playlist(home.account, made.id)
    assert await home.server.playlists(home.account) == []


async def test_a_private_playlist_is_not_another_users_to_see_or_change(home: Home) -> None:
    made = await home.make("Mine", (await home.ids())[:1])
    assert await home.server.playlists(home.other) == []
    await home.server.describe_playlist(home.account, made.id, is_public=True)
    (seen,) = await home.server.playlists(home.other)
    assert seen.owner_id == "anna"
    with pytest.raises(NotAllowed):
        await home.server.set_entries(home.other, seen, "music", [])


async def test_media_are_read_whole_and_in_part(home: Home) -> None:
    item = (await home.items())["Track 2"]
    async with await home.server.open_media(item.id) as stream:
        whole = b"".join([chunk async for chunk in stream.chunks()])
    if home.real:
        assert whole == (home.real.music / "2.mp3").read_bytes()
    async with await home.server.open_media(item.id, "bytes=5-14") as stream:
        assert stream.status == 206
        assert b"".join([chunk async for chunk in stream.chunks()]) == whole[5:15]
    with pytest.raises((NotFound, Refused)):
        await home.server.open_media("no-such-thing")


async def test_a_cover_is_a_picture_or_not_found(home: Home) -> None:
    items = await home.items()
    async with await home.server.open_artwork(items["Track 0"].id, 32) as stream:
        assert stream.headers["Content-Type"].startswith("image/")
        assert b"".join([chunk async for chunk in stream.chunks()])
    with pytest.raises(NotFound):
        await home.server.open_artwork(items["Track 1"].id, 32)


async def test_there_is_no_sign_in_by_code(home: Home) -> None:
    with pytest.raises(Refused, match="password"):
        await home.server.begin_link("me")


async def test_what_people_do_to_a_list_is_seen(home: Home) -> None:
    ids = await home.ids()
    made = await home.make("Evening", ids[:3])
    call = home.server._client.call
    secrets = dict(home.account.secrets)
    await call(secrets, "updatePlaylist", playlistId=made.id, name="Mine", songIndexToRemove=[1])
    seen = await home.server.playlist(home.account, made.id)
    assert (seen.name, seen.item_ids, seen.description) == ("Mine", [ids[0], ids[2]], "[Evening]")
    await call(secrets, "updatePlaylist", playlistId=made.id, songIndexToRemove=[0, 1])
    assert (await home.server.playlist(home.account, made.id)).item_ids == []
    await call(secrets, "deletePlaylist", id=made.id)
    assert await home.server.playlists(home.account) == []


async def test_real_music_is_listed_and_played_by_a_real_server(
    shared_media: Path, tmp_path: Path
) -> None:
    music = shared_media / "music"
    with run_supysonic(tmp_path / "supysonic", music, {"anna": "secret"}) as real:
        settings = SubsonicSettings(
            kind="subsonic", name="Home", url=real.url, users={"me": "anna"}
        )  # fmt: skip
        async with SubsonicServer(settings, [], "d", **QUICK) as server:
            account = await server.sign_in("me", "anna", "secret")
        async with SubsonicServer(settings, [account], "d", **QUICK) as server:
            (library,) = await server.libraries()
            items = [i async for page in server.items(library) for i in page.entries]
            files = {f"/{p.relative_to(music)}": p for p in music.rglob("*.*") if p.is_file()}
            assert {item.path for item in items} == set(files)
            for item in items:
                assert item.size == files[item.path].stat().st_size
                assert item.metadata.title
                assert item.metadata.duration
            async with await server.open_media(items[0].id) as stream:
                body = b"".join([chunk async for chunk in stream.chunks()])
            assert body == files[items[0].path].read_bytes()
