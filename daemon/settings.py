"""Everything an operator can set, read once at start; the only reader of the environment."""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from apscheduler.triggers.cron import CronTrigger
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors import FolderSettings, SourceSettings
from connectors.base import KINDS, Kind

PREFIX = "ANAGNORISIS_"
CONFIG_NAME = "config.yaml"
OUTSIDE_THE_FILE = {"MEDIA", "DATA_DIR", "CONFIG", "LOG_LEVEL"}
"""Variables that say where things are, before there is any file to read."""


class SettingsError(Exception):
    """The settings are wrong; the message names the place and what would be right."""


def parse_duration(text: object) -> timedelta:
    """Turn 30s, 15m, 2h or 1d into a time span."""
    match = re.fullmatch(r"(\d+)\s*([smhd])", str(text))
    if not match:
        raise ValueError("should be a number and s, m, h or d, such as 15m")
    unit = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}[match[2]]
    span = timedelta(**{unit: int(match[1])})
    if not span:
        raise ValueError("should be longer than nothing")
    return span


def _cron(text: str) -> str:
    try:
        CronTrigger.from_crontab(text)
    except ValueError as error:
        raise ValueError(f"should be a cron line such as 0 1 * * *: {error}") from error
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Cron = Annotated[str, AfterValidator(_cron)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ScheduleSettings(_Section):
    """When things happen by themselves; times are local (`TZ`)."""

    nightly: Cron = "0 1 * * *"
    """When the whole pipeline runs: a cron line, in local time."""

    window: str = "01:00-06:30"
    """Quiet hours: what the nightly run has not described or embedded when they end waits for
    the next night. An empty text means no limit."""

    sync: Duration = timedelta(minutes=15)
    """How often all sources are compared with the catalogue, beside the file events."""

    watch: bool = True
    """Whether changes in mounted folders are noticed as they happen."""

    refresh_playlists: Cron = "0 6 * * *"
    """When smart playlists are written anew."""

    @field_validator("window")
    @classmethod
    def _check_window(cls, text: str) -> str:
        parse_window(text)
        return text


def parse_window(text: str) -> tuple[time, time] | None:
    """Turn 01:00-06:30 into its two times of day; None for no window."""
    if not text:
        return None
    try:
        start, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError:
        raise ValueError("should be two times of day, such as 01:00-06:30") from None
    if start == end:
        raise ValueError("should begin and end at different times")
    return start, end


class ModelSettings(_Section):
    """Which models describe and embed; `models: lite` is short for the defaults."""

    text: str = "lite"
    """The text embedder: lite (it comes with the installation), or the folder of a
    sentence-transformers model in safetensors form."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; auto takes CUDA where there is one."""


def _limit(value: object) -> str:
    parse_limit(str(value))
    return str(value)


def parse_limit(text: str) -> tuple[float, Literal["items", "seconds", "bytes"]]:
    """Turn `60 tracks`, `3 h` or `2 GB` into an amount and what it counts."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]*)", text.strip())
    if not match or not float(match[1]):
        raise ValueError("should be an amount such as 60 tracks, 3 h or 2 GB")
    amount, unit = float(match[1]), match[2].lower()
    if unit in ("", "items", "tracks", "pictures", "videos", "texts"):
        return amount, "items"
    if unit in ("h", "min"):
        return amount * (3600 if unit == "h" else 60), "seconds"
    if unit in ("gb", "mb"):
        return amount * (1e9 if unit == "gb" else 1e6), "bytes"
    raise ValueError(f"should be in tracks, items, h, min, GB or MB, not {match[2]}")


class PlaylistSettings(_Section):
    """One smart playlist."""

    name: str = Field(min_length=1, max_length=120)
    """What it is called; also the name of its file."""

    profile: str = ""
    """Whose taste it follows; without one, the first profile's."""

    kind: Kind = "music"
    """Which items are on it."""

    order: Literal["predicted", "radio"] = "predicted"
    """predicted: best first. radio: drawn by rating or prediction, plays, skips and how long
    ago it was heard; another draw each day."""

    unrated: bool | None = None
    """Only what has no rating by the person. Without a word: yes for predicted, no for radio."""

    limit: Annotated[str, BeforeValidator(_limit)] = "60 tracks"
    """How long: a number of tracks (or items), hours (3 h), or bytes (2 GB)."""

    untrusted: bool = False
    """Whether to write it even while the predictions do not beat the person's mean."""

    write_to: tuple[Path, ...] = ()
    """Folders for its M3U8 file; without any, `playlists` in the data folder."""

    @property
    def only_unrated(self) -> bool:
        """Tell whether rated items are left out."""
        return self.order == "predicted" if self.unrated is None else self.unrated


class WebSettings(_Section):
    """The pages and the API."""

    host: str = "127.0.0.1"
    """Address to listen on. Anywhere but loopback a password is asked for."""

    port: int = Field(default=5001, ge=0, le=65535)
    """Port to listen on."""

    password: SecretStr | None = None
    """Asked for when set, even on loopback. Without one, and not on loopback, one is made at the
    first start and kept in the file `web-password` in the data folder."""

    hosts: tuple[str, ...] = ()
    """Further names by which browsers reach this server, such as media.home.arpa. Addresses,
    localhost and the machine's own name always pass."""


class BackupSettings(_Section):
    """The nightly copy of the database."""

    keep: int = Field(default=14, ge=1)
    """How many nightly backups stay."""


class Settings(_Section):
    """All settings; see the wiki's page on settings for examples."""

    profiles: tuple[str, ...] = ("me",)
    """The people of this house; each has a taste of their own."""

    sources: tuple[SourceSettings, ...] | None = None
    """Where media come from. Without a word, the folders at /mnt/media/TYPE/LABEL."""

    models: ModelSettings = ModelSettings()
    """Which models describe and embed: lite, or an embedder by name."""

    schedule: ScheduleSettings = ScheduleSettings()
    """When things happen by themselves."""

    playlists: tuple[PlaylistSettings, ...] = ()
    """Smart playlists."""

    web: WebSettings = WebSettings()
    """The pages and the API."""

    backup: BackupSettings = BackupSettings()
    """The nightly copy of the database."""

    workers: int = Field(default_factory=lambda: min(4, os.cpu_count() or 1), ge=1, le=64)
    """How many processes read media files."""

    data_dir: Path = Field(default=Path("data"), exclude=True)

    @field_validator("models", mode="before")
    @classmethod
    def _name_a_set(cls, value: object) -> object:
        if isinstance(value, str):
            if value != "lite":
                raise ValueError("should be lite, or a section such as {text: /path/to/model}")
            return {}
        return value

    @field_validator("profiles")
    @classmethod
    def _check_profiles(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or not all(name.strip() for name in names):
            raise ValueError("should name at least one person, and no one by an empty name")
        return names

    @model_validator(mode="after")
    def _check_names(self) -> "Settings":
        for what, names in (
            ("source", [source.name for source in self.sources or ()]),
            ("playlist", [playlist.name for playlist in self.playlists]),
            ("profile", list(self.profiles)),
        ):
            twice = {name for name in names if names.count(name) > 1}
            if twice:
                raise ValueError(f"the {what} name {min(twice)} is there twice")
        return self

    @property
    def database_path(self) -> Path:
        """Where the catalogue is."""
        return self.data_dir / "anagnorisis.db"

    @property
    def folders(self) -> tuple[FolderSettings, ...]:
        """The sources that are mounted folders."""
        return self.sources or ()


def load_settings(
    environment: Mapping[str, str], *, config: Path | None = None, data_dir: Path | None = None
) -> Settings:
    """Read the file, lay the environment over it, and check all. Raises SettingsError."""
    data_dir = data_dir or Path(environment.get(PREFIX + "DATA_DIR") or "data")
    path = config or (Path(c) if (c := environment.get(PREFIX + "CONFIG")) else None)
    if path and not path.is_file():
        raise SettingsError(f"There is no settings file at {path}.")
    path = path or data_dir / CONFIG_NAME
    values, lines = _read_file(path) if path.is_file() else ({}, {})
    origins = _lay_over(values, environment)
    try:
        settings = Settings.model_validate({**values, "data_dir": data_dir.absolute()})
    except ValidationError as error:
        raise SettingsError(_explain(error, path, lines, origins)) from None
    if settings.sources is None:
        media = Path(environment.get(PREFIX + "MEDIA") or "/mnt/media")
        settings = settings.model_copy(update={"sources": tuple(_conventional_sources(media))})
    return settings


def _conventional_sources(media: Path) -> Iterator[FolderSettings]:
    """Yield the folders at TYPE/LABEL; a TYPE folder that holds files itself is one source."""
    for kind in sorted(KINDS):
        top = media / kind
        try:
            entries = sorted(entry for entry in top.iterdir() if not entry.name.startswith("."))
        except OSError:
            continue
        if any(entry.is_file() for entry in entries):
            yield FolderSettings(name=kind, media=kind, path=top.absolute())
            continue
        for entry in entries:
            if entry.is_dir():
                name = os.fsencode(f"{kind}/{entry.name}").decode(errors="replace")
                yield FolderSettings(name=name, media=kind, path=entry.absolute())


Lines = dict[tuple[str | int, ...], int]


def _read_file(path: Path) -> tuple[dict[str, Any], Lines]:
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}, line {line}: {error.problem}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: {error}") from error
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path}, line 1: should be options and values, such as web: {{…}}")
    lines: Lines = {}
    _note_lines(node, (), lines)
    return values, lines


