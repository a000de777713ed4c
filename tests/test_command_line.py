"""The verbs, typed into real processes: answers, exit statuses, and no model where none is needed.

`run_verb` makes importing torch fatal unless `models` is said.
"""

import csv
import json
import os
import re
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.household import Household
from tests.media import make_audio, make_document, make_picture, make_video, write
from tests.verbs import environment, json_rows, run_verb, type_verb, typed_rows

LIKED = ("violin sonata", "string quartet", "piano trio", "cello suite", "symphony", "oratorio")
DISLIKED = ("tax form", "insurance letter", "parking fine", "invoice", "bank statement", "receipt")
ROW_FIELDS = {
    "id", "kind", "title", "artist", "path", "score", "predicted", "uncertainty", "trusted",
    "rating", "gone", "why",
}  # fmt: skip
COUNTED = (
    "item", "location", "description", "vector", "item_vector", "work", "rating_event",
    "rating", "prediction", "taste_model", "playlist_write",
)  # fmt: skip


def make_library(household: Household) -> None:
    for word in LIKED + DISLIKED:
        for number in range(2):
            text = f"About a {word}, number {number} of the pile."
            make_document(household.folder("text") / f"{word} {number}.txt", text)
    make_audio(household.folder("music") / "song.mp3", title="A song", artist="Ann")
    make_picture(household.folder("images") / "picture.png")
    make_video(household.folder("videos") / "film.mp4")
    write(household.folder("music") / "garbage.mp3", b"garbage" * 1000)


def counts(household: Household) -> dict[str, int]:
    """Return the size of every table that a step fills."""
    path = household.data_dir / "anagnorisis.db"
    with closing(sqlite3.connect(path)) as connection:
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608
            for table in COUNTED
        }


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Household:
    """A house after its first run and two dozen ratings; tests here leave it as it is."""
    household = Household(tmp_path_factory.mktemp("house"))
    make_library(household)
    write(
        household.data_dir / "config.yaml",
        b"profiles: [anna, ben]\n"
        b"playlists:\n- {name: Best, kind: text, untrusted: true, limit: 5}\n"
        b"- {name: Bens, kind: text, profile: ben}\n",
    )
    done = run_verb(household, "run", "sync", "describe", "embed", models=True)
    assert done.returncode == 0, done.stderr
    assert "sync: done: 27 new" in done.stderr
    assert done.stdout == ""
    ratings = household.home / "ratings.csv"
    with ratings.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "rating"))
        for words, value in ((LIKED, 9), (DISLIKED, 1)):
            writer.writerows((f"media/text/Main/{word} 0.txt", value) for word in words)
    done = run_verb(household, "import-ratings", "ratings.csv")
    assert (done.returncode, done.stderr) == (
        0, "12 ratings taken, 0 known already, 0 rows not understood\n",
    )  # fmt: skip
    done = run_verb(household, "run", "train", "score", "playlists", "backup")
    assert done.returncode == 0, done.stderr
    return household


def test_an_empty_installation_answers_everything(household: Household) -> None:
    assert json_rows(household, "rank") == []
    assert typed_rows(household, "search", "x", "--mode", "words") == []
    assert typed_rows(household, "search", "x", "--mode", "name") == []
    [figures] = typed_rows(household, "evaluate")
    assert (figures["ratings"], figures["mae"], figures["trusted"]) == (0, None, False)
    assert typed_rows(household, "profiles") == [{"name": "me", "ratings": 0}]
    done = run_verb(household, "run", "sync", "describe", "train", "score", "playlists", "backup")
    assert done.returncode == 0, done.stderr
    status, told = type_verb(household, "search", "x")
    assert status == 1
    assert "Nothing is embedded yet" in told


