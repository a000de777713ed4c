"""Keep every profile's stored predictions in step with its ratings.

A rating asks for a refresh and does not wait; a page that sorts by prediction waits a moment for
it. The head is refitted in closed form, so a refresh takes a fraction of a second.
"""

import array
import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.sqlite import insert

from daemon.events import Events
from daemon.store.database import Database
from daemon.store.labels import Labels, find_labels
from daemon.store.models import (
    Prediction,
    PredictionState,
    Rating,
    TasteModel,
    now,
)
from daemon.vectors.index import Space, VectorIndex
from daemon.vectors.taste_models import (
    HEARD,
    UnknownModel,
    blend_of,
    fingerprint_of,
    model_in_use,
    newest_model,
    news_of,
    use_none,
)
from daemon.workers.worker import WorkerDied, WorkerFailed

log = logging.getLogger(__name__)

MINIMUM_RATINGS = 10
BATCH = 2000
SEED = 0

NEAR = 0.005
"""Rating points by which a stored prediction may lie beside the present one: no page shows less,
and one more rating moves most items by less."""

_STORED = "SELECT item_id, value, uncertainty FROM prediction WHERE profile_id = ?"
_UPSERT = (
    "INSERT INTO prediction (profile_id, item_id, kind, value, uncertainty) "
    "SELECT ?, id, kind, ?, ? FROM item WHERE id = ? "
    "ON CONFLICT (profile_id, item_id) DO UPDATE "
    "SET value = excluded.value, uncertainty = excluded.uncertainty"
)


FEW_VECTORS = "too few rated items have a vector yet"
LEAST_POINTS = 0.01
"""Rating points below which nobody wants to be told of a reason."""


@dataclass(frozen=True, slots=True)
class Reason:
    """A rated item, and by how many rating points it moved a prediction."""

    item_id: int
    points: float
    value: float
    """Its rating, or what its plays speak for."""
    is_rated: bool


@dataclass(frozen=True, slots=True)
class Reasons:
    """What a prediction is made of, in points that add up to it."""

    mean: float | None = None
    """The person's."""
    shift: float = 0.0
    """What others think."""
    moved: tuple[Reason, ...] = ()
    """The rated items that count most."""
    rest: float = 0.0
    """All other ratings."""
    transformer: float = 0.0

    @property
    def speaking(self) -> list[Reason]:
        """Those that speak for it, the strongest first: liked, and not merely unlike a disliked."""
        mean = self.mean or 0.0
        liked = [each for each in self.moved if each.points > 0 and each.value > mean]
        return sorted(liked, key=lambda reason: -reason.points)


