"""The models that the settings choose, and how each is started; nothing here loads one."""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from daemon.settings import Settings
from ml.installed import MANIFEST
from ml.model_cards import FAMILIES, ROLES, Family, ModelCard, Role, find_card
from ml.model_hub import StoreError
from ml.model_store import ModelStore

BESIDE_THE_PROGRAM = Path(__file__).resolve().parent.parent
IN_THE_IMAGE = Path("/opt/environments")


@dataclass(frozen=True)
class ChosenModel:
    """A model of the settings."""

    role: Role
    card: ModelCard
    options: dict[str, Any] = field(hash=False)
    """For `start` of its family."""
    python: str
    """The interpreter that runs it."""
    folder: Path | None
    """Where its files are to be; None for one that comes in a package."""

    @property
    def name(self) -> str:
        """What the settings call it."""
        return self.card.name

    @property
    def family(self) -> Family:
        """What it looks at."""
        return FAMILIES[self.card.family]

    @property
    def module(self) -> str:
        """The module of its worker."""
        return f"ml.families.{self.card.family}"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of items that it perceives."""
        return tuple(self.family.views)

    @property
    def is_big(self) -> bool:
        """Whether it waits for the quiet hours."""
        return self.card.vram_gigabytes > 0

    @property
    def producer(self) -> str:
        """Who the descriptions are said to be by."""
        return f"{SAID_AS.get(self.role, self.role)}:{self.name}"

    @property
    def problem(self) -> str:
        """Why it cannot be started, and what to do; "" where nothing is known to be wrong."""
        if self.folder:
            try:
                ModelStore(self.folder.parent).path(self.card)
            except StoreError as error:
                return str(error)
        if self.card.environment and not Path(self.python).exists():
            return (
                f"{self.name} needs an environment of its own:"
                f" scripts/environment.sh {self.card.environment}"
            )
        if self.card.runs_remote_code and not self.options.get("revision"):
            return (
                f"{self.name} brings code of its own. Name the commit that you trust:"
                f" models: {{revisions: {{{self.name}: COMMIT}}}}"
            )
        return ""

    def key(self) -> str:
        """Return what changes when what it makes of an item would change."""
        asked = {n: v for n, v in self.options.items() if n in MATTERS}
        words = json.dumps([self._revision(), asked], sort_keys=True)
        return f"{self.name}@{hashlib.blake2b(words.encode(), digest_size=6).hexdigest()}"

    def _revision(self) -> str:
        if self.card.package:
            try:
                return version(self.card.package)
            except PackageNotFoundError:
                return "missing"
        assert self.folder
        with suppress(OSError, ValueError, KeyError):
            if commit := json.loads((self.folder / MANIFEST).read_bytes())["revision"]:
                return str(commit)
        with suppress(OSError):
            files = [path for path in self.folder.glob("*.*") if path.suffix in WEIGHTS]
            return str(sorted((p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files))
        return "unreadable"


WEIGHTS = (".safetensors", ".pt")
"""Of a folder that was filled by hand these tell one model from another, verified or not."""
SAID_AS = {"audio": "heard", "images": "seen"}
MATTERS = ("prompts", "vocabulary", "dimensions", "four_bit", "longest_answer")
"""The options that change what a model makes."""


def choose_models(settings: Settings) -> tuple[ChosenModel, ...]:
    """Return the models of all roles, in the order in which they are asked."""
    return tuple(_choose(settings))


def _choose(settings: Settings) -> Iterator[ChosenModel]:
    models = settings.models
    for role in ROLES:
        for name in models.names(role):
            card = find_card(role, name)
            yield ChosenModel(
                role, card, _options(settings, role, card), _python(settings, card),
                _folder(settings, card),
            )  # fmt: skip


def _folder(settings: Settings, card: ModelCard) -> Path | None:
    if card.package:
        return None
    if card.name.startswith("/"):
        return Path(card.name)
    return settings.data_dir.absolute() / "models" / card.name


def _options(settings: Settings, role: Role, card: ModelCard) -> dict[str, Any]:
    models = settings.models
    options: dict[str, Any] = {"device": models.device}
    if card.package:
        options["package"] = card.package
    else:
        options["folder"] = str(_folder(settings, card))
    if role == "text" and models.dimensions:
        options["dimensions"] = models.dimensions
    if role in ("audio", "images") and not card.package:
        words = models.vocabulary.music if role == "audio" else models.vocabulary.images
        options["vocabulary"] = list(words)
    if role == "omni":
        options["prompts"] = models.prompts.model_dump()
        options["four_bit"] = models.four_bit
        options["longest_answer"] = models.longest_answer
    if card.runs_remote_code:
        options["revision"] = models.revisions.get(card.name, "")
    return options


def _python(settings: Settings, card: ModelCard) -> str:
    if not card.environment:
        return sys.executable
    if settings.models.environments:
        home = settings.models.environments.expanduser() / card.environment
    elif IN_THE_IMAGE.is_dir():
        home = IN_THE_IMAGE / card.environment
    else:
        home = BESIDE_THE_PROGRAM / f".venv-{card.environment}"
    return str(home / "bin" / "python")