def test_rank_tells_every_present_item_best_first(house: Household) -> None:
    rows = json_rows(house, "rank")
    assert len(rows) == 27
    assert all(set(row) == ROW_FIELDS for row in rows)
    predicted = [row["predicted"] for row in rows]
    assert None not in predicted
    assert predicted == sorted(predicted, reverse=True)
    by_path = {row["path"]: row for row in rows}
    liked = by_path[f"{house.home}/media/text/Main/symphony 0.txt"]
    assert liked["rating"] == 9
    assert liked["score"] == liked["predicted"] > 6
    assert 0 < liked["uncertainty"] < 5
    assert liked["trusted"] is True
    assert liked["gone"] is False
    likely = by_path[f"{house.home}/media/text/Main/cello suite 1.txt"]
    unlikely = by_path[f"{house.home}/media/text/Main/tax form 1.txt"]
    assert likely["rating"] is None
    assert likely["predicted"] > unlikely["predicted"] + 2


def test_rank_can_be_narrowed(house: Household) -> None:
    rows = typed_rows(house, "rank", "--kind", "text", "--unrated", "--limit", "3")
    assert len(rows) == 3
    assert {row["kind"] for row in rows} == {"text"}
    assert {row["rating"] for row in rows} == {None}
    assert typed_rows(house, "rank", "--limit", "0") == []
    bens = typed_rows(house, "rank", "--profile", "ben", "--kind", "music")
    assert [(row["title"], row["predicted"], row["trusted"]) for row in bens] == [
        ("A song", None, None)
    ]


def test_a_correction_changes_the_ranking_at_the_next_call(house: Household) -> None:
    path = house.folder("text") / "invoice 1.txt"
    before = {row["path"]: row["predicted"] for row in typed_rows(house, "rank")}
    done = run_verb(house, "rate", path, "9")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == f"{path} is rated 9 (anna)\n"
    after = {row["path"]: row["predicted"] for row in typed_rows(house, "rank")}
    other = str(house.folder("text") / "invoice 0.txt")
    assert after[str(path)] > before[str(path)] + 0.5
    assert after[other] > before[other]
    odd_path = f"{house.home}/media/text/Main/../Main/invoice 1.txt"
    assert type_verb(house, "rate", odd_path, "NONE")[0] == 0
    assert {r["path"]: r["predicted"] for r in typed_rows(house, "rank")} == pytest.approx(before)


def test_what_is_told_without_json_is_a_table(house: Household) -> None:
    done = run_verb(house, "rank", "--limit", "2")
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "id", "kind", "score", "predicted", "uncertainty", "rating", "title", "path"
    ]  # fmt: skip
    assert len(lines) == 3
    best = typed_rows(house, "rank", "--limit", "1")[0]
    assert lines[1].startswith(best["id"])
    assert lines[1].endswith(best["path"])  # whole, however long: it is there to be used


def test_search_by_words_name_and_meaning(house: Household) -> None:
    words = typed_rows(house, "search", "cello pile", "--mode", "words", "--limit", "1")
    assert set(words[0]) == ROW_FIELDS | {"why"}
    assert words[0]["title"].startswith("cello suite")
    names = typed_rows(house, "search", "parking", "--mode", "name", "--kind", "text")
    assert sorted(row["title"] for row in names) == ["parking fine 0", "parking fine 1"]
    assert typed_rows(house, "search", "parking", "--mode", "name", "--kind", "music") == []
    meaning = json_rows(house, "search", "money owed to the authorities", models=True)
    assert len(meaning) == 20
    assert not {row["title"][:-2] for row in meaning[:3]} & set(LIKED)


@pytest.mark.parametrize(
    "text", ["", "--help", '"', "*", "AND", "NEAR(a b)", "a:b", "%", "_", "\\"]
)
def test_no_search_is_a_syntax_error(house: Household, text: str) -> None:
    for mode in ("words", "name"):
        assert isinstance(typed_rows(house, "search", "--mode", mode, "--", text), list)


