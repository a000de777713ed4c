"""Every family of models through its real classes: tiny ones saved on the disk, or the packaged."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from ml import describing
from ml.devices import is_out_of_memory
from ml.families import (
    clap,
    efficientnet,
    musicnn,
    nano_e5,
    omni,
    sentence,
    siglip,
    universal,
)
from ml.loading import Batches
from ml.perceiving import Item, ModelUnusable, NotFinite, OutOfMemory, Percept, pack_percepts
from ml.ready import transformers
from ml.sentence_recipe import ADAPTERS
from ml.zero_shot import Vocabulary
from tests import tiny_models

pytestmark = pytest.mark.filterwarnings("ignore")  # transformers' own, about tiny configurations

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model, made once."""
    home = tmp_path_factory.mktemp("models")

    def make(name: str) -> Path:
        folder = home / name
        return folder if folder.exists() else Path(getattr(tiny_models, name)(folder))

    return make


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    np.save(folder / "48k.npy", 0.1 * RNG.standard_normal((2, 480_000)).astype(np.float32))
    np.save(folder / "16k.npy", 0.1 * RNG.standard_normal((3, 80_000)).astype(np.float32))
    np.save(folder / "frames.npy", RNG.integers(0, 255, (3, 60, 80, 3)).astype(np.uint8))
    return folder


def item(kind: str, *, sound: Path | str = "", pictures: Path | str = "", text: str = "") -> Item:
    return Item(kind=kind, sound=str(sound), pictures=str(pictures), text=text)


def unpack(answer: dict[str, Any], dimensions: int) -> list[npt.NDArray[np.float32]]:
    rows = np.frombuffer(answer["vectors"], "<f2").astype(np.float32).reshape(-1, dimensions)
    ends = np.cumsum(answer["rows"])
    assert ends[-1] == len(rows)
    return np.split(rows, ends[:-1])


def lengths(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    found: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=-1)
    return found


def test_jina_embeds_queries_and_passages_by_their_own_adapters(
    made: Callable[[str], Path],
) -> None:
    folder = made("jina")
    worker = sentence.start({"folder": str(folder), "device": "cpu"})
    model = worker._embedder._model
    weights = model.state_dict()
    for adapter in ADAPTERS:  # loading the second must not harm the first
        for name, saved in load_file(folder / adapter / "adapter_model.safetensors").items():
            loaded = name.removeprefix("base_model.model.").replace(".weight", f".{adapter}.weight")
            assert weights[loaded].equal(saved), loaded
    passage = np.frombuffer(worker.embed(["rain window"]), "<f2").astype(np.float32)
    query = np.frombuffer(worker.embed_query("rain window"), "<f4")
    assert lengths(query) == pytest.approx(1, abs=1e-3)
    assert np.abs(passage - query).max() > 0.01
    again = np.frombuffer(worker.embed(["rain window"]), "<f2").astype(np.float32)
    assert passage == pytest.approx(again)


def test_qwen3_pools_the_last_token_and_instructs_queries(made: Callable[[str], Path]) -> None:
    worker = sentence.start({"folder": str(made("qwen3")), "device": "cpu"})
    assert ":lasttoken-" in worker.about()["space"]
    together = np.frombuffer(worker.embed(["rain", "slow piano violin sea"]), "<f2")
    alone = np.frombuffer(worker.embed(["rain"]), "<f2")
    assert together[: len(alone)] == pytest.approx(alone, abs=3e-3)  # padding does not leak in
    query = np.frombuffer(worker.embed_query("rain"), "<f4")
    assert np.abs(query - alone.astype(np.float32)).max() > 0.01


def test_vectors_are_cut_to_the_dimensions_asked_for(made: Callable[[str], Path]) -> None:
    options = {"folder": str(made("jina")), "device": "cpu"}
    whole, cut = sentence.start(options), sentence.start(options | {"dimensions": 32})
    assert (cut.about()["dimensions"], cut.about()["space"][-4:]) == (32, "-d32")
    long = np.frombuffer(whole.embed(["rain"]), "<f2").astype(np.float32)[:32]
    short = np.frombuffer(cut.embed(["rain"]), "<f2").astype(np.float32)
    assert short == pytest.approx(long / np.linalg.norm(long), abs=2e-3)
    with pytest.raises(ModelUnusable, match="64 dimensions"):
        sentence.start(options | {"dimensions": 128})


