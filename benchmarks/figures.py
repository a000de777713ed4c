"""A measured figure beside its baseline, and the table that they make."""

import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Figure:
    """What was measured, what it is compared with in the same run, and how far it may go."""

    name: str
    value: str
    baseline: str
    ratio: float
    limit: str
    is_kept: bool


def ratio_figure(name: str, value: float, baseline: float, *, at_most: float) -> Figure:
    """Compare two times in seconds."""
    ratio = value / baseline
    return Figure(
        name, seconds(value), seconds(baseline), ratio, f"<= {at_most:g}", ratio <= at_most
    )


def told_figure(name: str, value: str, baseline: str, ratio: float) -> Figure:
    """Tell what has no limit."""
    return Figure(name, value, baseline, ratio, "", True)


def seconds(value: float) -> str:
    """Return a time as people read it."""
    return f"{value * 1e3:.1f} ms" if value < 1 else f"{value:.2f} s"


def time_of(call: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return statistics.median(values)


def machine() -> str:
    """Return what the figures were measured on."""
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"numpy {np.__version__}, load before the start {os.getloadavg()[0]:.1f}"
    )


WIDTHS = (78, 12, 12, 8, 10)


def print_head() -> None:
    """Print what the columns are."""
    _print_line(("figure (baseline)", "measured", "baseline", "ratio", "limit"), "")


def print_figure(figure: Figure) -> None:
    """Print one line of the table."""
    cells = (figure.name, figure.value, figure.baseline, f"{figure.ratio:.2f}", figure.limit)
    verdict = "ok" if figure.is_kept else "OVER"
    _print_line(cells, verdict if figure.limit else "")


def _print_line(cells: Sequence[str], verdict: str) -> None:
    line = "".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))
    print((line + verdict).rstrip(), flush=True)
