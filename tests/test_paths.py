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
    ],
)
def test_a_path_is_mapped_by_whole_folders(
    mapping: dict[str, str], remote: str, local: str | None
) -> None:
    assert PathMap(mapping).to_local(remote) == local


@pytest.mark.parametrize("mapping", [{"/a": "b"}, {"/a": "/b/../c"}, {"a": "/b"}, {"": "/b"}])
def test_a_mapping_that_makes_no_sense_is_refused(mapping: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="whole path"):
        PathMap(mapping)


@given(PARTS)
def test_no_path_leaves_the_folder_it_is_mapped_into(parts: list[str]) -> None:
    local = PathMap({"/srv": "/mnt/x"}).to_local("/srv/" + "/".join(parts))
    assert local is None or (local.startswith("/mnt/x/") and ".." not in local.split("/"))


@pytest.mark.parametrize(
    ("theirs", "ours", "mapping"),
    [
        ("/srv/music", "/mnt/m/Main", {"/srv/music": "/mnt/m/Main"}),
        ("D:\\Music", "/mnt/m", {"D:/Music": "/mnt/m"}),
        ("/data/x/y", "/y", {"/data/x/y": "/y"}),
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
