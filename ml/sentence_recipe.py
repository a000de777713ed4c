"""How a sentence-transformers folder wants to be used, and what follows its transformer."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ml.installed import PROMPTS, read_json, weights_size
from ml.perceiving import ModelUnusable

ADAPTERS = ("retrieval_query", "retrieval_passage")
"""Folders of the adapters for queries and for texts, as jina-embeddings-v3-hf names them."""
POOLINGS = ("cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken")
"""In the order in which several are put together."""
LAYERS = ("Dense", "LayerNorm", "Normalize", "Dropout")
OFFSET_POSITIONS = (
    "roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "longformer", "mpnet",
)  # fmt: skip
"""Models whose positions begin behind that of the padding."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a folder's model wants to be used."""

    body: Path
    """Where the transformer lies: the folder itself, or one in it."""
    pooling: str
    """One of POOLINGS, or several with a plus between them."""
    longest: int
    """Tokens, the special ones included."""
    query_prompt: str = ""
    text_prompt: str = ""
    pools_prompt: bool = True
    """Whether the prompt's tokens are pooled with the others."""
    lower_case: bool = False
    has_adapters: bool = False
    layers: tuple[tuple[str, Path], ...] = ()
    """Kinds and folders of what follows the pooling."""


def read_recipe(folder: Path) -> Recipe:
    """Read how the model wants to be used. Raises ModelUnusable."""
    modules = [
        (module["type"].rsplit(".", 1)[-1], folder / module["path"])
        for module in read_json(folder / "modules.json", [])
    ] or [("Transformer", folder), ("Pooling", folder / "1_Pooling")]
    kinds = [kind for kind, _ in modules]
    if unknown := set(kinds) - {"Transformer", "Pooling", *LAYERS}:
        raise ModelUnusable(f"The model in {folder} needs {', '.join(sorted(unknown))}.")
    if kinds[:2] != ["Transformer", "Pooling"] or set(kinds[2:]) - set(LAYERS):
        raise ModelUnusable(f"The model in {folder} is put together oddly: {', '.join(kinds)}.")
    body, pooling = modules[0][1], read_json(modules[1][1] / "config.json", {})
    if not (body / "config.json").is_file() or not weights_size(body):
        raise ModelUnusable(f"{body} holds no model: config.json and *.safetensors are needed.")
    asked = read_json(body / "sentence_bert_config.json", {})
    output = asked.get("module_output_name") or "token_embeddings"
    task = asked.get("transformer_task") or "feature-extraction"
    if (output, task) != ("token_embeddings", "feature-extraction"):
        raise ModelUnusable(f"The model in {folder} is used for {task}, {output}; not supported.")
    prompts = read_json(folder / PROMPTS, {}).get("prompts") or {}
    for_texts = next((p for p in ("document", "passage", "corpus") if p in prompts), "")
    return Recipe(
        body=body,
        pooling=_pooling_mode(pooling, folder),
        longest=_longest_input(body, asked.get("max_seq_length")),
        query_prompt=prompts.get("query") or "",
        text_prompt=prompts.get(for_texts) or "",
        pools_prompt=pooling.get("include_prompt", True),
        lower_case=bool(asked.get("do_lower_case")),
        has_adapters=all((folder / name / "adapter_config.json").is_file() for name in ADAPTERS),
        layers=tuple(modules[2:]),
    )


def pool(states: Tensor, mask: Tensor, pooling: str, leave_out: int = 0) -> Tensor:
    """Make one vector (B, D) of each sequence of states (B, T, D), padding (mask 0) left out.

    `leave_out`: how many tokens at the beginning are left out too.
    """
    places = mask.cumsum(dim=1) * mask  # 1, 2, … and 0 for padding
    mask = (places > leave_out).to(mask.dtype)
    return torch.cat([_pool(states, mask, places, mode) for mode in pooling.split("+")], dim=-1)


