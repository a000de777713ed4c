"""What most handlers begin with: which item, whose profile, which numbers."""

from typing import Any

from aiohttp import web
from multidict import MultiDictProxy
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from daemon.store.models import Item, Profile, parse_public_id
from daemon.store.profiles import UnknownProfile, default_profile, find_profile
from web.keys import SERVICES

PROFILE_COOKIE = "profile"
MOST_DIGITS = 18
"""More of them are no number of ours: SQLite ends at 2**63, Python reads no endless ones."""


async def find_item_id(request: web.Request, session: AsyncSession) -> int:
    """Return the item that the address names. Raises HTTPNotFound."""
    item_id = parse_public_id(request.match_info["id"])
    if item_id is None or await session.scalar(select(Item.id).where(Item.id == item_id)) is None:
        raise web.HTTPNotFound(text="There is no such item.")
    return item_id


async def find_request_profile(request: web.Request, session: AsyncSession) -> Profile:
    """Return whose page this is: `?profile=`, else the cookie's, else the default one's."""
    settings = request.app[SERVICES].settings
    named = request.query.get("profile")
    if named is not None:
        try:
            return await find_profile(session, settings, named)
        except UnknownProfile as error:
            raise web.HTTPNotFound(text=str(error)) from error
    try:
        return await find_profile(session, settings, request.cookies.get(PROFILE_COOKIE))
    except UnknownProfile:  # removed since
        return await default_profile(session, settings)


def local_path(target: str) -> str:
    """Return `target` if it is a path of this server, else the first page."""
    is_path = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_path and not any(ord(letter) < 32 for letter in target) else "/"


def number(request: web.Request, name: str, default: int, *, least: int = 0, most: int) -> int:
    """Return a whole number of the query. Raises HTTPBadRequest."""
    text = request.query.get(name)
    if text is None:
        return default
    if not is_number(text) or not least <= int(text) <= most:
        raise web.HTTPBadRequest(text=f"{name} is a number from {least} to {most}.")
    return int(text)


def is_number(text: str) -> bool:
    """Tell whether a text is a whole number that can be looked up."""
    return text.isdecimal() and len(text) <= MOST_DIGITS


def row_number(request: web.Request, name: str) -> int:
    """Return the number of a row that the address names; 0, which no row has, for anything else."""
    text = request.match_info[name]
    return int(text) if is_number(text) else 0


async def read_form(request: web.Request) -> MultiDictProxy[Any]:
    """Return the fields of a form of ours. Raises HTTPBadRequest, HTTPUnsupportedMediaType."""
    if request.content_type.startswith("multipart/"):  # no form of ours sends files
        raise web.HTTPUnsupportedMediaType(text="Files cannot be sent here.")
    try:
        return await request.post()
    except (LookupError, ValueError) as error:  # an unknown charset, or bytes that are not of it
        raise web.HTTPBadRequest(text="The form cannot be read.") from error


def choice(request: web.Request, name: str, options: tuple[str, ...], default: str = "") -> str:
    """Return a word of the query that must be one of some. Raises HTTPBadRequest."""
    text = request.query.get(name, default)
    if text != default and text not in options:
        raise web.HTTPBadRequest(text=f"{name} is one of {', '.join(options)}.")
    return text
