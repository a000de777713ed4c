"""Put the pages, the API and their guards together."""

import logging
from pathlib import Path
from urllib.parse import quote

import aiohttp_jinja2
import jinja2
from aiohttp import web
from prometheus_client import CollectorRegistry

from daemon.jobs.runner import Runner
from daemon.services import Services
from web import (
    api_items,
    api_jobs,
    api_playlists,
    api_taste,
    browse,
    events,
    health,
    item,
    jobs,
    media,
    playlists,
    rate,
    sign_in,
    taste,
    thumbnails,
    viewer,
    wiki,
)
from web.errors import show_errors
from web.health import REGISTRY
from web.keys import LOOP_MONITOR, RUNNER, SERVICES, SESSIONS
from web.loop_monitor import LoopMonitor
from web.security import add_headers, guard
from web.sessions import Attempts, Sessions
from web.sign_in import ATTEMPTS
from web.thumbnails import THUMBNAILS, Thumbnails

log = logging.getLogger(__name__)

STATIC = Path(__file__).parent / "static"
LARGEST_BODY = 256 << 10
"""Bytes; a `.meta` note of 32 KiB fits beside the one it replaces, each percent-encoded."""


def create_app(services: Services, runner: Runner, *, password: str | None) -> web.Application:
    """Return the application; `password` is the hash of the one in force, None for none."""
    settings = services.settings
    app = web.Application(
        middlewares=[show_errors, guard(settings.web)], client_max_size=LARGEST_BODY
    )
    app[SERVICES], app[RUNNER] = services, runner
    app[REGISTRY] = CollectorRegistry()
    app[LOOP_MONITOR] = LoopMonitor(app[REGISTRY])
    app[THUMBNAILS] = Thumbnails(services)
    app[ATTEMPTS] = Attempts()
    if password is not None:
        app[SESSIONS] = Sessions(settings.data_dir / "web-sessions", password)
    app.on_response_prepare.append(add_headers)
    app.cleanup_ctx.append(app[LOOP_MONITOR].run_with)
    aiohttp_jinja2.setup(
        app,
        loader=jinja2.PackageLoader("web"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        filters={"segment": lambda name: quote(name, safe="")},  # of a path: a slash, too
    )
    for module in (sign_in, viewer, browse, item, rate, playlists, taste, jobs, wiki):
        app.add_routes(module.routes)
    for module in (
        api_items, api_jobs, api_playlists, api_taste, events, media, thumbnails, health,
    ):  # fmt: skip
        app.add_routes(module.routes)
    app.router.add_static("/static", STATIC, name="static", append_version=True)
    return app
