"""Models of the real classes with a few thousand random weights, saved as a hub has them."""

import json
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from ml.ready import transformers

WORDS = """
[PAD] [UNK] [CLS] [SEP] a an the of and rain window slow piano violin loud drums palace dog cat sea
tax form strings orchestra concerto sound photo this is picture describe query text title none : |
. , in plain sentences what it
"""


def tokenizer(*more: str, cls: bool = True, **options: Any) -> Any:
    """Return a fast tokenizer that knows the words."""
    vocabulary = {word: n for n, word in enumerate(dict.fromkeys([*WORDS.split(), *more]))}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    if cls:
        core.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]",
        sep_token="[SEP]", **options,
    )  # fmt: skip


def save(folder: Path, model: Any, *parts: Any) -> Path:
    """Save a model with its tokenizer or processor."""
    torch.manual_seed(0)
    model.save_pretrained(folder)
    for part in parts:
        part.save_pretrained(folder)
    return folder


def sentence_files(folder: Path, pooling: str, prompts: dict[str, str] | None = None) -> None:
    """Add what sentence-transformers keeps beside a model."""
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text(json.dumps({"pooling_mode": pooling}))
    if prompts:
        (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))


def jina(folder: Path) -> Path:
    """Return a jina-embeddings-v3 with its adapters for queries and passages."""
    torch.manual_seed(0)
    config = transformers.JinaEmbeddingsV3Config(
        vocab_size=80, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64, pad_token_id=0,
    )  # fmt: skip
    model = transformers.JinaEmbeddingsV3Model(config)
    save(folder, model, tokenizer())
    from peft import LoraConfig, get_peft_model

    for seed, name in enumerate(("retrieval_query", "retrieval_passage")):
        torch.manual_seed(seed + 1)
        fresh = transformers.JinaEmbeddingsV3Model.from_pretrained(folder)
        adapted = get_peft_model(
            fresh, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        )
        adapted.save_pretrained(str(folder / name))
    return folder


def qwen3(folder: Path) -> Path:
    """Return a Qwen3-Embedding: the last token, an instruction before queries."""
    torch.manual_seed(0)
    config = transformers.Qwen3Config(
        vocab_size=80, hidden_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=32, intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    save(folder, transformers.Qwen3Model(config), tokenizer(cls=False, padding_side="left"))
    sentence_files(folder, "lasttoken", {"query": "query : ", "document": ""})
    return folder


def clap(folder: Path) -> Path:
    """Return a CLAP."""
    torch.manual_seed(0)
    config = transformers.ClapConfig(
        text_config={
            "vocab_size": 80, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 16, "max_position_embeddings": 80, "projection_dim": 16,
            "pad_token_id": 0,
        },
        audio_config={
            "spec_size": 256, "hidden_size": 32, "patch_embeds_hidden_size": 4,
            "depths": [1, 1, 1, 1],
            "num_attention_heads": [1, 1, 1, 1], "projection_dim": 16, "num_mel_bins": 64,
            "patch_embed_input_channels": 1, "enable_fusion": False, "window_size": 8,
        },
        projection_dim=16,
    )  # fmt: skip
    extractor = transformers.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    processor = transformers.ClapProcessor(
        feature_extractor=extractor, tokenizer=tokenizer(model_max_length=77)
    )
    return save(folder, transformers.ClapModel(config), processor)


def siglip(folder: Path, words: Any = None) -> Path:
    """Return a SigLIP; those of version 2 at a fixed size have the same classes."""
    torch.manual_seed(0)
    config = transformers.SiglipConfig(
        text_config={
            "vocab_size": 80, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 64, "projection_size": 32,
        },
        vision_config={
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "image_size": 32, "patch_size": 8,
        },
    )  # fmt: skip
    processor = transformers.SiglipProcessor(
        image_processor=transformers.SiglipImageProcessor(size={"height": 32, "width": 32}),
        tokenizer=words or tokenizer(cls=False, model_max_length=64),
    )
    return save(folder, transformers.SiglipModel(config), processor)


def siglip_pieces(folder: Path) -> Path:
    """Return a SigLIP of the first version with its own tokenizer: sentencepiece's."""
    import sentencepiece

    folder.mkdir()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS] * 20), model_prefix=str(folder / "spiece"), vocab_size=80,
        hard_vocab_limit=False, eos_id=1, pad_id=-1, bos_id=-1, unk_id=2, minloglevel=2,
    )  # fmt: skip
    words = transformers.SiglipTokenizer(str(folder / "spiece.model"), model_max_length=64)
    return siglip(folder, words)


