"""A small sample of `make soak`."""

import sqlite3
from contextlib import closing
from pathlib import Path

from benchmarks.soak import soak


def test_a_daemon_that_is_killed_a_few_times_loses_and_doubles_nothing(tmp_path: Path) -> None:
    trial, problems, kills = soak(tmp_path, kills=3, seconds=40, seed=7)
    assert problems == []
    assert kills >= 1
    assert trial.events
    with closing(sqlite3.connect(tmp_path / "data" / "anagnorisis.db")) as catalogue:
        (seen,) = catalogue.execute(
            "SELECT count(*) FROM item_vector WHERE space LIKE 'efficientnet%'"
        ).fetchone()
    assert seen == trial.painted
