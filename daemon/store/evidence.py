"""What names an item for ever: written beside each rating, to find the item in a new catalogue."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Item, Location, ProviderId, Source, parse_public_id, public_id

SAME_DURATION = 1.0
"""Seconds, as in `daemon.identity.evidence`."""
SAME_LOOK = 20
"""Bits, as in `daemon.identity.evidence`."""


async def find_evidence(session: AsyncSession, item_ids: Sequence[int]) -> dict[int, Any]:
    """Return for each item what names it: hashes, paths, provider ids; ready for JSON."""
    evidence: dict[int, Any] = {}
    for start in range(0, len(item_ids), 500):
        batch = item_ids[start : start + 500]
        for item in await session.scalars(select(Item).where(Item.id.in_(batch))):
            evidence[item.id] = {
                "id": public_id(item.id), "kind": item.kind, "title": item.title,
                "artist": item.artist, "album": item.album, "duration": item.duration,
                "locations": [],
            }  # fmt: skip
        rows = await session.execute(
            select(Location, Source.name)
            .join(Source, Source.id == Location.source_id)
            .where(Location.item_id.in_(batch))
            .order_by(Location.gone_at.is_not(None), Location.id)
        )
        for location, source in rows:
            evidence[location.item_id]["locations"].append(_describe(location, source))
    return evidence


def _describe(location: Location, source: str) -> dict[str, Any]:
    return {
        "source": source,
        "path": os.fsdecode(location.path),
        "size": location.size,
        "soft_hash": location.soft_hash,
        "content_hash": location.content_hash,
        "look": location.look,
        "duration": location.duration,
        "provider_ids": location.provider_ids,
    }


async def find_by_evidence(session: AsyncSession, evidence: Mapping[str, Any]) -> int | None:
    """Return the item that evidence is about, if the catalogue has it.

    The same rules as when files are taken in: the id or one proof of content is enough; a
    provider's id or a path needs a second proof, and a title proves nothing.
    """
    item_id = parse_public_id(str(evidence.get("id")))
    if await session.scalar(select(Item.id).where(Item.id == (item_id or 0))):
        return item_id
    places = [place for place in evidence.get("locations") or () if isinstance(place, dict)]
    for find in (_find_by_content, _find_by_provider, _find_by_path):
        for place in places:
            found = await find(session, str(evidence.get("kind")), place)
            if found:
                return found
    return None


async def _find_by_content(
    session: AsyncSession, kind: str, place: Mapping[str, Any]
) -> int | None:
    proofs = [
        column == place[name]
        for name, column in (
            ("soft_hash", Location.soft_hash), ("content_hash", Location.content_hash),
        )
        if place.get(name)
    ]  # fmt: skip
    if not proofs:
        return None
    found: int | None = await session.scalar(
        select(Location.item_id)
        .join(Item, Item.id == Location.item_id)
        .where(or_(*proofs), Item.kind == kind)
        .limit(1)
    )
    return found


async def _find_by_provider(
    session: AsyncSession, kind: str, place: Mapping[str, Any]
) -> int | None:
    for provider, value in (place.get("provider_ids") or {}).items():
        rows = await session.scalars(
            select(Location)
            .join(ProviderId, ProviderId.location_id == Location.id)
            .join(Item, Item.id == Location.item_id)
            .where(
                ProviderId.provider == provider, ProviderId.value == str(value), Item.kind == kind
            )
        )
        for location in rows:
            if _durations_agree(location, place):
                return location.item_id
    return None


async def _find_by_path(session: AsyncSession, kind: str, place: Mapping[str, Any]) -> int | None:
    location: Location | None = await session.scalar(
        select(Location)
        .join(Source, Source.id == Location.source_id)
        .join(Item, Item.id == Location.item_id)
        .where(
            Source.name == place.get("source"),
            Location.path == os.fsencode(str(place.get("path"))),
            Item.kind == kind,
        )
    )
    return location.item_id if location and _may_be_same(location, place) else None


def _may_be_same(location: Location, place: Mapping[str, Any]) -> bool:
    """Tell whether the file at a known path is the one of then; texts may have been edited."""
    is_size_known = bool(location.size) or location.facts is None  # servers may tell none
    if is_size_known and location.size == place.get("size"):
        return True
    if _durations_agree(location, place):
        return True
    if location.look and place.get("look"):
        return (int(location.look, 16) ^ int(place["look"], 16)).bit_count() <= SAME_LOOK
    return location.duration is None and location.look is None and place.get("duration") is None


def _durations_agree(location: Location, place: Mapping[str, Any]) -> bool:
    then = place.get("duration")
    if location.duration is None or then is None:
        return False
    return abs(location.duration - float(then)) <= SAME_DURATION
