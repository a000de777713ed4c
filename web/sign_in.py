"""Sign in and out."""

import asyncio
import math

from aiohttp import web

from web.htmx import render
from web.keys import SESSIONS
from web.lookup import local_path, read_form
from web.password import is_right
from web.security import COOKIE
from web.sessions import LIFETIME, Attempts

routes = web.RouteTableDef()

ATTEMPTS = web.AppKey("ATTEMPTS", Attempts)
LONGEST_PASSWORD = 1024


@routes.get("/sign-in", name="login")
async def show(request: web.Request) -> web.Response:
    """Ask for the password; where none is set there is nothing to ask."""
    target = local_path(request.query.get("next", "/"))
    sessions = request.app.get(SESSIONS)
    if sessions is None or sessions.is_open(request.cookies.get(COOKIE)):
        raise web.HTTPSeeOther(target)
    return render(request, "sign_in.html", "sign_in.html", problem="", next=target)


@routes.post("/sign-in", name="login")
async def sign_in(request: web.Request) -> web.Response:
    """Check the password and begin a session."""
    sessions, attempts = request.app.get(SESSIONS), request.app[ATTEMPTS]
    form = await read_form(request)
    target = local_path(str(form.get("next", "/")))
    if sessions is None:
        raise web.HTTPSeeOther(target)
    address = request.remote or ""
    wait = attempts.seconds_to_wait(address)
    if wait > 0:
        response = _refuse(request, target, "Too many attempts; wait a moment.", 429)
        response.headers["Retry-After"] = str(math.ceil(wait))
        return response
    attempts.note_failure(address)  # before the slow check, so that many at once count too
    password = str(form.get("password", ""))[:LONGEST_PASSWORD]
    if not await asyncio.to_thread(is_right, sessions.password_hash, password):
        return _refuse(request, target, "That is not the password.", 401)
    attempts.note_success(address)
    response = web.HTTPSeeOther(target)
    response.set_cookie(
        COOKIE, sessions.begin(), max_age=LIFETIME, httponly=True, samesite="Lax", path="/",
        secure=request.secure,
    )  # fmt: skip
    raise response


@routes.post("/sign-out", name="logout")
async def sign_out(request: web.Request) -> web.Response:
    """End the session."""
    if SESSIONS in request.app:
        request.app[SESSIONS].end(request.cookies.get(COOKIE))
    response = web.HTTPSeeOther("/sign-in")
    response.del_cookie(COOKIE, path="/")
    raise response


def _refuse(request: web.Request, target: str, problem: str, status: int) -> web.Response:
    response = render(request, "sign_in.html", "sign_in.html", problem=problem, next=target)
    response.set_status(status)
    return response