TOKENS = {
    "image_token": "<|image|>", "boi_token": "<|image>", "eoi_token": "<image|>",
    "audio_token": "<|audio|>", "boa_token": "<|audio>", "eoa_token": "<audio|>",
}  # fmt: skip
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|image|>{% elif part['type'] == 'audio' %}<|audio|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)
_VISION = {
    "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2,
    "num_key_value_heads": 2, "head_dim": 32, "patch_size": 8, "pooling_kernel_size": 2,
    "position_embedding_size": 64,
}  # fmt: skip
_AUDIO = {
    "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2, "output_proj_dims": 64,
    "subsampling_conv_channels": [128, 8],
}  # fmt: skip


def _gemma_tokenizer() -> Any:
    return tokenizer(
        *TOKENS.values(), "<|video|>", cls=False, padding_side="left",
        extra_special_tokens=TOKENS, eos_token="[SEP]", bos_token="[CLS]",
    )  # fmt: skip


def _gemma_parts(prefix: str) -> dict[str, Any]:
    return {
        "feature_extractor": transformers.Gemma4AudioFeatureExtractor(),
        "image_processor": transformers.Gemma4ImageProcessor(
            patch_size=8, pooling_kernel_size=2, max_soft_tokens=70
        ),
        "video_processor": transformers.Gemma4VideoProcessor(
            patch_size=8, pooling_kernel_size=2, max_soft_tokens=70
        ),
        "tokenizer": _gemma_tokenizer(),
    }


def _ids(of: Any) -> dict[str, int]:
    return {
        "image_token_id": of.convert_tokens_to_ids("<|image|>"),
        "audio_token_id": of.convert_tokens_to_ids("<|audio|>"),
        "video_token_id": of.convert_tokens_to_ids("<|video|>"),
    }


def gemma4(folder: Path) -> Path:
    """Return a Gemma 4 that takes pictures and sound."""
    torch.manual_seed(0)
    parts = _gemma_parts("Gemma4")
    words = parts["tokenizer"]
    config = transformers.Gemma4Config(
        text_config={
            "vocab_size": 128, "vocab_size_per_layer_input": 128, "hidden_size": 64,
            "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "num_key_value_heads": 1, "head_dim": 64, "global_head_dim": 64,
            "hidden_size_per_layer_input": 64,
            "layer_types": ["sliding_attention", "full_attention"],
            "max_position_embeddings": 2048, "pad_token_id": 0, "eos_token_id": 3,
            "bos_token_id": 2, "num_kv_shared_layers": 0,
        },
        vision_config=_VISION, audio_config=_AUDIO, **_ids(words),
    )  # fmt: skip
    processor = transformers.Gemma4Processor(chat_template=TEMPLATE, **parts)
    return save(folder, transformers.Gemma4ForConditionalGeneration(config), processor)


