"""A small Subsonic server that keeps state, like Navidrome: tokens, play counts, made-up paths.

A real supysonic serves most tests; this one is for what supysonic has not, and for faults.
"""

import hashlib
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from tests.stand_ins.faults import Faults


@dataclass
class Switches:
    """Quirks of servers."""

    knows_tokens: bool = True
    numbers_as_text: bool = False
    drops_half_of_lists: bool = False
    answers_created: bool = True
    """createPlaylist answers the playlist, as since API 1.14."""


@dataclass
class FakeSubsonic:
    """Serve with `async with`; change `songs`, `playlists` and `switches` freely."""

    users: dict[str, str] = field(default_factory=lambda: {"anna": "secret"})
    switches: Switches = field(default_factory=Switches)
    songs: dict[str, dict[str, Any]] = field(default_factory=dict)
    playlists: dict[str, dict[str, Any]] = field(default_factory=dict)
    playing: list[dict[str, Any]] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    scanned: str = "2026-11-01T00:00:00Z"
    url: str = ""

    def __post_init__(self) -> None:
        self.faults = Faults()
        self._runner: web.AppRunner | None = None

    def add_song(self, song_id: str, title: str, **more: Any) -> None:
        """Add a song."""
        self.songs[song_id] = {
            "id": song_id, "title": title, "artist": "Band", "album": "First", "duration": 60,
            "size": 1000, "path": f"Band/First/{title}.flac", "created": "2026-01-01T00:00:00Z",
            **more,
        }  # fmt: skip

    async def __aenter__(self) -> Self:
        middlewares: list[Any] = [self.faults.middleware]
        app = web.Application(middlewares=middlewares, client_max_size=1 << 24)
        app.router.add_route("*", "/rest/{method}.view", self._serve)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        assert self._runner is not None
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        self.requests.append(method)
        form = {**request.query, **(await request.post())}
        lists = {
            name: [*request.query.getall(name, []), *(await request.post()).getall(name, [])]
            for name in ("songId",)
        }
        refused = self._refuse(form)
        if refused:
            return self._answer({"status": "failed", "error": refused})
        handler = getattr(self, f"_do_{method}", None)
        if handler is None:
            return web.Response(status=404)
        return self._answer({"status": "ok", **handler(form, lists["songId"])})

    def _refuse(self, form: dict[str, Any]) -> dict[str, Any] | None:
        password = self.users.get(str(form.get("u")), "")
        if "t" in form:
            if not self.switches.knows_tokens:
                return {"code": 41, "message": "Token authentication not supported"}
            token = hashlib.md5((password + str(form.get("s"))).encode()).hexdigest()
            if token == form["t"] and password:
                return None
        elif form.get("p") == "enc:" + password.encode().hex() and password:
            return None
        return {"code": 40, "message": "Wrong username or password"}

    def _answer(self, content: dict[str, Any]) -> web.Response:
        head = {"version": "1.16.1", "type": "navidrome", "serverVersion": "0.55"}
        whole: Any = {**head, **content}
        if self.switches.numbers_as_text:
            whole = _numbers_as_text(whole)
        return web.json_response({"subsonic-response": whole})

    def _do_ping(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        return {}

    def _do_getScanStatus(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        status = {"scanning": False, "count": len(self.songs), "lastScan": self.scanned}
        return {"scanStatus": status}

    def _do_search3(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        start, count = int(form["songOffset"]), int(form["songCount"])
        return {"searchResult3": {"song": list(self.songs.values())[start : start + count]}}

    def _do_getSong(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        song = self.songs.get(str(form["id"]))
        if song is None:
            return {"status": "failed", "error": {"code": 70, "message": "not found"}}
        return {"song": song}

    def _do_getStarred2(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        return {"starred2": {"song": [s for s in self.songs.values() if "starred" in s]}}

    def _do_getAlbumList2(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        played = [s["played"] for s in self.songs.values() if "played" in s]
        album = [{"id": "al", "played": max(played)}] if played else []
        return {"albumList2": {"album": album}}

    def _do_getAlbum(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        return {"album": {"song": list(self.songs.values())}}

    def _do_setRating(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        self.songs[str(form["id"])]["userRating"] = int(form["rating"])
        return {}

    def _do_getNowPlaying(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        return {"nowPlaying": {"entry": self.playing}}

    def _do_getPlaylists(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        bare = [{k: v for k, v in p.items() if k != "entry"} for p in self.playlists.values()]
        return {"playlists": {"playlist": bare}}

    def _do_getPlaylist(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        found = self.playlists.get(str(form["id"]))
        if found is None:
            return {"status": "failed", "error": {"code": 70, "message": "not found"}}
        return {"playlist": found}

    def _do_createPlaylist(self, form: dict[str, Any], songs: list[Any]) -> dict[str, Any]:
        kept = songs[::2] if self.switches.drops_half_of_lists else songs
        entry = [self.songs[str(song)] for song in kept if song in self.songs]
        playlist_id = str(form.get("playlistId") or f"p{len(self.playlists)}")
        playlist = self.playlists.setdefault(
            playlist_id,
            {"id": playlist_id, "name": form.get("name"), "owner": form["u"], "public": False,
             "comment": "", "created": "2026-11-23T00:00:00Z"},
        )  # fmt: skip
        playlist["entry"] = entry
        return {"playlist": playlist} if self.switches.answers_created else {}

    def _do_updatePlaylist(self, form: dict[str, Any], _songs: list[Any]) -> dict[str, Any]:
        playlist = self.playlists[str(form["playlistId"])]
        playlist["comment"] = form.get("comment", playlist["comment"])
        playlist["public"] = form.get("public", "false") == "true"
        return {}


def _numbers_as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _numbers_as_text(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_numbers_as_text(v) for v in value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
