"""The JSON API of runs: what is queued, start, cancel."""

from typing import Any

from aiohttp import web
from sqlalchemy import select

from daemon.jobs.queue import enqueue, request_cancel
from daemon.jobs.runner import Runner
from daemon.steps import STEPS
from daemon.steps.perceivers import fill_board
from daemon.store.models import JobRun
from daemon.workers.board import ModelState
from web.api_items import read_object
from web.keys import RUNNER, SERVICES
from web.lookup import number, row_number

routes = web.RouteTableDef()


def run_row(run: JobRun, runner: Runner) -> dict[str, Any]:
    """Return what programs and pages are told about a run; progress as it is this moment."""
    progress = runner.progress.get(run.id)
    return {
        "id": run.id,
        "group": run.group,
        "step": run.step,
        "title": STEPS[run.step].title if run.step in STEPS else run.step,
        "origin": run.origin,
        "state": run.state,
        "done": progress.done if progress else run.done,
        "total": progress.total if progress else run.total,
        "message": progress.message if progress else run.message,
        "seconds_left": progress.seconds_left() if progress else None,
        "error": run.error,
        "queued_at": run.queued_at.isoformat(),
        "started_at": run.started_at.isoformat() if run.started_at else None,
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


@routes.get("/api/jobs")
async def get_jobs(request: web.Request) -> web.Response:
    """Answer the newest runs."""
    limit = number(request, "limit", 50, least=1, most=500)
    async with request.app[SERVICES].database.read() as session:
        runs = await session.scalars(select(JobRun).order_by(JobRun.id.desc()).limit(limit))
        rows = [run_row(run, request.app[RUNNER]) for run in runs]
    return web.json_response({"runs": rows})


@routes.get("/api/models")
async def get_models(request: web.Request) -> web.Response:
    """Answer which models there are, where they run, how fast, and what is left for them."""
    await fill_board(request.app[SERVICES])
    states = request.app[SERVICES].board.states()
    return web.json_response({"models": [_model_row(state) for state in states]})


def _model_row(state: ModelState) -> dict[str, Any]:
    return {
        "name": state.name,
        "role": state.role,
        "loaded": state.is_loaded,
        "at_work": state.at_work,
        "device": state.device or None,
        "reason": state.reason,
        "memory": state.memory,
        "vram": state.vram,
        "problem": state.problem,
        "left": state.left,
        "per_minute": state.pace.per_minute,
        "minutes_left": state.minutes_left,
    }


@routes.post("/api/jobs")
async def post_jobs(request: web.Request) -> web.Response:
    """Queue steps: {"steps": ["sync"]}; without any, the nightly pipeline."""
    body = await read_object(request)
    steps = body.get("steps") or list(STEPS)
    named = steps if isinstance(steps, list) else [steps]
    unknown = [s for s in named if not isinstance(s, str) or s not in STEPS]
    if unknown:
        raise web.HTTPUnprocessableEntity(
            text=f"There is no step {unknown[0]}; there are {', '.join(STEPS)}."
        )
    if len(set(steps)) < len(steps):
        raise web.HTTPUnprocessableEntity(text="A step is named twice.")
    lost = body.get("accept_loss") or []
    if not isinstance(lost, list) or not all(isinstance(name, str) for name in lost):
        raise web.HTTPUnprocessableEntity(text="accept_loss is a list of sources.")
    options = {"accept_loss": lost} if lost else {}
    group = await enqueue(request.app[SERVICES].database, steps, options=options)
    request.app[RUNNER].wake()
    return web.json_response({"group": group}, status=201)


@routes.post("/api/jobs/{run}/cancel")
async def post_cancel(request: web.Request) -> web.Response:
    """Cancel a run that is queued or under way."""
    run_id = row_number(request, "run")
    if not await request_cancel(request.app[SERVICES].database, run_id):
        raise web.HTTPNotFound(text="There is no such run to cancel.")
    return web.json_response({"cancelling": run_id})
