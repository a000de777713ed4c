"""What the words of a rule or an order mean: which item, which point, which items are near."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from connectors.base import Kind
from daemon.playlists.problems import Abstained
from daemon.playlists.shelf import find_playlist
from daemon.rules import tree
from daemon.rules.tree import Rule, walk
from daemon.services import Services
from daemon.store.models import Item, PlaylistWrite, parse_public_id
from daemon.store.places import find_item_at
from daemon.vectors.index import Space
from daemon.vectors.search import SearchUnavailable

NEAREST = 100
"""How many items are near where a rule says no number."""
MOST = 100_000


async def find_named(session: AsyncSession, name: str, kind: Kind) -> Item | None:
    """Return the item that a rule names: by id (#1a2b), path, title, or "artist - title".

    Of namesakes one of the kind is meant, then the first that was there.
    """
    item_id = parse_public_id(name.removeprefix("#")) if name.startswith("#") else None
    if item_id is None and "/" in name:
        item_id = await find_item_at(session, name)
    if item_id is not None:
        return await session.get(Item, item_id)
    artist, dash, title = name.partition(" - ")
    same = func.fold(Item.title) == name.casefold()
    if dash:
        both = (func.fold(Item.title) == title.strip().casefold()) & (
            func.instr(func.fold(Item.artist), artist.strip().casefold()) > 0
        )
        same = or_(same, both)
    found: Item | None = await session.scalar(
        select(Item)
        .where(Item.gone_at.is_(None), same)
        .order_by(Item.kind != kind, Item.id)
        .limit(1)
    )
    return found


async def item_of(services: Services, name: str, kind: Kind) -> Item:
    """Return the item that a rule names. Raises Abstained."""
    async with services.database.read() as session:
        item = await find_named(session, name, kind)
    if item is None:
        raise Abstained(f"There is no item {name}: name a title, a path, or an id such as #1a2b.")
    return item


async def joined_spaces(services: Services, kind: Kind) -> list[Space]:
    """Return the spaces in which items of a kind lie: their words, and what was perceived."""
    text = await services.index.refresh()
    if text is None:
        raise Abstained("Nothing is embedded yet; the embed step makes it possible: see Jobs.")
    seen = [used.space for used in await services.index.media_spaces() if kind in used.kinds]
    return [text, *seen]


async def term_of(
    services: Services, name: str, kind: Kind, *, sign: float = 1.0, words_too: bool = True
) -> list[Any]:
    """Return a point for `VectorWorker.arrange`: an item of that name, or else the words."""
    async with services.database.read() as session:
        item = await find_named(session, name, kind)
    if item is not None:
        return [sign, item.id, []]
    if not words_too:
        raise Abstained(f"There is no item {name}: name a title, a path, or an id such as #1a2b.")
    try:
        return [sign, 0, await services.search.points(name, kind)]
    except SearchUnavailable as error:
        raise Abstained(str(error)) from error


async def resolve(services: Services, rule: Rule, kind: Kind) -> dict[Rule, Sequence[int]]:
    """Return the items of every part of a rule that a query cannot ask. Raises Abstained."""
    found: dict[Rule, Sequence[int]] = {}
    for part in walk(rule):
        if isinstance(part, tree.Near) and part not in found:
            found[part] = await _near(services, part, kind)
        elif isinstance(part, tree.InPlaylist) and part not in found:
            found[part] = await _on_playlist(services, part.name)
    return found


async def _near(services: Services, near: tree.Near, kind: Kind) -> list[int]:
    limit = NEAREST if near.least is None else MOST
    try:
        if near.to == "like":
            item = await item_of(services, near.what, kind)
            if near.least is None:
                hits = await services.search.similar(item.id, kind=kind, limit=limit)
                return [item.id, *(hit.item_id for hit in hits)]
            rows = await services.search.cosines(item.id, kind, limit)
            rows.append((item.id, 1.0))
        else:
            if near.least is None:
                hits = await services.search.find(near.what, kind=kind, limit=limit)
                return [hit.item_id for hit in hits]
            rows = await services.search.cosines(near.what, kind, limit)
    except SearchUnavailable as error:
        raise Abstained(str(error)) from error
    return [item_id for item_id, cosine in rows if cosine > (near.least or 0)]


async def _on_playlist(services: Services, name: str) -> list[int]:
    async with services.database.read() as session:
        newest = (
            select(func.max(PlaylistWrite.id))
            .where(PlaylistWrite.playlist == name)
            .group_by(PlaylistWrite.target)
        )
        editions = await session.scalars(
            select(PlaylistWrite.item_ids).where(PlaylistWrite.id.in_(newest))
        )
        written = list(editions)
    if not written and await find_playlist(services, name) is None:
        raise Abstained(f"There is no playlist {name}.")
    return sorted({item_id for edition in written for item_id in edition})
