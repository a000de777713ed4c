"""Say what went wrong: a page for people, JSON for programs, never a traceback."""

import http
import logging

import aiohttp_jinja2
from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import SQLAlchemyError

log = logging.getLogger(__name__)

MESSAGES = {
    404: "There is nothing here.",
    405: "That cannot be done here.",
    413: "That is too long.",
    500: "Something went wrong; the log says what.",
}


@web.middleware
async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what handlers raise into an answer."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        message = error.text if error.text and not error.text.startswith(f"{error.status}:") else ""
        return _answer(request, error.status, message or MESSAGES.get(error.status, error.reason))
    except SQLAlchemyError:
        log.exception("%s %s", request.method, request.path)
        return _answer(request, 503, "The database cannot be used; the log says why.")
    except Exception:  # the boundary of a request: the daemon outlives any
        log.exception("%s %s", request.method, request.path)
        return _answer(request, 500, MESSAGES[500])


def _answer(request: web.Request, status: int, message: str) -> web.Response:
    if request.path.startswith("/api/"):
        return web.json_response({"error": message}, status=status)
    title = http.HTTPStatus(status).phrase
    context = {"status": status, "title": title, "message": message}
    response: web.Response = aiohttp_jinja2.render_template("error.html", request, context)
    response.set_status(status)
    return response
