"""The model store, fetched from a stand-in hub by the hub's own client; and wholly offline."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from daemon.chosen_models import choose_models
from daemon.commands import models as verb
from daemon.model_settings import ModelSettings
from daemon.settings import Settings
from ml import model_store
from ml.installed import MANIFEST
from ml.model_cards import BY_NAME, CARDS, ModelCard
from ml.model_hub import (
    CHUNK,
    HubUnreachable,
    ModelMissing,
    ModelRefused,
    NoSpace,
    Progress,
    StoreError,
)
from ml.model_store import ModelStore
from tests import tiny_models
from tests.household import Household, run_steps
from tests.media import make_picture
from tests.stand_ins.hub import COMMIT, LATER, FakeHub
from tests.verbs import ROOT, environment, type_verb, typed_rows

REPOSITORY = "someone/a-model"
CARD = ModelCard("a-model", "text", "sentence", "MIT", repository=REPOSITORY)
WEIGHTS = bytes(range(256)) * 4096
FILES = {
    "config.json": b"{}\n",
    "model.safetensors": WEIGHTS,
    "retrieval_query/adapter_model.safetensors": b"adapter" * 100,
    "pytorch_model.bin": b"a pickle",
    "README.md": b"words",
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    fake = FakeHub(REPOSITORY, dict(FILES))
    with fake.serving() as url:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        template = url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield fake


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models")


def test_what_is_wanted_is_fetched_verified_and_noted(hub: FakeHub, store: ModelStore) -> None:
    told: list[Progress] = []
    home = store.fetch(CARD, told.append)
    assert store.path(CARD) == home
    assert sorted(p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()) == [
        MANIFEST, "config.json", "model.safetensors", "retrieval_query/adapter_model.safetensors",
    ]  # fmt: skip  # no pickle, and nothing that nobody asked for
    manifest = json.loads((home / MANIFEST).read_text())
    assert (manifest["revision"], manifest["repository"]) == (COMMIT, REPOSITORY)
    assert manifest["files"]["model.safetensors"]["size"] == len(WEIGHTS)
    assert store.verify(CARD) == []
    assert told[-1].done == told[-1].total == sum(len(FILES[name]) for name in manifest["files"])
    assert [p.done for p in told] == sorted(p.done for p in told)
    assert "(100 %)" in str(told[-1])


def test_a_download_that_was_cut_off_goes_on(hub: FakeHub, store: ModelStore) -> None:
    config = len(FILES["config.json"])
    hub.cut_after = 100_000
    store_first(hub, store, config)
    with pytest.raises(ModelMissing):
        store.path(CARD)
    assert store.state(CARD)[0] == "partial"
    hub.requests.clear()
    store.fetch(CARD)
    asked = dict(hub.requests)
    assert asked["model.safetensors"].startswith("bytes=")
    assert int(asked["model.safetensors"][6:-1]) >= 100_000 - CHUNK
    assert "config.json" not in asked
    assert store.verify(CARD) == []


def store_first(hub: FakeHub, store: ModelStore, config: int) -> None:
    """Fetch once; the weights break off, whichever request was first."""
    hub.commits[COMMIT] = {name: FILES[name] for name in ("config.json", "model.safetensors")}
    hub.cut_after = None
    send, cuts = hub._send_file, iter([None, 100_000])

    def cut(handler: Any, revision: str, name: str) -> None:
        hub.cut_after = next(cuts, None)
        send(handler, revision, name)

    hub._send_file = cut  # type: ignore[method-assign]
    with pytest.raises(HubUnreachable, match="goes on from there"):
        store.fetch(CARD)
    hub._send_file = send  # type: ignore[method-assign]


def test_wrong_bytes_are_fetched_again_once_and_then_reported(
    hub: FakeHub, store: ModelStore
) -> None:
    hub.corrupt = {"model.safetensors"}
    with pytest.raises(StoreError, match=r"model.safetensors of a-model is corrupt, twice"):
        store.fetch(CARD)
    assert [name for name, _ in hub.requests].count("model.safetensors") == 2
    with pytest.raises(ModelMissing):
        store.path(CARD)
    hub.corrupt = set()
    assert store.fetch(CARD)


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "cut short"),
        (lambda p: p.write_bytes(b"\1" + p.read_bytes()[1:]), "corrupt"),
        (lambda p: p.unlink(), "missing"),
    ],
)
def test_what_is_damaged_is_named_and_only_that_is_fetched_again(
    hub: FakeHub, store: ModelStore, harm: Any, what: str
) -> None:
    home = store.fetch(CARD)
    harm(home / "model.safetensors")
    (problem,) = store.verify(CARD)
    assert problem.file == "model.safetensors"
    assert what in problem.what
    hub.requests.clear()
    store.fetch(CARD)
    assert [name for name, _ in hub.requests] == ["model.safetensors"]
    assert store.verify(CARD) == []


def test_a_branch_that_moves_does_not_move_the_model(hub: FakeHub, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.fetch(CARD)
    hub.push({**FILES, "model.safetensors": b"other weights"})
    store.fetch(CARD)
    assert json.loads((tmp_path / "a-model" / MANIFEST).read_text())["revision"] == COMMIT
    ModelStore(tmp_path, revisions={"a-model": LATER}).fetch(CARD)
    assert (tmp_path / "a-model" / "model.safetensors").read_bytes() == b"other weights"
    assert not (tmp_path / "a-model.old").exists()


def test_code_of_a_repository_needs_a_commit_that_somebody_named(
    hub: FakeHub, tmp_path: Path
) -> None:
    card = ModelCard("a-model", "omni", "minicpm", "MIT", repository=REPOSITORY,
                     runs_remote_code=True)  # fmt: skip
    with pytest.raises(ModelRefused, match="name the commit"):
        ModelStore(tmp_path).fetch(card)
    assert ModelStore(tmp_path, revisions={"a-model": COMMIT}).fetch(card)


def test_a_disk_that_is_too_full_is_told_before_anything_is_fetched(
    hub: FakeHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10**6})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(NoSpace, match=r"1\.1 GB are needed .* 0\.0 GB are free"):
        store.fetch(CARD)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (503, HubUnreachable, "does not answer"),
        (403, ModelRefused, "licence"),
    ],
)
def test_what_the_hub_refuses_is_said(
    hub: FakeHub, store: ModelStore, status: int, error: type[Exception], words: str
) -> None:
    hub.status = status
    with pytest.raises(error, match=words):
        store.fetch(CARD)


def test_a_hub_that_is_not_there_is_said(
    hub: FakeHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubUnreachable, match="does not answer"):
        ModelStore(tmp_path).fetch(CARD)


def test_names_never_leave_the_folder(store: ModelStore) -> None:
    for name in ("../evil", "..", "a/b", ""):
        card = ModelCard(name, "text", "sentence", "MIT", repository=REPOSITORY)
        with pytest.raises(ModelRefused):
            store.path(card)


def test_a_repository_that_names_files_outside_is_refused(hub: FakeHub, store: ModelStore) -> None:
    hub.commits[COMMIT] = {"../evil.json": b"{}", "model.safetensors": b"w"}
    with pytest.raises(ModelRefused, match="evil"):
        store.fetch(CARD)


FETCH = """
import sys
from pathlib import Path
import huggingface_hub
from ml.model_cards import ModelCard
from ml.model_store import ModelStore
card = ModelCard("a-model", "text", "sentence", "MIT", repository="someone/a-model")
ModelStore(Path(sys.argv[1])).fetch(card, lambda progress: print(progress.done, flush=True))
"""


def test_a_fetch_that_is_killed_leaves_no_half_model_and_goes_on(
    hub: FakeHub, tmp_path: Path
) -> None:
    hub.commits[COMMIT] = {"config.json": b"{}", "model.safetensors": WEIGHTS * 64}
    environment = os.environ | {"HF_ENDPOINT": hub.url, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-c", FETCH, str(tmp_path)], env=environment, stdout=subprocess.PIPE
    )
    assert child.stdout
    while int(child.stdout.readline() or b"0") < 3_000_000:
        assert child.poll() is None
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    store = ModelStore(tmp_path)
    with pytest.raises(ModelMissing):
        store.path(CARD)
    store.fetch(CARD)
    assert store.verify(CARD) == []
    assert hub.requests[-1][1].startswith("bytes=")


def test_two_fetches_of_a_model_do_not_collide(hub: FakeHub, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    with (
        model_store._only_one(tmp_path / ".a-model.lock", "a-model"),
        pytest.raises(StoreError, match="another process"),
    ):
        store.fetch(CARD)
    assert store.fetch(CARD)


def test_a_kill_between_two_renames_is_undone(hub: FakeHub, tmp_path: Path) -> None:
    store = ModelStore(tmp_path)
    store.fetch(CARD)
    (tmp_path / "a-model").rename(tmp_path / "a-model.old")
    hub.requests.clear()
    store.fetch(CARD)
    assert hub.requests == []  # small files of git are known by their manifest
    assert store.verify(CARD) == []


def test_what_was_cut_off_goes_on_with_its_commit_and_keeps_no_strangers(
    hub: FakeHub, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path)
    store_first(hub, store, 0)
    hub.push({**FILES, "model.safetensors": b"other weights"})
    (tmp_path / "a-model.partial" / "stranger.py").write_text("raise SystemExit")
    home = store.fetch(CARD)
    assert json.loads((home / MANIFEST).read_text())["revision"] == COMMIT
    assert store.verify(CARD) == []  # which names what is unexpected


def test_a_folder_of_the_users_own_is_left_alone(tmp_path: Path) -> None:
    card = ModelCard(str(tmp_path), "text", "sentence", "unknown")
    (tmp_path / "config.json").write_text("{}")
    save_file({"weights": np.arange(64, dtype=np.float32)}, tmp_path / "model.safetensors")
    store = ModelStore(tmp_path / "models")
    assert store.path(card) == tmp_path
    assert store.state(card)[0] == "ready"
    for act in (store.remove, store.verify, store.fetch):
        with pytest.raises(ModelRefused):
            act(card)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def fill_by_hand(home: Path, *parts: str) -> None:
    """Put tiny weights into a folder, as somebody copies them."""
    home.mkdir()
    (home / "config.json").write_text("{}")
    for part in parts or ("model.safetensors",):
        save_file({"weights": np.arange(64, dtype=np.float32)}, home / part)


def test_a_folder_filled_by_hand_is_used_and_watched_from_then_on(tmp_path: Path) -> None:
    home = tmp_path / "a-model"
    fill_by_hand(home)
    store = ModelStore(tmp_path)
    assert store.path(CARD) == home
    assert store.verify(CARD) == []
    whole = (home / "model.safetensors").read_bytes()
    (home / "model.safetensors").write_bytes(whole[:-1] + b"\1")
    assert [p.what for p in store.verify(CARD)] == ["is corrupt"]


@pytest.mark.parametrize("mode", [0o000, 0o644])
def test_a_folder_that_may_not_be_read_is_told_and_the_daemon_can_start(
    tmp_path: Path, mode: int
) -> None:
    home = tmp_path / "mine"
    fill_by_hand(home)
    settings = Settings(data_dir=tmp_path, models=ModelSettings(text=str(home)))
    text = next(model for model in choose_models(settings) if model.role == "text")
    home.chmod(mode)
    was = os.geteuid()
    tmp_path.chmod(0o755)
    if not was:
        os.seteuid(65534)  # root may read everything
    try:
        problem, key = text.problem, text.key()
    finally:
        os.seteuid(was)
        home.chmod(0o755)
    assert "cannot be read: Permission denied" in problem
    assert key.startswith(f"{home}@")


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda p: p.write_bytes(p.read_bytes()[:-1]), "cut short: "),
        (lambda p: p.write_bytes(p.read_bytes()[:20]), "cut short"),
        (lambda p: p.write_bytes(b""), "cut short"),
        (lambda p: p.write_bytes(p.read_bytes() + b"x"), "too long"),
        (lambda p: p.write_bytes(p.read_bytes().replace(b"offsets", b"OFFSETS")), "corrupt"),
        (lambda p: p.unlink(), "missing"),
    ],
)
def test_a_copy_by_hand_that_broke_off_is_told_and_never_noted_as_good(
    tmp_path: Path, harm: Any, what: str
) -> None:
    home = tmp_path / "a-model"
    fill_by_hand(home, "model-1.safetensors", "model-2.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (home / "model.safetensors.index.json").write_text(json.dumps(index))
    store = ModelStore(tmp_path)
    assert store.path(CARD) == home
    harm(home / "model-2.safetensors")
    with pytest.raises(ModelMissing, match=f"model-2.safetensors is {what}.*models fetch a-model"):
        store.path(CARD)
    assert store.state(CARD)[0] == "damaged"
    (problem,) = store.verify(CARD)
    assert (problem.file, what in problem.what) == ("model-2.safetensors", True)
    assert not (home / MANIFEST).exists()


def test_verifying_a_folder_filled_by_hand_makes_nothing_due_anew(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, models=ModelSettings(audio=(), images=("siglip-base",)))
    (tmp_path / "models").mkdir()
    home = tmp_path / "models" / "siglip-base"
    fill_by_hand(home)
    (model,) = (m for m in choose_models(settings) if m.role == "images")
    assert model.problem == ""
    before = model.key()
    assert ModelStore(tmp_path / "models").verify(model.card) == []
    (home / "README.md").write_text("Read me.")
    assert model.key() == before
    save_file({"weights": np.zeros(64, np.float32)}, home / "model.safetensors")
    assert model.key() != before
    (home / "model.safetensors").write_bytes(b"short")
    assert "model.safetensors has 5 of " in model.problem
    assert "models fetch siglip-base" in model.problem


def test_what_cannot_be_deleted_is_not_said_to_be(
    hub: FakeHub, store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.fetch(CARD)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(StoreError, match="a-model cannot be deleted: Permission denied"):
        store.remove(CARD)


def test_ctrl_c_ends_a_fetch_at_once(household: Household) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = subprocess.Popen(
            [sys.executable, "-m", "daemon", "models", "fetch", "clap"], cwd=ROOT,
            env=environment(household, models=True,
                            HF_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}"),
            stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(
                signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        silent.settimeout(60)
        connection, _ = silent.accept()
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        connection.close()
    assert time.monotonic() - begun < 5
    assert process.returncode == 1
    assert "Stopped." in told.decode().splitlines()  # warnings of what was cut off may follow


OFFLINE = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = refuse
socket.create_connection = socket.getaddrinfo = refuse
from pathlib import Path
from ml.model_cards import ModelCard
from ml.model_store import ModelStore
from ml.families import sentence, siglip
store = ModelStore(Path(sys.argv[1]))
for name, family, role in (("words", sentence, "text"), ("pictures", siglip, "images")):
    card = ModelCard(name, role, "x", "MIT", repository="someone/" + name)
    worker = family.start({"folder": str(store.path(card)), "device": "cpu"})
    assert len(worker.embed_query("rain on the window")) == 4 * worker.about()["dimensions"]
print("all well")
"""


