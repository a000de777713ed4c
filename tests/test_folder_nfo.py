"""The .nfo files beside films, episodes and albums, in the shapes that people have."""

from pathlib import Path

import pytest

from connectors.folder.nfo import parse_nfo
from tests.media import make_audio, make_video, write
from tests.test_folder_formats import read

MOVIE = """<?xml version="1.0" encoding="UTF-8" standalone="yes" ?>
<movie>
    <title>The Third Man</title><originaltitle>Third Man</originaltitle>
    <ratings>
        <rating name="themoviedb" max="10"><value>7.9</value><votes>1,500</votes></rating>
        <rating name="tomatoes" max="100" default="true"><value>98</value><votes>82</votes></rating>
    </ratings>
    <userrating>9</userrating>
    <plot>A writer looks for a friend in Vienna &amp; finds more.</plot>
    <tagline>Hunted!</tagline><mpaa>PG</mpaa><country>United Kingdom</country>
    <uniqueid type="imdb" default="true">tt0041959</uniqueid>
    <uniqueid type="tmdb">1092</uniqueid>
    <genre>Thriller</genre><genre>Mystery / Film-Noir</genre>
    <director>Carol Reed</director><credits>Graham Greene</credits>
    <tag>vienna</tag><studio>London Films</studio><premiered>1949-09-01</premiered>
    <actor><name>Joseph Cotten</name><role>Holly</role><thumb>http://x/y.jpg</thumb></actor>
    <actor><name>Orson Welles</name></actor>
    <set><name>Noir</name></set>
</movie>
"""


def test_a_film_is_described_in_full(tmp_path: Path) -> None:
    make_video(tmp_path / "film.mkv", title="container", comment="made by a program", genre="x")
    write(tmp_path / "film.nfo", MOVIE.encode())
    facts = read(tmp_path, "videos")
    found = facts.metadata
    assert (found.title, found.year, found.series) == ("The Third Man", 1949, "Noir")
    assert found.overview == "A writer looks for a friend in Vienna & finds more."
    assert found.genres == ("Thriller", "Mystery", "Film-Noir")
    assert found.artists == ("Carol Reed",)
    assert found.people == ("Carol Reed", "Graham Greene", "Joseph Cotten", "Orson Welles")
    assert (found.keywords, found.studios) == (("vienna",), ("London Films",))
    assert (found.community_rating, found.votes) == (9.8, 82)
    assert found.provider_ids == {"imdb": "tt0041959", "tmdb": "1092"}
    assert found.extra["Tagline"] == "Hunted!"
    assert found.duration == pytest.approx(1.0, abs=0.1)
    assert facts.rating == 9


def test_the_folders_film_file_counts_where_the_film_has_none(tmp_path: Path) -> None:
    make_video(tmp_path / "film.mkv")
    make_video(tmp_path / "film-trailer.mkv")
    write(tmp_path / "movie.nfo", MOVIE.encode())
    assert read(tmp_path, "videos", "film.mkv").metadata.title == "The Third Man"
    assert read(tmp_path, "videos", "film-trailer.mkv").metadata.title == "film-trailer"
    write(tmp_path / "film.nfo", b"<movie><title>Own</title></movie>")
    assert read(tmp_path, "videos", "film.mkv").metadata.title == "Own"


EPISODE = (
    "<episodedetails><title>{0}</title><season>2</season><episode>{1}</episode><showtitle>Dark\
</showtitle><plot>Plot {1}.</plot><rating>8.3</rating><votes>900</votes><aired>2019-06-21</aired>\
<uniqueid type='tvdb'>{1}</uniqueid></episodedetails>"
)


def test_an_episode_takes_from_its_series_what_it_lacks(tmp_path: Path) -> None:
    make_video(tmp_path / "Dark" / "Season 2" / "e1.mkv")
    write(tmp_path / "Dark" / "Season 2" / "e1.nfo", EPISODE.format("Beginnings", 1).encode())
    series = b"<tvshow><title>Dark (DE)</title><genre>Mystery</genre><plot>Whole.</plot>\
<uniqueid type='imdb'>tt5753856</uniqueid><actor><name>Louis Hofmann</name></actor></tvshow>"
    write(tmp_path / "Dark" / "tvshow.nfo", series)
    found = read(tmp_path, "videos").metadata
    assert (found.title, found.series, found.season, found.episode) == ("Beginnings", "Dark", 2, 1)
    assert (found.genres, found.people) == (("Mystery",), ("Louis Hofmann",))
    assert (found.overview, found.year) == ("Plot 1.", 2019)
    assert (found.community_rating, found.votes) == (8.3, 900)
    assert found.provider_ids == {"tvdb": "1"}


def test_a_file_of_two_episodes_has_both_plots_and_the_ids_of_none(tmp_path: Path) -> None:
    make_video(tmp_path / "e12.mkv")
    text = EPISODE.format("One", 1) + "\n" + EPISODE.format("Two", 2)
    write(tmp_path / "e12.nfo", text.encode())
    found = read(tmp_path, "videos").metadata
    assert found.title == "One / Two"
    assert found.overview == "Plot 1.\n\nPlot 2."
    assert found.provider_ids == {}