def test_many_languages_are_nearer_in_meaning_than_in_words() -> None:
    worker = nano_e5.start({})
    data = worker.embed(["ein Hund spielt im Garten", "die Steuererklärung ist fällig"])
    dog, tax = np.frombuffer(data, "<f2").astype(np.float32).reshape(2, -1)
    query = np.frombuffer(worker.embed_query("a dog in the yard"), "<f4")
    assert query @ dog > query @ tax + 0.03
    (chunks,) = worker.chunk(["word " * 2000])
    assert len(chunks) > 5
    assert all(len(chunk) <= nano_e5.CHUNK_BYTES for chunk in chunks)
    assert worker.chunk(["", "  "]) == [[], []]
    text = "".join(chr(0x4E00 + n) for n in range(2000))  # a sign of Chinese is about a token
    (chunks,) = worker.chunk([text])
    assert all(len(chunk) <= 400 for chunk in chunks)
    assert set("".join(chunks)) == set(text)
    assert all(chunk in text for chunk in chunks)


@pytest.mark.parametrize("only_text", [False, True])
def test_clap_hears_windows_and_reads_queries(
    made: Callable[[str], Path], media: Path, only_text: bool
) -> None:
    worker = clap.start({"folder": str(made("clap")), "device": "cpu", "only_text": only_text})
    query = np.frombuffer(worker.embed_query("slow piano"), "<f4")
    assert query.shape == (16,)
    assert lengths(query) == pytest.approx(1, abs=1e-3)
    if not only_text:
        answer = worker.perceive([item("music", sound=media / "48k.npy")] * 2)
        first, second = unpack(answer, 16)
        assert first.shape == (2, 16)
        assert first == pytest.approx(second)  # nothing is cropped at random
        assert lengths(first) == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("only_text", [False, True])
@pytest.mark.parametrize("version", ["siglip", "siglip_pieces", "siglip2"])
def test_siglip_looks_at_frames_and_reads_queries(
    made: Callable[[str], Path], media: Path, version: str, only_text: bool
) -> None:
    worker = siglip.start({"folder": str(made(version)), "device": "cpu", "only_text": only_text})
    query = np.frombuffer(worker.embed_query("a palace"), "<f4")
    assert query == pytest.approx(np.frombuffer(worker.embed_query("A Palace"), "<f4"))
    if not only_text:
        (vectors,) = unpack(worker.perceive([item("videos", pictures=media / "frames.npy")]), 32)
        assert vectors.shape == (3, 32)
        assert np.abs(vectors[0] - vectors[1]).max() > 1e-3


@pytest.mark.parametrize("version", ["siglip", "siglip2"])
def test_a_strip_of_three_pixels_is_no_picture_of_three_colours(
    made: Callable[[str], Path], version: str
) -> None:
    worker = siglip.start({"folder": str(made(version)), "device": "cpu"})
    strip = np.repeat(RNG.integers(0, 255, (1, 64, 3)).astype(np.uint8), 3, axis=0)
    (same,) = worker.embed([np.asarray(Image.fromarray(strip).convert("RGB"))])
    wide = np.repeat(strip, 2, axis=0)[:4]  # of four pixels there is no doubt
    (alike,) = worker.embed([wide])
    (other,) = worker.embed([np.ascontiguousarray(wide[:, ::-1])])
    assert np.abs(same - alike).max() < np.abs(same - other).max()
    assert worker.embed([strip[:1]]).shape == (1, 32)


