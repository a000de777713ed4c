"""models: what models there are, and fetching, verifying and removing them."""

import argparse
import signal
import sys
import time
from typing import Any

from daemon.chosen_models import choose_models
from daemon.commands.command import (
    DONE,
    FAILED,
    IN_PART,
    BadUsage,
    Verbs,
    add_common,
    answer,
    tell,
)
from daemon.settings import Settings
from ml.model_cards import BY_NAME, CARDS, SETS, ModelCard, find_card
from ml.model_hub import Progress, StoreError
from ml.model_store import ModelStore

COLUMNS = ("name", "role", "state", "chosen", "gigabytes", "licence", "about")
SHOW_SECONDS = 0.5


def add_verbs(verbs: Verbs) -> None:
    """Add the verbs of this module."""
    about = "list, fetch, verify or remove models, or tell where one lies"
    parser = verbs.add_parser("models", help=about, description=about)
    add_common(parser, default=argparse.SUPPRESS)
    parser.add_argument(
        "action", nargs="?", default="list",
        choices=("list", "fetch", "verify", "remove", "path"), help="without any: list",
    )  # fmt: skip
    parser.add_argument(
        "names", nargs="*", metavar="NAME",
        help="names of `models list`, or OWNER/NAME; fetch and verify: without any, all that the "
        "settings choose",
    )  # fmt: skip
    parser.add_argument("--set", choices=sorted(SETS), help="fetch a whole set")
    parser.add_argument("--json", action="store_true", help="one JSON array, nothing else")
    parser.set_defaults(handler=run)


async def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Carry it out; no catalogue is opened, and no model started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's waits for a whole fetch
    store = ModelStore(settings.data_dir / "models", revisions=settings.models.revisions)
    if arguments.action == "list":
        answer(_rows(settings, store), as_json=arguments.json, columns=COLUMNS)
        return DONE
    cards = _cards(settings, arguments)
    if arguments.action == "verify":
        return _verify(store, cards, as_json=arguments.json)
    rows = []
    for card in cards:  # one that cannot be had does not keep the others away
        try:
            rows.append({"name": card.name, "path": _act(store, card, arguments)})
        except StoreError as error:
            tell(str(error))
    if arguments.json:
        answer(rows, as_json=True, columns=())
    if len(rows) == len(cards):
        return DONE
    return IN_PART if rows else FAILED


def _act(store: ModelStore, card: ModelCard, arguments: argparse.Namespace) -> str:
    """Fetch, remove, or look where it lies; return its folder. Raises StoreError."""
    if arguments.action == "fetch":
        path = str(store.fetch(card, _Shown()))
        told = f"{card.name} is in {path}"
    elif arguments.action == "remove":
        store.remove(card)
        path, told = "", f"{card.name} is removed."
    else:
        told = path = str(store.path(card))
    if not arguments.json:
        print(told)
    return path


def _rows(settings: Settings, store: ModelStore) -> list[dict[str, Any]]:
    chosen = {model.name: model.card for model in choose_models(settings)}
    cards = [*CARDS, *(card for name, card in chosen.items() if name not in BY_NAME)]
    rows = []
    for card in cards:
        state, size = store.state(card)
        rows.append({
            "name": card.name, "role": card.role, "state": state,
            "chosen": "yes" if card.name in chosen else "",
            "gigabytes": round(size / 1e9, 1) if size else card.gigabytes,
            "licence": card.licence, "about": card.about or card.repository,
        })  # fmt: skip
    return rows


def _cards(settings: Settings, arguments: argparse.Namespace) -> list[ModelCard]:
    if arguments.set:
        names = [name for of_role in SETS[arguments.set].values() for name in of_role]
        return [BY_NAME[name] for name in names if BY_NAME[name].repository]
    chosen = {model.name: model.card for model in choose_models(settings)}
    if not arguments.names:
        if arguments.action in ("remove", "path"):
            raise BadUsage(f"models {arguments.action} wants a name; `models list` has them.")
        cards = [card for card in chosen.values() if card.repository]
        if not cards:
            print("The settings choose models that come with the installation; "
                  "there is nothing to fetch. See models list.", file=sys.stderr)  # fmt: skip
        return cards
    return [_card(name, chosen) for name in arguments.names]


def _card(name: str, chosen: dict[str, ModelCard]) -> ModelCard:
    known = chosen.get(name) or chosen.get(name.replace("/", "--")) or BY_NAME.get(name)
    if known:
        return known
    if name.count("/") == 1 and all(name.split("/")):
        return find_card("text", name)
    raise BadUsage(f"There is no model {name}; there are {', '.join(BY_NAME)}.")


def _verify(store: ModelStore, cards: list[ModelCard], *, as_json: bool) -> int:
    rows = []
    for card in cards:
        if card.package:
            rows.append({"name": card.name, "file": "", "state": "verified when it is loaded"})
            continue
        try:
            problems = store.verify(card)
        except StoreError as error:
            rows.append({"name": card.name, "file": "", "state": str(error)})
            continue
        rows += [{"name": card.name, "file": p.file, "state": p.what} for p in problems]
        if not problems:
            rows.append({"name": card.name, "file": "", "state": "ok"})
    answer(rows, as_json=as_json, columns=("name", "file", "state"))
    is_well = all(row["state"] in ("ok", "verified when it is loaded") for row in rows)
    return DONE if is_well else FAILED


class _Shown:
    """Progress on standard error, now and then."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last < SHOW_SECONDS and progress.done < progress.total:
            return
        self._last = time.monotonic()
        end = "\r" if sys.stderr.isatty() and progress.done < progress.total else "\n"
        print(progress, end=end, file=sys.stderr, flush=True)
