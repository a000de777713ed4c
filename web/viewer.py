"""Who looks at a page, and the frame that every page has."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from daemon.store.models import Profile
from daemon.store.profiles import find_profiles
from web.htmx import render
from web.keys import SERVICES, SESSIONS
from web.lookup import PROFILE_COOKIE, find_request_profile, local_path, read_form

routes = web.RouteTableDef()


@dataclass(frozen=True)
class Viewer:
    """The profile in whose name this browser rates, and the others to choose from."""

    profile: Profile
    profiles: Sequence[Profile]
    may_sign_out: bool


async def find_viewer(request: web.Request) -> Viewer:
    """Return who looks: the profile of the cookie, or the default one."""
    async with request.app[SERVICES].database.read() as session:
        profiles = await find_profiles(session)
        profile = await find_request_profile(request, session)
    return Viewer(profile, profiles, SESSIONS in request.app)


def show(
    request: web.Request, viewer: Viewer, page: str, fragment: str, **context: Any
) -> web.Response:
    """Render a page in its frame, or its fragment for htmx."""
    return render(request, page, fragment, viewer=viewer, path=request.path_qs, **context)


@routes.post("/profile")
async def choose_profile(request: web.Request) -> web.Response:
    """Look at the pages as someone else from now on."""
    form = await read_form(request)
    response = web.HTTPSeeOther(local_path(str(form.get("next", "/"))))
    async with request.app[SERVICES].database.read() as session:
        names = [profile.name for profile in await find_profiles(session)]
    if form.get("profile") in names:
        response.set_cookie(
            PROFILE_COOKIE, str(form["profile"]), max_age=400 * 86400, httponly=True,
            samesite="Lax", path="/",
        )  # fmt: skip
    raise response
