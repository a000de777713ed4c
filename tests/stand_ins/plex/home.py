"""A furnished stand-in, and the plain requests and looks that its tests need."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from xml.etree.ElementTree import Element

import requests
from plexapi.server import PlexServer

from tests.media import picture_bytes
from tests.stand_ins.plex.records import Item, User
from tests.stand_ins.plex.server import FakePlex

IDENTIFIED = {"X-Plex-Client-Identifier": "test"}
SONGS = "/library/sections/1/all?type=10"

Connect = Callable[..., Any]


class Home(FakePlex):
    """A stand-in with five tracks, a film, an episode and a photo, and two users."""

    def furnish(self) -> None:
        """Fill it."""
        self.anna = self.add_user("anna")
        music = self.add_section("Music", "artist", ["/music", "/more"])
        films = self.add_section("Films", "movie", "/films")
        series = self.add_section("Series", "show", "/tv")
        photos = self.add_section("Photos", "photo", "/photos")
        ann = self.add_artist(music, "Ann & <Bob>", genres=["Rock", "Pop", "Jazz"])
        album = self.add_album(ann, "First", year=2001, styles=["a", "b", "c"])
        self.tracks = [
            self.add_track(
                album, n, f"Track {n}", f"/music/Ann/First/{n}.mp3", duration=200.5,
                content=b"0123456789", guids=["mbid://recording"], moods=["x", "y", "z"],
                added_at=1000 + n, updated_at=2000 + n,
            )
            for n in range(1, 6)
        ]  # fmt: skip
        self.film = self.add_movie(
            films, "Alien", ["/films/Alien-1.mkv", "/films/Alien-2.mkv"], duration=6000,
            summary="In\nspace.", year=1979, studio="Fox", rating=9.3, audienceRating=9.1,
            contentRating="R", guids=["imdb://tt0078748", "tmdb://348"], directors=["R S"],
            roles=[("S W", "Ripley"), "I H", "J H"], thumb=picture_bytes((300, 200)),
        )  # fmt: skip
        show = self.add_show(series, "Lost")
        self.episode = self.add_episode(show, 2, 7, "Pilot", "/tv/Lost/2x07.mkv", duration=2400)
        self.photo = self.add_photo(photos, "Beach", "/photos/beach.jpg", year=2020)


@contextmanager
def connections(plex: FakePlex) -> Iterator[Connect]:
    """Give what makes a plexapi server for a user (the owner)."""
    with ExitStack() as stack:

        def connect(user: User | None = None) -> Any:
            session = stack.enter_context(requests.Session())
            return PlexServer(plex.url, (user or plex.owner).token, session)

        yield connect


def titles(items: Any) -> list[str]:
    return [str(item.get("title") if isinstance(item, Element) else item.title) for item in items]


def keys(items: list[Item]) -> str:
    return ",".join(str(item.rating_key) for item in items)


def uri(plex: FakePlex, items: list[Item]) -> str:
    root = f"server://{plex.machine_identifier}/com.plexapp.plugins.library"
    return f"{root}/library/metadata/{keys(items)}"


def ask(plex: FakePlex, method: str, path: str, **options: Any) -> requests.Response:
    headers = IDENTIFIED | {"X-Plex-Token": plex.owner.token} | options.pop("headers", {})
    return requests.request(method, plex.url + path, headers=headers, timeout=5, **options)
