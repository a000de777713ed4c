"""What is loaded where, how fast it works, and how long it still needs."""

import time
from dataclasses import dataclass, field
from typing import Any

import psutil

from daemon.chosen_models import ChosenModel
from daemon.workers.worker import Workers

RECENT_SECONDS = 300.0
"""How far back the pace looks."""
LEAST_SECONDS = 0.2


@dataclass
class Pace:
    """How fast a model works, over the last minutes of work; pauses do not count."""

    items: int = 0
    seconds: float = 0.0

    def add(self, items: int, seconds: float) -> None:
        """Count a batch; what is long ago weighs less and less."""
        keep = max(0.0, 1 - seconds / RECENT_SECONDS)
        self.items = round(self.items * keep) + items
        self.seconds = self.seconds * keep + seconds

    @property
    def per_minute(self) -> float | None:
        """Items per minute; None as long as a first small batch tells too little."""
        is_known = self.items and self.seconds >= LEAST_SECONDS
        return 60 * self.items / self.seconds if is_known else None


@dataclass
class ModelState:
    """A model as the Jobs page and `doctor` show it."""

    name: str
    role: str
    device: str = ""
    """cpu or cuda, as the model itself said when it was last loaded."""
    reason: str = ""
    """Why there."""
    vram: int = 0
    """Bytes that it said it holds."""
    problem: str = ""
    left: int | None = None
    """Items of the library that it has not had yet."""
    at_work: bool = False
    pace: Pace = field(default_factory=Pace)
    module: str = ""
    process_id: int | None = None
    noted_process: int | None = None
    """The one that was noted last: another daemon's, perhaps."""
    memory: int = 0
    """Resident bytes of its process; 0 while it is not loaded."""

    @property
    def is_loaded(self) -> bool:
        """Whether its process runs."""
        return self.process_id is not None

    @property
    def minutes_left(self) -> float | None:
        """How long the rest of the library takes; None where that is unknown."""
        pace = self.pace.per_minute
        return self.left / pace if pace and self.left is not None else None


class ModelBoard:
    """The state of every chosen model."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._states = {
            model.name: ModelState(
                model.name, model.role, problem=model.problem, module=model.module
            )
            for model in workers.chosen
        }

    def states(self) -> list[ModelState]:
        """Return the models as they are now."""
        for state in self._states.values():
            mine = self._workers.models[state.name].process_id
            state.process_id = mine or _at_work(state.noted_process, state.module)
            state.memory = _resident(state.process_id)
        return list(self._states.values())

    def loaded(self, model: ChosenModel, about: dict[str, Any]) -> None:
        """Note what a model said of itself."""
        state = self._states[model.name]
        state.device, state.reason = str(about["device"]), str(about["reason"])
        state.vram, state.problem = int(about.get("vram") or 0), ""

    def failed(self, model: ChosenModel, problem: str) -> None:
        """Note why a model cannot work."""
        self._states[model.name].problem = problem

    def begin(self, model: ChosenModel, left: int) -> None:
        """Note that a model begins with the library."""
        state = self._states[model.name]
        state.left, state.at_work = left, True

    def worked(self, model: ChosenModel, items: int, begun: float) -> None:
        """Note a batch; `begun` is of `time.monotonic`."""
        state = self._states[model.name]
        state.pace.add(items, time.monotonic() - begun)
        state.left = max(0, (state.left or 0) - items)

    def end(self, model: ChosenModel) -> None:
        """Note that a model has nothing to do any more."""
        self._states[model.name].at_work = False

    def note(self, model: ChosenModel) -> dict[str, Any]:
        """Return what `recall` takes: what another process, or a later one, can know of a model."""
        state = self._states[model.name]
        return {
            "items": state.pace.items, "seconds": round(state.pace.seconds, 3),
            "device": state.device, "reason": state.reason, "vram": state.vram,
            "process": self._workers.models[model.name].process_id,
        }  # fmt: skip

    def recall(self, model: ChosenModel, noted: dict[str, Any], left: int) -> None:
        """Take over what was noted, where this process does not know better."""
        state = self._states[model.name]
        if not state.at_work:
            state.left = left
        if not noted or self._workers.models[model.name].process_id:
            return
        state.pace = Pace(noted["items"], noted["seconds"])
        state.device, state.reason, state.vram = noted["device"], noted["reason"], noted["vram"]
        state.noted_process = noted["process"]


def _at_work(process_id: int | None, module: str) -> int | None:
    """Return the process if it is there and runs a model of this family."""
    try:
        words = psutil.Process(process_id).cmdline() if process_id else []
    except psutil.Error:
        return None
    return process_id if module in words else None


def _resident(process_id: int | None) -> int:
    if process_id is None:
        return 0
    try:
        return int(psutil.Process(process_id).memory_info().rss)
    except psutil.Error:
        return 0
