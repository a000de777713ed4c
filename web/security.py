"""The one place that every request passes before anything is opened.

In this order: the Host must be ours (DNS rebinding), a request that changes something must come
from our own pages, and, where a password is set, the browser must be signed in. What is not named
in PUBLIC is private.
"""

import ipaddress
import socket
from urllib.parse import quote, urlsplit

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from daemon.settings import WebSettings
from web.keys import SESSIONS

PUBLIC = frozenset({"health", "login", "static"})
"""Names of the routes that anyone may ask for."""

COOKIE = "anagnorisis"

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), interest-cohort=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def guard(settings: WebSettings) -> Middleware:
    """Return the middleware that judges every request."""
    own_names = {"localhost", *settings.hosts}
    hostname = socket.gethostname().lower()
    own_names |= {hostname, f"{hostname}.local"} if hostname else set()
    own_names = {name.lower() for name in own_names}

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_our_host(request.host, own_names):
            raise web.HTTPMisdirectedRequest(
                text="This server does not answer to that name. "
                "If it should, add the name to web.hosts in the settings."
            )
        _refuse_other_sites(request)
        name = request.match_info.route.resource.name if request.match_info.route.resource else None
        sessions = request.app.get(SESSIONS)
        if (
            sessions is not None
            and name not in PUBLIC
            and not sessions.is_open(request.cookies.get(COOKIE))
        ):
            return _ask_to_sign_in(request)
        return await handler(request)

    return check


async def add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Put the security headers on a response that has none of its own."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)


def _is_our_host(host: str, own_names: set[str]) -> bool:
    """Tell whether the Host header names this server: an address, or a name that we know."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name.lower().rstrip(".") in own_names
    return True  # a rebound name never arrives as an address


def _refuse_other_sites(request: web.Request) -> None:
    """Let only our own pages change anything, and only them listen to events.

    Browsers name the page's site in Origin; Sec-Fetch-Site they leave out over plain HTTP.
    """
    is_reading = request.method in ("GET", "HEAD")
    if request.headers.get("Sec-Fetch-Site") == "cross-site" and not _is_navigation(request):
        raise web.HTTPForbidden(text="This request came from another site.")
    origin = request.headers.get("Origin")
    if origin is None and not is_reading:
        origin = request.headers.get("Referer")
    if origin is not None and urlsplit(origin).netloc != request.host:
        raise web.HTTPForbidden(text="This request came from another site.")


def _is_navigation(request: web.Request) -> bool:
    """Tell whether a person followed a link of another site to a page of ours."""
    return request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate"


def _ask_to_sign_in(request: web.Request) -> web.StreamResponse:
    wants_page = request.method == "GET" and "text/html" in request.headers.get("Accept", "")
    if not wants_page or request.path.startswith("/api/"):
        raise web.HTTPUnauthorized(text="Sign in first.")
    raise web.HTTPSeeOther(f"/sign-in?next={quote(request.path_qs, safe='')}")