class Predictions:
    """Refits and rescores; one refresh of a profile at a time.

    `learning` is an index of its own, so that no search waits for training.
    """

    def __init__(
        self, database: Database, index: VectorIndex, events: Events, learning: VectorIndex
    ) -> None:
        self._database = database
        self._index = index
        self._learning = learning
        self._events = events
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._asked: set[int] = set()
        self._turn = asyncio.Lock()

    def request(self, profile_id: int) -> None:
        """Refresh in the background; several requests while one is under way make one more."""
        self._asked.add(profile_id)
        if profile_id not in self._tasks:
            task = asyncio.create_task(self._keep_refreshing(profile_id))
            self._tasks[profile_id] = task
            task.add_done_callback(lambda _: self._tasks.pop(profile_id))

    async def settle(self, profile_id: int, timeout: float = 3.0) -> bool:
        """Wait until the predictions are those of the present ratings, wherever they were given.

        False if that takes longer than `timeout`; what is stored then is a moment old.
        """
        if profile_id not in self._tasks:
            if await self._is_fresh(profile_id):
                return True
            self.request(profile_id)
        task = self._tasks[profile_id]
        done, _ = await asyncio.wait([task], timeout=timeout)
        return bool(done)

    async def refresh(self, profile_id: int) -> str:
        """Make the stored predictions those of the present ratings; return one line about it.

        Raises WorkerFailed or WorkerDied.
        """
        async with self._turn:
            space = await self._index.text_space()
            async with self._database.read() as session:
                labels = await find_labels(session, profile_id)
                fingerprint = await fingerprint_of(session, profile_id, space)
                state = await session.get(PredictionState, profile_id)
            if state and state.fingerprint == fingerprint:
                return "nothing new"
            if space is None or labels.ratings < MINIMUM_RATINGS:
                if state:
                    await self._forget(profile_id)
                missing = MINIMUM_RATINGS - labels.ratings
                return f"{missing} more ratings needed" if space and missing > 0 else "no vectors"
            await self._index.refresh()
            return await self._score(profile_id, space, labels)

    async def train(self, profile_id: int, *, force: bool = False) -> str:
        """Choose the head's settings and measure it on held-out ratings, if there is news.

        Raises WorkerFailed or WorkerDied.
        """
        space = await self._index.text_space()
        async with self._database.read() as session:
            labels = await find_labels(session, profile_id)
            model = await model_in_use(session, profile_id)
            newest = await newest_model(session, profile_id)
            spaces = await self._index.taste_spaces(space) if space else []
            news = await news_of(session, profile_id, labels, spaces)
        if space is None or labels.ratings < MINIMUM_RATINGS:
            return f"{labels.ratings} ratings; predictions begin at {MINIMUM_RATINGS}"
        if newest and newest.settings.get("ratings") == news and not force:
            return "no new ratings"
        await self._learning.refresh()
        incumbent = model.settings["head"] if model and model.figures else None
        trained = await self._learning.call(
            "train", spaces, labels.as_dict(), SEED, incumbent, model.ratings if model else 0
        )
        if not trained["figures"]:
            return FEW_VECTORS
        is_better = not trained["worse"]
        async with self._database.write() as session:
            used = await session.get(TasteModel, model.id) if model else None
            if used and not is_better:  # what does better than a trusted model is no guess either
                used.trusted = used.trusted or trained["trusted"]
            if is_better:
                await use_none(session, profile_id)
            session.add(
                TasteModel(
                    profile_id=profile_id,
                    settings={
                        "head": trained["settings"],
                        "ratings": news,
                        **_carried_over(used),
                    },
                    figures=trained["figures"],
                    ratings=trained["figures"]["ratings"],
                    trusted=trained["trusted"],
                    in_use=is_better,
                )
            )
        if not is_better:
            return "the new model does worse on held-out ratings; the old one stays in use"
        verdict = "trusted" if trained["trusted"] else "not better than the mean yet"
        return f"learnt from {trained['figures'].get('ratings', 0)} ratings: {verdict}"

    async def bring_back(self, profile_id: int, model_id: int) -> None:
        """Use an earlier model from now on. Raises UnknownModel."""
        async with self._database.write() as session:
            model = await session.get(TasteModel, model_id)
            if model is None or model.profile_id != profile_id:
                raise UnknownModel(f"There is no taste model {model_id}.")
            await use_none(session, profile_id)
            model.in_use = True
        self.request(profile_id)

    async def explain(self, profile_id: int, item_ids: Sequence[int]) -> list[Reasons]:
        """Return what moved the predictions of items; empty ones where there is no prediction.

        Raises WorkerFailed or WorkerDied.
        """
        space = await self._index.text_space()
        async with self._database.read() as session:
            labels = await find_labels(session, profile_id)
            model = await model_in_use(session, profile_id)
        if space is None or model is None or labels.ratings < MINIMUM_RATINGS:
            return [Reasons() for _ in item_ids]
        await self._index.refresh()
        told = await self._index.call(
            "explain", await self._index.taste_spaces(space), labels.as_dict(),
            model.settings["head"], list(item_ids), blend_of(model),
        )  # fmt: skip
        given = dict(zip(labels.items, zip(labels.values, labels.scales, strict=True), strict=True))
        return [_reasons(each, given) for each in told]

    async def close(self) -> None:
        """Stop what is under way; the next start goes on."""
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _is_fresh(self, profile_id: int) -> bool:
        space = await self._index.text_space()
        async with self._database.read() as session:
            state = await session.get(PredictionState, profile_id)
            fingerprint = await fingerprint_of(session, profile_id, space)
            given = await session.scalar(
                select(func.count()).where(Rating.profile_id == profile_id)
            )
        if state is None:
            return space is None or (given or 0) < MINIMUM_RATINGS
        return state.fingerprint.partition(HEARD)[0] == fingerprint.partition(HEARD)[0]

    async def _keep_refreshing(self, profile_id: int) -> None:
        while profile_id in self._asked:
            self._asked.discard(profile_id)
            try:
                await self.refresh(profile_id)
            except (WorkerDied, WorkerFailed) as error:
                log.error("The predictions could not be renewed: %s", error)
        self._events.publish("predictions")

    async def _score(self, profile_id: int, space: Space, labels: Labels) -> str:
        async with self._database.read() as session:
            model = await model_in_use(session, profile_id)
        if model is None or not model.settings["head"]:
            await self.train(profile_id, force=True)
            async with self._database.read() as session:
                model = await model_in_use(session, profile_id)
        async with self._database.read() as session:
            fingerprint = await fingerprint_of(session, profile_id, space)
        if model is None or not model.settings["head"]:
            return await self._abstain(profile_id, fingerprint)
        scored = await self._index.call(
            "score",
            await self._index.taste_spaces(space),
            labels.as_dict(),
            model.settings["head"],
            blend_of(model),
        )
        if not scored["items"]:
            return await self._abstain(profile_id, fingerprint)
        count = await self._store(profile_id, scored)
        await self._conclude(profile_id, fingerprint, model.trusted)
        return f"{count} predictions" + ("" if model.trusted else ", not trusted yet")

    async def _store(self, profile_id: int, scored: dict[str, bytes]) -> int:
        """Write what has changed, past the ORM, which takes longer than SQLite for such rows."""
        known: dict[int, tuple[float, float]] = {}
        async with self._database.read() as session:
            stored = await (await session.connection()).exec_driver_sql(_STORED, (profile_id,))
            for part in stored.partitions(BATCH):
                known |= {row.item_id: (row.value, row.uncertainty) for row in part}
                await asyncio.sleep(0)  # a large library's rows would hold the event loop
        rows = await asyncio.to_thread(_changed, profile_id, scored, known)
        for start in range(0, len(rows), BATCH):
            async with self._database.write() as session:
                connection = await session.connection()
                await connection.exec_driver_sql(_UPSERT, rows[start : start + BATCH])
        return len(scored["items"]) // 8

    async def _conclude(self, profile_id: int, fingerprint: str, trusted: bool) -> None:
        values = {"fingerprint": fingerprint, "trusted": trusted, "made_at": now()}
        async with self._database.write() as session:
            await session.execute(
                insert(PredictionState)
                .values(profile_id=profile_id, **values)
                .on_conflict_do_update(index_elements=["profile_id"], set_=values)
            )

    async def _abstain(self, profile_id: int, fingerprint: str) -> str:
        """Predict nothing until there is more; return the line about it."""
        await self._forget(profile_id)
        await self._conclude(profile_id, fingerprint, False)
        return FEW_VECTORS

    async def _forget(self, profile_id: int) -> None:
        async with self._database.write() as session:
            for table in (Prediction, PredictionState):
                await session.execute(delete(table).where(table.profile_id == profile_id))


