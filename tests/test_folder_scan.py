"""The scan of a mounted folder: what is an item, and what has changed since."""

import os
from pathlib import Path
from typing import Any

import pytest

from connectors.base import ConnectorUnavailable
from connectors.folder.scan import Row, Scan
from tests.media import write


def scan(root: Path, media: str = "music", known: list[Row] | None = None, **options: Any) -> Any:
    """Scan and return (counts, new, changed, gone)."""
    one = Scan(os.fsencode(root), media, **options)
    one.add_known([list(row) for row in known or []])
    counts = one.walk()
    return counts, one.take("new", 1000), one.take("changed", 1000), one.take("gone", 1000)


def new_paths(root: Path, media: str = "music", **options: Any) -> list[bytes]:
    return [row[0] for row in scan(root, media, **options)[1]]


def touch(path: Path, content: bytes = b"x") -> None:
    write(path, content)


def test_a_second_scan_finds_everything_unchanged(tmp_path: Path) -> None:
    touch(tmp_path / "A" / "one.mp3")
    touch(tmp_path / "two.flac")
    _, rows, _, _ = scan(tmp_path)
    counts, new, changed, gone = scan(tmp_path, known=rows)
    assert (counts["files"], counts["unchanged"]) == (2, 2)
    assert not new
    assert not changed
    assert not gone


def test_new_changed_and_gone_files_are_told_apart(tmp_path: Path) -> None:
    for name in ("stays.mp3", "grows.mp3", "goes.mp3"):
        touch(tmp_path / "A" / name)
    _, rows, _, _ = scan(tmp_path)
    touch(tmp_path / "A" / "grows.mp3", b"longer")
    (tmp_path / "A" / "goes.mp3").unlink()
    touch(tmp_path / "A" / "comes.mp3")
    counts, new, changed, gone = scan(tmp_path, known=rows)
    assert [row[0] for row in new] == [b"A/comes.mp3"]
    assert [row[:2] for row in changed] == [(b"A/grows.mp3", 6)]
    assert [row[0] for row in gone] == [b"A/goes.mp3"]
    assert {k: counts[k] for k in ("files", "unchanged", "new", "changed", "gone")} == {
        "files": 3, "unchanged": 1, "new": 1, "changed": 1, "gone": 1,
    }  # fmt: skip


def test_a_touched_file_of_the_same_size_has_changed(tmp_path: Path) -> None:
    touch(tmp_path / "one.mp3")
    _, rows, _, _ = scan(tmp_path)
    os.utime(tmp_path / "one.mp3", ns=(1, 1))
    assert scan(tmp_path, known=rows)[0]["changed"] == 1


def test_rows_are_taken_in_pages_in_the_order_of_paths(tmp_path: Path) -> None:
    for number in range(5):
        touch(tmp_path / f"{number}.mp3")
    one = Scan(os.fsencode(tmp_path), "music")
    one.walk()
    pages = [one.take("new", 2), one.take("new", 2), one.take("new", 2), one.take("new", 2)]
    assert [[row[0] for row in page] for page in pages] == [
        [b"0.mp3", b"1.mp3"], [b"2.mp3", b"3.mp3"], [b"4.mp3"], [],
    ]  # fmt: skip


EVERY_SORT = {
    "music": b"a.MP3 a.flac a.m4b a.oga a.wma",
    "images": b"a.avif a.heic a.jpg a.webp",
    "videos": b"a.m2ts a.mkv a.mp4 a.ogv",
    "text": b"a.docx a.epub a.htm a.md a.pdf a.txt",
}


@pytest.mark.parametrize(("media", "wanted"), EVERY_SORT.items())
def test_the_type_of_a_folder_decides_what_is_an_item(
    tmp_path: Path, media: str, wanted: bytes
) -> None:
    names: list[str] = []
    for others in EVERY_SORT.values():
        names += others.decode().split()
    for name in (*names, "a.exe", "a", "mp3", "a.jpg.meta", "a.nfo", "a.lrc", "a.srt"):
        touch(tmp_path / name)
    assert new_paths(tmp_path, media) == wanted.split()


def test_names_in_any_encoding_survive(tmp_path: Path) -> None:
    names = [b"\xff\xfe.mp3", b"caf\xe9.mp3", "東京.mp3".encode(), b"new\nline.mp3", b" \t'\".mp3"]
    for name in names:
        write(os.fsencode(tmp_path) + b"/\xf6rner/" + name, b"x")
    assert sorted(new_paths(tmp_path)) == sorted(b"\xf6rner/" + name for name in names)


def test_hidden_files_partial_downloads_and_litter_are_left_out(tmp_path: Path) -> None:
    for name in (
        ".hidden.mp3", ".hidden/a.mp3", "._a.mp3", "a.mp3.part", "a.crdownload", "a.mp3.!qB",
        "a.tmp", "a.mp3~", "@eaDir/a.mp3", "#recycle/a.mp3", "Thumbs.db", "$RECYCLE.BIN/a.mp3",
        "lost+found/a.mp3", "a.partial",
    ):  # fmt: skip
        touch(tmp_path / name)
    touch(tmp_path / "a.mp3")
    counts, new, _, _ = scan(tmp_path)
    assert [row[0] for row in new] == [b"a.mp3"]
    assert counts["left_out"] == {"hidden": 3, "partial download": 6, "litter": 5}


