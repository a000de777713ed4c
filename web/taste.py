"""Taste: how good the model is, what it was before, and how the ratings lie."""

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from sqlalchemy import func, select

from daemon.store.models import Rating, TasteModel, public_id
from daemon.vectors.predictions import MINIMUM_RATINGS
from daemon.vectors.taste_map import SHADES, draw_map
from daemon.vectors.taste_models import UnknownModel, find_models
from daemon.workers.worker import WorkerDied, WorkerFailed
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
MOST_POINTS = 200
"""Of the curve of quality, the newest."""


@dataclass(frozen=True, slots=True)
class Curve:
    """The error of all measured models, and of the mean beside them, as points of two lines."""

    model: str
    mean: str
    highest: float
    """The error at the upper edge, 0 being the lower."""
    first: TasteModel
    last: TasteModel


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
        minimum=MINIMUM_RATINGS, evaluator=_evaluator(used), together=_together(used),
        curve=_curve(models),
    )  # fmt: skip


@routes.get("/taste/map")
async def show_map(request: web.Request) -> web.Response:
    """Show the map of the library: asked for by the page when it stands."""
    viewer, services = await find_viewer(request), request.app[SERVICES]
    dots, problem = [], ""
    try:
        dots = await draw_map(services.database, services.index, viewer.profile.id)
    except (WorkerFailed, WorkerDied) as error:
        problem = f"The map cannot be drawn now: {error}"
    return show(
        request, viewer, "taste_map.html", "_taste_map.html", dots=dots, problem=problem,
        public_id=public_id, shades=range(SHADES),
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


def _together(model: TasteModel | None) -> dict[str, float] | None:
    """Return the figures of the head and the transformer together, where it takes part."""
    found = (model.settings.get("evaluator") if model else None) or {}
    figures: dict[str, float] | None = found["figures"]["together"] if found.get("weight") else None
    return figures


def _curve(models: Sequence[TasteModel]) -> Curve | None:
    """Return how the error went from model to model; None before the second."""
    measured = [model for model in models if model.figures][:MOST_POINTS][::-1]
    if len(measured) < 2:
        return None
    ours = [model.figures["rmse"] for model in measured]
    means = [model.figures["mean_baseline"]["rmse"] for model in measured]
    highest = max(*ours, *means) * 1.1 or 1.0
    return Curve(_line(ours, highest), _line(means, highest), highest, measured[0], measured[-1])


def _line(errors: Sequence[float], highest: float) -> str:
    """Return points of an SVG line, 300 wide and 100 high."""
    step = 300 / (len(errors) - 1)
    return " ".join(f"{n * step:.1f},{100 - 100 * e / highest:.1f}" for n, e in enumerate(errors))
