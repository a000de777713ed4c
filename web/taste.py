"""Taste: how good the model is, what it was before, and how the ratings lie."""

from aiohttp import web
from sqlalchemy import func, select

from daemon.store.models import Rating, TasteModel
from daemon.vectors.predictions import MINIMUM_RATINGS
from daemon.vectors.taste_models import UnknownModel, find_models
from web.keys import SERVICES
from web.lookup import row_number
from web.viewer import find_viewer, show

routes = web.RouteTableDef()

MEASURES = (
    ("mae", "Mean error", "by how many points it is off on average; less is better"),
    ("rmse", "Root mean square error", "the same, large errors counting more"),
    ("spearman", "Order", "how well it puts things in your order: 1 is perfect, 0 is chance"),
    ("precision_at_10", "Top ten", "how much of its top ten you like"),
    ("coverage", "Honesty", "how many ratings lie within the stated doubt; 0.68 is right"),
)
MOST_MODELS = 20


@routes.get("/taste")
async def taste(request: web.Request) -> web.Response:
    """Show the profile's models and ratings."""
    viewer = await find_viewer(request)
    async with request.app[SERVICES].database.read() as session:
        models = await find_models(session, viewer.profile.id)
        rows = await session.execute(
            select(func.round(Rating.value).label("value"), func.count().label("times"))
            .where(Rating.profile_id == viewer.profile.id)
            .group_by(func.round(Rating.value))
        )
        counts = {int(row.value): int(row.times) for row in rows}
    used = next((model for model in models if model.in_use), None)
    return show(
        request, viewer, "taste.html", "taste.html", used=used, models=models[:MOST_MODELS],
        measures=MEASURES, counts=[counts.get(value, 0) for value in range(11)],
        most=max(counts.values(), default=0), given=sum(counts.values()),
        minimum=MINIMUM_RATINGS, evaluator=_evaluator(used),
    )  # fmt: skip


@routes.post("/taste/{model}/use")
async def use(request: web.Request) -> web.Response:
    """Bring an earlier model back."""
    viewer = await find_viewer(request)
    try:
        await request.app[SERVICES].predictions.bring_back(
            viewer.profile.id, row_number(request, "model")
        )
    except UnknownModel as error:
        raise web.HTTPNotFound(text=str(error)) from error
    raise web.HTTPSeeOther("/taste")


def _evaluator(model: TasteModel | None) -> str:
    """Return in words how far the transformer takes part."""
    found = (model.settings.get("evaluator") if model else None) or {}
    if not found:
        return ""
    if not found.get("weight"):
        return "The transformer was tried and does not help on held-out ratings; it has no weight."
    return f"The transformer takes part by {found['weight']:.0%}."
