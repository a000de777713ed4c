"""The settings of models: which ones, where they run, what they are asked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from daemon.default_words import WORDS_FOR_MUSIC, WORDS_FOR_PICTURES
from daemon.options import Section
from ml.model_cards import SETS, Role, find_card


class PromptSettings(Section):
    """What the describer is asked, by kind."""

    music: str = (
        "These are excerpts from one piece of music. Describe its genre, mood, tempo, instruments "
        "and voices in three or four plain sentences. Do not guess its title."
    )
    """The question about music."""

    images: str = (
        "Describe this picture in three or four plain sentences: what it shows, its style, "
        "colours and mood, and any text in it."
    )
    """The question about pictures."""

    videos: str = (
        "These are frames and sound from one video, in order. Describe in four or five plain "
        "sentences what happens, where, its style and its mood."
    )
    """The question about videos."""

    text: str = (
        "Summarise the following text in four or five plain sentences: what it is about, its "
        "kind and its tone."
    )
    """The question about long texts; short ones are taken as they are."""


class VocabularySettings(Section):
    """Words that CLAP and SigLIP choose from; they join the description."""

    music: tuple[str, ...] = WORDS_FOR_MUSIC
    """For sound, CLAP's words."""

    images: tuple[str, ...] = WORDS_FOR_PICTURES
    """For pictures and videos, SigLIP's words."""


def _as_names(value: object) -> object:
    if isinstance(value, str):
        return () if value in ("", "none") else (value,)
    return () if value is None or value is False else value


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names)]


class ModelSettings(Section):
    """Which models describe and embed; `models: lite` and `models: full` are whole sets."""

    set: Literal["lite", "full"] = "lite"
    """What holds for the roles that are not named below. lite: small models that come with the
    installation. full: for a GPU; `models fetch` gets them."""

    text: str = ""
    """The text embedder: minilm, multilingual, jina-embeddings-v3, qwen3-embedding-0.6b, any
    sentence-transformers model as OWNER/NAME, or a folder."""

    audio: Names | None = None
    """What listens to music: musicnn, clap, laion-clap; one, several, or none."""

    images: Names | None = None
    """What looks at pictures and videos: efficientnet-lite0, siglip2-base, siglip-base."""

    omni: Names | None = None
    """What describes in sentences: gemma-4-e2b, qwen2.5-omni-3b, minicpm-o-4.5, or none."""

    universal: Names | None = None
    """One space for text, pictures, sound and video: embeddinggemma-2, or none."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; auto takes CUDA where there is one with memory enough."""

    dimensions: int | None = Field(default=None, ge=32, le=4096)
    """Cuts the text vectors of a model that was trained for it (Matryoshka)."""

    four_bit: bool = True
    """Whether the describer is loaded in 4 bit (bitsandbytes, NF4)."""

    longest_answer: int = Field(default=200, ge=16, le=2000)
    """Tokens of a description."""

    prompts: PromptSettings = PromptSettings()
    """What the describer is asked."""

    vocabulary: VocabularySettings = VocabularySettings()
    """Words that CLAP and SigLIP choose from."""

    revisions: dict[str, str] = Field(default={})
    """Model to the commit of its repository; demanded for those that bring code of their own."""

    environments: Path | None = None
    """Where `scripts/environment.sh` made the environments of models that need their own."""

    @field_validator("text")
    @classmethod
    def _check_text(cls, name: str) -> str:
        if name:
            find_card("text", name)
        return name

    @field_validator("audio", "images", "omni", "universal")
    @classmethod
    def _check_names(
        cls, names: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        for name in names or ():
            find_card(info.field_name, name)  # type: ignore[arg-type]
        return names

    def names(self, role: Role) -> tuple[str, ...]:
        """Return the models of a role."""
        if role == "text":
            return (self.text,) if self.text else SETS[self.set]["text"]
        named: tuple[str, ...] | None = getattr(self, role)
        return SETS[self.set].get(role, ()) if named is None else named
