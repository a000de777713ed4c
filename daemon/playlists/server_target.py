"""Bring a smart playlist to a playlist on a media server that it owns.

In place, so that its id, cover and followers stay; read back, since servers accept what they do
not do. Ours is the playlist whose id we were given when we made it, as long as something says
that it is still the same one: its mark, the moment it was made, or its content. A name never
makes a playlist ours.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.sqlite import insert

from connectors.base import ConnectorError, ConnectorUnavailable, NotFound
from connectors.edits import plan_edits
from connectors.server import Account, Capability, Server, ServerPlaylist
from daemon.playlist_settings import PlaylistSettings
from daemon.playlists.list_words import describe_list, words_fact
from daemon.playlists.made_journal import note_made, read_made
from daemon.playlists.receipt import Receipt, are, count_entries, name_of
from daemon.playlists.selection import Entry
from daemon.services import Services
from daemon.store.editions import find_others
from daemon.store.facts import get_fact, set_fact
from daemon.store.models import Location, Source
from daemon.store.server_models import PlaylistTarget

log = logging.getLogger(__name__)

ATTEMPTS = 2
"""How often the entries are set before what is there is taken for the result."""


@dataclass(frozen=True)
class Wanted:
    """The list in the server's own ids."""

    ids: list[str]
    items: dict[str, int]
    """Server's id: item."""
    missing: tuple[str, ...]
    """Entries that the server does not have, by name."""


