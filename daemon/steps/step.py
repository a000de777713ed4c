"""What a step is, and what it is handed.

A step does only what is missing or stale, in small committed batches, so it can be stopped
anywhere: the catalogue itself says what is left. Cancelling is cancelling its task.
"""

import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from daemon.services import Services
from daemon.store.models import now

Lane = Literal["io", "gpu"]


@dataclass
class Progress:
    """How far a run is; shown live, stored now and then."""

    done: int = 0
    total: int | None = None
    message: str = ""
    started: float = field(default_factory=time.monotonic)

    def __str__(self) -> str:
        share = f" of {self.total} ({100 * self.done // self.total} %)" if self.total else ""
        left = self.seconds_left()
        time_left = f", {left / 60:.0f} min left" if left and left > 90 else ""
        return f"{self.done}{share}{time_left} {self.message}".rstrip()

    def seconds_left(self) -> float | None:
        """Return the time left at the rate so far; None where nothing is known."""
        if not self.total or not self.done:
            return None
        elapsed = time.monotonic() - self.started
        return elapsed / self.done * max(0, self.total - self.done)


@dataclass
class StepRun:
    """One run of a step, as the step sees it."""

    services: Services
    options: dict[str, Any]
    checkpoint: dict[str, Any]
    """What an earlier attempt of this run left; change it and call `report`."""
    deadline: datetime | None
    """When the quiet hours or its turn end; a step that may wait stops at the next batch."""
    on_progress: Callable[["StepRun"], Awaitable[None]]
    origin: str = "person"
    """Who asked for the run; see `JobRun.origin`."""
    progress: Progress = field(default_factory=Progress)
    has_advanced: bool = False
    """Whether anything was done. A turn without that is not followed by another at once."""

    @property
    def may_run_big(self) -> bool:
        """Whether big models may work: in the night's run, and when a person asks for it."""
        return self.origin in ("person", "schedule")

    @property
    def next_time(self) -> str:
        """What the rest waits for when the step is over before it is done."""
        return "the next night" if self.origin == "schedule" else "the next turn"

    async def report(
        self, done: int | None = None, total: int | None = None, message: str | None = None
    ) -> None:
        """Tell how far the step is."""
        if done is not None:
            self.progress.done = done
            self.has_advanced = self.has_advanced or done > 0
        if total is not None:
            self.progress.total = total
        if message is not None:
            self.progress.message = message
        await self.on_progress(self)

    def is_over(self) -> bool:
        """Tell whether the quiet hours, or the step's turn, have ended."""
        return self.deadline is not None and now() >= self.deadline


@dataclass(frozen=True)
class Step:
    """A named step.

    `run` returns one line for people, such as "312 new items from 2 sources". It raises
    `StepFailed` for what a person must know, and `StepIncomplete` when a part could not be done.
    """

    name: str
    title: str
    lane: Lane
    run: Callable[[StepRun], Coroutine[Any, Any, str]]


class StepFailed(Exception):
    """The step could not do its work; the message says what to do."""


class StepIncomplete(Exception):
    """The step did what it could; `problem` names what is out of reach."""

    def __init__(self, summary: str, problem: str) -> None:
        super().__init__(f"{summary}; {problem}")
        self.summary = summary
        self.problem = problem
