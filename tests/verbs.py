"""Type verbs of the command line on a household."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from daemon.__main__ import main
from tests.household import Household

ROOT = Path(__file__).resolve().parents[1]


WITHOUT_PERCEIVERS = {
    "ANAGNORISIS_MODELS__AUDIO": "none",
    "ANAGNORISIS_MODELS__IMAGES": "none",
}


def type_verb(household: Household, *words: str | Path) -> tuple[int, str]:
    """Carry out a verb in this process; return its exit status and what it told."""
    status, told, _ = _type(household, words)
    return status, told


def typed_rows(household: Household, *words: str | Path) -> list[Any]:
    """Carry out a verb in this process; return the rows that it answers with --json."""
    status, told, answer = _type(household, (words[0], "--json", *words[1:]))
    assert status == 0, told
    rows: list[Any] = json.loads(answer)
    return rows


def _type(household: Household, words: Sequence[str | Path]) -> tuple[int, str, str]:
    told, answer = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        redirect_stderr(told),
        redirect_stdout(answer),
    ):
        patch.setenv("ANAGNORISIS_MEDIA", str(household.home / "media"))
        for name, value in WITHOUT_PERCEIVERS.items():
            patch.setenv(name, value)
        try:
            status = main(["--data-dir", str(household.data_dir), *map(str, words)])
        except SystemExit as end:  # argparse refused
            status = int(end.code or 0)
    return status, told.getvalue(), answer.getvalue()


def environment(household: Household, *, models: bool = False, **variables: str) -> dict[str, str]:
    """Return what a process of its own is started with.

    Without `models`, importing torch or transformers ends it: no verb may that needs no model.
    """
    poison = household.home / "poison"
    for module in ("torch", "transformers"):
        (poison / module).mkdir(parents=True, exist_ok=True)
        (poison / module / "__init__.py").write_text(f"raise SystemExit('{module} was imported')")
    return os.environ | WITHOUT_PERCEIVERS | {
        "ANAGNORISIS_MEDIA": str(household.home / "media"),
        "ANAGNORISIS_DATA_DIR": str(household.data_dir),
        "PYTHONPATH": str(ROOT) if models else f"{poison}{os.pathsep}{ROOT}",
        "PYTHONWARNINGS": "default" if models else "error,ignore::ResourceWarning",
    } | variables  # fmt: skip


def run_verb(
    household: Household, *words: str | Path, models: bool = False, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Carry out a verb in a process of its own, as a person would."""
    return subprocess.run(
        [sys.executable, "-m", "daemon", *map(str, words)],
        capture_output=True, text=True, timeout=100, check=False, cwd=household.home,
        env=environment(household, models=models, **variables), stdin=subprocess.DEVNULL,
    )  # fmt: skip


def json_rows(household: Household, *words: str | Path, models: bool = False) -> list[Any]:
    """Return what a verb answers with --json, which is one array and nothing else."""
    done = run_verb(household, *words, "--json", models=models)
    assert done.returncode == 0, done.stderr
    rows: list[Any] = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    return rows
