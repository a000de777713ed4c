"""Models that run in environments of their own, through the daemon's worker protocol.

What needs an environment is skipped where `scripts/environment.sh` has not made it. The weights are
tiny and random; the code that loads and asks them is the one that real weights meet.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file

from daemon.workers.worker import Worker, WorkerFailed
from ml.families import laion_clap
from ml.perceiving import Item

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("laion-clap", "minicpm")


def python_of(name: str) -> Path:
    folder = os.environ.get("ANAGNORISIS_ENVIRONMENTS")
    place = Path(folder) / name if folder else ROOT / f".venv-{name}"
    return place / "bin" / "python"


needs_laion_clap = pytest.mark.skipif(
    not python_of("laion-clap").exists(), reason="scripts/environment.sh laion-clap makes it"
)

MAKE_TINY_CLAP = """
import json, sys
from pathlib import Path
import numpy as np
import torch
from ml.families.laion_clap import resolve_names
from ml.ready import transformers

folder, texts = Path(sys.argv[1]), Path(sys.argv[2])
letters = [chr(n) for n in range(ord("a"), ord("z") + 1)]
words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "\\u0120", *letters]
for name in ("roberta-base", "bart-base"):
    (texts / name).mkdir(parents=True)
    (texts / name / "vocab.json").write_text(json.dumps({w: n for n, w in enumerate(words)}))
    (texts / name / "merges.txt").write_text("#version: 0.2\\n")
(texts / "bert-base-uncased").mkdir()
(texts / "bert-base-uncased" / "vocab.txt").write_text(
    "\\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters])
)
transformers.RobertaConfig(
    vocab_size=len(words), hidden_size=768, num_hidden_layers=1, num_attention_heads=2,
    intermediate_size=16, max_position_embeddings=514, type_vocab_size=1, pad_token_id=1,
).save_pretrained(texts / "roberta-base")

resolve_names(texts)
from laion_clap import CLAP_Module

torch.manual_seed(1)
module = CLAP_Module(enable_fusion=False, device="cpu", amodel="HTSAT-tiny")
weights = {f"module.{name}": tensor for name, tensor in module.model.state_dict().items()}
weights["module.text_branch.embeddings.position_ids"] = torch.arange(514)[None]
checkpoint = {"epoch": 15, "best": np.float64(0.9), "state_dict": weights}
torch.save(checkpoint, folder / "tiny.pt")
sound = np.load(folder / "sound.npy")
np.save(folder / "vectors.npy", module.get_audio_embedding_from_data(sound))
np.save(folder / "query.npy", module.get_text_embedding(["slow strings"]))
"""


@pytest.fixture(scope="module")
def tiny_clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a checkpoint, its texts, and what the package itself makes of `sound.npy`."""
    folder = tmp_path_factory.mktemp("laion-clap")
    sound = np.random.default_rng(1).normal(0, 0.1, (3, 480_000)).astype(np.float32)
    np.save(folder / "sound.npy", sound)
    subprocess.run(
        [python_of("laion-clap"), "-c", MAKE_TINY_CLAP, folder, folder / "texts"],
        check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    return folder


def clap_worker(folder: Path, texts: Path, **options: Any) -> Worker:
    options = {"folder": str(folder), "texts_folder": str(texts), "device": "cpu", **options}
    python = str(python_of("laion-clap"))
    return Worker("laion-clap", "ml.families.laion_clap", options, python=python)


def same(vectors: bytes, kind: str, expected: npt.NDArray[np.float32]) -> bool:
    found = np.frombuffer(vectors, kind).reshape(-1, 512).astype(np.float32)
    return found.shape == expected.shape and bool(np.abs(found - expected).max() < 1e-3)


@needs_laion_clap
async def test_laion_clap_answers_as_its_package_does_with_nothing_fetched(tiny_clap: Path) -> None:
    sound = np.load(tiny_clap / "sound.npy")
    parts = [tiny_clap / "first.npy", tiny_clap / "none.npy", tiny_clap / "second.npy"]
    for part, windows in zip(parts, (sound[:2], sound[:0], sound[2:]), strict=True):
        np.save(part, windows)
    worker = clap_worker(tiny_clap, tiny_clap / "texts")
    try:
        about = await worker.call("about")
        assert re.fullmatch("laion-clap@[0-9a-f]{12}:10s", about["space"])
        assert (about["dimensions"], about["device"]) == (512, "cpu")
        items = [{"kind": "music", "sound": str(p), "pictures": "", "text": ""} for p in parts]
        answer = await worker.call("perceive", items)
        assert answer["rows"] == [2, 0, 1]
        assert same(answer["vectors"], "<f2", np.load(tiny_clap / "vectors.npy"))
        query = await worker.call("embed_query", "slow strings")
        assert same(query, "<f4", np.load(tiny_clap / "query.npy"))
        np.save(parts[1], sound[:1, :100_000])  # a short sound is repeated
        short = await worker.call("perceive", items[1:2])
        assert short["rows"] == [1]
    finally:
        await worker.close()


class Intruder:
    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


class Ear:
    """What the package's model is asked: each sound has a direction, and so has each word."""

    def get_audio_embedding_from_data(self, sounds: Any) -> Any:
        return np.eye(512, dtype=np.float32)[np.round(sounds[:, 0]).astype(int)]

    def get_text_embedding(self, texts: list[str]) -> Any:
        return np.eye(512, dtype=np.float32)[[int(text.split("_")[1][:-1]) for text in texts]]


@pytest.mark.parametrize("only_text", [False, True])
def test_laion_clap_says_words_of_the_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, only_text: bool
) -> None:
    (tmp_path / "model.pt").write_bytes(b"weights")
    monkeypatch.setattr(laion_clap, "_stay_offline", lambda: None)
    monkeypatch.setattr(laion_clap, "_check_texts", lambda texts: None)
    monkeypatch.setattr(laion_clap, "_read_checkpoint", lambda path: {})
    monkeypatch.setattr(laion_clap, "_build", lambda state, texts, device: Ear())
    worker = laion_clap.start(
        {"folder": str(tmp_path), "device": "cpu", "only_text": only_text,
         "vocabulary": [f"word_{n}" for n in range(40)]}
    )  # fmt: skip
    np.save(tmp_path / "sound.npy", np.full((1, 480_000), 7, np.float32))
    item = Item(kind="music", sound=str(tmp_path / "sound.npy"), pictures="", text="")
    words = worker.perceive([item])["words"]
    assert words == ([""] if only_text else ["Sounds like: word_7"])


