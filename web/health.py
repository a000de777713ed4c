"""For machines that watch: is it alive, is it ready, how much of what."""

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.process_collector import ProcessCollector
from sqlalchemy import func, select, text
from sqlalchemy.exc import SQLAlchemyError

from daemon.store.models import Item, JobRun, Rating
from web.keys import SERVICES

routes = web.RouteTableDef()

REGISTRY = web.AppKey("REGISTRY", CollectorRegistry)


@routes.get("/healthz", name="health")
async def alive(_request: web.Request) -> web.Response:
    """Answer: the event loop turns."""
    return web.Response(text="ok\n")


@routes.get("/readyz", name="ready")
async def ready(request: web.Request) -> web.Response:
    """Answer whether the database can be read."""
    try:
        async with request.app[SERVICES].database.read() as session:
            await session.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise web.HTTPServiceUnavailable(text="The database cannot be read.") from error
    return web.Response(text="ok\n")


@routes.get("/metrics", name="metrics")
async def metrics(request: web.Request) -> web.Response:
    """Answer in Prometheus' text format."""
    counts = CollectorRegistry()
    ProcessCollector(registry=counts)
    services = request.app[SERVICES]
    async with services.database.read() as session:
        items = await session.execute(
            select(Item.kind, func.count()).where(Item.gone_at.is_(None)).group_by(Item.kind)
        )
        _gauge(counts, "items", "Present items", "kind", items.all())
        runs = await session.execute(select(JobRun.state, func.count()).group_by(JobRun.state))
        _gauge(counts, "runs", "Runs of steps", "state", runs.all())
        ratings = await session.scalar(select(func.count()).select_from(Rating))
    Gauge("anagnorisis_ratings", "Ratings", registry=counts).set(ratings or 0)
    workers = services.workers
    states = [(worker.name, int(worker.process_id is not None)) for worker in workers.all]
    _gauge(counts, "worker_running", "Whether the worker process runs", "worker", states)
    body = generate_latest(counts) + generate_latest(request.app[REGISTRY])
    return web.Response(body=body, content_type="text/plain", charset="utf-8")


def _gauge(registry: CollectorRegistry, name: str, about: str, label: str, rows: object) -> None:
    gauge = Gauge(f"anagnorisis_{name}", about, [label], registry=registry)
    for value, number in rows:  # type: ignore[attr-defined]
        gauge.labels(value).set(number)
