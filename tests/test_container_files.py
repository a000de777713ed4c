import contextlib
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.base import KINDS
from daemon.settings import load_settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = ROOT / "docker-compose.yaml"
EXAMPLE = ROOT / "compose.override.example.yaml"


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile as (instruction, the rest of its line)."""
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
    pairs = (line.split(None, 1) for line in lines if line.strip() and not line.startswith("#"))
    return [(name, " ".join(rest.split())) for name, rest in pairs]


def all_of(wanted: str) -> list[str]:
    return [rest for name, rest in instructions() if name == wanted]


def image_environment() -> dict[str, str]:
    words = " ".join(all_of("ENV")).split()
    return dict(word.split("=", 1) for word in words)


def service(path: Path) -> dict[str, Any]:
    services = yaml.safe_load(path.read_text(encoding="utf-8"))["services"]
    assert list(services) == ["anagnorisis"]
    return dict(services["anagnorisis"])


def commented(start: str) -> dict[str, Any]:
    """Return what the example holds in comments from the line `# start` on, without its `#`."""
    lines = EXAMPLE.read_text(encoding="utf-8").partition(f"    # {start}")[2].splitlines()
    block = [f"{start}{lines[0]}"]
    for line in lines[1:]:
        if not line.startswith("    #   "):
            break
        block.append(line.removeprefix("    # "))
    return dict(yaml.safe_load("\n".join(block).replace("!override", "")))


def test_what_the_image_copies_is_there_and_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in ignore
    sources = [source for line in all_of("COPY") for source in line.split()[:-1]]
    assert {"connectors", "daemon", "ml", "web", "wiki", "scripts/entrypoint.sh"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignore or f"!{source.partition('/')[0]}" in ignore, source


def test_the_image_installs_the_same_pins_as_a_checkout() -> None:
    install = " ".join(all_of("RUN"))
    assert "pip install --no-deps --require-hashes -r requirements/base.txt" in install
    assert "-r requirements/torch.txt" in install
    assert "python -m pip check" in install


def test_the_image_sets_options_that_there_are(tmp_path: Path) -> None:
    environment = image_environment()
    settings = load_settings(environment)
    assert settings.data_dir == Path("/mnt/project_config")
    assert settings.web.host == "0.0.0.0"
    assert environment["ANAGNORISIS_MEDIA"] == "/mnt/media"
    assert f"EXPOSE {settings.web.port}" in (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert all_of("VOLUME") == ["/mnt/project_config"]


def test_the_image_starts_a_program_that_there_is() -> None:
    assert all_of("CMD") == ['["python", "-m", "daemon"]']
    done = subprocess.run(
        [sys.executable, "-m", "daemon", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "serve" in done.stdout
    assert all(f"/app/{path}" in " ".join(all_of("ENTRYPOINT") + all_of("HEALTHCHECK"))
               for path in ("scripts/entrypoint.sh", "scripts/healthcheck.py"))  # fmt: skip


@pytest.mark.parametrize("path", [COMPOSE, EXAMPLE])
def test_ports_are_opened_on_this_machine_only(path: Path) -> None:
    ports = service(path).get("ports", []) + (
        commented("ports:")["ports"] if path == EXAMPLE else []
    )
    assert ports
    assert all(port.startswith("127.0.0.1:") and port.endswith(":5001") for port in ports)


def test_the_state_lies_where_the_image_looks_for_it() -> None:
    config = image_environment()["ANAGNORISIS_DATA_DIR"]
    for path in (COMPOSE, EXAMPLE):
        assert f"./project_config:{config}" in service(path)["volumes"]
    assert "project_config" in (ROOT / ".gitignore").read_text(encoding="utf-8")


def test_the_example_mounts_media_by_the_convention_and_read_only() -> None:
    mounts = [v.split(":") for v in service(EXAMPLE)["volumes"] if "/mnt/media" in v]
    assert mounts
    for _, target, mode in mounts:
        _, mnt, media, kind, label = target.split("/")
        assert (mnt, media, mode) == ("mnt", "media", "ro")
        assert kind in KINDS
        assert label


def test_the_example_changes_only_what_there_is() -> None:
    base, example = service(COMPOSE), service(EXAMPLE)
    assert set(example["environment"]) <= set(base["environment"])
    assert set(example["environment"]) <= set(image_environment())
    device = commented("deploy:")["deploy"]["resources"]["reservations"]["devices"][0]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/healthz" else 503)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def a_server() -> Iterator[int]:
    with HTTPServer(("127.0.0.1", 0), Health) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def check_health(port: int) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "ANAGNORISIS_WEB__PORT": str(port)}
    script = ROOT / "scripts" / "healthcheck.py"
    return subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)


def test_the_health_check_tells_a_daemon_that_answers_from_one_that_does_not() -> None:
    with a_server() as port:
        assert check_health(port).returncode == 0
    ended = check_health(port)
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr


def enter(config: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(ROOT / "scripts" / "entrypoint.sh"), *command],
        env={"PATH": os.environ["PATH"], "ANAGNORISIS_DATA_DIR": str(config), **environment},
        capture_output=True, text=True,
    )  # fmt: skip


as_root = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root can change to other users"
)


@as_root
def test_the_entrypoint_becomes_the_user_and_gives_the_folder_to_them(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "config.yaml").write_text("", encoding="utf-8")
    done = enter(config, "sh", "-c", "id -u; id -g; id -G", PUID="4711", PGID="4712")
    assert done.stdout.split() == ["4711", "4712", "4712"]
    for path in (config, config / "config.yaml"):
        assert (path.stat().st_uid, path.stat().st_gid) == (4711, 4712)


@as_root
def test_the_entrypoint_refuses_to_run_the_program_as_root(tmp_path: Path) -> None:
    done = enter(tmp_path / "config", "true", PUID="0")
    assert done.returncode == 2
    assert "root" in done.stderr


@as_root
def test_the_entrypoint_leaves_a_user_that_docker_chose(tmp_path: Path) -> None:
    command = ["setpriv", "--reuid", "4711", "--regid", "4711", "--clear-groups", "sh"]
    script = (ROOT / "scripts" / "entrypoint.sh").read_text(encoding="utf-8")
    done = subprocess.run(
        [*command, "-c", script, "sh", "id", "-u"], cwd="/", capture_output=True, text=True
    )
    assert done.stdout.strip() == "4711"


def test_the_entrypoint_hands_on_the_exit_status(tmp_path: Path) -> None:
    assert enter(tmp_path, "sh", "-c", "exit 7", PUID="4711", PGID="4711").returncode == 7
