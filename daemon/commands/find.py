"""search, rank, evaluate: what the daemon knows and expects."""

import argparse
from collections.abc import Sequence
from datetime import date

from sqlalchemy import select

from connectors.base import KINDS
from daemon.commands.command import (
    DONE,
    CommandFailed,
    Verbs,
    add_profile,
    add_verb,
    answer,
    tell,
)
from daemon.services import Services
from daemon.store.answers import item_rows
from daemon.store.models import Item, Prediction, PredictionState, Profile, Rating
from daemon.store.profiles import UnknownProfile, find_profile
from daemon.store.ratings import rating_map
from daemon.vectors.rate_next import AIMS
from daemon.vectors.reasons import tell_reasons
from daemon.vectors.search import SearchUnavailable
from daemon.vectors.taste_models import (
    UnknownModel,
    find_models,
    model_in_use,
    transformer_of,
)
from daemon.workers.worker import WorkerDied, WorkerFailed

MEASURES = ("mae", "rmse", "spearman", "precision_at_10", "coverage")
MOST_EXPLAINED = 500
"""Items of `rank --json` that come with `why`: the first ones."""
MOST_MODELS = 10
COLUMNS = ("id", "kind", "score", "predicted", "uncertainty", "rating", "title", "path")


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    parser = add_verb(verbs, "search", search, "find items", answers=True)
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--mode", choices=("meaning", "words", "name"), default="meaning")
    _add_selection(parser, limit=20)
    parser = add_verb(verbs, "rank", rank, "all items, best predicted first", answers=True)
    parser.add_argument("--unrated", action="store_true", help="only what is not rated")
    _add_selection(parser, limit=None)
    parser = add_verb(verbs, "next", rate_next, "what to rate next", answers=True)
    parser.add_argument("--kind", choices=KINDS, default="music")
    parser.add_argument("--limit", type=_limit, default=20, metavar="N")
    parser.add_argument(
        "--by", choices=AIMS, default="both",
        help="variety: unlike what is rated; doubt: what the model is least sure of",
    )  # fmt: skip
    add_profile(parser)
    parser = add_verb(
        verbs, "evaluate", evaluate, "how good the taste model is on held-out ratings", answers=True
    )
    parser.add_argument("--use", type=_limit, metavar="N", help="bring an earlier model back")
    add_profile(parser)


def _add_selection(parser: argparse.ArgumentParser, limit: int | None) -> None:
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--limit", type=_limit, default=limit, metavar="N")
    add_profile(parser)


