"""Write ratings and favourites that a person gave here to a server, where that is wanted.

Only what a person gave, never a prediction; never over a word on the server that is newer.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, or_, select

from connectors.base import NotFound, Refused
from connectors.server import Account as SignedIn
from connectors.server import Capability, ItemState, Server
from daemon.services import Services
from daemon.store.models import Location, Rating, RatingEvent, Source
from daemon.store.ratings import PERSON
from daemon.store.server_models import Account, Favourite, ServerState
from daemon.store.server_words import keep_states, save_state

log = logging.getLogger(__name__)

BATCH = 100


@dataclass(frozen=True, slots=True)
class _Wish:
    location_id: int
    external_id: str
    item_id: int
    rating: float | None
    rated_at: Any
    sent: float | None
    is_favourite: bool | None
    known: ServerState | None


async def write_ratings(services: Services, server: Server, account: SignedIn, row: Account) -> int:
    """Write what the server does not have yet; return how much was written and read back.

    Raises Refused where the server took a rating and has it not.
    """
    async with services.database.read() as session:
        wishes = await _find_wishes(session, row)
        source = await session.get_one(Source, row.source_id)
    written, ignored = 0, []
    for start in range(0, len(wishes), BATCH):
        batch = wishes[start : start + BATCH]
        present = await server.states_of(account, [wish.external_id for wish in batch])
        by_id = {state.item_id: state for state in present}
        changed = [s for w in batch if (s := by_id.get(w.external_id)) and _is_news(s, w.known)]
        if changed:  # somebody rated there since: hear them first
            await keep_states(
                services.database, services.journal, row.source_id, source.name, row, changed
            )
        heard = {state.item_id for state in changed}
        for wish in batch:
            if wish.external_id in by_id and wish.external_id not in heard:
                done = await _fulfil(services, server, account, row, wish, by_id[wish.external_id])
                written += done
                ignored += [] if done else [wish.external_id]
    if ignored:
        raise Refused(
            f"{server.info.name} took {len(ignored)} ratings and does not have them "
            f"({', '.join(ignored[:3])})."
        )
    return written


def _is_news(state: ItemState, known: ServerState | None) -> bool:
    return (state.rating, state.is_favourite) != (
        (known.rating, known.is_favourite) if known else (None, False)
    )


async def _fulfil(
    services: Services, server: Server, account: SignedIn, row: Account, wish: _Wish,
    state: ItemState,
) -> bool:  # fmt: skip
    capabilities = server.info.capabilities
    wants_rating = wish.rating != wish.sent and Capability.RATE in capabilities
    if state.rated_at and wish.rated_at and state.rated_at > wish.rated_at:
        wants_rating = False
    wants_favourite = (
        Capability.FAVOURITE in capabilities
        and wish.is_favourite is not None
        and wish.is_favourite != state.is_favourite
    )
    is_done = True
    try:
        if wants_rating:
            state = await server.rate(account, wish.external_id, wish.rating)
            is_done = (state.rating is None) == (wish.rating is None)
        if wants_favourite:
            state = await server.set_favourite(account, wish.external_id, bool(wish.is_favourite))
            is_done = is_done and state.is_favourite == wish.is_favourite
    except NotFound:
        return True  # deleted since it was listed
    if is_done:
        sent = wish.rating if wants_rating else wish.sent
        async with services.database.write() as session:
            await save_state(session, row.id, wish.location_id, state, sent=sent)
    return is_done


async def _find_wishes(session: Any, row: Account) -> Sequence[_Wish]:
    """Return what the person said that the server has not been told."""
    last = (
        select(RatingEvent.item_id, func.max(RatingEvent.rated_at).label("at"))
        .where(RatingEvent.profile_id == row.profile_id, RatingEvent.origin == PERSON)
        .group_by(RatingEvent.item_id)
        .subquery()
    )
    ours = (Rating.item_id == Location.item_id) & (Rating.profile_id == row.profile_id)
    heart = (Favourite.item_id == Location.item_id) & (Favourite.profile_id == row.profile_id)
    state = (ServerState.location_id == Location.id) & (ServerState.account_id == row.id)
    rows = await session.execute(
        select(
            Location.id, Location.path, Location.item_id, Rating.value, Rating.origin,
            RatingEvent.rated_at, Favourite.is_favourite, Favourite.origin.label("heart_origin"),
            ServerState,
        )
        .join(last, last.c.item_id == Location.item_id, isouter=True)
        .join(
            RatingEvent,
            (RatingEvent.item_id == last.c.item_id)
            & (RatingEvent.rated_at == last.c.at)
            & (RatingEvent.profile_id == row.profile_id)
            & (RatingEvent.origin == PERSON),
            isouter=True,
        )
        .join(Rating, ours, isouter=True)
        .join(Favourite, heart, isouter=True)
        .join(ServerState, state, isouter=True)
        .where(
            Location.source_id == row.source_id, Location.gone_at.is_(None),
            Location.facts.is_not(None),
            or_(last.c.item_id.is_not(None), Favourite.origin == PERSON),
        )
    )  # fmt: skip
    wishes = []
    for found in rows:
        known = found.ServerState
        sent = known.sent if known else None
        is_mine = found.origin in (None, PERSON) and found.rated_at is not None
        rating = found.value if is_mine else sent
        heart_wish = found.is_favourite if found.heart_origin == PERSON else None
        has_heart = known.is_favourite if known else False
        if rating != sent or (heart_wish is not None and heart_wish != has_heart):
            wishes.append(
                _Wish(
                    found.id, found.path.decode(), found.item_id, rating, found.rated_at, sent,
                    heart_wish, known,
                )
            )  # fmt: skip
    return wishes