@needs_laion_clap
async def test_a_checkpoint_of_laion_clap_cannot_run_code(tiny_clap: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {"weight": Intruder(tmp_path / "harm")}}, tmp_path / "model.pt")
    worker = clap_worker(tmp_path, tiny_clap / "texts")
    with pytest.raises(WorkerFailed, match="no checkpoint of plain tensors") as raised:
        await worker.call("about")
    assert raised.value.kind == "ModelUnusable"
    assert not (tmp_path / "harm").exists()


@needs_laion_clap
async def test_laion_clap_says_what_is_missing_and_how_to_fetch_it(
    tiny_clap: Path, tmp_path: Path
) -> None:
    (tmp_path / "bart-base").symlink_to(tiny_clap / "texts" / "bart-base")
    worker = clap_worker(tiny_clap, tmp_path)
    with pytest.raises(WorkerFailed, match="hf download FacebookAI/roberta-base") as raised:
        await worker.call("about")
    assert raised.value.kind == "ModelUnusable"
    assert "google-bert/bert-base-uncased" in raised.value.message
    assert "bart" not in raised.value.message
    worker = clap_worker(tmp_path, tiny_clap / "texts")
    with pytest.raises(WorkerFailed, match="There is no checkpoint"):
        await worker.call("about")


CONFIGURATION = """
from transformers import PretrainedConfig


class EchoConfig(PretrainedConfig):
    model_type = "echo"

    def __init__(self, init_vision=False, init_audio=False, init_tts=True, **kwargs):
        self.init_vision = init_vision
        self.init_audio = init_audio
        self.init_tts = init_tts
        super().__init__(**kwargs)
"""
MODELING = """
import json

import torch
from transformers import PreTrainedModel

from .configuration_echo import EchoConfig


class Echo(PreTrainedModel):
    config_class = EchoConfig
    _supports_sdpa = True
    all_tied_weights_keys = {}

    def __init__(self, config):
        super().__init__(config)
        self.voice = torch.nn.Linear(2, 2)
        self.post_init()

    def _init_weights(self, module):
        pass

    def chat(self, image=None, msgs=None, **options):
        parts = self.config.init_vision, self.config.init_audio, self.config.init_tts
        seen = []
        for part in msgs[0]["content"]:
            if isinstance(part, str):
                seen.append(part)
            elif hasattr(part, "getpixel"):
                seen.append([part.mode, *part.size, *part.getpixel((0, 0))])
            else:
                seen.append([str(part.dtype), len(part), round(float(part.max()), 3)])
        weight = self.voice.weight.sum().item()
        answer = {"seen": seen, "options": options, "weight": weight, "parts": parts}
        return "  " + json.dumps(answer)
"""