def _note_lines(node: yaml.Node | None, where: tuple[str | int, ...], lines: Lines) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place = (*where, str(key.value))
            lines[place] = key.start_mark.line + 1
            _note_lines(value, place, lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*where, index)] = value.start_mark.line + 1
            _note_lines(value, (*where, index), lines)


def _lay_over(
    values: dict[str, Any], environment: Mapping[str, str]
) -> dict[tuple[str | int, ...], str]:
    """Put ANAGNORISIS_SECTION__OPTION into `values`; return which option came from which."""
    origins: dict[tuple[str | int, ...], str] = {}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or name in OUTSIDE_THE_FILE:
            continue
        value: object = environment[variable]
        if name.endswith("_FILE"):
            name, value = name.removesuffix("_FILE"), _read_secret(variable, str(value))
        else:
            value = yaml.safe_load(str(value)) if value else value
        place = tuple(int(p) if p.isdigit() else p for p in name.lower().split("__"))
        _set(values, place, value, variable)
        origins[place] = variable
    return origins


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{variable}: {path} cannot be read: {error}") from error


def _set(values: Any, place: tuple[str | int, ...], value: object, variable: str) -> None:
    for step in place[:-1]:
        if isinstance(step, int):
            if not isinstance(values, list) or step >= len(values):
                raise SettingsError(f"{variable}: there is no entry {step} to change in the file.")
            values = values[step]
        else:
            if not isinstance(values.get(step), dict | list):
                values[step] = {}
            values = values[step]
    if isinstance(values, list):
        raise SettingsError(f"{variable}: name an entry of the list by its number.")
    values[place[-1]] = value


