"""The JSON API of the taste models and the sources; and the API's own description."""

import json
from functools import cache
from importlib.resources import files

import yaml
from aiohttp import web
from sqlalchemy import func, select

from daemon.store.models import Rating, Source
from daemon.store.profiles import find_profiles
from daemon.vectors.predictions import MINIMUM_RATINGS
from daemon.vectors.taste_models import UnknownModel, find_models, transformer_of
from web.keys import SERVICES
from web.lookup import find_request_profile, row_number

routes = web.RouteTableDef()

MOST_MODELS = 50


@routes.get("/api/taste")
async def taste(request: web.Request) -> web.Response:
    """Answer every profile's model: how many ratings, how good on held-out ones."""
    rows = []
    async with request.app[SERVICES].database.read() as session:
        for profile in await find_profiles(session):
            models = await find_models(session, profile.id)
            model = next((each for each in models if each.in_use), None)
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
                    "transformer": transformer_of(model) if model else None,
                    "made_at": model.made_at.isoformat() if model else None,
                    "models": [
                        {
                            "model": each.id,
                            "made_at": each.made_at.isoformat(),
                            "in_use": each.in_use,
                            "trusted": each.trusted,
                            "ratings": each.ratings,
                            "figures": each.figures,
                        }
                        for each in models[:MOST_MODELS]
                    ],
                }
            )
    return web.json_response({"profiles": rows})


@routes.post("/api/taste/{model}/use")
async def use(request: web.Request) -> web.Response:
    """Bring an earlier model of the profile back."""
    services = request.app[SERVICES]
    async with services.database.read() as session:
        profile = await find_request_profile(request, session)
    try:
        await services.predictions.bring_back(profile.id, row_number(request, "model"))
    except UnknownModel as error:
        raise web.HTTPNotFound(text=str(error)) from error
    return web.Response(status=204)


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