def test_a_folder_with_nomedia_is_left_out_with_all_below(tmp_path: Path) -> None:
    touch(tmp_path / "A" / ".nomedia", b"")
    touch(tmp_path / "A" / "a.mp3")
    touch(tmp_path / "A" / "deeper" / "b.mp3")
    touch(tmp_path / "B" / "c.mp3")
    assert new_paths(tmp_path) == [b"B/c.mp3"]


def test_links_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    touch(tmp_path / "music" / "a.mp3")
    touch(tmp_path / "elsewhere" / "b.mp3")
    (tmp_path / "music" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "music" / "c.mp3").symlink_to(tmp_path / "elsewhere" / "b.mp3")
    (tmp_path / "music" / "broken.mp3").symlink_to(tmp_path / "nowhere.mp3")
    (tmp_path / "music" / "self.mp3").symlink_to(tmp_path / "music" / "self.mp3")
    (tmp_path / "music" / "up").symlink_to(tmp_path / "music")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "music")
    counts, new, _, _ = scan(tmp_path / "music")
    assert [row[0] for row in new] == [b"a.mp3", b"c.mp3", b"more/b.mp3"]
    assert counts["left_out"]["loop of links"] == 2
    assert counts["left_out"]["broken link"] == 1


def test_links_that_would_double_at_every_step_come_to_an_end(tmp_path: Path) -> None:
    for number in range(30):
        folder = tmp_path / f"d{number}"
        folder.mkdir()
        for name in ("left", "right"):
            (folder / name).symlink_to(tmp_path / f"d{number + 1}")
    touch(tmp_path / "d30" / "a.mp3")
    counts, _, _, _ = scan(tmp_path / "d0")
    assert counts["left_out"]["loop of links"] > 0


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp3")
    assert new_paths(tmp_path) == []


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (["demo*"], ["A/b.mp3", "A/live/c.mp3", "B/live/d.mp3"]),
        (["live/"], ["A/b.mp3", "A/demo.mp3"]),
        (["/A/live"], ["A/b.mp3", "A/demo.mp3", "B/live/d.mp3"]),
        (["A/**"], ["B/live/d.mp3"]),
        (["**/live/*.mp3"], ["A/b.mp3", "A/demo.mp3"]),
        (["*.mp3", "!b.mp3"], ["A/b.mp3"]),
        (["[cd].mp3", "# no comment", "", "?.mp3 "], ["A/demo.mp3"]),
        (["*e*o*.mp3", "A/liv*/**"], ["A/b.mp3", "B/live/d.mp3"]),
        (["l?ve", "**/d*"], ["A/b.mp3"]),
        (["[!cd].mp3", "[broken"], ["A/demo.mp3", "A/live/c.mp3", "B/live/d.mp3"]),
    ],
)
def test_patterns_leave_out_as_in_gitignore(
    tmp_path: Path, patterns: list[str], left: list[str]
) -> None:
    for name in ("A/b.mp3", "A/demo.mp3", "A/live/c.mp3", "B/live/d.mp3"):
        touch(tmp_path / name)
    assert new_paths(tmp_path, ignore=patterns) == [name.encode() for name in left]


def test_patterns_of_many_stars_end_soon(tmp_path: Path) -> None:
    name = "a" * 200 + ".mp3"
    touch(tmp_path / name)
    ignore = ["*a" * 60 + "b", "**/" * 30 + "b", "a*" * 60 + ".mp4"]
    assert new_paths(tmp_path, ignore=ignore) == [name.encode()]
    assert new_paths(tmp_path, ignore=["*a" * 60 + "*.mp3"]) == []


def test_an_ignore_file_holds_for_its_folder_and_below(tmp_path: Path) -> None:
    for name in ("A/a.mp3", "A/x.mp3", "A/deep/x.mp3", "B/x.mp3"):
        touch(tmp_path / name)
    touch(tmp_path / "A" / ".anagnorisisignore", b"# ours\nx.mp3\n")
    touch(tmp_path / "A" / "deep" / ".anagnorisisignore", b"!x.mp3\n")
    assert new_paths(tmp_path) == [b"A/a.mp3", b"A/deep/x.mp3", b"B/x.mp3"]


def test_what_becomes_ignored_is_gone(tmp_path: Path) -> None:
    touch(tmp_path / "A" / "a.mp3")
    _, rows, _, _ = scan(tmp_path)
    assert [row[0] for row in scan(tmp_path, known=rows, ignore=["A/"])[3]] == [b"A/a.mp3"]