@pytest.fixture
def echo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that brings its own code, and answers what it was given."""
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    folder = tmp_path / "echo"
    folder.mkdir()
    code = {"AutoConfig": "configuration_echo.EchoConfig", "AutoModel": "modeling_echo.Echo"}
    config = {"model_type": "echo", "architectures": ["Echo"], "auto_map": code}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "configuration_echo.py").write_text(CONFIGURATION)
    (folder / "modeling_echo.py").write_text(MODELING)
    weights = {"voice.weight": torch.full((2, 2), 0.75), "voice.bias": torch.zeros(2)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
async def echo_worker(echo: Path) -> AsyncIterator[Worker]:
    own = python_of("minicpm")
    options = {
        "folder": str(echo), "device": "cpu", "revision": "0123456789abcdef", "four_bit": True,
        "longest_answer": 50, "prompts": {"images": "Describe.", "videos": "Describe."},
    }  # fmt: skip
    python = str(own) if own.exists() else sys.executable
    worker = Worker("minicpm", "ml.families.minicpm", options, python=python)
    yield worker
    await worker.close()


async def test_a_model_that_brings_its_own_code_is_asked_as_minicpm_is(
    echo_worker: Worker, tmp_path: Path
) -> None:
    """Proves the way in and out, with a stand-in for MiniCPM-o, which itself was never tried.

    In MiniCPM's environment where there is one, otherwise in this one with its newer transformers.
    """
    picture, frames = tmp_path / "picture.npy", tmp_path / "frames.npy"
    sound = tmp_path / "sound.npy"
    np.save(picture, np.full((1, 3, 5, 3), (10, 20, 30), np.uint8))
    np.save(frames, np.full((2, 3, 5, 3), (10, 20, 30), np.uint8))
    np.save(sound, np.full((2, 16_000), 0.25, np.float32))
    about = await echo_worker.call("about")
    assert about == {
        "space": "minicpm-o@0123456789ab", "dimensions": 0, "device": "cpu",
        "reason": "the settings say so", "has_text_tower": False, "vram": 0,
    }  # fmt: skip
    one = {"kind": "images", "pictures": str(picture), "sound": "", "text": ""}
    several = {"kind": "videos", "pictures": str(frames), "sound": str(sound), "text": ""}
    short = {"kind": "text", "pictures": "", "sound": "", "text": "A letter."}
    words = (await echo_worker.call("perceive", [one, several, short]))["words"]
    assert words[2] == ""  # a short text needs no summary
    first, second = (json.loads(answer) for answer in words[:2])
    pixels, samples = ["RGB", 5, 3, 10, 20, 30], ["float32", 16_000, 0.25]
    assert first["seen"] == [pixels, "Describe."]
    assert second["seen"] == [pixels, pixels, samples, samples, "Describe."]
    assert first["weight"] == 3
    assert first["parts"] == [True, True, False]
    assert first["options"] == {
        "do_sample": False, "max_new_tokens": 50, "use_tts_template": False,
        "enable_thinking": False, "generate_audio": False,
    }  # fmt: skip
    assert second["options"] == {
        **first["options"], "use_image_id": False, "max_slice_nums": 1,
        "merge_audio_from_same_content": False,
    }  # fmt: skip


async def test_code_of_a_repository_never_runs_without_a_revision(echo: Path) -> None:
    (echo / "configuration_echo.py").write_text("raise SystemExit")
    worker = Worker("minicpm", "ml.families.minicpm", {"folder": str(echo), "revision": ""})
    with pytest.raises(WorkerFailed, match="only at a revision") as raised:
        await worker.call("about")
    assert raised.value.kind == "ModelUnusable"


@pytest.mark.parametrize("name", NAMES)
def test_every_pin_of_an_environment_has_its_version_and_hashes(name: str) -> None:
    pins = (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
    blocks = [block for block in re.split(r"\n(?=\S)", pins) if not block.startswith("#")]
    packages = [re.match(r"([\w.-]+)==\S+ \\\n +--hash=sha256:", block) for block in blocks]
    assert all(packages)
    found = {match[1] for match in packages if match}
    assert {"msgpack", "numpy", "pillow"} <= found
    assert not [package for package in found if re.match("nvidia|cuda|triton|torch$", package)]
    wanted = (ROOT / "requirements" / f"{name}.in").read_text(encoding="utf-8")
    assert re.search(r"^torch==\d", wanted, re.MULTILINE)


def test_an_unknown_environment_is_refused_with_the_names_there_are() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "environment.sh", "other"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert all(name in done.stderr for name in NAMES)
