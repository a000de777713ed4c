"""Ratings: refused or kept, whose word counts, and how they outlive the database."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from daemon.services import Services
from daemon.store.journal import JournalError
from daemon.store.journal_replay import count_waiting, replay_journal
from daemon.store.migrate import copy_database
from daemon.store.models import Profile, Rating, RatingEvent, now
from daemon.store.plays import record_play
from daemon.store.profiles import add_profile, default_profile, find_profile, remove_profile
from daemon.store.ratings import (
    FILE,
    BadRating,
    NewRating,
    UnknownItem,
    check_rating,
    rate,
    rate_many,
)
from tests.household import Household, find_items, item_at, rate_path, ratings, run_step
from tests.media import make_audio, make_document, make_picture, tag_audio
from tests.verbs import type_verb

RECORDING = "0c6f2a1e-0000-4000-8000-000000000001"


@asynccontextmanager
async def synced(household: Household) -> AsyncIterator[Services]:
    async with household.open() as services:
        await run_step(services, "sync")
        yield services


def make_texts(household: Household, *names: str) -> list[Path]:
    paths = [household.folder("text") / f"{name}.txt" for name in names]
    for path in paths:
        make_document(path, f"All about {path.stem}.")
    return paths


def lose_database(household: Household) -> None:
    for path in household.data_dir.glob("anagnorisis.db*"):
        path.unlink()


def journal_lines(household: Household) -> list[dict[str, Any]]:
    text = (household.data_dir / "ratings.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


async def profile_id(services: Services) -> int:
    async with services.database.read() as session:
        return (await default_profile(session, services.settings)).id


async def count_events(services: Services) -> int:
    async with services.database.read() as session:
        return await session.scalar(select(func.count()).select_from(RatingEvent)) or 0


@pytest.mark.parametrize(
    ("value", "kept"),
    [(0, 0.0), (10, 10.0), ("7.25", 7.25), (" 3 ", 3.0), ("1e1", 10.0), (-0.0, 0.0), ("-0", 0.0)],
)
def test_numbers_from_0_to_10_are_ratings(value: object, kept: float) -> None:
    assert repr(check_rating(value)) == repr(kept)


@pytest.mark.parametrize(
    "value",
    [
        "nan", "inf", "-inf", float("nan"), float("inf"), 11, "11", -1, -0.001, 10.0001, "x", "",
        "1_0", "7,5", "0x5", True, False, None, [], [5], {}, b"5", 10**400, "9" * 400, 5 + 0j,
    ],
)  # fmt: skip
def test_anything_else_is_refused(value: object) -> None:
    with pytest.raises(BadRating, match="A rating is a number from 0 to 10"):
        check_rating(value)


async def test_a_rating_is_in_the_journal_and_the_database_when_it_is_kept(
    household: Household,
) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        item_id = await rate_path(services, path, 7.123456789)
        assert await ratings(services) == {item_id: 7.123456789}
        [line] = journal_lines(household)
        assert (line["value"], line["profile"], line["origin"]) == (7.123456789, "me", "person")
        assert line["item"]["locations"][0]["path"] == "one.txt"
        await rate_path(services, path, None)
        assert await ratings(services) == {}
        assert journal_lines(household)[1]["value"] is None


async def test_a_rating_that_is_refused_leaves_no_trace(household: Household) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        profile = await profile_id(services)
        item_id = await item_at(services, path)
        with pytest.raises(BadRating):
            await rate(services.database, services.journal, profile, item_id, 11)
        with pytest.raises(UnknownItem):
            await rate(services.database, services.journal, profile, 12345, 5)
        assert not services.journal.path.exists()
        assert await count_events(services) == 0


async def test_a_rating_that_cannot_reach_the_journal_is_not_kept(household: Household) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        services.journal.path.mkdir()
        with pytest.raises(JournalError, match=r"could not be written to .*: Is a directory"):
            await rate_path(services, path, 5)
        assert await ratings(services) == {}
        assert await count_events(services) == 0


async def test_a_line_without_a_row_is_replayed_at_the_next_start(household: Household) -> None:
    """As after a power cut between journal and database."""
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        await rate_path(services, path, 3)
        line = journal_lines(household)[0]
        line |= {"event": "later", "value": 8, "at": now().isoformat()}
        await services.journal.append([line])
    async with household.open() as services:
        assert list((await ratings(services)).values()) == [8]
        assert await count_events(services) == 2


async def test_replaying_twice_adds_nothing(household: Household) -> None:
    one, two = make_texts(household, "one", "two")
    async with synced(household) as services:
        await rate_path(services, one, 3)
        await rate_path(services, one, 4)
        await rate_path(services, two, 5)
        await rate_path(services, two, None)
        before = await ratings(services)
        with services.journal.path.open("ab") as file:  # as when two journals were put together
            file.write(services.journal.path.read_bytes())
        for _ in range(2):
            assert await replay_journal(services.database, services.journal, force=True) == 0
        assert await ratings(services) == before
        assert await count_events(services) == 4


async def test_a_spoilt_journal_does_not_keep_the_daemon_from_starting(
    household: Household,
) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        await rate_path(services, path, 3)
    good = journal_lines(household)[0]
    spoilt = [
        good | {"event": "a", "value": 99},
        good | {"event": "b", "item": {"kind": "text", "locations": [5, {}, {"path": 7}]}},
        good | {"event": "c", "item": {}},
        {"event": "d"},
    ]
    with (household.data_dir / "ratings.jsonl").open("a") as file:
        file.writelines(json.dumps(line) + "\n" for line in spoilt)
        file.write('{"event": "torn')
    async with household.open() as services:
        assert list((await ratings(services)).values()) == [3]
        assert await count_waiting(services.database) == 2


async def test_a_lost_database_loses_no_rating(household: Household) -> None:
    texts = make_texts(household, *(f"text {n}" for n in range(6)))
    song = household.folder("music") / "song.mp3"
    make_audio(song, title="Song")
    async with synced(household) as services:
        for number, path in enumerate(texts):
            await rate_path(services, path, number)
        await rate_path(services, texts[5], None)
        await rate_path(services, song, 9.5)
    lose_database(household)
    assert await asyncio.to_thread(type_verb, household, "restore", "--journal") == (
        0,
        "0 ratings were put back from ratings.jsonl\n"
        "8 more wait for their files to be found: run sync.\n",
    )
    async with household.open() as services:
        assert "8 ratings put back from the journal" in await run_step(services, "sync")
        kept = await ratings(services)
        by_name = {item.title: kept.get(item.id) for item in await find_items(services)}
        assert by_name == {f"text {n}": float(n) for n in range(5)} | {"text 5": None, "Song": 9.5}
        assert await count_waiting(services.database) == 0
    assert len(journal_lines(household)) == 8, "nothing was written anew"


async def test_renamed_and_retagged_files_have_their_ratings_after_a_lost_database(
    household: Household,
) -> None:
    text, other = make_texts(household, "text", "other")
    song, picture = household.folder("music") / "a.mp3", household.folder("images") / "a.png"
    make_audio(song, title="Song", frequency=300)
    make_picture(picture, seed=3)
    async with synced(household) as services:
        for value, path in enumerate((text, other, song, picture), 1):
            await rate_path(services, path, value)
    lose_database(household)
    text.rename(text.with_name("renamed.txt"))
    other.write_text("Edited, and longer than it was before.")
    tag_audio(song, title="Retagged", comment="x" * 5000)
    song.rename(song.with_name("moved.mp3"))
    picture.rename(picture.with_name("b.png"))
    async with synced(household) as services:
        kept = await ratings(services)
        found = [
            kept.get(await item_at(services, path))
            for path in (
                text.with_name("renamed.txt"), other, song.with_name("moved.mp3"),
                picture.with_name("b.png"),
            )
        ]  # fmt: skip
        assert found == [1, 2, 3, 4]


async def test_another_file_at_the_path_does_not_inherit_after_a_lost_database(
    household: Household,
) -> None:
    song, picture = household.folder("music") / "a.mp3", household.folder("images") / "a.png"
    make_audio(song, seconds=1, frequency=300)
    make_picture(picture, seed=3, size=(640, 480))
    async with synced(household) as services:
        await rate_path(services, song, 9)
        await rate_path(services, picture, 9)
    lose_database(household)
    make_audio(song, seconds=4, frequency=900)
    make_picture(picture, seed=8, size=(800, 480))
    async with synced(household) as services:
        assert await ratings(services) == {}
        assert await count_waiting(services.database) == 2


async def test_a_reencoded_song_is_known_by_its_provider_id_after_a_lost_database(
    household: Household,
) -> None:
    song = household.folder("music") / "a.mp3"
    make_audio(song, seconds=2, title="Song")
    tags: dict[str, Any] = {"MusicBrainz Release Track Id": RECORDING}
    tag_audio(song, **tags)
    async with synced(household) as services:
        await rate_path(services, song, 8)
        assert journal_lines(household)[0]["item"]["locations"][0]["provider_ids"]
    lose_database(household)
    song.unlink()
    other = household.folder("music") / "elsewhere" / "b.flac"
    make_audio(other, seconds=2, title="Song")
    tag_audio(other, musicbrainz_releasetrackid=RECORDING)
    async with synced(household) as services:
        assert list((await ratings(services)).values()) == [8]


async def test_an_older_backup_gets_the_newer_lines(household: Household) -> None:
    one, two, three = make_texts(household, "one", "two", "three")
    three.rename(household.home / "three.txt")
    async with synced(household) as services:
        await rate_path(services, one, 1)
        await rate_path(services, two, 2)
        backup = copy_database(services.database.path, household.home / "backup.db")
        await rate_path(services, one, 6)
        await rate_path(services, two, None)
        (household.home / "three.txt").rename(three)
        await run_step(services, "sync")
        await rate_path(services, three, 3)
    lose_database(household)
    shutil.copy(backup, household.data_dir / "anagnorisis.db")
    async with household.open() as services:
        assert list((await ratings(services)).values()) == [6]
        assert await count_waiting(services.database) == 1
        await run_step(services, "sync")
        assert sorted((await ratings(services)).values()) == [3, 6]


async def test_a_removed_profile_stays_removed(household: Household) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        async with services.database.write() as session:
            await add_profile(session, "ben")
            ben = (await find_profile(session, services.settings, "ben")).id
        item_id = await item_at(services, path)
        await rate(services.database, services.journal, ben, item_id, 5)
        assert await record_play(
            services.database, ben, item_id, source="web", event_key="1", played_at=now(),
            position=None, duration=None, outcome="finished",
        )  # fmt: skip
        backup = copy_database(services.database.path, household.home / "backup.db")
        await remove_profile(services.database, services.journal, "ben")
        await rate_path(services, path, 7)

    async def everything() -> tuple[list[str], list[float]]:
        async with synced(household) as services, services.database.read() as session:
            names = await session.scalars(select(Profile.name))
            values = await session.scalars(select(Rating.value))
            return list(names), list(values)

    assert await everything() == (["me"], [7])
    lose_database(household)
    assert await everything() == (["me"], [7]), "after a lost database"
    lose_database(household)
    shutil.copy(backup, household.data_dir / "anagnorisis.db")
    assert await everything() == (["me"], [7]), "after an older backup"


async def test_a_profile_that_came_back_begins_anew(household: Household) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        item_id = await item_at(services, path)
        for value in (5, 6):
            async with services.database.write() as session:
                await add_profile(session, "ben")
                ben = (await find_profile(session, services.settings, "ben")).id
            await rate(services.database, services.journal, ben, item_id, value)
            if value == 5:
                await remove_profile(services.database, services.journal, "ben")
    lose_database(household)
    async with synced(household) as services, services.database.read() as session:
        ben = (await find_profile(session, services.settings, "ben")).id
        values = await session.scalars(
            select(RatingEvent.value).where(RatingEvent.profile_id == ben)
        )
        assert list(values) == [6]


async def test_the_files_word_never_stands_over_the_persons(household: Household) -> None:
    said, cleared, silent = make_texts(household, "said", "cleared", "silent")
    async with synced(household) as services:
        profile = await profile_id(services)
        kept = [await rate_path(services, path, 2) for path in (said, cleared)]
        await rate_path(services, cleared, None)
        kept.append(await item_at(services, silent))
        words = [NewRating(item_id, 9.0, now()) for item_id in kept]
        await rate_many(services.database, services.journal, profile, words, origin=FILE)
        expected = {kept[0]: 2.0, kept[2]: 9.0}
        assert await ratings(services) == expected
        await rate_path(services, silent, 1)
        assert await ratings(services) == expected | {kept[2]: 1.0}
    lose_database(household)
    async with synced(household) as services:
        by_name = {item.id: item.title for item in await find_items(services)}
        found = {by_name[item_id]: value for item_id, value in (await ratings(services)).items()}
        assert found == {"said": 2, "silent": 1}


async def test_a_rating_given_while_the_clock_was_ahead_can_be_changed(
    household: Household,
) -> None:
    [path] = make_texts(household, "one")
    async with synced(household) as services:
        item_id = await item_at(services, path)
        ahead = [NewRating(item_id, 2.0, now() + timedelta(days=900))]
        await rate_many(services.database, services.journal, await profile_id(services), ahead)
        await rate_path(services, path, 8)
        assert await ratings(services) == {item_id: 8}
        await rate_path(services, path, None)
        assert await ratings(services) == {}
    lose_database(household)
    async with synced(household) as services:
        assert await ratings(services) == {}


async def test_many_ratings_at_once_from_several_tasks_are_all_kept(household: Household) -> None:
    paths = make_texts(household, *(f"text {n}" for n in range(10)))
    async with synced(household) as services:
        await asyncio.gather(*(rate_path(services, path, n) for n, path in enumerate(paths)))
        assert sorted((await ratings(services)).values()) == list(range(10))
        assert len(journal_lines(household)) == 10


ODD_NAMES = (
    b"plain.txt", b'comma, "quote".txt', b"line\nbreak.txt", b"caf\xe9 \xff.txt",
    "Süd.txt".encode(), b"-dash.txt", b"=1+1.txt", b" spaces .txt",
)  # fmt: skip


@pytest.fixture
async def odd_names(household: Household) -> list[bytes]:
    """Texts with odd names, in the catalogue."""
    folder = os.fsencode(household.folder("text"))
    paths = [folder + b"/" + name for name in ODD_NAMES]
    for path in paths:
        make_document(path, f"About {path!r}")
    async with synced(household) as services:
        for number, path in enumerate(paths):
            await rate_path(services, Path(os.fsdecode(path)), number + 0.123456789)
    return paths


async def take(household: Household, csv: Path) -> tuple[int, str]:
    """Import a CSV file."""
    return await asyncio.to_thread(type_verb, household, "import-ratings", csv)


async def test_csv_goes_out_and_in_again(household: Household, odd_names: list[bytes]) -> None:
    csv = household.home / "out.csv"
    assert await asyncio.to_thread(type_verb, household, "export-ratings", csv) == (
        0, f"8 ratings of me written to {csv}\n",
    )  # fmt: skip
    assert all(path.replace(b'"', b'""') in csv.read_bytes() for path in odd_names)
    before = (household.data_dir / "ratings.jsonl").read_bytes()
    assert await take(household, csv) == (
        0, "0 ratings taken, 8 known already, 0 rows not understood\n",
    )  # fmt: skip
    assert (household.data_dir / "ratings.jsonl").read_bytes() == before
    async with household.open() as services:
        kept = await ratings(services)
        for path in odd_names:
            await rate_path(services, Path(os.fsdecode(path)), None)
    assert await take(household, csv) == (
        0, "0 ratings taken, 8 known already, 0 rows not understood\n",
    ), "the person took them back later than the file says"  # fmt: skip
    rows = csv.read_bytes().replace(b"rated_at", b"ignored")
    csv.write_bytes(rows)
    assert (await take(household, csv))[1].startswith("8 ratings taken")
    async with household.open() as services:
        assert await ratings(services) == kept


async def test_rows_of_a_csv_that_make_no_sense_are_named_and_the_rest_is_taken(
    household: Household, odd_names: list[bytes]
) -> None:
    csv = household.home / "in.csv"
    csv.write_bytes(
        b"\xef\xbb\xbf Path ,RATING,Rated_At,more\r\n"
        b"media/text/Main/plain.txt,9,2026-01-31T20:15,x,y,z\r\n"
        b"media/text/Main/caf\xe9 \xff.txt,8\r\n"
        b"media/text/Main/unknown.txt,7\r\n"
        b"media/text/Main/-dash.txt,eleven\r\n"
        b"media/text/Main/-dash.txt,11\r\n"
        b"media/text/Main/-dash.txt\r\n"
        b",5\r\n"
        b"media/text/Main/-dash.txt,5,yesterday\r\n"
        b"media/text/Main/-dash.txt,5,2999-01-01\r\n"
        b"media/text/Main/-dash.txt,5,0001-01-01T00:00:00+14:00\r\n"
    )
    status, told = await take(household, csv)
    assert status == 3
    lines = told.splitlines()
    assert lines[-1] == "1 ratings taken, 1 known already, 8 rows not understood"
    assert [line.partition(f"{csv}, line ")[2] for line in lines[:-1]] == [
        "4: there is no item media/text/Main/unknown.txt",
        "5: A rating is a number from 0 to 10, not 'eleven'.",
        "6: A rating is a number from 0 to 10, not '11'.",
        "7: A rating is a number from 0 to 10.",
        "8: there is no item (no path, no id)",
        "9: rated_at should be a time such as 2026-01-31T20:15, not yesterday",
        "10: rated_at lies in the future: 2999-01-01",
        "11: rated_at should be a time such as 2026-01-31T20:15, not 0001-01-01T00:00:00+14:00",
    ]
    async with household.open() as services:
        kept = await ratings(services)
        values = [
            kept[await item_at(services, os.fsencode(household.folder("text")) + b"/" + name)]
            for name in (b"plain.txt", b"caf\xe9 \xff.txt", b"-dash.txt")
        ]
        assert values == [0.123456789, 8.0, 5.123456789]


async def test_a_csv_from_before_does_not_undo_what_was_said_since(household: Household) -> None:
    [path] = make_texts(household, "one")
    csv = household.home / "in.csv"
    async with synced(household) as services:
        csv.write_text(f"path,rating,rated_at\n{path},3,2020-01-01\n")
        assert (await take(household, csv))[1].startswith("1 ratings taken")
        async with services.database.read() as session:
            [rated_at] = await session.scalars(select(Rating.rated_at))
        assert rated_at == datetime(2020, 1, 1, tzinfo=UTC)
        await rate_path(services, path, 9)
        csv.write_text(f"path,rating,rated_at\n{path},4,2021-01-01\n")
        assert (await take(household, csv))[1].startswith("0 ratings taken, 1 known")
        assert list((await ratings(services)).values()) == [9]


async def test_the_files_word_in_a_csv_does_not_become_the_persons(household: Household) -> None:
    [path] = make_texts(household, "one")
    csv = household.home / "out.csv"
    async with synced(household) as services:
        words = [NewRating(await item_at(services, path), 9.0, now())]
        profile = await profile_id(services)
        await rate_many(services.database, services.journal, profile, words, origin=FILE)
        await asyncio.to_thread(type_verb, household, "export-ratings", csv)
        assert (await take(household, csv))[1].startswith("0 ratings taken, 1 known")
        async with services.database.read() as session:
            assert list(await session.scalars(select(Rating.origin))) == [FILE]


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"", 2, "needs the columns `path` or `id`, and `rating`."),
        (b"path;rating\n/a;5\n", 2, "needs the columns"),
        (b"rating\n5\n", 2, "needs the columns"),
        ("path,rating\n".encode("utf-16"), 2, "needs the columns"),
        (b"path,rating\n", 0, "0 ratings taken, 0 known already, 0 rows not understood"),
        (b"path,rating\na\0b,5\n", 3, "1 rows not understood"),
        (b'path,rating\n"' + b"x" * 2_000_000, 1, "is no CSV file"),
        (None, 1, "cannot be read: No such file or directory"),
    ],
)
def test_a_file_that_is_no_such_csv_is_told(
    household: Household, content: bytes | None, status: int, told: str
) -> None:
    csv = household.home / "in.csv"
    if content is not None:
        csv.write_bytes(content)
    found = type_verb(household, "import-ratings", csv)
    assert found[0] == status
    assert told in found[1]
    assert not (household.data_dir / "ratings.jsonl").exists()


def test_an_export_that_cannot_be_written_leaves_nothing(household: Household) -> None:
    target = household.home / "none" / "out.csv"
    assert type_verb(household, "export-ratings", target) == (
        1, f"{target} cannot be written: No such file or directory\n",
    )  # fmt: skip
    assert not target.parent.exists()
