import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("daemon", "connectors", "ml", "web")
WITH_TORCH = {"ml.text_embedder", "ml.devices", "ml.ready", "ml.loading", "ml.two_towers",
              "ml.taste_transformer", "ml.evaluator_worker", "ml.sentence_recipe"}  # fmt: skip
"""And the families of models: what only a model's own process imports."""
HEAVY = {"torch", "transformers", "sentence_transformers", "sklearn"}


def modules() -> list[str]:
    """Name every module of the program that may be imported, migrations apart."""
    paths = (path for name in OURS for path in sorted((ROOT / name).rglob("*.py")))
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths)
    return [
        name.removesuffix(".__init__")
        for name in names
        if "migrations" not in name and name != "daemon.demonstration.__main__"
    ]


def is_with_torch(name: str) -> bool:
    return name in WITH_TORCH or name.startswith("ml.families.")


def imported_by(names: list[str]) -> set[str]:
    """Return the heavy packages that a fresh Python has loaded after importing `names`."""
    code = f"import sys\nfor name in {names!r}: __import__(name)\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return HEAVY & set(done.stdout.split())


@pytest.mark.parametrize("package", OURS)
def test_no_dependency_brings_a_package_of_our_name(package: str) -> None:
    """python-daemon installs `daemon`, web.py installs `web`; they would shadow ours."""
    assert set(packages_distributions().get(package, [])) <= {"anagnorisis"}


def test_torch_is_loaded_by_the_processes_of_models_alone() -> None:
    everything = modules()
    assert {"daemon.__main__", "daemon.main", "web", *WITH_TORCH} <= set(everything)
    assert imported_by([name for name in everything if not is_with_torch(name)]) == set()


def test_the_check_for_torch_would_find_it() -> None:
    assert "torch" in imported_by(["ml.text_embedder"])


@pytest.mark.parametrize("verb", ["--help", "rank --json", "profiles list"])
def test_verbs_that_need_no_model_do_not_load_torch(verb: str, tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "daemon", "--data-dir", str(tmp_path)]
    done = subprocess.run([*command, *verb.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "argparse" in loaded
    assert not loaded & HEAVY