def test_qwen_omni_is_found_in_the_checkpoint_that_speaks_too(
    made: Callable[[str], Path], tmp_path: Path
) -> None:
    """The hub holds it with a talker, the part that is wanted under a name of its own."""
    part = made("qwen_omni")
    for path in part.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((part / "config.json").read_text())
    whole = {"architectures": ["Qwen2_5OmniModel"], "model_type": "qwen2_5_omni"}
    (tmp_path / "config.json").write_text(json.dumps(whole | {"thinker_config": config}))
    weights = load_file(part / "model.safetensors")
    named = {f"thinker.{name}": tensor for name, tensor in weights.items()}
    talker = {"talker.head.weight": torch.ones(2, 2)}
    save_file(named | talker, tmp_path / "model.safetensors", metadata={"format": "pt"})
    found, alone = (
        omni.start({"folder": str(f), "device": "cpu", "four_bit": False})._loaded.model
        for f in (tmp_path, part)
    )
    expected = alone.state_dict()
    assert found.state_dict().keys() == expected.keys()
    assert all(found.state_dict()[name].equal(tensor) for name, tensor in expected.items())


def test_a_folder_of_another_make_is_named(made: Callable[[str], Path], tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="ClapModel was expected"):
        clap.start({"folder": str(made("siglip"))})
    with pytest.raises(ModelUnusable, match="There is no model in"):
        siglip.start({"folder": str(tmp_path / "nowhere")})
    with pytest.raises(ModelUnusable, match="no describer that is known"):
        omni.start({"folder": str(made("siglip"))})


def test_damaged_weights_are_told(made: Callable[[str], Path], tmp_path: Path) -> None:
    for path in made("siglip").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnusable, match="cannot be loaded"):
        siglip.start({"folder": str(tmp_path), "device": "cpu"})


def test_the_universal_model_puts_all_four_kinds_into_one_space(
    made: Callable[[str], Path], media: Path
) -> None:
    worker = universal.start({"folder": str(made("embeddinggemma")), "device": "cpu"})
    assert worker.about()["dimensions"] == 48
    found = unpack(
        worker.perceive(
            [
                item("images", pictures=media / "frames.npy"),
                item("music", sound=media / "16k.npy"),
                item("videos", pictures=media / "frames.npy", sound=media / "16k.npy"),
                item("text", text="rain on the window " * 500),
            ]
        ),
        48,
    )
    assert [len(vectors) for vectors in found] == [3, 3, 6, 3]
    assert found[2][:3] == pytest.approx(found[0], abs=2e-3)
    assert all(lengths(vectors) == pytest.approx(1, abs=2e-3) for vectors in found)
    only_text = universal.start(
        {"folder": str(made("embeddinggemma")), "device": "cpu", "only_text": True}
    )
    query = worker.embed_query("rain")
    assert only_text.embed_query("rain") == query
    assert np.abs(np.frombuffer(query, "<f4") - found[3][0]).max() > 0.01


@pytest.fixture(scope="module", params=["gemma4", "qwen_omni"])
def describer(made: Callable[[str], Path], request: pytest.FixtureRequest) -> omni.Omni:
    """A tiny describer, in 4 bit."""
    return omni.start(
        {
            "folder": str(made(request.param)), "device": "cpu", "four_bit": True,
            "longest_answer": 6,
            "prompts": {"images": "describe this picture"},
        }
    )  # fmt: skip


def test_the_describer_is_loaded_in_four_bit(describer: omni.Omni) -> None:
    modules = describer._loaded.model.modules()
    layers: list[Any] = [m for m in modules if type(m).__name__ == "Linear4bit"]
    assert layers
    assert all(layer.weight.quant_state.quant_type == "nf4" for layer in layers)
    assert describer.about()["dimensions"] == 0


