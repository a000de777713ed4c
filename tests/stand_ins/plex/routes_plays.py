"""What users did, and ratings and marks from clients."""

from aiohttp import web

from tests.stand_ins.plex import answers, queries
from tests.stand_ins.plex.answers import element
from tests.stand_ins.plex.calls import LESS, Call, Failed, nothing, route
from tests.stand_ins.plex.records import Item, User, View

LIBRARY = "com.plexapp.plugins.library"


@route("GET", "/accounts")
async def list_accounts(call: Call) -> web.StreamResponse:
    """Answer with account 0, which is nobody's, and those who ever came."""
    call.must_be_owner()
    return call.page([None, *call.server.users], _account)


def _account(user: User | None) -> str:
    number = user.id if user else 0
    names = {"id": number, "key": f"/accounts/{number}", "name": user.name if user else ""}
    return element("Account", names | {"defaultAudioLanguage": "en", "autoSelectAudio": True})


@route("PUT", "/:/rate", "identifier key rating ratedAt")
async def rate(call: Call) -> web.StreamResponse:
    try:
        rating = float(call.text("rating") or "none")
    except ValueError as error:
        raise Failed(400, "rating") from error
    rated_at = call.number("ratedAt")
    if rating > 10 or call.text("identifier") != LIBRARY:
        raise Failed(400)
    if rated_at is not None and rated_at > call.server.now:
        raise Failed(400, "ratedAt is in the future")
    item = call.item(call.text("key"))
    call.server.rate(call.user, item, None if rating < 0 else rating, at=rated_at)
    return nothing()


MARK = "identifier key"


@route("GET", "/:/scrobble", MARK)
async def scrobble_as_plexapi(call: Call) -> web.StreamResponse:
    return await scrobble(call)


@route("PUT", "/:/scrobble", MARK)
async def scrobble(call: Call) -> web.StreamResponse:
    call.server.scrobble(call.user, _marked(call))
    return nothing()


@route("GET", "/:/unscrobble", MARK)
async def unscrobble_as_plexapi(call: Call) -> web.StreamResponse:
    return await unscrobble(call)


@route("PUT", "/:/unscrobble", MARK)
async def unscrobble(call: Call) -> web.StreamResponse:
    call.server.unscrobble(call.user, _marked(call))
    return nothing()


@route("GET", "/:/progress", "identifier key time state")
async def report_progress(call: Call) -> web.StreamResponse:
    item, time = _marked(call), call.number("time")
    if time is None:
        raise Failed(400, "time")
    call.server.play(call.user, item, time / 1000)
    return nothing()


def _marked(call: Call) -> Item:
    if call.text("identifier") != LIBRARY:
        raise Failed(400, "identifier")
    return call.item(call.text("key"))


@route("GET", "/status/sessions")
async def list_sessions(call: Call) -> web.StreamResponse:
    call.must_be_owner()
    return call.page(list(call.server.sessions.values()), answers.playing)


# History

_OPERATORS = ("", ">", "<", ">>", "<<")
HISTORY = f"accountID librarySectionID metadataItemID sort {LESS} " + " ".join(
    f"viewedAt{operator}" for operator in _OPERATORS
)


@route("GET", "/status/sessions/history/all", HISTORY)
async def list_history(call: Call) -> web.StreamResponse:
    """Answer with the views of everybody to the owner, else with the user's own."""
    found = [view for view in call.server.views if call.user.is_owner or view.user is call.user]
    account, section = call.number("accountID"), call.number("librarySectionID")
    subject = call.number("metadataItemID")
    if account is not None:
        found = [view for view in found if view.user.id == account]
    if section is not None:
        found = [view for view in found if view.item.section.key == section]
    if subject is not None:
        found = [view for view in found if _is_of(view, subject)]
    for operator in _OPERATORS:
        moment = call.number(f"viewedAt{operator}")
        if moment is not None:
            found = [view for view in found if queries.compare(view.at, operator, str(moment))]
    _sort(found, call.text("sort") or "viewedAt")
    return call.page(found, answers.view)


@route("GET", "/status/sessions/history/{id}")
async def show_view(call: Call) -> web.StreamResponse:
    number = call.id("id")
    found = [v for v in call.server.views if v.id == number]
    if not found or not (call.user.is_owner or found[0].user is call.user):
        raise Failed(404)
    return call.page(found, answers.view)


def _is_of(view: View, rating_key: int) -> bool:
    item = view.item
    above = (item, item.parent, item.parent.parent if item.parent else None)
    return not view.is_deleted and any(i is not None and i.rating_key == rating_key for i in above)


def _sort(views: list[View], text: str) -> None:
    keys = {"viewedAt": lambda view: view.at, "accountID": lambda view: view.user.id}
    for part in reversed(text.split(",")):
        name, _, direction = part.partition(":")
        if name not in keys:
            raise Failed(400, f"sort {name}")
        views.sort(key=keys[name], reverse=direction == "desc")