def _limit(text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError("should be a number from 0 to 999999999")
    return int(text)


async def search(services: Services, arguments: argparse.Namespace) -> int:
    """Answer a search."""
    profile = await _profile(services, arguments)
    try:
        hits = await services.search.find(
            arguments.text, mode=arguments.mode, kind=arguments.kind, limit=arguments.limit
        )
    except SearchUnavailable as error:
        raise CommandFailed(str(error)) from error
    async with services.database.read() as session:
        rows = await item_rows(session, profile.id, [hit.item_id for hit in hits])
    found = [rows[hit.item_id] | {"score": hit.score, "why": hit.why} for hit in hits]
    answer(found, as_json=arguments.json, columns=COLUMNS)
    return DONE


async def rank(services: Services, arguments: argparse.Namespace) -> int:
    """Answer every present item, best predicted first, those without a prediction last."""
    profile = await _profile(services, arguments)
    try:
        tell(f"{profile.name}: {await services.predictions.refresh(profile.id)}")
    except (WorkerFailed, WorkerDied) as error:
        raise CommandFailed(f"The predictions cannot be renewed: {error}") from error
    expected = (Prediction.item_id == Item.id) & (Prediction.profile_id == profile.id)
    given = (Rating.item_id == Item.id) & (Rating.profile_id == profile.id)
    query = (
        select(Item.id)
        .join(Prediction, expected, isouter=True)
        .join(Rating, given, isouter=True)
        .where(Item.gone_at.is_(None))
        .order_by(Prediction.value.desc().nulls_last(), Item.id)
        .limit(arguments.limit)
    )
    if arguments.kind:
        query = query.where(Item.kind == arguments.kind)
    if arguments.unrated:
        query = query.where(Rating.value.is_(None))
    async with services.database.read() as session:
        state = await session.get(PredictionState, profile.id)
        ids = (await session.scalars(query)).all()
        rows = await item_rows(session, profile.id, ids)
    if state and not state.trusted:
        tell(
            "They are not trusted: no better yet than your mean on held-out ratings; see evaluate."
        )
    why = await _why(services, profile, ids[:MOST_EXPLAINED]) if arguments.json else {}
    found = (rows[i] | {"why": why.get(i, "")} for i in ids)
    answer(found, as_json=arguments.json, columns=COLUMNS)
    return DONE


async def _why(services: Services, profile: Profile, ids: Sequence[int]) -> dict[int, str]:
    """Return what moved the predictions, in words."""
    try:
        reasons = await services.predictions.explain(profile.id, ids)
    except (WorkerFailed, WorkerDied) as error:
        raise CommandFailed(f"The predictions cannot be explained: {error}") from error
    async with services.database.read() as session:
        return dict(zip(ids, await tell_reasons(session, ids, reasons), strict=True))


async def rate_next(services: Services, arguments: argparse.Namespace) -> int:
    """Answer the items whose ratings would teach most."""
    profile = await _profile(services, arguments)
    try:
        await services.predictions.refresh(profile.id)
        asked = await services.rate_next.suggest(
            profile.id, arguments.kind, count=arguments.limit, left_out=(),
            seed=date.today().toordinal(), aim=arguments.by,
        )  # fmt: skip
    except (WorkerFailed, WorkerDied) as error:
        raise CommandFailed(f"The vectors cannot be asked: {error}") from error
    async with services.database.read() as session:
        rows = await item_rows(session, profile.id, [question.item_id for question in asked])
    found = [rows[question.item_id] | {"why": question.why} for question in asked]
    answer(found, as_json=arguments.json, columns=("id", "title", "predicted", "uncertainty",
                                                   "why", "path"))  # fmt: skip
    return DONE


async def evaluate(services: Services, arguments: argparse.Namespace) -> int:
    """Measure the taste model anew, if there are new ratings, and tell its figures."""
    profile = await _profile(services, arguments)
    try:
        if arguments.use is not None:  # training could take it out of use again
            await services.predictions.bring_back(profile.id, arguments.use)
        else:
            tell(f"{profile.name}: {await services.predictions.train(profile.id)}")
    except UnknownModel as error:
        raise CommandFailed(str(error)) from error
    except (WorkerFailed, WorkerDied) as error:
        raise CommandFailed(f"The taste model cannot be measured: {error}") from error
    async with services.database.read() as session:
        model = await model_in_use(session, profile.id)
        given = len(await rating_map(session, profile.id))
        trained = await find_models(session, profile.id)
    unknown = dict.fromkeys(("folds", "model", *MEASURES, "mean_baseline"))
    figures = {**model.figures, "model": "head"} if model and model.figures else unknown
    trusted = bool(model and model.trusted)
    transformer = transformer_of(model) if model else None
    rows = [
        {"profile": profile.name, "ratings": given, **figures, "trusted": trusted,
         "transformer": transformer}
    ]  # fmt: skip
    if arguments.json:
        answer(rows, as_json=True, columns=())
    elif rows[0]["model"]:
        table = [
            {"of": name, **{measure: figures.get(measure) for measure in MEASURES}}
            for name, figures in (("head", rows[0]), ("the mean", rows[0]["mean_baseline"]))
        ]
        newest = rows[0].get("newest")
        if transformer and transformer["weight"]:
            together = transformer["figures"]["together"]
            table.insert(1, {"of": "with the transformer", **{m: together[m] for m in MEASURES}})
        if newest:
            table.append({"of": "newest last", **{m: newest.get(m) for m in MEASURES}})
        answer(table, as_json=False, columns=("of", *MEASURES))
        if transformer:
            tell(f"The transformer takes part by {transformer['weight']:.0%}.")
        for each in trained[:MOST_MODELS]:
            rmse = each.figures.get("rmse")
            told = f"rmse {rmse:.2f}" if rmse is not None else "no figures"
            mark = ", in use" if each.in_use else ""
            tell(f"model {each.id}: {each.made_at:%d %B %Y}, {each.ratings} ratings, {told}{mark}")
    return DONE


async def _profile(services: Services, arguments: argparse.Namespace) -> Profile:
    async with services.database.read() as session:
        try:
            return await find_profile(session, services.settings, arguments.profile)
        except UnknownProfile as error:
            raise CommandFailed(str(error)) from error
