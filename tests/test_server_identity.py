"""Which item of the catalogue an item of a server is."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from connectors.base import Metadata
from connectors.paths import PathMap
from connectors.server import ServerItem
from daemon.identity.joins import undo_join
from daemon.identity.resolver import Outcome, mark_gone, renew_presence
from daemon.identity.server_resolver import ServerResolver
from daemon.services import Services
from daemon.store.models import Item, Join, Location, Source
from tests.household import Household, run_step
from tests.media import make_audio


def track(external_id: str, **changes: Any) -> ServerItem:
    facts: dict[str, Any] = {
        "title": "Prelude", "artists": ("Anna",), "duration": 61.0,
        **changes.pop("metadata", {}),
    }  # fmt: skip
    values: dict[str, Any] = {
        "path": "/srv/music/a/prelude.mp3", "size": 1000, "stamp": "1", **changes,
    }  # fmt: skip
    return ServerItem(external_id, values.pop("kind", "music"), Metadata(**facts), **values)


async def add_source(services: Services, name: str) -> int:
    async with services.database.write() as session:
        source = Source(name=name, kind="jellyfin", in_settings=True, problem="")
        session.add(source)
        await session.flush()
        return source.id


async def settle(
    services: Services, source_id: int, items: Sequence[ServerItem], *,
    mapping: dict[str, str] | None = None, has_lost: bool = True,
) -> Outcome:  # fmt: skip
    resolver = ServerResolver(source_id, PathMap(mapping or {}), None, has_lost=has_lost)
    async with services.database.write() as session:
        return await resolver.settle(session, "lib", items)


async def lose(services: Services, source_id: int, *ids: str) -> None:
    async with services.database.write() as session:
        items = await mark_gone(session, source_id, [i.encode() for i in ids])
        await renew_presence(session, sorted(items))


async def count_items(services: Services) -> int:
    async with services.database.read() as session:
        return await session.scalar(select(func.count(Item.id))) or 0


async def test_a_page_that_is_read_again_changes_nothing(household: Household) -> None:
    async with household.open() as services:
        source = await add_source(services, "A")
        first = await settle(services, source, [track("1")])
        again = await settle(services, source, [track("1")])
        assert (first.new, again.new, again.changed) == (1, 0, 0)
        assert first.items == again.items


async def test_a_server_that_gives_new_ids_changes_no_item(household: Household) -> None:
    async with household.open() as services:
        source = await add_source(services, "A")
        paths = {n: f"/srv/music/{n}.mp3" for n in range(5)}
        first = await settle(
            services, source,
            [track(f"old{n}", path=p, size=1000 + n, stamp="") for n, p in paths.items()],
        )  # fmt: skip
        second = await settle(
            services, source,
            [track(f"new{n}", path=p, size=1000 + n, stamp="") for n, p in paths.items()],
        )  # fmt: skip
        assert list(first.items.values()) == list(second.items.values())
        assert second.moved == 5
        async with services.database.read() as session:
            assert await session.scalar(select(func.count(Location.id))) == 5


async def test_ids_that_are_given_to_other_things_take_no_item_along(household: Household) -> None:
    async with household.open() as services:
        source = await add_source(services, "A")
        tracks = [
            track(str(n), path=f"/m/{n}.mp3", size=1000 + n, metadata={"duration": 60.0 + 9 * n})
            for n in range(6)
        ]
        first = await settle(services, source, tracks)
        shifted = [
            track(str((n + 1) % 6), path=t.path, size=t.size,
                  metadata={"duration": t.metadata.duration})
            for n, t in enumerate(tracks)
        ]  # fmt: skip
        second = await settle(services, source, shifted)
        for n in range(6):
            assert second.items[b"%d" % ((n + 1) % 6)] == first.items[b"%d" % n]
        assert await count_items(services) == 6


async def test_a_file_that_was_moved_on_the_server_is_known_again(household: Household) -> None:
    async with household.open() as services:
        source = await add_source(services, "A")
        first = await settle(services, source, [track("1", size=4321)])
        await lose(services, source, "1")
        moved = track("2", size=4321, path="/srv/music/b/prelude.mp3")
        second = await settle(services, source, [moved])
        assert list(second.items.values()) == list(first.items.values())
        async with services.database.read() as session:
            item = (await session.scalars(select(Item))).one()
            assert item.gone_at is None


@pytest.mark.parametrize(
    "other",
    [
        track("2", path="/srv/b.mp3", size=2, metadata={"title": "Prelude"}),
        track("2", path="/srv/b.mp3", size=1000, metadata={"duration": 80.0}),
        track("2", path="/srv/b.mp3", size=2,
              metadata={"provider_ids": {"musicbrainz_recording": "x"}, "duration": 99.0}),
        track("2", path="", size=1000),
    ],
)  # fmt: skip
async def test_one_proof_alone_joins_nothing(household: Household, other: ServerItem) -> None:
    async with household.open() as services:
        source = await add_source(services, "A")
        ours = track("1", metadata={"provider_ids": {"musicbrainz_recording": "x"}})
        await settle(services, source, [ours])
        assert (await settle(services, source, [other])).new == 1


async def test_two_servers_know_one_item_by_its_provider_id_and_length(
    household: Household,
) -> None:
    async with household.open() as services:
        one, two = await add_source(services, "A"), await add_source(services, "B")
        ids = {"provider_ids": {"musicbrainz_recording": "x"}}
        first = await settle(services, one, [track("1", metadata=ids)])
        second = await settle(
            services, two,
            [track("77", path="Anna/Prelude", size=5, metadata={**ids, "duration": 61.4})],
        )  # fmt: skip
        assert list(first.items.values()) == list(second.items.values())
        async with services.database.read() as session:
            join = (await session.scalars(select(Join))).one()
            assert join.evidence == "the same musicbrainz_recording id and length"


async def test_a_mapped_file_joins_the_folders_item_in_either_order(
    household: Household, tmp_path: Path
) -> None:
    path = household.folder("music") / "Anna" / "prélude.mp3"
    path.parent.mkdir()
    make_audio(path, seconds=1, title="From the file", genre="Opera")
    mapping = {"/srv": str(household.folder("music"))}
    theirs = track(
        "1", path="/srv/Anna/pre\N{COMBINING ACUTE ACCENT}lude.mp3", size=path.stat().st_size,
        metadata={"overview": "A quiet piece.", "title": "From the server", "genres": ("Piano",)},
    )  # fmt: skip
    async with household.open() as services:
        await run_step(services, "sync")
        source = await add_source(services, "A")
        outcome = await settle(services, source, [theirs], mapping=mapping)
        assert (outcome.new, outcome.joined) == (0, 1)
        async with services.database.read() as session:
            item = (await session.scalars(select(Item))).one()
        assert item.title == "From the file"
        assert item.facts["overview"] == "A quiet piece."
        assert item.facts["genres"] == ["Opera", "Piano"]
        assert "overview" not in (item.own_facts or {})
        await run_step(services, "describe")
        make_audio(path, seconds=1, title="Renamed", genre="Opera")
        await run_step(services, "sync")
        async with services.database.read() as session:
            item = (await session.scalars(select(Item))).one()
        assert (item.title, item.facts["overview"]) == ("Renamed", "A quiet piece.")


async def test_two_servers_with_one_mount_know_one_item(household: Household) -> None:
    async with household.open() as services:
        one, two = await add_source(services, "A"), await add_source(services, "B")
        first = await settle(services, one, [track("1", path="/a/x.mp3")], mapping={"/a": "/mnt"})
        second = await settle(
            services, two, [track("2", path="D:\\b\\x.mp3")], mapping={"D:\\b": "/mnt"}
        )
        assert list(first.items.values()) == list(second.items.values())


async def test_a_file_that_appears_speaks_for_what_only_a_server_knew(
    household: Household,
) -> None:
    recording = "0d4ee1a5-1b5d-4b3f-9c5e-000000000001"
    household.folder("music")
    async with household.open() as services:
        source = await add_source(services, "A")
        theirs = track(
            "1", metadata={"duration": 1.0, "title": "Theirs",
                           "provider_ids": {"musicbrainz_recording": recording}},
        )  # fmt: skip
        first = await settle(services, source, [theirs])
        make_audio(
            household.folder("music") / "x.flac",
            seconds=1,
            title="Ours",
            musicbrainz_trackid=recording,
        )
        await run_step(services, "sync")
        async with services.database.read() as session:
            item = (await session.scalars(select(Item))).one()
        assert item.id in first.items.values()
        assert item.title == "Ours"


async def test_a_join_that_was_undone_leaves_each_its_own_words(household: Household) -> None:
    path = household.folder("music") / "a.mp3"
    make_audio(path, seconds=1, title="From the file")
    mapping = {"/srv": str(household.folder("music"))}
    theirs = track(
        "1", path="/srv/a.mp3", size=path.stat().st_size,
        metadata={"overview": "A quiet piece.", "title": "From the server"},
    )  # fmt: skip
    async with household.open() as services:
        await run_step(services, "sync")
        source = await add_source(services, "A")
        await settle(services, source, [theirs], mapping=mapping)
        async with services.database.write() as session:
            join = (await session.scalars(select(Join))).one()
            alone = await undo_join(session, join.id)
        async with services.database.read() as session:
            items = {i.title: i for i in await session.scalars(select(Item))}
        assert set(items) == {"From the file", "From the server"}
        assert items["From the server"].id == alone
        assert "overview" not in items["From the file"].facts
        again = await settle(services, source, [theirs], mapping=mapping)
        assert list(again.items.values()) == [alone]