def test_albums_and_artists_fill_what_tags_do_not_say(tmp_path: Path) -> None:
    make_audio(tmp_path / "Anna" / "First" / "a.mp3", title="Song", genre="Own genre")
    make_audio(tmp_path / "Anna" / "First" / "b.mp3", title="Other")
    album = "<album><title>First</title><artist>Anna</artist><genre>Folk</genre><year>2001</year>\
<review>A quiet début.</review><rating max='5'>4</rating><label>Barn</label>\
<musicbrainzalbumid>no-track-id</musicbrainzalbumid></album>"
    write(tmp_path / "Anna" / "First" / "album.nfo", album.encode())
    write(
        tmp_path / "Anna" / "artist.nfo", b"<artist><name>Anna</name><genre>Jazz</genre></artist>"
    )
    own = read(tmp_path, "music", "Anna/First/a.mp3").metadata
    other = read(tmp_path, "music", "Anna/First/b.mp3").metadata
    assert (own.genres, other.genres) == (("Own genre",), ("Folk",))
    assert (other.title, other.album, other.artists) == ("Other", "First", ("Anna",))
    assert (other.overview, other.year, other.studios) == ("A quiet début.", 2001, ("Barn",))
    assert other.community_rating == 8
    assert other.provider_ids == {}


def test_an_address_may_follow_the_xml() -> None:
    nfo = parse_nfo(MOVIE.encode() + b"https://www.themoviedb.org/movie/1092?a=1&b=2\n")
    assert nfo.values["title"] == "The Third Man"


def test_an_address_alone_names_the_film() -> None:
    address = b"https://www.imdb.com/title/tt0041959/\nhttps://www.themoviedb.org/movie/1092-x"
    assert parse_nfo(address).values == {"provider_ids": {"imdb": "tt0041959", "tmdb": "1092"}}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("<movie><title>Salt & Pepper</title></movie>", "Salt & Pepper"),
        ("\ufeff<movie><title>Marked</title></movie>", "Marked"),
        ('<?xml version="1.0" encoding="utf-8"?><movie><title>Größe</title></movie>', "Größe"),
        ("<!-- by a program --><movie><title>Commented</title></movie>", "Commented"),
        ("<movie><title></title><plot/></movie>", ""),
    ],
)
def test_sloppy_files_are_understood(text: str, title: str) -> None:
    assert parse_nfo(text.encode()).values["title"] == title


def test_old_encodings_are_followed() -> None:
    text = '<?xml version="1.0" encoding="iso-8859-1"?><movie><title>Größe</title></movie>'
    assert parse_nfo(text.encode("iso-8859-1")).values["title"] == "Größe"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\0\1\2\xff" * 100, b"<movie>", b"<movie><title>x</movie>", b"<html></html>",
        "╔══ scene release ══╗".encode("cp437"), b"<movie></movie" * 1000,
        b"<" * 100_000, b"<movie>" * 50_000 + b"</movie>" * 50_000,
    ],
)  # fmt: skip
def test_what_cannot_be_understood_says_nothing(content: bytes) -> None:
    values = parse_nfo(content).values
    assert not values.get("title")
    assert not values.get("provider_ids")


def test_entities_are_not_unfolded() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    text = f'<!DOCTYPE movie [<!ENTITY l0 "ha">{laughs}]><movie><title>&l11;</title></movie>'
    assert not parse_nfo(text.encode()).values.get("title")
    outside = b'<!DOCTYPE movie [<!ENTITY x SYSTEM "file:///etc/passwd">]>\
<movie><title>&x;</title></movie>'
    assert "root" not in str(parse_nfo(outside).values)


@pytest.mark.parametrize(
    ("xml", "rating"),
    [
        ("<rating>7,5</rating>", 7.5),
        ("<rating>0</rating>", None),
        ("<rating>75</rating>", None),
        ("<rating max='5'>4.5</rating>", 9.0),
        ("<rating>many</rating>", None),
        ("<ratings><rating name='a' max='10'><value>0</value></rating>"
         "<rating name='b' max='10'><value>6.1</value></rating></ratings>", 6.1),
        ("<ratings><rating name='a' max='0'><value>6</value></rating></ratings>", 6.0),
    ],
)  # fmt: skip
def test_ratings_of_the_community(xml: str, rating: float | None) -> None:
    nfo = parse_nfo(f"<movie><title>x</title>{xml}</movie>".encode())
    assert nfo.values["community_rating"] == rating
    assert nfo.rating is None


def test_a_sidecar_and_lyrics_are_read(tmp_path: Path) -> None:
    make_audio(tmp_path / "a.mp3", title="Song")
    write(tmp_path / "a.mp3.meta", "# Notes\nHeard in München.\n".encode())
    write(tmp_path / "a.lrc", b"[ar:Anna]\n[00:01.00]First line\n[00:02.00][00:09.00]Second\n")
    facts = read(tmp_path, "music")
    assert facts.sidecar == "# Notes\nHeard in München."
    assert facts.metadata.lyrics == "First line\nSecond"
    write(tmp_path / "a.mp3.meta", b"caf\xe9 " * 10_000)
    sidecar = read(tmp_path, "music").sidecar
    assert sidecar.startswith("caf")
    assert len(sidecar) <= 32 * 1024