def test_a_change_beside_a_file_changes_it(tmp_path: Path) -> None:
    touch(tmp_path / "A" / "one.mp3")
    touch(tmp_path / "A" / "two.mp3")
    known = scan(tmp_path)[1]
    assert {row[3] for row in known} == {""}
    for companion, changed in (
        ("A/one.mp3.meta", [b"A/one.mp3"]),
        ("A/one.nfo", [b"A/one.mp3"]),
        ("A/two.lrc", [b"A/two.mp3"]),
        ("A/album.nfo", [b"A/one.mp3", b"A/two.mp3"]),
        ("artist.nfo", [b"A/one.mp3", b"A/two.mp3"]),
    ):
        touch(tmp_path / companion)
        found = scan(tmp_path, known=known)[2]
        assert [row[0] for row in found] == changed, companion
        fresh = {row[0]: row for row in found}
        known = [fresh.get(row[0], row) for row in known]
    touch(tmp_path / "A" / "cover.jpg")
    touch(tmp_path / "A" / "other.nfo")
    assert scan(tmp_path, known=known)[0]["unchanged"] == 2
    (tmp_path / "A" / "one.nfo").unlink()
    assert [row[0] for row in scan(tmp_path, known=known)[2]] == [b"A/one.mp3"]


def test_series_and_film_files_belong_to_the_videos_that_they_speak_of(tmp_path: Path) -> None:
    for name in ("Show/S1/e1.mkv", "Show/S1/deep/x.mkv", "Film/film.mkv", "Film/film-trailer.mkv"):
        touch(tmp_path / name)
    touch(tmp_path / "Show" / "tvshow.nfo")
    touch(tmp_path / "Film" / "movie.nfo")
    marked = {row[0] for row in scan(tmp_path, "videos")[1] if row[3]}
    assert marked == {b"Show/S1/e1.mkv", b"Film/film.mkv"}


def test_only_the_named_sub_folders_are_looked_at(tmp_path: Path) -> None:
    for name in ("A/a.mp3", "A/in/b.mp3", "AB/c.mp3", "top.mp3"):
        touch(tmp_path / name)
    known = scan(tmp_path)[1]
    for name in ("A/in/b.mp3", "AB/c.mp3", "top.mp3"):
        (tmp_path / name).unlink()
    touch(tmp_path / "A" / "in" / "new.mp3")
    touch(tmp_path / "AB" / "new.mp3")
    counts, new, _, gone = scan(tmp_path, known=known, under=[b"A/in", b"A"])
    assert [row[0] for row in new] == [b"A/in/new.mp3"]
    assert [row[0] for row in gone] == [b"A/in/b.mp3"]
    assert counts["files"] == 2
    assert scan(tmp_path, known=known, under=[b""])[0]["gone"] == 3


def test_a_sub_folder_that_vanished_takes_its_files_with_it(tmp_path: Path) -> None:
    touch(tmp_path / "A" / "in" / "b.mp3")
    known = scan(tmp_path)[1]
    (tmp_path / "A" / "in" / "b.mp3").unlink()
    (tmp_path / "A" / "in").rmdir()
    assert scan(tmp_path, known=known, under=[b"A/in"])[0]["gone"] == 1


def test_a_sub_folder_scan_minds_what_stands_above_it(tmp_path: Path) -> None:
    touch(tmp_path / "A" / "in" / "b.mp3")
    touch(tmp_path / "A" / "artist.nfo")
    whole = scan(tmp_path)[1]
    assert scan(tmp_path, known=whole, under=[b"A/in"])[0]["unchanged"] == 1
    touch(tmp_path / ".anagnorisisignore", b"/A/in\n")
    assert scan(tmp_path, known=whole, under=[b"A/in"])[0]["gone"] == 1


def test_an_absent_folder_is_told_and_nothing_is_gone(tmp_path: Path) -> None:
    one = Scan(os.fsencode(tmp_path / "nowhere"), "music")
    one.add_known([[b"a.mp3", 1, 1, ""]])
    with pytest.raises(ConnectorUnavailable, match="nowhere cannot be read: No such file"):
        one.walk()
    touch(tmp_path / "file")
    with pytest.raises(ConnectorUnavailable, match="Not a directory"):
        Scan(os.fsencode(tmp_path / "file"), "music").walk()


def test_files_below_a_folder_that_cannot_be_listed_are_not_gone(tmp_path: Path) -> None:
    deepest = os.fsencode(tmp_path)
    known: list[Row] = [(b"gone.mp3", 1, 1, "")]
    name = b"x" * 250
    for _ in range(20):  # a path of over 4,096 bytes cannot be opened at once
        deepest += b"/" + name
    here = os.getcwd()  # noqa: PTH109
    try:
        os.chdir(tmp_path)
        for _ in range(20):
            os.mkdir(name)  # noqa: PTH102
            os.chdir(name)
    finally:
        os.chdir(here)
    known.append((b"/".join([name] * 20) + b"/a.mp3", 1, 1, ""))
    counts, _, _, gone = scan(tmp_path, known=known)
    assert [row[0] for row in gone] == [b"gone.mp3"]
    assert counts["unchanged"] == 1
    assert len(counts["unlisted"]) == 1
