"""The JSON API of the taste models and the sources; and the API's own description."""

import json
from functools import cache
from importlib.resources import files

import yaml
from aiohttp import web
from sqlalchemy import func, select

from daemon.store.models import Rating, Source
from daemon.store.profiles import find_profiles
from daemon.vectors.predictions import MINIMUM_RATINGS, model_in_use
from web.keys import SERVICES

routes = web.RouteTableDef()


@routes.get("/api/taste")
async def taste(request: web.Request) -> web.Response:
    """Answer every profile's model: how many ratings, how good on held-out ones."""
    rows = []
    async with request.app[SERVICES].database.read() as session:
        for profile in await find_profiles(session):
            model = await model_in_use(session, profile.id)
            ratings = await session.scalar(
                select(func.count()).where(Rating.profile_id == profile.id)
            )
            rows.append(
                {
                    "profile": profile.name,
                    "ratings": ratings,
                    "minimum": MINIMUM_RATINGS,
                    "trusted": bool(model and model.trusted),
                    "figures": model.figures if model else None,
                    "made_at": model.made_at.isoformat() if model else None,
                }
            )
    return web.json_response({"profiles": rows})


@routes.get("/api/sources")
async def sources(request: web.Request) -> web.Response:
    """Answer where media come from, and what is wrong there."""
    async with request.app[SERVICES].database.read() as session:
        found = await session.scalars(
            select(Source).where(Source.in_settings).order_by(Source.name)
        )
        rows = [
            {
                "name": source.name,
                "kind": source.kind,
                "media": source.media,
                "synced_at": source.synced_at.isoformat() if source.synced_at else None,
                "problem": source.problem,
            }
            for source in found
        ]
    return web.json_response({"sources": rows})


@routes.get("/api/openapi.json")
async def openapi(_request: web.Request) -> web.Response:
    """Answer the description of this API."""
    return web.json_response(text=_description())


@cache
def _description() -> str:
    return json.dumps(yaml.safe_load(files("web").joinpath("openapi.yaml").read_text("utf-8")))
