"""A small Subsonic server that keeps state, like Navidrome: tokens, play counts, made-up paths.

A real supysonic serves the contract tests beside it; this one is for what supysonic has not, for
the quirks of other servers (`Switches`), and for faults.
"""

import asyncio
import hashlib
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

from aiohttp import web

from tests.stand_ins.faults import Faults
from tests.stand_ins.subsonic_shelf import Shelf, numbers_as_text

PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(64)
KNOWS_ID_OF_NEW = (1, 14)


@dataclass
class Switches:
    """Quirks of servers."""

    version: str = "1.16.1"
    kind: str = "navidrome"
    """Its `type`; "" before OpenSubsonic."""
    takes_newer_clients: bool = True
    """False: a client that speaks a newer version gets error 30."""
    knows_tokens: bool = True
    reads_bodies: bool = True
    """False: only what is in the URL counts."""
    most_parameters: int | None = None
    """What is beyond is dropped without a word, as by Tomcat."""
    refuses_long_forms: bool = False
    """Forms of more than a thousand parameters get a 413."""
    numbers_as_text: bool = False
    empty_as_text: bool = False
    """An empty object is "", as where JSON is made from XML."""
    lists_by_search: bool = True
    largest_page: int = 500
    knows_offset: bool = True
    tells_folders_apart: bool = True
    scanned_more: int = 0
    """By how much the scan's count is wrong."""
    drops_half_of_lists: bool = False
    drops_lists: bool = False
    """createPlaylist says ok and makes nothing."""
    tells_changed: bool = True
    clears_by_empty_list: bool = False
    stars_twice: bool = True
    """False: error 0 for what is starred already."""
    may_download: bool = True
    missing_code: int = 70
    real_paths: bool = False