def _carried_over(used: TasteModel | None) -> dict[str, dict[str, Any]]:
    """Return what a new model keeps of the one in use: its transformer, until the next night's."""
    found = used.settings.get("evaluator") if used else None
    return {"evaluator": found | {"labels": ""}} if found else {}


def _changed(
    profile_id: int, scored: dict[str, bytes], known: Mapping[int, tuple[float, float]]
) -> list[tuple[int, float, float, int]]:
    """Return the parameters of `_UPSERT` for every item whose prediction is another now."""
    items, values, uncertainties = array.array("q"), array.array("f"), array.array("f")
    items.frombytes(scored["items"])
    values.frombytes(scored["values"])
    uncertainties.frombytes(scored["uncertainties"])
    unknown = (math.inf, math.inf)
    rows = []
    for item_id, value, uncertainty in zip(items, values, uncertainties, strict=True):
        old_value, old_uncertainty = known.get(item_id, unknown)
        if abs(value - old_value) > NEAR or abs(uncertainty - old_uncertainty) > NEAR:
            rows.append((profile_id, value, uncertainty, item_id))
    return rows


def _reasons(told: dict[str, Any], given: Mapping[int, tuple[float, float]]) -> Reasons:
    """Read what the worker says of one prediction ({} is none), with the labels' values, noise."""
    if not told:
        return Reasons()
    moved = [
        Reason(item, points, given[item][0], given[item][1] == 1) for item, points in told["moved"]
    ]
    kept = tuple(reason for reason in moved if abs(reason.points) >= LEAST_POINTS)
    dropped = sum(reason.points for reason in moved if abs(reason.points) < LEAST_POINTS)
    return Reasons(told["mean"], told["shift"], kept, told["rest"] + dropped, told["transformer"])
