"""What models left behind that are chosen no longer: words, and spaces that are searched.

It goes role by role, and not before the models that are chosen have had every item: until then
people find by what the former ones said and saw. What these did is forgotten as well, so that one
that is chosen again begins anew.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import select

from daemon.chosen_models import SAID_AS
from daemon.services import Services
from daemon.steps.perceivers import perceivers, worker_name
from daemon.steps.step import StepRun
from daemon.store.descriptions import find_described, find_producers, renew, save_parts
from daemon.store.models import Item, now
from daemon.store.work import count_due, find_worked, forget_work
from daemon.vectors.index import forget_spaces, spaces_in_use

BATCH = 50
"""Items whose words are dropped in one transaction."""
PAGE = 500
"""Items of which it is forgotten at once that a model had them."""


async def drop_former(run: StepRun) -> str:
    """Drop what former models left; return a line about it, "" where there was nothing."""
    if run.is_over():
        return ""
    dropped = 0
    former = await _find_former(run.services)
    for role, names in former.items():
        if not await _is_awaited(run.services, role):
            dropped += await _drop(run, role, sorted(names))
    return f"words of former models dropped from {dropped} items" if dropped else ""


async def _find_former(services: Services) -> dict[str, set[str]]:
    """Return by role the models that left something and are chosen no longer."""
    chosen = perceivers(services)
    roles = {said: role for role, said in SAID_AS.items()}
    former = defaultdict(set)
    async with services.database.read() as session:
        for producer in await find_producers(session, but=[m.producer for m in chosen]):
            said, _, name = producer.partition(":")
            former[roles.get(said, said)].add(name)
        for used in await spaces_in_use(session):
            if not any((m.role, m.name) == (used.role, used.model) for m in chosen):
                former[used.role].add(used.model)
    return former


async def _is_awaited(services: Services, role: str) -> bool:
    """Tell whether a chosen model of the role has something to do, now, at night or once more."""
    async with services.database.read() as session:
        for model in perceivers(services):
            if model.role == role and await count_due(
                session, worker_name(model), now(), Item.media_hash, model.kinds
            ):
                return True
    return False


async def _drop(run: StepRun, role: str, names: Sequence[str]) -> int:
    """Drop words, then what was done, then the spaces: cut short, it is found again."""
    database = run.services.database
    producers = [f"{SAID_AS.get(role, role)}:{name}" for name in names]
    workers = [f"perceive:{name}@*" for name in names]
    dropped = after = 0
    while not run.is_over():
        async with database.read() as session:
            ids = await find_described(session, producers, after=after, limit=BATCH)
        if not ids:
            break
        await _drop_words(run.services, ids, producers, workers)
        dropped, after = dropped + len(ids), ids[-1]
    after = 0
    while not run.is_over():
        async with database.read() as session:
            ids = await find_worked(session, workers, after=after, limit=PAGE)
        if not ids:
            await _take_out_of_use(run.services, role, names)
            break
        async with database.write() as session:
            await forget_work(session, ids, workers)
        after = ids[-1]
    return dropped


async def _take_out_of_use(services: Services, role: str, names: Collection[str]) -> None:
    async with services.database.write() as session:
        used = await spaces_in_use(session)
        await forget_spaces(session, [u for u in used if u.role == role and u.model in names])
    await services.index.refresh()


async def _drop_words(
    services: Services, ids: Sequence[int], producers: Collection[str], workers: Collection[str]
) -> None:
    async with services.database.write() as session:
        items = list(await session.scalars(select(Item).where(Item.id.in_(ids))))
        await save_parts(session, ids, [], producers)
        await forget_work(session, ids, workers)
        await renew(session, items)