def test_evaluate_tells_its_figures_beside_the_mean(house: Household) -> None:
    [row] = typed_rows(house, "evaluate")
    assert set(row) >= {
        "ratings", "folds", "model", "mae", "rmse", "spearman", "precision_at_10", "coverage",
    }  # fmt: skip
    assert row["ratings"] == 12
    assert row["mae"] < row["mean_baseline"]["mae"]
    assert set(row["mean_baseline"]) == {
        "ratings", "folds", "model", "mae", "rmse", "spearman", "precision_at_10", "coverage",
    }  # fmt: skip
    table = run_verb(house, "evaluate").stdout.splitlines()
    assert [line.split()[0] for line in table] == ["of", "head", "the", "newest"]
    [bens] = typed_rows(house, "evaluate", "--profile", "ben")
    assert (bens["ratings"], bens["model"], bens["mae"]) == (0, None, None)


def test_a_model_brought_back_is_not_taken_out_again_by_new_ratings(house: Household) -> None:
    path = str(house.home / "media" / "text" / "Main" / f"{LIKED[0]} 1.txt")
    assert type_verb(house, "rate", path, "9")[0] == 0
    [row] = typed_rows(house, "evaluate", "--use", "1")
    assert row["ratings"] == 12
    assert type_verb(house, "evaluate", "--use", "99")[0] == 1
    assert type_verb(house, "rate", path, "none")[0] == 0


def test_a_playlist_is_previewed_and_written(house: Household) -> None:
    target = house.data_dir / "playlists" / "Best.m3u8"
    target.unlink()
    rows = typed_rows(house, "playlist", "preview", "Best")
    assert [row["position"] for row in rows] == [1, 2, 3, 4, 5]
    assert not target.exists()
    assert typed_rows(house, "playlist", "write", "Best") == rows
    assert target.read_text().count("#EXTINF") == 5
    before = target.stat()
    assert "unchanged" in type_verb(house, "playlist", "write", "Best")[1]
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    status, told = type_verb(house, "playlist", "write", "Bens")
    assert status == 0
    assert "abstained: There are no predictions yet" in told


def test_doctor_says_what_is_wrong(house: Household) -> None:
    rows = json_rows(house, "doctor", models=True)
    assert {row["state"] for row in rows} == {"ok"}
    assert {"settings", "database", "folder music/Main", "text model"} <= {
        row["about"] for row in rows
    }
    away = house.home / "away"
    house.folder("videos").rename(away)
    config = house.home / "other.yaml"
    config.write_text(
        f"sources: [{{name: V, media: videos, path: {house.home}/media/videos/Main}}]"
    )
    try:
        done = run_verb(house, "--config", config, "doctor")
    finally:
        away.rename(house.folder("videos").parent / "Main")
    assert done.returncode == 1
    assert re.search(r"^PROBLEM +folder V: .*Is it mounted\?$", done.stdout, re.MULTILINE)
    assert re.search(r"^PROBLEM +text model: .*torch was imported", done.stdout, re.MULTILINE)


def test_a_second_run_does_nothing_new(house: Household) -> None:
    before = counts(house)
    done = run_verb(house, "run")
    assert done.returncode == 0, done.stderr
    assert "sync: done: nothing new" in done.stderr
    assert "no new ratings" in done.stderr
    assert counts(house) == before