def embeddinggemma(folder: Path) -> Path:
    """Return an EmbeddingGemma 2."""
    torch.manual_seed(0)
    parts = _gemma_parts("EmbeddingGemma2")
    config = transformers.EmbeddingGemma2Config(
        text_config={
            "vocab_size": 128, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32,
            "global_head_dim": 32, "hidden_size_per_layer_input": 32, "embedding_dim": 48,
            "max_position_embeddings": 2048, "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config=_VISION, audio_config=_AUDIO, **_ids(parts["tokenizer"]),
    )  # fmt: skip
    processor = transformers.EmbeddingGemma2Processor(**parts)
    save(folder, transformers.EmbeddingGemma2Model(config), processor)
    sentence_files(folder, "mean", {"query": "query : ", "document": "title : none | text : "})
    return folder


def siglip2(folder: Path) -> Path:
    """Return a SigLIP 2 that takes pictures in their own shape (NaFlex)."""
    torch.manual_seed(0)
    config = transformers.Siglip2Config(
        text_config={
            "vocab_size": 80, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "max_position_embeddings": 64, "projection_size": 32,
        },
        vision_config={
            "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "intermediate_size": 32, "patch_size": 16, "num_patches": 256,
        },
    )  # fmt: skip
    processor = transformers.Siglip2Processor(
        image_processor=transformers.Siglip2ImageProcessor(),
        tokenizer=tokenizer(cls=False, model_max_length=64),
    )
    return save(folder, transformers.Siglip2Model(config), processor)


QWEN_TOKENS = {
    "image_token": "<|IMAGE|>", "audio_token": "<|AUDIO|>", "video_token": "<|VIDEO|>",
    "vision_bos_token": "<|vision_bos|>", "vision_eos_token": "<|vision_eos|>",
    "audio_bos_token": "<|audio_bos|>", "audio_eos_token": "<|audio_eos|>",
}  # fmt: skip
QWEN_TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_bos|><|IMAGE|><|vision_eos|>"
    "{% elif part['type'] == 'audio' %}<|audio_bos|><|AUDIO|><|audio_eos|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def qwen_omni(folder: Path) -> Path:
    """Return the part of a Qwen2.5-Omni that listens, looks and answers."""
    torch.manual_seed(0)
    words = tokenizer(
        *QWEN_TOKENS.values(), cls=False, padding_side="left", extra_special_tokens=QWEN_TOKENS,
        eos_token="[SEP]", bos_token="[CLS]",
    )  # fmt: skip
    ids = {name: words.convert_tokens_to_ids(token) for name, token in QWEN_TOKENS.items()}
    config = transformers.Qwen2_5OmniThinkerConfig(
        text_config={
            "vocab_size": 128, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 4096,
            "pad_token_id": 0, "eos_token_id": 3, "bos_token_id": 2,
            "rope_parameters": {
                "rope_type": "default", "mrope_section": [4, 6, 6], "rope_theta": 10000.0,
            },
        },
        vision_config={
            "hidden_size": 64, "out_hidden_size": 64, "intermediate_size": 64, "depth": 1,
            "num_heads": 2, "patch_size": 14, "fullatt_block_indexes": [0],
        },
        audio_config={
            "d_model": 64, "encoder_attention_heads": 2, "encoder_ffn_dim": 64,
            "encoder_layers": 1, "num_mel_bins": 128, "output_dim": 64,
        },
        image_token_id=ids["image_token"], audio_token_id=ids["audio_token"],
        video_token_id=ids["video_token"], vision_start_token_id=ids["vision_bos_token"],
        vision_end_token_id=ids["vision_eos_token"], audio_start_token_id=ids["audio_bos_token"],
        audio_end_token_id=ids["audio_eos_token"], pad_token_id=0,
    )  # fmt: skip
    processor = transformers.Qwen2_5OmniProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(max_pixels=28 * 28 * 16),
        video_processor=transformers.Qwen2VLVideoProcessor(),
        feature_extractor=transformers.WhisperFeatureExtractor(feature_size=128),
        tokenizer=words, chat_template=QWEN_TEMPLATE,
    )  # fmt: skip
    model = transformers.Qwen2_5OmniThinkerForConditionalGeneration(config)
    return save(folder, model, processor)
