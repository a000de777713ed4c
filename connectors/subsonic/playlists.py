"""Playlists: made, filled and emptied as servers really do it."""

import logging
from collections.abc import Sequence
from typing import Any

from connectors.base import BadAnswer, ConnectorError, NotFound, Refused
from connectors.server import ServerPlaylist
from connectors.subsonic.answers import ApiRefused
from connectors.subsonic.client import CallRefused, Client, Signature
from connectors.subsonic.parsing import parse_playlist, text

log = logging.getLogger(__name__)

POSTED = 500
"""Ids that any server takes in one body: Tomcat drops parameters beyond a thousand, silently."""
IN_URL = 100
"""Ids that any server takes in one URL."""


class Playlists:
    """The playlists of one server."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._takes_all = False
        """Whether the server was seen to take a list of more than POSTED whole."""

    async def list(self, signature: Signature) -> list[ServerPlaylist]:
        """Return the user's playlists and public ones, without entries."""
        answer = await self._client.read(signature, "getPlaylists")
        found = map(parse_playlist, answer.part("playlists").many("playlist"))
        return [playlist for playlist in found if playlist.id]

    async def get(self, signature: Signature, playlist_id: str) -> ServerPlaylist:
        """Return one with its songs in order. Raises NotFound."""
        try:
            answer = await self._client.read(signature, "getPlaylist", id=playlist_id)
        except ApiRefused as error:
            if error.code == 0:
                raise
            raise NotFound(f"{self._client.name} has no playlist {playlist_id}.") from error
        found = answer.part("playlist")
        if not text(found.get("id")):
            raise BadAnswer(f"{self._client.name}'s answer holds no playlist.")
        return parse_playlist({**found.content, "entry": found.many("entry")})

    async def create(self, signature: Signature, name: str, ids: Sequence[str]) -> str:
        """Make one; return its id."""
        before = {playlist.id for playlist in await self.list(signature)}
        sent = list(ids) if self._client.posts else list(ids[:IN_URL])
        try:
            answer = await self._client.call(signature, "createPlaylist", name=name, songId=sent)
        except CallRefused:
            if len(sent) <= POSTED:
                raise
            sent = sent[:POSTED]
            answer = await self._client.call(signature, "createPlaylist", name=name, songId=sent)
        playlist_id = text(answer.part("playlist").get("id"))
        if not playlist_id:
            playlist_id = await self._find_made(signature, name, sent, before)
            if not ids:  # supysonic cannot change what has never been filled or emptied
                await self._client.call(signature, "createPlaylist", playlistId=playlist_id)
        await self._complete(signature, playlist_id, ids, len(sent))
        return playlist_id

    async def _find_made(
        self, signature: Signature, name: str, sent: Sequence[str], before: set[str]
    ) -> str:
        """Return the id of what was just made, which servers before API 1.14 do not tell.

        Never one that was there before; and of several new ones that which holds what was sent.
        """
        made = [
            playlist
            for playlist in await self.list(signature)
            if playlist.id not in before
            and playlist.name == name
            and playlist.owner_id in ("", signature["u"])
        ]
        if len(made) > 1:
            read = [await self.get(signature, playlist.id) for playlist in made]
            made = [playlist for playlist in read if playlist.item_ids == list(sent)]
        if len(made) != 1:
            raise Refused(f"{self._client.name} took the playlist {name} and does not have it.")
        return made[0].id

    async def replace(self, signature: Signature, playlist_id: str, ids: Sequence[str]) -> int:
        """Make these the content, in one request where that goes; return how many were sent."""
        if not ids:
            return await self._clear(signature, playlist_id)
        sent = list(ids) if self._client.posts else list(ids[:IN_URL])
        requests = 1
        try:
            await self._client.call(
                signature, "createPlaylist", playlistId=playlist_id, songId=sent
            )
        except CallRefused:
            if len(sent) <= POSTED:
                raise
            sent, requests = sent[:POSTED], 2
            await self._client.call(
                signature, "createPlaylist", playlistId=playlist_id, songId=sent
            )
        return requests + await self._complete(signature, playlist_id, ids, len(sent))

    async def _complete(
        self, signature: Signature, playlist_id: str, ids: Sequence[str], sent: int
    ) -> int:
        """Append what was not sent, or was cut off at the end; return the number of requests."""
        requests, done = 0, sent
        if sent > POSTED and not self._takes_all:
            there = (await self.get(signature, playlist_id)).item_ids
            requests += 1
            self._takes_all = len(there) == sent
            if POSTED <= len(there) < sent and there == list(ids[: len(there)]):
                done = len(there)
        size = POSTED if self._client.posts else IN_URL
        for start in range(done, len(ids), size):
            await self._client.call(
                signature, "updatePlaylist", playlistId=playlist_id,
                songIdToAdd=list(ids[start : start + size]),
            )  # fmt: skip
            requests += 1
        return requests

    async def _clear(self, signature: Signature, playlist_id: str) -> int:
        """Remove all entries by their places: Navidrome takes an empty list for none given."""
        count = len((await self.get(signature, playlist_id)).item_ids)
        requests = 1
        size = POSTED if self._client.posts else IN_URL
        for end in range(count, 0, -size):
            places = list(range(max(0, end - size), end))
            await self._client.call(
                signature, "updatePlaylist", playlistId=playlist_id, songIndexToRemove=places
            )
            requests += 1
        return requests

    async def describe(
        self, signature: Signature, playlist_id: str, description: str | None,
        is_public: bool | None,
    ) -> None:  # fmt: skip
        """Set the comment and who sees it, as far as they are given."""
        params: dict[str, Any] = {}
        if description is not None:
            params["comment"] = description
        if is_public is not None:
            params["public"] = "true" if is_public else "false"
        if params:
            await self._client.call(signature, "updatePlaylist", playlistId=playlist_id, **params)

    async def describe_new(
        self, signature: Signature, playlist_id: str, description: str, *, is_public: bool
    ) -> None:
        """Describe what was just made; on a server that cannot, it stays as it is."""
        try:
            await self.describe(signature, playlist_id, description, is_public)
        except (Refused, NotFound) as error:
            log.warning("%s: the playlist has no description: %s", self._client.name, error)

    async def delete(self, signature: Signature, playlist_id: str) -> None:
        """Delete one. Raises NotFound."""
        try:
            await self._client.call(signature, "deletePlaylist", id=playlist_id)
        except ApiRefused as error:
            if await self._is_there(signature, playlist_id):
                raise
            raise NotFound(f"{self._client.name} has no playlist {playlist_id}.") from error

    async def _is_there(self, signature: Signature, playlist_id: str) -> bool:
        try:
            return any(p.id == playlist_id for p in await self.list(signature))
        except ConnectorError:
            return True