@pytest.mark.filterwarnings("ignore")
def test_a_filled_folder_works_with_every_socket_blocked(tmp_path: Path) -> None:
    tiny_models.jina(tmp_path / "words")
    tiny_models.siglip(tmp_path / "pictures")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE, str(tmp_path)], env=environment, capture_output=True,
        text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all well"


BLOCKED = """
import os, socket, sys
def note(what):
    with open({log!r}, "a") as file:
        file.write(f"{{os.getpid()}} {{what}}\\n")
def refuse(*arguments, **options):
    note("opened a socket")
    raise OSError("every socket is blocked")
socket.socket.connect = socket.socket.connect_ex = socket.socket.sendto = refuse
socket.create_connection = socket.getaddrinfo = refuse
note("began")
"""


@pytest.mark.filterwarnings("ignore")
async def test_workers_need_nothing_but_a_filled_folder(
    household: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every socket is blocked in the processes of the models, from their first line on."""
    log = tmp_path / "log"
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED.format(log=str(log)))
    monkeypatch.syspath_prepend(tmp_path / "blocked")
    models = household.data_dir / "models"
    tiny_models.jina(models / "jina-embeddings-v3")
    tiny_models.siglip(models / "siglip-base")
    make_picture(household.folder("images") / "a.jpg")
    household.also(models=ModelSettings(
        text="jina-embeddings-v3", audio=(), images=("siglip-base",)
    ))  # fmt: skip
    async with household.open() as services:
        lines = await run_steps(services, "sync", "describe", "embed")
        assert "siglip-base 1 on cpu" in lines[1]
        assert lines[2] == "1 embedded on cpu"
        assert len(await services.search.find("rain")) == 1
        processes = {services.workers.text.process_id, services.workers.queries().process_id}
    told = [line.split(" ", 1) for line in log.read_text().splitlines()]
    assert {what for _, what in told} == {"began"}
    assert processes < {int(process) for process, _ in told}


def test_the_verb_lists_fetches_verifies_and_removes(
    hub: FakeHub, household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BY_NAME, "a-model", CARD)
    monkeypatch.setattr(verb, "CARDS", (*CARDS, CARD))
    rows = {row["name"]: row for row in typed_rows(household, "models", "list")}
    assert typed_rows(household, "models") == list(rows.values())
    assert rows["minilm"]["state"] == "in the installation"
    assert rows["minilm"]["chosen"] == "yes"
    assert rows["a-model"]["state"] == "missing"
    status, told = type_verb(household, "models", "fetch", "a-model")
    assert status == 0
    assert "(100 %)" in told
    rows = {row["name"]: row for row in typed_rows(household, "models", "list")}
    assert rows["a-model"]["state"] == "ready"
    assert type_verb(household, "models", "verify", "a-model")[0] == 0
    weights = household.data_dir / "models" / "a-model" / "model.safetensors"
    weights.write_bytes(b"\1" + WEIGHTS[1:])
    assert type_verb(household, "models", "verify", "a-model")[0] == 1
    folder = str(household.data_dir / "models" / "a-model")
    assert typed_rows(household, "models", "path", "a-model") == [
        {"name": "a-model", "path": folder}
    ]
    (inside,) = typed_rows(household, "models", "path", "minilm")
    assert (Path(inside["path"]) / "model" / "model.safetensors").is_file()
    status, told = type_verb(household, "models", "remove", "minilm")
    assert (status, "comes with the installation" in told) == (1, True)
    hub.requests.clear()
    status, told = type_verb(household, "models", "fetch", "siglip-base", "a-model")
    assert status == 3  # the hub does not know the first, which does not keep the other away
    assert "no model google/siglip-base" in told
    assert type_verb(household, "models", "verify", "a-model")[0] == 0
    assert type_verb(household, "models", "remove", "a-model")[0] == 0
    assert type_verb(household, "models", "path", "a-model")[0] == 1
    assert type_verb(household, "models", "fetch", "nobody")[0] == 2
    assert type_verb(household, "models", "remove")[0] == 2
    begun = time.monotonic()
    assert type_verb(household, "models", "fetch")[0] == 0  # lite needs nothing
    assert time.monotonic() - begun < 30