def _explain(error: ValidationError, path: Path, lines: Lines, origins: Mapping[Any, str]) -> str:
    return "\n".join(
        f"{_place(problem['loc'], path, lines, origins)}{_problem(problem)}"
        for problem in error.errors()
    )


def _place(loc: tuple[str | int, ...], path: Path, lines: Lines, origins: Mapping[Any, str]) -> str:
    option = ".".join(map(str, loc))
    for length in range(len(loc), 0, -1):
        if loc[:length] in origins:
            return f"{origins[loc[:length]]}: {option}: "
        if loc[:length] in lines:
            return f"{path}, line {lines[loc[:length]]}: {option}: "
    return f"{path}: {option + ': ' if option else ''}"


def _problem(problem: Any) -> str:
    if problem["type"] == "extra_forbidden":
        options = _options_at(problem["loc"][:-1])
        close = difflib.get_close_matches(str(problem["loc"][-1]), options, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(options))}."
        return f"there is no such option; {hint}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def _options_at(loc: tuple[str | int, ...]) -> list[str]:
    """Return the option names of the section at `loc`."""
    model: type[BaseModel] = Settings
    for step in loc:
        if isinstance(step, str) and step in model.model_fields:
            model = _section_of(model.model_fields[step].annotation) or model
    return [name for name, field in model.model_fields.items() if not field.exclude]


def _section_of(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((s for a in get_args(annotation) if (s := _section_of(a))), None)
