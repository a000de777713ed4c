"""What the parts of the daemon are handed instead of looking for it."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from daemon.chosen_models import choose_models
from daemon.events import Events
from daemon.servers import Servers
from daemon.settings import Settings
from daemon.store.database import Database, open_database
from daemon.store.journal import JOURNAL_NAME, Journal
from daemon.vectors.evaluator import Evaluator
from daemon.vectors.index import VectorIndex
from daemon.vectors.predictions import Predictions
from daemon.vectors.rate_next import RateNext
from daemon.vectors.search import Search
from daemon.workers.board import ModelBoard
from daemon.workers.worker import Workers


@dataclass(frozen=True)
class Services:
    """Opened once, by `open_services`."""

    settings: Settings
    database: Database
    journal: Journal
    workers: Workers
    index: VectorIndex
    predictions: Predictions
    evaluator: Evaluator
    search: Search
    rate_next: RateNext
    events: Events
    servers: Servers
    board: ModelBoard


@asynccontextmanager
async def open_services(settings: Settings, *, owns_cache: bool = True) -> AsyncIterator[Services]:
    """Yield the services over a migrated database; processes and connections end on the way out.

    `owns_cache`: whether this process may write the vector cache; a verb beside a running daemon
    may not.
    """
    if owns_cache:  # what a killed run left behind
        shutil.rmtree(settings.data_dir / "scratch", ignore_errors=True)
    workers = Workers(
        processes=settings.workers,
        vectors={"directory": str(settings.data_dir / "vectors"), "writable": owns_cache},
        models=choose_models(settings),
        scratch=settings.data_dir / "scratch",
        device=settings.models.device,
    )
    servers = Servers(settings)
    try:
        async with open_database(settings.database_path) as database:
            events = Events()
            index = VectorIndex(database, workers.vectors)
            learning = VectorIndex(database, workers.learning)
            predictions = Predictions(database, index, events, learning)
            try:
                yield Services(
                    settings=settings,
                    database=database,
                    journal=Journal(settings.data_dir / JOURNAL_NAME),
                    workers=workers,
                    index=index,
                    predictions=predictions,
                    evaluator=Evaluator(
                        database, learning, workers.evaluator, settings.data_dir / "taste"
                    ),
                    search=Search(database, index, workers.queries),
                    rate_next=RateNext(database, index),
                    events=events,
                    servers=servers,
                    board=ModelBoard(workers),
                )
            finally:
                await predictions.close()
    finally:
        await servers.close()
        await workers.close()
