import os
import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
MARKER = (
    r"""(?: ; (?:sys_platform|platform_machine) == "\w+"(?: and platform_machine == "\w+")?)?"""
)
"""Of packages that other machines cannot install."""
PINS = [ROOT / "requirements" / name for name in ("base.txt", "dev.txt")]


def pins_of(path: Path) -> dict[str, str]:
    text = path.read_text(encoding="utf-8")
    return dict(re.findall(rf"^([a-z0-9-]+)==(\S+){MARKER} \\$", text, re.MULTILINE))


@pytest.mark.parametrize("path", PINS)
def test_pins_are_exact_and_hashed_and_name_no_index_or_folder(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kinds = (
        r"# .*",
        rf"[a-z0-9-]+==[0-9a-z.]+{MARKER} \\",
        r"    --hash=sha256:[0-9a-f]{64}( \\)?",
    )
    assert [line for line in lines if not any(re.fullmatch(kind, line) for kind in kinds)] == []
    assert len(pins_of(path)) == sum("==" in line for line in lines) > 20


def test_the_pins_are_what_the_project_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    base, dev = map(pins_of, PINS)
    base |= dict(
        re.findall(r"^(torch)==(\S+)$", (ROOT / "requirements/torch.txt").read_text(), re.M)
    )
    wanted = [(text, base) for text in project["project"]["dependencies"]]
    wanted += [(text, dev) for text in project["dependency-groups"]["dev"]]
    for text, pins in wanted:
        requirement = Requirement(text)
        pinned = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(pinned), text


def test_base_and_dev_agree_and_bring_no_cuda() -> None:
    base, dev = map(pins_of, PINS)
    assert {name: base[name] for name in base.keys() & dev.keys()} == {
        name: dev[name] for name in base.keys() & dev.keys()
    }
    assert not [name for name in {*base, *dev} if name.startswith(("nvidia", "triton", "cuda"))]


def a_checkout(folder: Path) -> Path:
    """Return a folder with the scripts, and a Python that only tells what it was asked."""
    shutil.copytree(ROOT / "scripts", folder / "scripts")
    python = folder / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho "MEDIA=$ANAGNORISIS_MEDIA $*"\n', encoding="utf-8")
    python.chmod(0o755)
    return folder


def run(script: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ANAGNORISIS_", "VENV"))}
    return subprocess.run(
        ["bash", str(script), *arguments], env={**kept, **environment},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def start(folder: Path, **environment: str) -> list[str]:
    done = run(folder / "scripts" / "run.sh", **environment)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_start_without_media_makes_the_demonstration_library(tmp_path: Path) -> None:
    said = start(a_checkout(tmp_path))
    assert f"MEDIA= -m daemon.demonstration {tmp_path}/media" in said
    assert said[-1] == f"MEDIA={tmp_path}/media -m daemon --data-dir data"


@pytest.mark.parametrize("kind", ["music", "images", "videos", "text"])
def test_a_start_with_media_takes_them_as_they_are(tmp_path: Path, kind: str) -> None:
    (a_checkout(tmp_path) / "media" / kind).mkdir(parents=True)
    assert start(tmp_path) == [f"MEDIA={tmp_path}/media -m daemon --data-dir data"]


def test_a_start_takes_the_media_and_the_data_folder_that_the_environment_names(
    tmp_path: Path,
) -> None:
    mine = tmp_path / "my media"
    (mine / "music").mkdir(parents=True)
    said = start(
        a_checkout(tmp_path / "here"), ANAGNORISIS_MEDIA=str(mine), ANAGNORISIS_DATA_DIR="/d"
    )
    assert said == [f"MEDIA={mine} -m daemon --data-dir /d"]


def test_an_empty_media_folder_of_somebody_is_not_filled(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    said = start(a_checkout(tmp_path / "here"), ANAGNORISIS_MEDIA=str(mine))
    assert f"no music, images, videos or text folder in {mine}" in said[0]
    assert said[-1] == f"MEDIA={tmp_path}/here/media -m daemon --data-dir data"
    assert not any(f"daemon.demonstration {mine}" in line for line in said)


def test_sources_in_the_settings_need_no_demonstration(tmp_path: Path) -> None:
    data = a_checkout(tmp_path) / "data"
    data.mkdir()
    (data / "config.yaml").write_text("sources: []\n", encoding="utf-8")
    assert "demonstration" not in " ".join(start(tmp_path))


def test_a_machine_without_a_fitting_python_is_told_so(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    old = tmp_path / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    old.chmod(0o755)
    done = run(tmp_path / "scripts" / "venv.sh", PYTHON=str(old))
    assert done.returncode == 1
    assert "Python 3.11 to 3.14 is needed" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_an_unknown_build_of_torch_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    done = run(tmp_path / "scripts" / "venv.sh", TORCH="gpu")
    assert done.returncode == 2
    assert "TORCH can be cpu" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_ci_runs_what_make_test_runs() -> None:
    commands = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert commands[-1] == "make test"
    for name in ("venv.sh", "browser.sh", "test.sh", "run.sh", "pins.sh"):
        assert os.access(ROOT / "scripts" / name, os.X_OK), name


def test_make_lists_what_it_can_make() -> None:
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = re.findall(r"^make (\w+)", listed.stdout, re.MULTILINE)
    assert targets == ["help", "run", "test", "bench", "soak", "pins", "clean"]


def test_the_tests_run_on_the_pinned_torch() -> None:
    pinned = (ROOT / "requirements" / "torch.txt").read_text(encoding="utf-8")
    assert f"torch=={version('torch').partition('+')[0]}" in pinned