def test_the_describer_answers_for_pictures_sound_videos_and_texts(
    describer: omni.Omni, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omni, "clean_answer", lambda answer: f"said {len(answer.split())}")
    asked: list[tuple[int, int, int]] = []
    answer = describer._answer

    def note(requests: Any) -> list[str]:
        asked.append((len(requests), len(requests[0].pictures), len(requests[0].sounds)))
        return answer(requests)

    monkeypatch.setattr(describer, "_answer", note)
    tokens: list[int] = []
    generate = describer._loaded.model.generate

    def count(**options: Any) -> Any:
        made = generate(**options)
        tokens.append(made.shape[1] - options["input_ids"].shape[1])
        return made

    monkeypatch.setattr(describer._loaded.model, "generate", count)
    words = describer.perceive(
        [
            item("images", pictures=media / "frames.npy"),
            item("music", sound=media / "16k.npy"),
            item("videos", pictures=media / "frames.npy", sound=media / "16k.npy"),
            item("images", pictures=media / "frames.npy"),
            item("text", text="rain " * 400),
            item("text", text="short"),
            item("images"),
        ]
    )["words"]
    assert sorted(asked) == [(1, 0, 0), (1, 0, 3), (1, 3, 3), (2, 3, 0)]
    assert all(said.startswith("said ") for said in words[:5])
    assert all(1 <= count <= 6 for count in tokens)
    assert words[5:] == ["", ""]  # a short text needs no summary, and there is nothing to see


def test_of_a_long_text_the_beginning_the_middle_and_the_end_are_shown() -> None:
    text = "a" * 30_000 + "MIDDLE" + "b" * 30_000 + "THE END"
    shown = describing.excerpt(text)
    assert len(shown) < describing.LONGEST_TEXT + 30
    assert "MIDDLE" in shown
    assert shown.endswith("THE END")


def test_musicnn_reads_its_checkpoints_and_repeats_itself(tmp_path: Path) -> None:
    tagger = musicnn.start({})
    seconds = np.arange(3 * 16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * seconds) for hertz in (220, 277, 330)) / 3
    envelope = np.exp(-4 * (seconds % 1.0))  # plucked once a second
    np.save(tmp_path / "a.npy", np.stack([chord * envelope] * 2).astype(np.float32))
    np.save(tmp_path / "short.npy", (chord * envelope)[None, :9000].astype(np.float32))
    np.save(tmp_path / "none.npy", np.zeros((1, 100), np.float32))
    answer = tagger.perceive(
        [item("music", sound=tmp_path / f"{n}.npy") for n in ("a", "short", "none")]
    )
    plucked, short, none = unpack(answer, 400)
    assert (len(plucked), len(short), len(none)) == (1, 1, 0)
    assert lengths(plucked) == pytest.approx(1, abs=2e-3)
    assert answer["words"][0].startswith("Sounds like: ")
    assert answer["words"][2] == ""
    assert all(len(tags) == 50 for tags in musicnn.TAGS.values())


def test_mel_filters_are_slaneys() -> None:
    filters = musicnn.mel_filters()
    assert filters.shape == (96, 257)
    hertz = np.linspace(0, 8000, 257)
    peaks = hertz[filters.argmax(axis=1)]
    assert (np.diff(peaks) >= 0).all()
    widths = filters.sum(axis=1) * (hertz[1] - hertz[0])
    assert widths[40:] == pytest.approx(1, abs=0.2)  # unit area, as far as bins allow


def test_efficientnet_names_what_it_sees(shared_media: Path, tmp_path: Path) -> None:
    tagger = efficientnet.start({})
    names = ("Bridge_by_Sander_Klootwijk", "greentock_by_Peter_Nerlich")
    for name in names:
        with Image.open(shared_media / "images" / "Walls" / f"{name}.jpg") as image:
            image.thumbnail((448, 448))
            np.save(tmp_path / f"{name}.npy", np.asarray(image.convert("RGB"))[None])
    answer = tagger.perceive([item("images", pictures=tmp_path / f"{n}.npy") for n in names])
    assert "bridge" in answer["words"][0]
    assert "clock" in answer["words"][1]


def test_efficientnet_is_the_same_for_a_picture_and_a_video_of_it(tmp_path: Path) -> None:
    tagger = efficientnet.start({})
    picture = RNG.integers(0, 255, (1, 90, 120, 3)).astype(np.uint8)
    np.save(tmp_path / "one.npy", picture)
    np.save(tmp_path / "many.npy", np.repeat(picture, 20, axis=0))
    answer = tagger.perceive(
        [
            item("images", pictures=tmp_path / "one.npy"),
            item("videos", pictures=tmp_path / "many.npy"),
        ]
    )
    one, many = unpack(answer, efficientnet.DIMENSIONS)
    assert one == pytest.approx(many, abs=2e-3)


