"""Server-sent events: the pages hear of runs and predictions as they change."""

import asyncio
import json

from aiohttp import web
from sqlalchemy import select

from daemon.jobs.queue import ACTIVE
from daemon.store.models import JobRun
from web.api_jobs import run_row
from web.keys import RUNNER, SERVICES

routes = web.RouteTableDef()

HEARTBEAT = 15.0
SHORTEST_INTERVAL = 0.25
"""Seconds between two events of a stream: several changes make one."""


@routes.get("/api/events")
async def events(request: web.Request) -> web.StreamResponse:
    """Stream `jobs` (the runs that wait or are under way) and `predictions` (they are new)."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    )
    with request.app[SERVICES].events.subscribe() as topics:
        await response.prepare(request)
        try:
            await _send(response, "jobs", await _active_runs(request))
            while request.transport and not request.transport.is_closing():
                await _forward(request, response, topics)
        except ConnectionError:
            return response
    return response


async def _forward(
    request: web.Request, response: web.StreamResponse, topics: asyncio.Queue[str]
) -> None:
    try:
        heard = {await asyncio.wait_for(topics.get(), HEARTBEAT)}
    except TimeoutError:
        await response.write(b": still here\n\n")
        return
    await asyncio.sleep(SHORTEST_INTERVAL)
    while not topics.empty():
        heard.add(topics.get_nowait())
    if "jobs" in heard:
        await _send(response, "jobs", await _active_runs(request))
    if "predictions" in heard:
        await _send(response, "predictions", [])


async def _active_runs(request: web.Request) -> list[object]:
    async with request.app[SERVICES].database.read() as session:
        runs = await session.scalars(
            select(JobRun).where(JobRun.state.in_(ACTIVE)).order_by(JobRun.id)
        )
        return [run_row(run, request.app[RUNNER]) for run in runs]


async def _send(response: web.StreamResponse, event: str, data: object) -> None:
    await response.write(f"event: {event}\ndata: {json.dumps(data)}\n\n".encode())
