"""Answer htmx with a fragment, and everyone else with the page around it."""

from typing import Any

import aiohttp_jinja2
from aiohttp import web


def is_htmx(request: web.Request) -> bool:
    """Tell whether htmx asks, to change part of a page."""
    return request.headers.get("HX-Request") == "true"


def render(request: web.Request, page: str, fragment: str, **context: Any) -> web.Response:
    """Render `fragment` if htmx asked, else `page`, which includes that same fragment."""
    template = fragment if is_htmx(request) else page
    response: web.Response = aiohttp_jinja2.render_template(template, request, context)
    response.headers["Vary"] = "HX-Request"  # one URL, two bodies: keep caches from mixing them
    return response
