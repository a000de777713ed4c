"""From a server's paths to ours, and the mapping guessed where there is none."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.paths import PathMap, guess_mapping

PARTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\\\0:"), min_size=1, max_size=8)
    .filter(lambda part: part not in (".", "..")),
    min_size=1, max_size=5,
)  # fmt: skip
PART_OR_DOTS = st.sampled_from([".", "..", "", "a", "b\0"]) | st.text(max_size=4)


@pytest.mark.parametrize(
    ("mapping", "remote", "local"),
    [
        ({"/media": "/mnt/m"}, "/media/a/b.mp3", "/mnt/m/a/b.mp3"),
        ({"/media/": "/mnt/m/"}, "/media//a/./b.mp3", "/mnt/m/a/b.mp3"),
        ({"/media": "/mnt/m"}, "/media2/a.mp3", None),
        ({"/media": "/mnt/m"}, "/media", None),
        ({"/media": "/one", "/media/music": "/two"}, "/media/music/a.mp3", "/two/a.mp3"),
        ({"/media": "/mnt"}, "/media/../etc/passwd", None),
        ({"/media": "/mnt"}, "/media/a\0b", None),
        ({"/media": "/mnt"}, "media/a.mp3", None),
        ({"D:\\Music": "/mnt"}, "d:\\music\\Ä\\b.mp3", "/mnt/Ä/b.mp3"),
        ({"D:/Music": "/mnt"}, "D:\\Music\\b.mp3", "/mnt/b.mp3"),
        ({"\\\\nas\\music": "/mnt"}, "\\\\NAS\\Music\\b.mp3", "/mnt/b.mp3"),
        ({"/": "/mnt"}, "/a/b.mp3", "/mnt/a/b.mp3"),
        ({"/Médias": "/mnt"}, unicodedata.normalize("NFD", "/Médias/é.mp3"), "/mnt/é.mp3"),
        ({"/Media": "/mnt"}, "/media/a.mp3", None),
        ({"/Music": "/mnt"}, "/Music/AC\\DC/b.mp3", "/mnt/AC\\DC/b.mp3"),
        ({"//nas/music": "/mnt"}, "\\\\NAS\\Music\\b.mp3", "/mnt/b.mp3"),
        ({"\\\\nas\\music": "/mnt"}, "//nas/music/b.mp3", "/mnt/b.mp3"),
        ({"\\\\nas\\music": "/mnt"}, "\\\\nas\\music/a\\b.mp3", "/mnt/a/b.mp3"),
        ({"\\\\nas\\music": "/mnt"}, "\\\\nas\\music2\\b.mp3", None),
        ({"D:": "/mnt"}, "D:\\b.mp3", "/mnt/b.mp3"),
        ({"D:\\": "/mnt"}, "d:/b.mp3", "/mnt/b.mp3"),
        ({"D:\\Music": "/mnt"}, "E:\\Music\\b.mp3", None),
        ({"D:\\Music": "/mnt"}, "D:\\Music\\..\\b.mp3", None),
        ({"D:\\Music": "/mnt"}, "D:Music\\b.mp3", None),
        ({"/media": "/"}, "/media/a/b.mp3", "/a/b.mp3"),
        ({"/media": "/mnt"}, "/media/..a/b..mp3", "/mnt/..a/b..mp3"),
        ({"/media": "/mnt"}, "", None),
        ({}, "/media/a.mp3", None),
    ],
)
def test_a_path_is_mapped_by_whole_folders(
    mapping: dict[str, str], remote: str, local: str | None
) -> None:
    assert PathMap(mapping).to_local(remote) == local


@pytest.mark.parametrize(
    "mapping",
    [{"/a": "b"}, {"/a": "/b/../c"}, {"a": "/b"}, {"": "/b"}, {"/a/../c": "/b"}, {"/a": "/b\0"},
     {"D:a": "/b"}, {"//": "/b"}],
)  # fmt: skip
def test_a_mapping_that_makes_no_sense_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="whole path"):
        PathMap(mapping)


def test_one_folder_cannot_be_two() -> None:
    with pytest.raises(ValueError, match="two folders"):
        PathMap({"/a": "/b", "/a/": "/c"})
    assert PathMap({"/a": "/b", "/a/": "/b/"}).to_local("/a/x") == "/b/x"


MAPPINGS = ("/srv", "/", "D:\\", "D:\\Music", "\\\\nas\\music", "//nas/music")


@given(st.sampled_from(MAPPINGS), st.text(max_size=8), st.lists(PART_OR_DOTS, max_size=6))
def test_no_path_leaves_the_folder_it_is_mapped_into(
    folder: str, between: str, parts: list[str]
) -> None:
    for separator in ("/", "\\", "//"):
        remote = folder + between + separator.join(["", *parts])
        local = PathMap({folder: "/mnt/x"}).to_local(remote)
        assert local is None or local.startswith("/mnt/x/")
        assert local is None or not {"..", ".", ""} & set(local.split("/")[1:])
        assert local is None or "\0" not in local


@given(PARTS)
def test_what_lies_below_a_mapped_folder_is_kept(parts: list[str]) -> None:
    below = unicodedata.normalize("NFC", "/".join(parts))
    for folder in ("/srv", "/srv/music", "/"):
        remote = folder.rstrip("/") + "/" + "/".join(parts)
        assert PathMap({folder: "/mnt/x"}).to_local(remote) == f"/mnt/x/{below}"


@given(PARTS)
def test_composed_and_decomposed_names_are_one(parts: list[str]) -> None:
    paths = PathMap({"/Médias": "/mnt/Médias"})
    remote = "/Médias/" + "/".join(parts)
    composed = paths.to_local(unicodedata.normalize("NFC", remote))
    assert composed is not None
    assert composed == paths.to_local(unicodedata.normalize("NFD", remote))


@given(PARTS)
def test_windows_names_may_be_written_in_any_way(parts: list[str]) -> None:
    local = "/mnt/" + unicodedata.normalize("NFC", "/".join(parts))
    below = "\\".join(parts)
    for folder in ("D:\\Music", "d:\\music\\", "D:/MUSIC"):
        assert PathMap({folder: "/mnt"}).to_local(f"D:\\Music\\{below}") == local
        assert PathMap({folder: "/mnt"}).to_local("d:/Music/" + "/".join(parts)) == local
    for folder in ("\\\\nas\\Music", "//NAS/music/"):
        assert PathMap({folder: "/mnt"}).to_local(f"\\\\nas\\Music\\{below}") == local


@given(st.lists(PARTS, min_size=2, max_size=2), PARTS)
def test_of_two_folders_the_deeper_one_counts(folders: list[list[str]], parts: list[str]) -> None:
    outer, inner = "/" + "/".join(folders[0]), "/" + "/".join([*folders[0], *folders[1]])
    for mapping in ({outer: "/one", inner: "/two"}, {inner: "/two", outer: "/one"}):
        local = PathMap(mapping).to_local(f"{inner}/{'/'.join(parts)}")
        assert local is not None
        assert local.startswith("/two/")


@pytest.mark.parametrize(
    ("theirs", "ours", "mapping"),
    [
        ("/srv/music", "/mnt/m/Main", {"/srv/music": "/mnt/m/Main"}),
        ("D:\\Music", "/mnt/m", {"D:/Music": "/mnt/m"}),
        ("/data/x/y", "/y", {"/data/x/y": "/y"}),
        ("\\\\NAS\\Music", "/mnt/m", {"//NAS/Music": "/mnt/m"}),
        ("", "/mnt/m", {"/": "/mnt/m"}),
    ],
)
def test_a_mapping_is_guessed_from_the_ends_of_paths(
    theirs: str, ours: str, mapping: dict[str, str]
) -> None:
    separator = "\\" if "\\" in theirs else "/"
    files = [f"Artist {n}/Album/{n:02}.flac" for n in range(20)]
    remote = [theirs + separator + file.replace("/", separator) for file in files]
    guess = guess_mapping(remote, [f"{ours}/{file}" for file in files])
    assert guess == mapping
    assert PathMap(guess).to_local(remote[3]) == f"{ours}/{files[3]}"


def test_nothing_is_guessed_where_files_do_not_agree() -> None:
    assert guess_mapping([], []) == {}
    assert guess_mapping(["/a/b/cover.jpg"], ["/c/d/cover.jpg"]) == {}
    mixed = [f"/r{n}/Artist/{n}.flac" for n in range(10)]
    assert guess_mapping(mixed, [f"/l/{n % 3}/Artist/{n}.flac" for n in range(10)]) == {}


@given(
    st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3),
    st.lists(st.text("xyz", min_size=1, max_size=3), min_size=1, max_size=3),
    st.sampled_from(["/", "\\"]),
)
def test_a_guess_leads_every_file_home(theirs: list[str], ours: list[str], separator: str) -> None:
    start = "/" if separator == "/" else "C:\\"
    files = [[f"Artist {n % 3}", "Album", f"{n}.flac"] for n in range(9)]
    remote = [start + separator.join([*theirs, *file]) for file in files]
    local = ["/" + "/".join([*ours, *file]) for file in files]
    guess = guess_mapping([*remote, "/other/place/0.mp3"], [*local, "/", "/cover.jpg"])
    assert [PathMap(guess).to_local(path) for path in remote] == local


def test_what_is_odd_among_the_files_does_not_disturb_a_guess() -> None:
    odd = ["", "/", ".", "relative/a.mp3", "C:", "//", "\\\\"]
    files = [f"Artist {n}/{n}.flac" for n in range(10)]
    remote = [f"/srv/{file}" for file in files]
    assert guess_mapping([*odd, *remote], [*odd, *(f"/m/{file}" for file in files)]) == {
        "/srv": "/m"
    }
    assert guess_mapping(odd, odd) == {}
