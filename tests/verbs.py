"""Type verbs of the command line on a household."""

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from daemon.__main__ import main
from tests.household import Household

ROOT = Path(__file__).resolve().parents[1]


def type_verb(household: Household, *words: str | Path) -> tuple[int, str]:
    """Carry out a verb in this process; return its exit status and what it told."""
    told, answer = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stderr(told),
        redirect_stdout(answer),
    ):
        patch.setenv("ANAGNORISIS_MEDIA", str(household.home / "media"))
        status = main(["--data-dir", str(household.data_dir), *map(str, words)])
    return status, told.getvalue()


def environment(household: Household, **variables: str) -> dict[str, str]:
    """Return what a process of its own is started with."""
    return os.environ | {
        "ANAGNORISIS_MEDIA": str(household.home / "media"),
        "ANAGNORISIS_DATA_DIR": str(household.data_dir),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "error",
    } | variables  # fmt: skip


def run_verb(
    household: Household, *words: str | Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Carry out a verb in a process of its own, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, words)],
        capture_output=True, text=True, timeout=60, check=False, cwd=household.home,
        env=environment(household, **variables), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def json_rows(household: Household, *words: str | Path, **variables: str) -> list[dict[str, Any]]:
    """Return what a verb answers with --json, which is one array and nothing else."""
    done = run_verb(household, *words, "--json", **variables)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return rows