def _pool(states: Tensor, mask: Tensor, places: Tensor, mode: str) -> Tensor:
    rows = torch.arange(len(mask), device=mask.device)
    if mode == "cls":
        return states[rows, mask.argmax(dim=1)]
    if mode == "lasttoken":
        return states[rows, mask.shape[1] - 1 - mask.flip(1).argmax(dim=1)]
    if mode == "max":
        return states.masked_fill(mask.unsqueeze(-1) == 0, -torch.inf).amax(dim=1)
    weights = (mask * places if mode == "weightedmean" else mask).unsqueeze(-1).to(states.dtype)
    total = weights.sum(dim=1).clamp(min=1)
    summed = (states * weights).sum(dim=1)
    return summed / (total.sqrt() if mode == "mean_sqrt_len_tokens" else total)


def load_layers(layers: Sequence[tuple[str, Path]]) -> nn.Sequential:
    """Load what follows the pooling. Raises ModelUnusable."""
    made: list[nn.Module] = []
    for kind, folder in layers:
        if kind == "Normalize":
            made.append(_Unit())
        elif kind != "Dropout":  # which does nothing outside of training
            config = read_json(folder / "config.json", {})
            try:
                layer = _Dense(config) if kind == "Dense" else _Norm(config)
                layer.load_state_dict(load_file(folder / "model.safetensors"))
            except (OSError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
                raise ModelUnusable(f"The layer in {folder} cannot be loaded: {error}") from error
            made.append(layer)
    return nn.Sequential(*made).eval()


class _Unit(nn.Module):
    def forward(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=-1)


class _Norm(nn.Module):
    """The attributes are named as the weights are, here and below."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config["dimension"])

    def forward(self, vectors: Tensor) -> Tensor:
        normed: Tensor = self.norm(vectors)
        return normed


class _Dense(nn.Module):
    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        wide, narrow = config["in_features"], config["out_features"]
        for name in ("module_input_name", "module_output_name"):
            if (at := config.get(name) or "sentence_embedding") != "sentence_embedding":
                raise ModelUnusable(f"A dense layer works on {at}; not supported.")
        self.linear = nn.Linear(wide, narrow, bias=config.get("bias", True))
        self.activation = _activation(config.get("activation_function", "torch.nn.Tanh"))
        self._is_residual = bool(config.get("use_residual"))
        if self._is_residual and wide != narrow:
            self.residual = nn.Linear(wide, narrow, bias=False)

    def forward(self, vectors: Tensor) -> Tensor:
        made: Tensor = self.activation(self.linear(vectors))
        if not self._is_residual:
            return made
        return made + (self.residual(vectors) if hasattr(self, "residual") else vectors)


def _activation(path: str | None) -> nn.Module:
    """Return one of torch's own; the name of another would import code."""
    path = path or "torch.nn.Identity"
    found = getattr(nn, path.rsplit(".", 1)[-1], None) if path.startswith("torch.nn.") else None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise ModelUnusable(f"A dense layer is activated by {path}; not supported.")
    made: nn.Module = found()
    return made


def _pooling_mode(settings: dict[str, Any], folder: Path) -> str:
    if mode := settings.get("pooling_mode"):
        modes = [mode] if isinstance(mode, str) else list(mode)
    else:
        named = {mode: f"pooling_mode_{mode}" for mode in POOLINGS} | {
            "cls": "pooling_mode_cls_token", "max": "pooling_mode_max_tokens",
            "mean": "pooling_mode_mean_tokens",
            "weightedmean": "pooling_mode_weightedmean_tokens",
        }  # fmt: skip
        modes = [mode for mode, name in named.items() if settings.get(name)] or ["mean"]
    if not set(modes) <= set(POOLINGS):
        raise ModelUnusable(f"The model in {folder} pools by {', '.join(modes)}; not supported.")
    return "+".join(modes)


def _longest_input(body: Path, stated: int | None) -> int:
    config = read_json(body / "config.json", {})
    stated = stated or read_json(body / "tokenizer_config.json", {}).get("model_max_length")
    positions = config.get("max_position_embeddings") or 512
    if positions < 0:
        positions = 512
    if config.get("model_type") in OFFSET_POSITIONS:
        positions -= 2
    return int(min(stated or positions, positions))
