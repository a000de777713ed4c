"""What the catalogue already knows that the files of a batch could be."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import FileFacts, Kind
from daemon.identity.evidence import Place, item_provider_ids, strong_hashes
from daemon.store.models import Item, Location, ProviderId

_PLACE = (
    Location.id, Location.source_id, Location.item_id, Location.path, Location.soft_hash,
    Location.content_hash, Location.look, Location.duration, Location.gone_at,
)  # fmt: skip


@dataclass
class Candidates:
    """Locations by each kind of evidence; kept up to date while the batch is worked through."""

    source_id: int
    by_path: dict[bytes, Place] = field(default_factory=dict)
    """Of this source only."""
    by_hash: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    by_provider: dict[tuple[str, str], list[Place]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def twin(self, facts: FileFacts, *, prefer: Callable[[Place], bool]) -> Place | None:
        """Return a location with the same content; one that has vanished rather than a present."""
        twins = [
            place
            for content in strong_hashes(facts)
            for place in self.by_hash[content]
            if content in (place.soft_hash, place.content_hash)
        ]
        return next(filter(prefer, twins), twins[0] if twins else None)

    def add(self, place: Place, facts: FileFacts) -> None:
        """Note a location that has come to be in this batch."""
        if place.source_id == self.source_id:
            self.by_path[place.path] = place
        for content in strong_hashes(facts):
            self.by_hash[content].append(place)
        for pair in item_provider_ids(facts.metadata.provider_ids).items():
            self.by_provider[pair].append(place)

    def renew(self, place: Place, facts: FileFacts) -> None:
        """Give a location the state that was read just now."""
        place.path, place.gone_at = facts.path, None
        place.soft_hash, place.content_hash = facts.soft_hash, facts.content_hash
        place.look, place.duration = facts.look, facts.metadata.duration
        self.add(place, facts)


async def load_candidates(
    session: AsyncSession,
    source_id: int,
    kind: Kind,
    batch: Sequence[FileFacts],
    further_paths: Sequence[bytes],
) -> Candidates:
    """Fetch every location that a file of the batch could be, in two queries."""
    candidates = Candidates(source_id)
    hashes = {h for facts in batch for h in strong_hashes(facts)}
    paths = {facts.path for facts in batch} | set(further_paths)
    here = (Location.source_id == source_id) & Location.path.in_(paths)
    same = or_(Location.soft_hash.in_(hashes), Location.content_hash.in_(hashes))
    rows = await session.execute(
        select(*_PLACE)
        .join(Item, Item.id == Location.item_id)
        .where(or_(here, same), Item.kind == kind)
        .order_by(Location.id)
    )
    for row in rows:
        place = Place(*row)
        if place.source_id == source_id:
            candidates.by_path[place.path] = place
        for content in (place.soft_hash, place.content_hash):
            if content:
                candidates.by_hash[content].append(place)
    await _load_by_provider(session, kind, batch, candidates)
    return candidates


async def _load_by_provider(
    session: AsyncSession, kind: Kind, batch: Sequence[FileFacts], candidates: Candidates
) -> None:
    ids = {pair for f in batch for pair in item_provider_ids(f.metadata.provider_ids).items()}
    if not ids:
        return
    rows = await session.execute(
        select(ProviderId.provider, ProviderId.value, *_PLACE)
        .join(Location, Location.id == ProviderId.location_id)
        .join(Item, Item.id == Location.item_id)
        .where(ProviderId.value.in_({value for _, value in ids}), Item.kind == kind)
    )
    for provider, value, *place in rows:
        found = Place(*place)
        candidates.by_provider[provider, value].append(
            candidates.by_path.get(found.path, found)
            if found.source_id == candidates.source_id
            else found
        )