def test_words_that_stand_out_are_chosen() -> None:
    words = [f"word {n}" for n in range(40)] + ["rain"]
    directions = np.eye(41, 64, dtype=np.float32)
    vocabulary = Vocabulary(words, "{}", lambda texts: directions[: len(texts)])
    heard = 0.05 * RNG.standard_normal((2, 64)).astype(np.float32)
    heard[1, 40] = 1
    assert vocabulary.choose(heard) == ["rain"]
    assert vocabulary.choose(np.zeros((1, 64), np.float32)) == []
    assert Vocabulary((), "{}", lambda texts: directions).choose(heard) == []


def fail_with(message: str) -> Callable[[Any], int]:
    def fail(batch: Any) -> int:
        raise RuntimeError(message)

    return fail


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    sizes = []

    def work(batch: Any) -> int:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried")
        return len(batch)

    batches = Batches(8)
    assert batches.run(list(range(7)), work) == [1] * 7
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]
    assert batches.run(list(range(2)), work) == [1] * 2
    assert sizes[9:] == [1, 1]  # it is remembered
    with pytest.raises(OutOfMemory):
        Batches(8).run([1], fail_with("can't allocate memory"))
    with pytest.raises(RuntimeError, match="shape"):
        Batches(8).run([1], fail_with("shape"))
    assert not is_out_of_memory(RuntimeError("shape"))


def test_numbers_that_are_not_finite_never_leave_a_model() -> None:
    bad = Percept(np.array([[np.nan, 1]], np.float32), "")
    good = Percept(np.array([[0, 1]], np.float32), "")
    for batch in ([bad], [good, bad]):  # the item may be at fault
        with pytest.raises(NotFinite):
            pack_percepts(batch)
    with pytest.raises(ModelUnusable, match="not finite"):
        pack_percepts([bad, bad])


def test_what_is_tested_is_what_a_hub_would_hold(made: Callable[[str], Path]) -> None:
    for name in ("jina", "clap", "siglip", "gemma4", "embeddinggemma"):
        folder = made(name)
        assert json.loads((folder / "config.json").read_text())["architectures"]
        assert list(folder.glob("*.safetensors"))
        assert not list(folder.glob("*.bin"))
    assert transformers.__version__.startswith("5.23")


@pytest.mark.parametrize(
    ("family", "name", "method"),
    [
        (clap, "clap", "embed"), (siglip, "siglip", "embed"),
        (universal, "embeddinggemma", "_texts"), (universal, "embeddinggemma", "_pictures"),
        (universal, "embeddinggemma", "_sounds"), (omni, "qwen_omni", "_answer"),
    ],
)  # fmt: skip
def test_a_model_that_ran_out_of_memory_keeps_to_smaller_batches(
    made: Callable[[str], Path],
    media: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: Any,
    name: str,
    method: str,
) -> None:
    options = {"folder": str(made(name)), "device": "cpu", "four_bit": False, "longest_answer": 2}
    worker = family.start(options | {"prompts": {"images": "describe this picture"}})
    whole, sizes = getattr(worker, method), []

    def work(batch: Any) -> Any:
        sizes.append(len(batch))
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(batch)

    monkeypatch.setattr(worker, method, work)
    if family is omni:
        items = [item("images", pictures=media / "frames.npy")] * 3
    else:
        sound = media / ("48k.npy" if family is clap else "16k.npy")
        text = "rain on the window " * 500
        items = [item("text", sound=sound, pictures=media / "frames.npy", text=text)]
    first = worker.perceive(items)
    begun = len(sizes)
    again = worker.perceive(items)
    assert max(sizes[:begun]) > 1
    assert set(sizes[begun:]) == {1}
    assert again["vectors"] == first["vectors"]