@dataclass
class FakeSubsonic:
    """Serve with `async with`; change `songs`, `playlists` and `switches` freely."""

    users: dict[str, str] = field(default_factory=lambda: {"anna": "secret"})
    switches: Switches = field(default_factory=Switches)
    songs: Shelf = field(default_factory=Shelf)
    playlists: dict[str, dict[str, Any]] = field(default_factory=dict)
    folders: dict[str, str] = field(default_factory=lambda: {"1": "Music"})
    playing: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    asked: list[tuple[str, str, int]] = field(default_factory=list)
    """(HTTP method, API method, length of the URL)."""
    refuses: dict[str, int] = field(default_factory=dict)
    """API method to the code of the error that it gets, with HTTP 200."""
    before: Callable[[str], None] | None = None
    """Called with the API method before it is answered."""
    scanned: str = "2026-11-01T00:00:00Z"
    is_scanning: bool = False
    tls: ssl.SSLContext | None = None
    url: str = ""

    def __post_init__(self) -> None:
        self.faults = Faults()
        self._runner: web.AppRunner | None = None
        self._made = 0

    # The tests' side

    def add_song(self, song_id: str, title: str, **more: Any) -> None:
        """Add a song."""
        self.songs[song_id] = {
            "id": song_id, "title": title, "artist": "Band", "album": "First", "duration": 60,
            "size": 1000, "path": f"Band/First/{title}.flac", "created": "2026-01-01T00:00:00Z",
            **more,
        }  # fmt: skip

    def reissue_all_ids(self) -> None:
        """Forget the database: all songs have other ids, and playlists and words are lost."""
        songs = [dict(song) for song in self.songs.values()]
        self.songs.clear()
        self.playlists.clear()
        for song in songs:
            for word in ("starred", "userRating", "playCount", "played"):
                song.pop(word, None)
            song["id"] = f"new-{song['id']}"
            self.songs[song["id"]] = song
        self.scanned = "2026-11-20T00:00:00Z"

    async def __aenter__(self) -> Self:
        middlewares: list[Any] = [self.faults.middleware]
        app = web.Application(middlewares=middlewares, client_max_size=1 << 24)
        app.router.add_route("*", "/rest/{method}.view", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self.tls)
        await site.start()
        scheme = "https" if self.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._runner is not None
        await self._runner.cleanup()

    @contextmanager
    def run_in_thread(self) -> Iterator[Self]:
        """Serve from a thread of its own: for scripts, and tests that block."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="subsonic", daemon=True)
        thread.start()
        asyncio.run_coroutine_threadsafe(self.__aenter__(), loop).result(10)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self.__aexit__(None, None, None), loop).result(10)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    # Requests

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        self.requests.append(method)
        self.asked.append((request.method, method, len(str(request.rel_url))))
        if self.before:
            self.before(method)
        sent = list(request.query.items())
        if self.switches.reads_bodies:
            sent += parse_qsl(await request.text(), keep_blank_values=True)
        if self.switches.refuses_long_forms and len(sent) > 1000:
            return web.Response(status=413)
        sent = sent[: self.switches.most_parameters]
        form = dict(reversed(sent))
        lists: dict[str, list[str]] = {}
        for name, value in sent:
            lists.setdefault(name, []).append(value)
        refused = self._refuse(form)
        if method in self.refuses:
            refused = {"code": self.refuses[method], "message": f"told to refuse {form.get('t')}"}
        if refused:
            return self._answer({"status": "failed", "error": refused})
        if method in ("download", "stream", "getCoverArt"):
            return self._send(request, method, form)
        handler = getattr(self, f"_do_{method}", None)
        if handler is None:
            return web.Response(status=404)
        return self._answer({"status": "ok", **handler(form, lists)})

    def _refuse(self, form: dict[str, str]) -> dict[str, Any] | None:
        if "u" not in form:
            return {"code": 10, "message": "Required parameter is missing"}
        if not self.switches.takes_newer_clients and form["v"] != self.switches.version:
            return {"code": 30, "message": "Server must upgrade"}
        password = self.users.get(form["u"], "")
        if "t" in form:
            if not self.switches.knows_tokens:
                return {"code": 41, "message": "Token authentication not supported"}
            token = hashlib.md5((password + form.get("s", "")).encode()).hexdigest()
            if token == form["t"] and password:
                return None
        elif form.get("p") == "enc:" + password.encode().hex() and password:
            return None
        return {"code": 40, "message": "Wrong username or password"}

    def _answer(self, content: dict[str, Any]) -> web.Response:
        whole: Any = {"version": self.switches.version, **content}
        if self.switches.kind:
            whole |= {"type": self.switches.kind, "serverVersion": "0.55", "openSubsonic": True}
        if self.switches.numbers_as_text:
            whole = numbers_as_text(whole)
        if self.switches.empty_as_text:
            whole = {n: "" if v in ({}, []) else v for n, v in whole.items()}
        return web.json_response({"subsonic-response": whole})

    def _missing(self) -> dict[str, Any]:
        error = {"code": self.switches.missing_code, "message": "not found"}
        return {"status": "failed", "error": error}

    # Reading

    def _do_ping(self, form: dict[str, str], lists: dict[str, list[str]]) -> dict[str, Any]:
        return {}

    def _do_getScanStatus(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        count = len(self.songs) + self.switches.scanned_more
        status = {"scanning": self.is_scanning, "count": count, "lastScan": self.scanned}
        return {"scanStatus": status}

    def _do_getIndexes(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        return {"indexes": {"lastModified": 1761955200000, "ignoredArticles": "The"}}

    def _do_getMusicFolders(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        folders = [{"id": int(i), "name": name} for i, name in self.folders.items()]
        return {"musicFolders": {"musicFolder": folders}}

    def _tell(self, song: dict[str, Any]) -> dict[str, Any]:
        if not self.switches.real_paths:
            return song
        return {**song, "path": f"/music/{song['path']}"}

    def _do_search3(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        start = int(form.get("songOffset", 0)) if self.switches.knows_offset else 0
        count = min(int(form["songCount"]), self.switches.largest_page)
        if not self.switches.lists_by_search:
            return {"searchResult3": {}}
        folder = form.get("musicFolderId") if self.switches.tells_folders_apart else None
        page = self.songs.in_folder(folder)[start : start + count]
        return {"searchResult3": {"song": [self._tell(song) for song in page]} if page else {}}

    def _do_getSong(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        song = self.songs.get(form["id"])
        return {"song": self._tell(song)} if song else self._missing()

    def _do_getStarred2(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        return {"starred2": {"song": [s for s in self.songs.values() if "starred" in s]}}

    def _do_getAlbumList2(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        albums = list(self.songs.albums().values())
        if form["type"] == "recent":
            albums = [album for album in albums if "played" in album]
            albums.sort(key=lambda album: str(album["played"]), reverse=True)
        start = int(form.get("offset", 0)) if self.switches.knows_offset else 0
        return {"albumList2": {"album": albums[start : start + int(form["size"])]}}

    def _do_getAlbum(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        album = self.songs.albums().get(form["id"])
        if album is None:
            return self._missing()
        songs = [s for s in self.songs.values() if s["album"] == album["name"]]
        return {"album": {**album, "song": songs}}

    def _do_getNowPlaying(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        return {"nowPlaying": {"entry": self.playing}}

    def _send(self, request: web.Request, method: str, form: dict[str, str]) -> web.StreamResponse:
        song = self.songs.get(form["id"])
        if method == "getCoverArt":
            ids = [s.get("coverArt") for s in self.songs.values()]
            if form["id"] in ids:
                return web.Response(body=PICTURE, content_type="image/png")
            return self._answer(self._missing())
        if method == "download" and not self.switches.may_download:
            refused = {"code": 50, "message": "not allowed to download"}
            return self._answer({"status": "failed", "error": refused})
        if song is None:
            return self._answer(self._missing())
        body = f"media of {form['id']}".encode().ljust(100, b".")
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("Range", ""))
        if not wanted:
            return web.Response(body=body, content_type="audio/flac")
        start, end = int(wanted[1]), min(int(wanted[2] or 99), 99)
        headers = {"Content-Range": f"bytes {start}-{end}/100"}
        return web.Response(
            status=206, body=body[start : end + 1], content_type="audio/flac", headers=headers
        )

    # Writing

    def _do_setRating(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        song = self.songs.get(form["id"])
        if song is None:
            return self._missing()
        song["userRating"] = int(form["rating"])
        if not song["userRating"]:
            del song["userRating"]
        return {}

    def _do_star(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        song = self.songs.get(form["id"])
        if song is None:
            return self._missing()
        if "starred" in song and not self.switches.stars_twice:
            return {"status": "failed", "error": {"code": 0, "message": "already starred"}}
        song["starred"] = "2026-11-21T10:00:00.123456789Z"
        return {}

    def _do_unstar(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        song = self.songs.get(form["id"])
        if song is None:
            return self._missing()
        song.pop("starred", None)
        return {}

    def _bare(self, playlist: dict[str, Any]) -> dict[str, Any]:
        bare = {k: v for k, v in playlist.items() if k != "entry"}
        bare["songCount"] = len(playlist["entry"])
        if not self.switches.tells_changed:
            bare.pop("changed", None)
        return bare

    def _do_getPlaylists(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        seen = [
            p for p in self.playlists.values() if p.get("owner") == form["u"] or p.get("public")
        ]
        return {"playlists": {"playlist": [self._bare(p) for p in seen]} if seen else {}}

    def _do_getPlaylist(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        found = self.playlists.get(form["id"])
        if found is None:
            return self._missing()
        return {"playlist": {**self._bare(found), "entry": found["entry"]}}

    def _do_createPlaylist(
        self, form: dict[str, str], lists: dict[str, list[str]]
    ) -> dict[str, Any]:
        if self.switches.drops_lists:
            return {}
        songs = lists.get("songId", [])
        kept = songs[::2] if self.switches.drops_half_of_lists else songs
        playlist_id = form.get("playlistId")
        if playlist_id is None:
            self._made += 1
            playlist_id = f"p{self._made}"
            self.playlists[playlist_id] = {
                "id": playlist_id, "name": form["name"], "owner": form["u"], "public": False,
                "comment": "", "created": f"2026-11-23T00:00:{self._made:02}Z", "entry": [],
            }  # fmt: skip
        playlist = self.playlists.get(playlist_id)
        refused = self._guard(playlist, form)
        if playlist is None or refused:
            return refused or self._missing()
        if songs or self.switches.clears_by_empty_list:
            playlist["entry"] = [self.songs[song] for song in kept if song in self.songs]
        self._touch(playlist)
        major, minor, *_ = (int(part) for part in self.switches.version.split("."))
        whole = {**self._bare(playlist), "entry": playlist["entry"]}
        return {"playlist": whole} if (major, minor) >= KNOWS_ID_OF_NEW else {}

    def _do_updatePlaylist(
        self, form: dict[str, str], lists: dict[str, list[str]]
    ) -> dict[str, Any]:
        playlist = self.playlists.get(form["playlistId"])
        refused = self._guard(playlist, form)
        if playlist is None or refused:
            return refused or self._missing()
        playlist["name"] = form.get("name", playlist["name"])
        playlist["comment"] = form.get("comment", playlist.get("comment", ""))
        if "public" in form:
            playlist["public"] = form["public"] == "true"
        gone = {int(place) for place in lists.get("songIndexToRemove", [])}
        playlist["entry"] = [e for n, e in enumerate(playlist["entry"]) if n not in gone]
        added = lists.get("songIdToAdd", [])
        playlist["entry"] += [self.songs[song] for song in added if song in self.songs]
        self._touch(playlist)
        return {}

    def _do_deletePlaylist(self, form: dict[str, str], lists: Any) -> dict[str, Any]:
        playlist = self.playlists.get(form["id"])
        refused = self._guard(playlist, form)
        if playlist is None or refused:
            return refused or self._missing()
        del self.playlists[form["id"]]
        return {}

    def _guard(
        self, playlist: dict[str, Any] | None, form: dict[str, str]
    ) -> dict[str, Any] | None:
        if playlist and (playlist.get("readonly") or playlist.get("owner") != form["u"]):
            return {"status": "failed", "error": {"code": 50, "message": "not yours to edit"}}
        return None

    def _touch(self, playlist: dict[str, Any]) -> None:
        playlist["changed"] = f"2026-11-23T01:00:00.{len(self.requests):06}Z"
