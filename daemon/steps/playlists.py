"""Write the smart playlists."""

import logging
from datetime import datetime

from daemon.playlist_settings import BY_HAND, PlaylistSettings
from daemon.playlists.receipt import Receipt
from daemon.playlists.reconciler import reconcile
from daemon.playlists.refreshing import note_refreshed
from daemon.playlists.shelf import find_playlist, find_playlists
from daemon.steps.step import Step, StepIncomplete, StepRun

log = logging.getLogger(__name__)


async def playlists(run: StepRun) -> str:
    """Bring every playlist to its targets."""
    wanted = [p for p in await find_playlists(run.services) if _is_due(p, run)]
    receipts: list[Receipt] = []
    await run.report(done=0, total=len(wanted))
    for number, each in enumerate(wanted):
        playlist = await find_playlist(run.services, each.name)
        if playlist:  # may have been switched off or renamed while the others were written
            receipts += await _bring(run, playlist)
        await run.report(done=number + 1, message=each.name)
    if not receipts:
        return "there are no playlists"
    summary = "; ".join(_line(receipt) for receipt in receipts if receipt.is_well)
    problem = "; ".join(_line(receipt) for receipt in receipts if not receipt.is_well)
    if problem:
        raise StepIncomplete(summary, problem)
    return summary


async def _bring(run: StepRun, playlist: PlaylistSettings) -> list[Receipt]:
    """Bring one playlist to its targets; what breaks there is told and stops no other."""
    day = datetime.now().astimezone().date()
    try:
        try:
            return await reconcile(run.services, playlist, day)
        finally:  # what fails is tried again at its next time, not every minute
            await note_refreshed(run.services, playlist)
    except Exception as error:  # any fault of one list; the others are still due
        log.exception("The playlist %s failed", playlist.name)
        message = f"it broke off: {type(error).__name__}: {error}"
        return [Receipt(playlist.name, "", "failed", message, ())]


def _is_due(playlist: PlaylistSettings, run: StepRun) -> bool:
    """Tell whether the run is meant for the playlist; some have times of their own."""
    if only := run.options.get("only"):
        return playlist.name in only
    return not playlist.refresh or (run.origin == "person" and playlist.refresh != BY_HAND)


def _line(receipt: Receipt) -> str:
    where = f" at {receipt.target}" if receipt.target and receipt.target[0] != "/" else ""
    return f"{receipt.playlist}{where}: {receipt.state}, {receipt.message}"


STEP = Step("playlists", "Write the playlists", "io", playlists)
