"""Jobs: what runs, what ran, what was set aside, and how the sources are."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from daemon.jobs.queue import enqueue, request_cancel
from daemon.steps import STEPS
from daemon.steps.perceivers import fill_board, perceiving
from daemon.store.browse import find_sources
from daemon.store.models import JobRun
from daemon.store.overview import find_active, find_history, find_set_aside
from daemon.store.work import try_again
from web.api_jobs import run_row
from web.htmx import is_htmx
from web.keys import RUNNER, SERVICES
from web.lookup import read_form, row_number
from web.viewer import find_viewer, show

routes = web.RouteTableDef()


@routes.get("/jobs")
async def jobs(request: web.Request) -> web.Response:
    """Show all of it; to htmx only the runs, which the page asks for again as they change."""
    return await _page(request)


async def _page(request: web.Request) -> web.Response:
    if not is_htmx(request):  # which asks for the runs only
        await fill_board(request.app[SERVICES])
    async with request.app[SERVICES].database.read() as session:
        active, history = await find_active(session), await find_history(session)
        sources = await find_sources(session)
        set_aside, total = await find_set_aside(session, perceiving(request.app[SERVICES]))
    return show(
        request, await find_viewer(request), "jobs.html", "_jobs.html", steps=STEPS,
        runs=_rows(request, active), history=history, sources=sources, set_aside=set_aside,
        set_aside_total=total, models=request.app[SERVICES].board.states(),
        workers=request.app[SERVICES].settings.workers,
    )  # fmt: skip


def _rows(request: web.Request, runs: Sequence[JobRun]) -> list[dict[str, Any]]:
    return [run_row(run, request.app[RUNNER]) for run in runs]


@routes.post("/jobs")
async def start(request: web.Request) -> web.Response:
    """Queue one step, or without a name all of them."""
    name = str((await read_form(request)).get("step", ""))
    if name and name not in STEPS:
        raise web.HTTPUnprocessableEntity(text=f"There is no step {name}.")
    await enqueue(request.app[SERVICES].database, [name] if name else list(STEPS))
    return await _answer(request)


@routes.post("/jobs/accept-loss")
async def accept_loss(request: web.Request) -> web.Response:
    """Sync again, and take it that what one source misses is really gone."""
    name = str((await read_form(request)).get("source", ""))
    async with request.app[SERVICES].database.read() as session:
        names = [source.name for source in await find_sources(session)]
    if name not in names:
        raise web.HTTPUnprocessableEntity(text="There is no such source.")
    options = {"accept_loss": [name]}
    await enqueue(request.app[SERVICES].database, ["sync"], options=options)
    return await _answer(request)


@routes.post("/jobs/try-again")
async def retry(request: web.Request) -> web.Response:
    """Try again what was set aside."""
    async with request.app[SERVICES].database.write() as session:
        await try_again(session)
    await enqueue(request.app[SERVICES].database, ["sync", "describe", "embed"])
    return await _answer(request)


@routes.post("/jobs/{run}/cancel")
async def cancel(request: web.Request) -> web.Response:
    """Cancel a run; one that has just ended by itself is no error."""
    await request_cancel(request.app[SERVICES].database, row_number(request, "run"))
    return await _answer(request)


async def _answer(request: web.Request) -> web.Response:
    request.app[RUNNER].wake()
    request.app[SERVICES].events.publish("jobs")
    if is_htmx(request):
        return await _page(request)
    raise web.HTTPSeeOther("/jobs")
