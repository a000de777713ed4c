"""The transformer of the taste model: trained at night, and used as far as it helps."""

from pathlib import Path
from typing import Any

from daemon.store.database import Database
from daemon.store.labels import Labels, find_labels
from daemon.store.models import TasteModel
from daemon.vectors.index import VectorIndex
from daemon.vectors.predictions import SEED
from daemon.vectors.taste_models import model_in_use, news_of
from daemon.workers.worker import Worker, WorkerFailed

LEAST_RATINGS = 100
"""With fewer a transformer has nothing to say that the head does not."""
FOLDS = 5
PAGE = 2000
"""Items that are predicted at once."""


class Evaluator:
    """Trains the transformer beside each profile's head."""

    def __init__(
        self, database: Database, index: VectorIndex, worker: Worker, folder: Path
    ) -> None:
        self._database = database
        self._index = index
        self._worker = worker
        self._folder = folder

    async def train(self, profile_id: int) -> str:
        """Train it where there is news, and weigh it; return one line, "" where there is none.

        Raises WorkerFailed or WorkerDied.
        """
        text = await self._index.text_space()
        async with self._database.read() as session:
            labels = await find_labels(session, profile_id)
            model = await model_in_use(session, profile_id)
            spaces = await self._index.taste_spaces(text) if text else []
            news = await news_of(session, profile_id, labels, spaces)
        if text is None or model is None or labels.ratings < LEAST_RATINGS:
            return ""
        await self._index.refresh()
        known = set(await self._index.call("items", text.name))
        found = model.settings.get("evaluator", {})
        if found.get("labels") == news:
            return await self._predict_new(spaces, known, model) if found["weight"] > 0 else ""
        rated = [i for i in labels.items[: labels.ratings] if i in known]
        values = dict(zip(labels.items, labels.values, strict=True))
        ratings = [values[item_id] for item_id in rated]
        if len(rated) < LEAST_RATINGS:
            return ""
        tokens = await self._index.call("tokens", spaces, rated)
        try:
            trained = await self._worker.call("train", tokens, ratings, FOLDS, SEED)
            found = await self._index.call(
                "stack", spaces, _only(labels, known), FOLDS, SEED, trained["held_out"]
            )
            if found["weight"] > 0:
                await self._worker.call("finish", tokens, ratings, SEED)
                await self._predict(spaces, sorted(known), f"{model.id}.npz")
        finally:
            await self._worker.close()
        told = {"labels": news, "device": trained["device"], "name": f"{model.id}.npz"}
        await self._keep(model, found | told | {"predicted": len(known)})
        return f"transformer on {trained['device']}: weight {found['weight']:.2f}"

    async def _predict_new(self, spaces: list[str], known: set[int], model: TasteModel) -> str:
        """Let the transformer predict what has come since it was trained."""
        found = model.settings["evaluator"]
        path = self._folder / found["name"]
        if len(known) == found.get("predicted") and path.exists():
            return ""
        try:
            had = await self._worker.call("resume", str(path))
            new = sorted(known - set(had))
            if new:
                await self._predict(spaces, new, found["name"])
        except WorkerFailed:
            await self._keep(model, found | {"labels": ""})  # its files are gone: train it anew
            raise
        finally:
            await self._worker.close()
        await self._keep(model, found | {"predicted": len(known)})
        return f"transformer: {len(new)} new items" if new else ""

    async def _predict(self, spaces: list[str], items: list[int], name: str) -> None:
        for start in range(0, len(items), PAGE):
            page = items[start : start + PAGE]
            await self._worker.call("predict", page, await self._index.call("tokens", spaces, page))
        await self._worker.call("save", str(self._folder / name))

    async def _keep(self, model: TasteModel, found: dict[str, Any]) -> None:
        async with self._database.write() as session:
            kept = await session.get(TasteModel, model.id)
            if kept:
                kept.settings = kept.settings | {"evaluator": found}


def _only(labels: Labels, known: set[int]) -> dict[str, list[Any]]:
    """Return the labels of items that have a vector, as the worker takes them."""
    rows = zip(labels.items, labels.values, labels.scales, strict=True)
    kept = [row for row in rows if row[0] in known]
    return {
        "items": [row[0] for row in kept],
        "values": [row[1] for row in kept],
        "scales": [row[2] for row in kept],
    }