def test_the_common_options_stand_before_or_after_the_verb(household: Household) -> None:
    config = household.home / "own.yaml"
    config.write_text("profiles: [carl]")
    data = household.home / "elsewhere"
    options = ("--config", config, "--data-dir", data)
    carl = [{"name": "carl", "ratings": 0}]
    assert json_rows(household, *options, "profiles") == carl
    assert json_rows(household, "profiles", "list", *options) == carl
    assert (data / "anagnorisis.db").exists()
    assert not household.data_dir.exists()
    assert type_verb(household, "profiles", *options)[0] == 0
    assert not household.data_dir.exists(), "what stands after the verb wins"


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["frobnicate"], 2, "invalid choice: 'frobnicate'"),
        (["rank", "--kind", "films"], 2, "invalid choice: 'films'"),
        *((["rank", f"--limit={n}"], 2, "should be a number from 0") for n in (-1, "x", 10**30)),
        (["rank", "--profile", "zoe"], 1, "There is no profile zoe; there are anna, ben."),
        (["evaluate", "--profile", "zoe"], 1, "There is no profile zoe"),
        (["rate", "/nonexistent.mp3", "5"], 1, "There is no item /nonexistent.mp3"),
        (["rate", "1f", "5"], 1, "There is no item 1f"),
        (["rate", "media/music/Main/garbage.mp3", "5"], 1, "garbage.mp3 in the catalogue"),
        (["rate", "media/music/Main/song.mp3", "11"], 2, "A rating is a number from 0 to 10"),
        (["rate", "media/music/Main/song.mp3", "nan"], 2, "A rating is a number from 0 to 10"),
        (["rate", "media/music/Main/song.mp3", "x"], 2, "A rating is a number from 0 to 10"),
        (["rate", "media/music/Main/song.mp3"], 2, "VALUE"),
        (["rate", "media/music/Main/song.mp3", "5", "--profile", "zoe"], 1, "no profile zoe"),
        (["run", "fly"], 2, "There is no step fly; there are sync, describe, embed"),
        (["run", "sync", "--accept-loss", "Attic"], 2, "There is no source Attic; there are im"),
        (["profiles", "add"], 2, "profiles add needs a name."),
        (["profiles", "add", " "], 2, "profiles add needs a name."),
        (["profiles", "add", "anna"], 1, "There is a profile anna already."),
        (["profiles", "remove", "zoe"], 1, "There is no profile zoe"),
        (["profiles", "remove", "ben"], 1, "ben stands in the settings"),
        (["playlist", "preview", "None"], 1, "There is no playlist None; there are: Best"),
        (["--config", "none.yaml", "rank"], 2, "There is no settings file at none.yaml."),
        (["restore", "none.db"], 1, "none.db is no backup"),
    ],
)
def test_what_makes_no_sense_is_told_and_changes_nothing(
    house: Household, words: list[str], status: int, told: str
) -> None:
    before = counts(house)
    found = type_verb(house, *(str(house.home / w) if w.startswith("media/") else w for w in words))
    assert found[0] == status, found[1]
    assert told in found[1]
    assert counts(house) == before


def test_profiles_come_and_go(household: Household) -> None:
    assert typed_rows(household, "profiles", "add", "ben") == [
        {"name": "me", "ratings": 0}, {"name": "ben", "ratings": 0},
    ]  # fmt: skip
    done = run_verb(household, "profiles", "remove", "ben")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Removing a profile forgets its taste; say --yes to do so.\n"
    assert typed_rows(household, "profiles", "remove", "ben", "--yes") == [
        {"name": "me", "ratings": 0}
    ]
    status, told = type_verb(household, "profiles", "remove", "me", "--yes")
    assert (status, told) == (1, "me is the only profile; add another one first.\n")


@pytest.mark.parametrize(
    "words", [["profiles", "add", "\udcff"], ["rank", "--profile", "\udcff"], ["search", "\udcff"]]
)
def test_words_that_are_no_text_are_told(house: Household, words: list[str]) -> None:
    status, told = type_verb(house, *words, *(["--mode", "name"] if "search" in words else []))
    assert (status, told) == (2, "'\\udcff' is no text: it is not in UTF-8.\n")


def test_a_playlist_of_nobody_is_told(household: Household) -> None:
    write(household.data_dir / "config.yaml", b"playlists: [{name: A, profile: zoe}]")
    status, told = type_verb(household, "playlist", "preview", "A")
    assert status == 1
    assert told.endswith("A.m3u8: failed: There is no profile zoe; there are me.\n")