class ServerTarget:
    """One smart playlist at one account of one server."""

    def __init__(
        self, services: Services, playlist: PlaylistSettings, server: Server, source: str,
        account: Account,
    ) -> None:  # fmt: skip
        self._services = services
        self._database = services.database
        self._playlist = playlist
        self._server = server
        self._source = source
        self._account = account
        self.name = target_name(source, account.profile)
        whole = f"{services.servers.instance()}/{playlist.name}/{self.name}"
        self._mark = f"[anagnorisis:{_hash([whole])[:16]}]"
        self._words_fact = words_fact(playlist.name, self.name)

    async def bring(
        self, entries: Sequence[Entry], *, dry: bool, revive: bool
    ) -> tuple[Receipt, str]:
        """Write what differs; return the receipt and the content's hash."""
        try:
            return await self._bring(entries, dry=dry, revive=revive)
        except ConnectorError as error:
            return self._receipt("failed", str(error), entries), ""

    async def _bring(
        self, entries: Sequence[Entry], *, dry: bool, revive: bool
    ) -> tuple[Receipt, str]:
        wanted = await self._resolve(entries)
        target = await self._find_target()
        present = await self._find_present(target)
        if target and present is None and target.state != "creating":
            if not revive:
                if not dry and target.state != "deleted":
                    await self._remember(target, state="deleted")
                message = (
                    "It was deleted on the server, so it stays so: playlist write brings it back."
                )
                return self._receipt("deleted", message, entries), ""
            target = None
        if not entries:
            message = "Nothing fits now, so what is there stays as it is."
            return self._receipt("abstained", message, entries), ""
        if not wanted.ids:
            message = f"Nothing of the list is on {self._source}, so nothing was written."
            return self._receipt("failed", message, entries, missing=wanted.missing), ""
        if dry:
            return self._compare(present, wanted, entries), ""
        before = present.item_ids if present else []
        is_new = present is None
        if present is None:
            present = await self._create(wanted, entries)
            requests = 1
        else:
            requests = 0
        if present.item_ids == wanted.ids and requests == 0:
            if target is None or target.state != "active":
                await self._remember(target, state="active", present=present)
            receipt = self._receipt(
                "unchanged", "as it is" + _note(wanted.missing), entries, missing=wanted.missing,
                read_back=self._items(present, wanted),
            )  # fmt: skip
            return receipt, _hash(wanted.ids)
        edited = bool(before) and target is not None and target.content_hash != _hash(before)
        for _ in range(ATTEMPTS):
            if present.item_ids == wanted.ids:
                break
            requests, present = await self._set(present, wanted, requests)
        if not is_new:
            requests += await self._describe(present, self._words(wanted, entries))
        await self._remember(target, state="active", present=present)
        return self._conclude(before, present, wanted, entries, requests, edited=edited)

    async def _set(
        self, present: ServerPlaylist, wanted: Wanted, requests: int
    ) -> tuple[int, ServerPlaylist]:
        """Set the entries and read them back, also where the answer was lost."""
        problem: ConnectorUnavailable | None = None
        try:
            requests += await self._server.set_entries(
                self._account, present, self._playlist.kind, wanted.ids
            )
        except ConnectorUnavailable as error:
            log.warning("%s: writing %s broke off: %s", self._source, present.name, error)
            problem = error
            requests += 1
        after = await self._server.playlist(self._account, present.id)
        if problem and after.item_ids == present.item_ids:
            raise problem  # nothing of it was done: the next run tries again
        return requests, after

    def _conclude(
        self, before: Sequence[str], present: ServerPlaylist, wanted: Wanted,
        entries: Sequence[Entry], requests: int, *, edited: bool,
    ) -> tuple[Receipt, str]:  # fmt: skip
        read_back = self._items(present, wanted)
        content = _hash(present.item_ids)
        if present.item_ids != wanted.ids:
            absent = set(wanted.ids) - set(present.item_ids)
            names = {entry.item_id: name_of(entry) for entry in entries}
            lost = [names[wanted.items[i]] for i in wanted.ids if i in absent]
            message = (
                f"{self._source} accepted the list, but {len(absent)} of "
                f"{count_entries(len(wanted.ids))} {are(absent)} not on it ({', '.join(lost[:3])})"
                if absent
                else f"{self._source} accepted the list, but has it in another order or with more"
            )
            return (
                self._receipt(
                    "failed", message, entries, missing=(*wanted.missing, *lost),
                    requests=requests, read_back=read_back,
                ),
                content,
            )  # fmt: skip
        edits = plan_edits(before, wanted.ids)
        message = count_entries(len(wanted.ids)) + _note(wanted.missing)
        message += "; what was changed on the server by hand was overwritten" if edited else ""
        receipt = self._receipt(
            "written", message, entries, added=len(edits.added), removed=len(edits.removed),
            moved=len(edits.moved), missing=wanted.missing, requests=requests,
            read_back=read_back,
        )  # fmt: skip
        return receipt, content

    def _compare(
        self, present: ServerPlaylist | None, wanted: Wanted, entries: Sequence[Entry]
    ) -> Receipt:
        edits = plan_edits(present.item_ids if present else [], wanted.ids)
        if present and not len(edits):
            return self._receipt("unchanged", "as it is", entries, missing=wanted.missing)
        return self._receipt(
            "written", count_entries(len(wanted.ids)) + _note(wanted.missing), entries,
            added=len(edits.added), removed=len(edits.removed), moved=len(edits.moved),
            missing=wanted.missing,
        )  # fmt: skip

    # Which items, and which playlist

    async def _resolve(self, entries: Sequence[Entry]) -> Wanted:
        """Put the list into the server's ids; ask the server which of them it still has."""
        known: dict[int, list[str]] = {}
        item_ids = [entry.item_id for entry in entries]
        async with self._database.read() as session:
            for start in range(0, len(item_ids), 500):
                rows = await session.execute(
                    select(Location.item_id, Location.path)
                    .join(Source, Source.id == Location.source_id)
                    .where(
                        Source.name == self._source, Location.gone_at.is_(None),
                        Location.item_id.in_(item_ids[start : start + 500]),
                    )
                    .order_by(Location.id)
                )  # fmt: skip
                for row in rows:
                    known.setdefault(row.item_id, []).append(row.path.decode())
        asked = [i for ids in known.values() for i in ids]
        there = await self._server.existing(self._account, asked) if asked else set()
        ids: dict[str, int] = {}
        missing = []
        for entry in entries:
            found = next((i for i in known.get(entry.item_id, ()) if i in there), None)
            if found is None:
                missing.append(name_of(entry))
            else:
                ids[found] = entry.item_id
        return Wanted(list(ids), ids, tuple(missing))

    async def _find_target(self) -> PlaylistTarget | None:
        async with self._database.read() as session:
            return await session.get(PlaylistTarget, (self._playlist.name, self.name))

    async def _find_present(self, target: PlaylistTarget | None) -> ServerPlaylist | None:
        """Return our playlist as it is on the server, if it is there and still ours."""
        if target and target.remote_id:
            try:
                found = await self._server.playlist(self._account, target.remote_id)
            except NotFound:
                found = None
            if found and self._is_ours(found, target):
                return found
            if found or target.state == "deleted":
                return None
        if target and target.state == "deleted":
            return None
        async with self._database.read() as session:  # one that was renamed has its old mark
            others = await find_others(session, self._playlist.name, self.name)
        there = await self._server.playlists(self._account)
        listed = [each for each in there if (each.id, each.created) not in others]
        for playlist in listed:
            if self._mark in playlist.description:
                return await self._server.playlist(self._account, playlist.id)
        if target is None:
            return await self._find_by_journal(listed)
        if target.state == "creating":
            return await self._find_begun(listed, target)
        return None

    def _is_ours(self, found: ServerPlaylist, target: PlaylistTarget) -> bool:
        if self._mark in found.description:
            return True
        if target.created and found.created:
            return target.created == found.created
        return target.content_hash in ("", _hash(found.item_ids)) or not found.created

    async def _find_begun(
        self, listed: Sequence[ServerPlaylist], target: PlaylistTarget
    ) -> ServerPlaylist | None:
        """Return the playlist that was being made when the process or the connection died."""
        for playlist in listed:
            if playlist.name == target.name and playlist.owner_id in ("", self._account.user_id):
                found = await self._server.playlist(self._account, playlist.id)
                if _hash(found.item_ids) == target.content_hash:
                    return found
        return None

    async def _find_by_journal(self, listed: Sequence[ServerPlaylist]) -> ServerPlaylist | None:
        """Return what was made before the catalogue was restored from an older backup."""
        data_dir = self._services.settings.data_dir
        noted = read_made(data_dir, self._playlist.name, self.name)
        for playlist in listed:
            if playlist.id in noted:
                found = await self._server.playlist(self._account, playlist.id)
                if not found.created or found.created == noted[playlist.id]:
                    return found
        return None

    # Making one

    async def _create(self, wanted: Wanted, entries: Sequence[Entry]) -> ServerPlaylist:
        """Make the playlist and read it; what was begun is known again after a kill."""
        listed = await self._server.playlists(self._account)
        taken = {playlist.name for playlist in listed}
        name = self._playlist.name
        if name in taken:
            name += " (Anagnorisis)"
        row = PlaylistTarget(
            playlist=self._playlist.name, target=self.name, state="creating", name=name,
            remote_id="", created="", content_hash=_hash(wanted.ids),
        )  # fmt: skip
        await self._save(row)
        description = self._words(wanted, entries)
        try:
            remote_id = await self._server.create_playlist(
                self._account, name, self._playlist.kind, wanted.ids,
                description=description, is_public=self._playlist.public,
            )  # fmt: skip
        except ConnectorUnavailable as error:
            known = {playlist.id for playlist in listed}
            made = [
                playlist
                for playlist in await self._server.playlists(self._account)
                if playlist.id not in known and playlist.name == name
            ]
            if len(made) != 1:
                raise error
            remote_id = made[0].id
        present = await self._server.playlist(self._account, remote_id)
        if Capability.MARK in self._server.info.capabilities and (
            self._mark not in present.description
        ):
            await self._server.describe_playlist(self._account, remote_id, description=description)
            present = await self._server.playlist(self._account, remote_id)
        await self._remember(row, state="active", present=present)
        note_made(
            self._services.settings.data_dir, self._playlist.name, self.name, present.id,
            present.created,
        )  # fmt: skip
        await self._note_words(present)
        return present

    def _words(self, wanted: Wanted, entries: Sequence[Entry]) -> str:
        """Return the description of the list, with the mark."""
        there = set(wanted.items.values())
        words = describe_list(self._playlist, [e for e in entries if e.item_id in there])
        return f"{words} {self._mark}"

    async def _describe(self, present: ServerPlaylist, words: str) -> int:
        """Say anew why things are on a list that was written; return the requests sent.

        What a person wrote there stays: only words of ours are replaced.
        """
        if Capability.MARK not in self._server.info.capabilities or present.description == words:
            return 0
        async with self._database.read() as session:
            ours = await get_fact(session, self._words_fact)
        if ours is None or ours["hash"] != _hash([present.description]):
            return 0
        try:
            await self._server.describe_playlist(self._account, present.id, description=words)
            await self._note_words(await self._server.playlist(self._account, present.id))
        except ConnectorError as error:  # the list itself is written
            log.warning("%s: %s keeps its old description: %s", self._source, present.name, error)
        return 1

    async def _note_words(self, present: ServerPlaylist) -> None:
        """Remember the description as the server gives it back."""
        async with self._database.write() as session:
            value = {"hash": _hash([present.description])}
            await set_fact(session, self._words_fact, value)

    async def _remember(
        self, target: PlaylistTarget | None, *, state: str, present: ServerPlaylist | None = None
    ) -> None:
        name = target.name if target else (present.name if present else self._playlist.name)
        values: dict[str, Any] = {"state": state, "name": name}
        if present:
            values |= {
                "remote_id": present.id, "created": present.created,
                "content_hash": _hash(present.item_ids),
            }  # fmt: skip
        elif target:
            values |= {
                "remote_id": target.remote_id, "created": target.created,
                "content_hash": target.content_hash,
            }  # fmt: skip
        key = {"playlist": self._playlist.name, "target": self.name}
        await self._save(PlaylistTarget(**key, **values))

    async def _save(self, row: PlaylistTarget) -> None:
        names = ("state", "name", "remote_id", "created", "content_hash")
        values = {name: getattr(row, name) for name in names}
        async with self._database.write(durable=True) as session:
            await session.execute(
                insert(PlaylistTarget)
                .values(playlist=row.playlist, target=row.target, **values)
                .on_conflict_do_update(index_elements=["playlist", "target"], set_=values)
            )

    def _items(self, present: ServerPlaylist, wanted: Wanted) -> tuple[int, ...]:
        return tuple(wanted.items[i] for i in present.item_ids if i in wanted.items)

    def _receipt(self, state: str, message: str, entries: Sequence[Entry], **more: Any) -> Receipt:
        return Receipt(self._playlist.name, self.name, state, message, entries, **more)


def target_name(source: str, profile: str) -> str:
    """Return how an account's playlist is named in receipts and editions."""
    return f"{source} ({profile})"


def _note(missing: Sequence[str]) -> str:
    if not missing:
        return ""
    return f"; {len(missing)} {are(missing)} not there ({', '.join(missing[:3])})"


def _hash(ids: Sequence[str]) -> str:
    return hashlib.blake2b("\n".join(ids).encode(), digest_size=16).hexdigest()
