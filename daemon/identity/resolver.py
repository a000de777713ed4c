"""Decide for each file that was read which item it is.

One resolver serves one scan of one source. The caller hands it batches, each inside a write
transaction of its own; a scan that is broken off loses at most the batch in hand, and the next
one finds the rest.
"""

import posixpath
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import FileFacts, Kind
from daemon.identity.candidates import Candidates, load_candidates
from daemon.identity.evidence import (
    Place,
    durations_agree,
    is_another,
    is_reencoding,
    item_provider_ids,
    stem,
)
from daemon.identity.writer import BatchWriter
from daemon.store.models import Item, Location, now


@dataclass
class Outcome:
    """What a batch came to."""

    new: int = 0
    moved: int = 0
    joined: int = 0
    changed: int = 0
    items: dict[bytes, int] = field(default_factory=dict)
    """Path to item id, for all files of the batch."""

    def add(self, other: "Outcome") -> None:
        """Count another batch in."""
        self.new += other.new
        self.moved += other.moved
        self.joined += other.joined
        self.changed += other.changed


class Resolver:
    """Knows which paths the scan did not find, so that a move is told from a copy."""

    def __init__(self, source_id: int, kind: Kind, vanished: Iterable[bytes]) -> None:
        self.source_id = source_id
        self.kind = kind
        self.vanished = set(vanished)
        """Paths that the scan did not find and that no other file has explained yet."""
        self.touched: set[int] = set()
        """Items that may have lost or regained their last location."""
        self._same_stem: dict[tuple[bytes, bytes], list[bytes]] = defaultdict(list)
        for path in self.vanished:
            self._same_stem[posixpath.dirname(path), stem(path)].append(path)
        self._overwritten: dict[str, int] = {}
        """Soft hashes that changed during this scan: two files may have changed places."""

    async def settle(self, session: AsyncSession, batch: Sequence[FileFacts]) -> Outcome:
        """Store the batch: new items, further locations, moves and changes."""
        explained = [p for facts in batch for p in self._former_codings(facts.path)]
        candidates = await load_candidates(session, self.source_id, self.kind, batch, explained)
        writer = BatchWriter(session, self.source_id, self.kind)
        outcome = Outcome()
        for facts in batch:
            known = candidates.by_path.get(facts.path)
            if known is not None:
                outcome.items[facts.path] = self._renew(known, facts, candidates, writer)
                outcome.changed += 1
            else:
                outcome.items[facts.path] = self._place(facts, candidates, writer, outcome)
        await writer.write()
        return outcome

    def has_vanished(self, place: Place) -> bool:
        """Tell whether nothing lies at `place` any more."""
        here = place.source_id == self.source_id and place.path in self.vanished
        return here or place.gone_at is not None

    def _place(
        self, facts: FileFacts, candidates: Candidates, writer: BatchWriter, outcome: Outcome
    ) -> int:
        """Find or make the item of a file at a path that is new."""
        found = self._recognise(facts, candidates)
        if found is None:
            item_id, evidence = writer.add_item(facts), ""
            outcome.new += 1
        else:
            place, evidence = found
            item_id = place.item_id
            self.touched.add(item_id)
            if place.id and place.source_id == self.source_id and self.has_vanished(place):
                self._move(place, facts, evidence, candidates, writer)
                outcome.moved += 1
                return item_id
            outcome.joined += 1
        candidates.add(writer.add_location(facts, item_id, evidence), facts)
        return item_id

    def _recognise(self, facts: FileFacts, candidates: Candidates) -> tuple[Place, str] | None:
        """Return where the item is known from, and the proof."""
        twin = candidates.twin(facts, prefer=self.has_vanished)
        if twin is not None:
            return twin, "the same content"
        for path in self._former_codings(facts.path):
            former = candidates.by_path.get(path)
            if former is not None and is_reencoding(former, facts):
                return former, "the same name and length, coded anew"
        for provider, value in item_provider_ids(facts.metadata.provider_ids).items():
            for place in candidates.by_provider[provider, value]:
                if durations_agree(place.duration, facts.metadata.duration):
                    return place, f"the same {provider} id and length"
        return None

    def _move(
        self,
        place: Place,
        facts: FileFacts,
        evidence: str,
        candidates: Candidates,
        writer: BatchWriter,
    ) -> None:
        self.vanished.discard(place.path)
        candidates.by_path.pop(place.path, None)
        content_changed = place.soft_hash != facts.soft_hash
        candidates.renew(place, facts)
        writer.put_location(place, facts, place.item_id, evidence if content_changed else "")

    def _renew(
        self, place: Place, facts: FileFacts, candidates: Candidates, writer: BatchWriter
    ) -> int:
        """Return the item of a file that changed where it lay, or that is back."""
        item_id = place.item_id
        if facts.soft_hash != place.soft_hash:
            item_id = self._after_change(place, facts, candidates, writer)
            self._overwritten.setdefault(place.soft_hash, place.item_id)
        self.touched |= {place.item_id, item_id}
        self.vanished.discard(place.path)
        place.item_id = item_id
        candidates.renew(place, facts)
        writer.put_location(place, facts, item_id, "")
        return item_id

    def _after_change(
        self, place: Place, facts: FileFacts, candidates: Candidates, writer: BatchWriter
    ) -> int:
        if facts.content_hash and facts.content_hash == place.content_hash:
            return place.item_id  # only its tags were changed
        if facts.soft_hash in self._overwritten:
            return self._overwritten[facts.soft_hash]  # the files changed places
        twin = candidates.twin(facts, prefer=self.has_vanished)
        if twin is not None:
            return twin.item_id
        return writer.add_item(facts) if is_another(place, facts) else place.item_id

    def _former_codings(self, path: bytes) -> list[bytes]:
        """Return vanished paths of the same folder and stem."""
        known = self._same_stem.get((posixpath.dirname(path), stem(path)), ())
        return [former for former in known if former in self.vanished]


async def mark_gone(session: AsyncSession, source_id: int, paths: Sequence[bytes]) -> set[int]:
    """Mark the locations gone; return their items."""
    lost = (Location.source_id == source_id) & Location.path.in_(paths) & Location.gone_at.is_(None)
    items = set(await session.scalars(select(Location.item_id).where(lost)))
    await session.execute(update(Location).where(lost).values(gone_at=now()))
    return items


async def renew_presence(session: AsyncSession, item_ids: Sequence[int]) -> None:
    """Make items gone that have no location left, and present those that have one again."""
    has_place = (
        select(Location.id).where(Location.item_id == Item.id, Location.gone_at.is_(None)).exists()
    )
    ours = Item.id.in_(item_ids)
    await session.execute(
        update(Item).where(ours, Item.gone_at.is_(None), ~has_place).values(gone_at=now())
    )
    await session.execute(
        update(Item).where(ours, Item.gone_at.is_not(None), has_place).values(gone_at=None)
    )