def test_a_terminal_that_knows_few_letters_is_no_failure(household: Household) -> None:
    done = run_verb(household, "profiles", "add", "Zoë", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "Zo?" in done.stdout


def test_settings_come_from_the_environment_too(household: Household) -> None:
    done = run_verb(household, "profiles", "--json", ANAGNORISIS_PROFILES="[zoe]")
    assert json.loads(done.stdout) == [{"name": "zoe", "ratings": 0}]


def test_an_answer_that_is_not_read_to_its_end_is_no_failure(house: Household) -> None:
    script = 'set -o pipefail; "$0" -m daemon rank 2>errors | true; echo $?; cat errors'
    done = subprocess.run(
        ["bash", "-c", script, sys.executable], cwd=house.home, env=environment(house),
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["0", "anna: nothing new"]


def test_an_item_of_a_strange_name_is_shown_without_harm(household: Household) -> None:
    folder = bytes(household.folder("text"))
    make_document(folder + b"/\x1b[31mred\nline \xff.txt", "Strange")
    assert run_verb(household, "run", "sync").returncode == 0
    table = run_verb(household, "rank")
    assert table.returncode == 0
    assert len(table.stdout.splitlines()) == 2
    assert "\x1b" not in table.stdout
    [row] = typed_rows(household, "rank")
    assert os.fsencode(row["path"]) == folder + b"/\x1b[31mred\nline \xff.txt"
    assert run_verb(household, "rate", row["path"], "5").returncode == 0
    assert type_verb(household, "rate", row["id"], "6")[0] == 0
    assert typed_rows(household, "rank")[0]["rating"] == 6


def test_playlists_are_listed_switched_on_imported_and_switched_off(household: Household) -> None:
    status, _ = type_verb(household, "playlist", "on", "Rediscover")
    assert status == 0
    nsp = household.home / "Old songs.nsp"
    nsp.write_text('{"all": [{"lt": {"year": 1980}}, {"is": {"loved": true}}], "sort": "year"}')
    status, told = type_verb(household, "playlist", "import", str(nsp))
    assert (status, "Old songs is on: year < 1980 and favourite, by year asc." in told) == (0, True)
    rows = {row["name"]: row for row in typed_rows(household, "playlist", "list")}
    assert (rows["Rediscover"]["state"], rows["Radio"]["state"]) == ("on", "ready")
    assert rows["Old songs"]["where"] == "year < 1980 and favourite"
    assert type_verb(household, "playlist", "off", "Rediscover")[0] == 0
    rows = {row["name"]: row for row in typed_rows(household, "playlist", "list")}
    assert rows["Rediscover"]["state"] == "ready"
    again = ["import", str(nsp)]
    first = 'playlist off "Old songs", then playlist remove "Old songs".'
    assert type_verb(household, "playlist", "on", "Radio")[0] == 0
    radio = household.home / "Radio.nsp"
    radio.write_text('{"all": [{"lt": {"year": 1980}}]}')
    for words, status, told in (
        (again, 1, f"There is a playlist Old songs. Rename the file (or change the name in it), "
                   f"or take that one away first: {first}"),
        (["import", str(radio)], 1, 'away first: playlist off "Radio".'),
        (["remove", "Old songs"], 1, "Old songs is on; switch it off first."),
        (["off", "Old songs"], 0, "its rule is kept"),
        (again, 1, 'away first: playlist remove "Old songs".'),
        (["on", "Old songs"], 0, "Old songs is on: year < 1980 and favourite, by year asc."),
        (["off", "Old songs"], 0, "Old songs is off"),
        (["remove", "Old songs"], 0, "Old songs is removed"),
        (["remove", "Old songs"], 1, "There is no playlist Old songs that is off."),
        (["remove", "Rediscover"], 1, "Rediscover comes with the program and cannot be removed"),
        (again, 0, "Old songs is on"),
        (["off", "Nothing"], 1, "no playlist Nothing that could be switched off"),
        (["on", "Nothing"], 1, "no playlist Nothing that is off; there are: Probably a nine"),
        (["import", "none.nsp"], 1, "none.nsp cannot be read"),
        (["preview"], 2, "playlist preview NAME"),
    ):  # fmt: skip
        found = type_verb(household, "playlist", *words)
        assert (found[0], told in found[1]) == (status, True), found
    assert type_verb(household, "playlist", "off", "Old songs")[0] == 0
    rows = {row["name"]: row for row in typed_rows(household, "playlist", "list")}
    assert (rows["Old songs"]["state"], rows["Old songs"]["where"]) == (
        "off", "year < 1980 and favourite",
    )  # fmt: skip
