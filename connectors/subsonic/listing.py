"""All songs of a server, page by page, by whichever of two ways it answers.

Most list everything for an empty search. The original Subsonic and Airsonic find nothing for one;
there the albums are gone through. (Lyrics would be a request a song, so they are left out.)
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from connectors.base import (
    BadAnswer,
    ConnectorError,
    ConnectorUnavailable,
    NotAllowed,
    NotFound,
    Refused,
)
from connectors.subsonic.client import Client, Signature
from connectors.subsonic.parsing import text, whole

log = logging.getLogger(__name__)

PAGE = 500
"""Songs or albums a request; servers give no more."""
ALBUMS = 25
"""Albums that make up a page."""
AT_ONCE = 4
BY_ALBUMS = "albums "
FAR = 4102444800000
"""2100 in milliseconds: with it only the date of an index is sent, not the index."""

Song = dict[str, Any]


class Listing:
    """What one server lists."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._told_apart: dict[tuple[str, ...], bool] = {}

    async def songs(
        self,
        signature: Signature,
        folder: str = "",
        *,
        start: str | None = None,
        total: int | None = None,
    ) -> AsyncIterator[tuple[list[Song], str | None]]:
        """Yield pages of songs, each with the `start` that goes on behind it (None: that was all).

        `folder`: only what is in this music folder. `total`: how many there should be. A page may
        be empty.
        """
        more = {"musicFolderId": folder} if folder else {}
        refused: ConnectorError | None = None
        if start and start.startswith(BY_ALBUMS):
            offset = whole(start.removeprefix(BY_ALBUMS)) or 0
        else:
            offset = whole(start) or 0
            is_empty = not offset
            try:
                async for page in self._by_search(signature, more, offset, total):
                    is_empty = is_empty and not page[0]
                    if not is_empty:
                        yield page
            except (Refused, NotFound) as error:
                if not is_empty:
                    raise
                refused = error
            if not is_empty:
                return
        async for songs, after in self._by_albums(signature, more, offset):
            if refused and not songs and after is None:
                raise refused  # two ways, and nothing on either
            refused = None
            yield songs, after

    async def _by_search(
        self, signature: Signature, more: dict[str, str], offset: int, total: int | None
    ) -> AsyncIterator[tuple[list[Song], str | None]]:
        longest, before, begins = 0, None, offset
        while True:
            answer = await self._client.read(
                signature, "search3", query="", artistCount=0, albumCount=0, songCount=PAGE,
                songOffset=offset, **more,
            )  # fmt: skip
            songs = answer.part("searchResult3").many("song")
            self._check_progress(songs, before)
            offset += len(songs)
            # a first page that is short may be as long as the server gives
            is_first = offset - len(songs) == begins
            is_last = not songs or (
                offset == total if is_first and len(songs) < PAGE else len(songs) < longest
            )
            longest, before = max(longest, len(songs)), songs
            yield songs, None if is_last else str(offset)
            if is_last:
                return

    async def _by_albums(
        self, signature: Signature, more: dict[str, str], offset: int
    ) -> AsyncIterator[tuple[list[Song], str | None]]:
        limit = asyncio.Semaphore(AT_ONCE)

        async def songs_of(album: dict[str, Any]) -> list[Song]:
            async with limit:
                try:
                    return await self.album(signature, text(album.get("id")))
                except NotFound:  # deleted since it was listed
                    return []

        before: list[Song] | None = None
        while True:
            answer = await self._client.read(
                signature, "getAlbumList2", type="alphabeticalByName", size=PAGE, offset=offset,
                **more,
            )  # fmt: skip
            albums = answer.part("albumList2").many("album")
            self._check_progress(albums, before)
            before = albums
            for at in range(0, len(albums), ALBUMS):
                batch = albums[at : at + ALBUMS]
                found = await asyncio.gather(*map(songs_of, batch))
                offset += len(batch)
                yield [song for songs in found for song in songs], f"{BY_ALBUMS}{offset}"
            if not albums:
                yield [], None
                return

    def _check_progress(self, page: list[Song], before: list[Song] | None) -> None:
        """Stop at a server that knows no offset: it would give the same page for ever."""
        if page and before and page[0].get("id") == before[0].get("id"):
            raise BadAnswer(f"{self._client.name} gives the same page again and again.")

    async def album(self, signature: Signature, album_id: str) -> list[Song]:
        """Return the songs of an album. Raises NotFound."""
        answer = await self._client.read(signature, "getAlbum", id=album_id)
        return answer.part("album").many("song")

    async def folders(self, signature: Signature) -> list[tuple[str, str]]:
        """Return the music folders as (id, name); [] where the server has none to tell."""
        try:
            answer = await self._client.read(signature, "getMusicFolders")
        except (Refused, NotFound):
            return []
        found = answer.part("musicFolders").many("musicFolder")
        return [(i, text(f.get("name")) or i) for f in found if (i := text(f.get("id")))]

    async def tells_folders_apart(self, signature: Signature, folders: list[str]) -> bool:
        """Tell whether a search keeps to a music folder: no song can be in two of them."""
        key = tuple(folders)
        if key not in self._told_apart:
            firsts = []
            for folder in folders:
                answer = await self._client.read(
                    signature, "search3", query="", artistCount=0, albumCount=0, songCount=1,
                    musicFolderId=folder,
                )  # fmt: skip
                firsts += [text(s.get("id")) for s in answer.part("searchResult3").many("song")[:1]]
            self._told_apart[key] = bool(firsts) and len(set(firsts)) == len(firsts)
        return self._told_apart[key]

    async def stamp(self, signature: Signature) -> tuple[str, int | None]:
        """Return what changes when the server has scanned ("": not known), and the count of songs.

        Some change it with every scan, whether anything was found or not.
        """
        count = None
        try:
            status = (await self._client.read(signature, "getScanStatus")).part("scanStatus")
            if status.get("scanning") in (True, "true"):
                return "", None
            if scanned := text(status.get("lastScan")):  # else the count is of a scan going on
                count = whole(status.get("count"))
                return f"{scanned}/{count}", count
        except ConnectorUnavailable:
            raise
        except ConnectorError as error:
            log.debug("%s has no getScanStatus: %s", self._client.name, error)
        try:
            answer = await self._client.read(signature, "getIndexes", ifModifiedSince=FAR)
        except (NotAllowed, Refused, NotFound):
            return "", None
        return text(answer.part("indexes").get("lastModified")), None

    async def ends_at(self, signature: Signature, count: int) -> bool:
        """Tell whether the listing really has so many songs; one request."""
        if not count:
            return False
        try:
            answer = await self._client.read(
                signature, "search3", query="", artistCount=0, albumCount=0, songCount=2,
                songOffset=count - 1,
            )  # fmt: skip
        except (Refused, NotFound):
            return False
        return len(answer.part("searchResult3").many("song")) == 1
