"""Everything an operator can set, read once at start; the only reader of the environment."""

import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Self

from apscheduler.triggers.cron import CronTrigger
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from connectors import FolderSettings, ServerSettings, SourceSettings
from connectors.base import KINDS
from daemon.model_settings import ModelSettings
from daemon.options import Section, SettingsError, explain, lay_over, read_file
from daemon.playlist_settings import PlaylistSettings
from ml.model_cards import SETS

PREFIX = "ANAGNORISIS_"
CONFIG_NAME = "config.yaml"
OUTSIDE_THE_FILE = {"MEDIA", "DATA_DIR", "CONFIG", "LOG_LEVEL"}
"""Variables that say where things are, before there is any file to read."""
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LONGEST_SECONDS = 365 * 86400


def parse_duration(text: object) -> timedelta:
    """Turn 30s, 15m, 2h or 1d into a time span."""
    match = re.fullmatch(r"(\d+)\s*([smhd])", str(text))
    if not match:
        raise ValueError("should be a number and s, m, h or d, such as 15m")
    seconds = int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[match[2]]
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ValueError("should be longer than nothing and at most 365d")
    return timedelta(seconds=seconds)


def _cron(text: str) -> str:
    weekdays = re.sub(r"[/#]\d+", "", "".join(text.split()[4:]))
    if any(character.isdecimal() for character in weekdays):  # 0 is Sunday to cron, not to all
        raise ValueError("should name its weekdays: 0 1 * * sun, not 0 1 * * 0")
    try:
        CronTrigger.from_crontab(text)
    except ValueError as error:
        raise ValueError(f"should be a cron line such as 0 1 * * *: {error}") from error
    return text


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
Cron = Annotated[str, AfterValidator(_cron)]


class ScheduleSettings(Section):
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
        start, end = (datetime.strptime(p.strip(), "%H:%M").time() for p in text.split("-"))
    except ValueError:
        raise ValueError("should be two times of day, such as 01:00-06:30") from None
    if start == end:
        raise ValueError("should begin and end at different times")
    return start, end


def _take_folder_for_default(source: object) -> object:
    return {"kind": "folder", **source} if isinstance(source, dict) else source


_Source = Annotated[
    SourceSettings, Field(discriminator="kind"), BeforeValidator(_take_folder_for_default)
]


def _whole_path(path: Path) -> Path:
    """Return the path with ~ written out; what it means must not hang on where one stands."""
    try:
        whole = path.expanduser()
    except RuntimeError as error:
        raise ValueError(f"{path} cannot be told: {error}") from error
    if not whole.is_absolute():
        raise ValueError(f"should be a whole path that begins with /, not {str(path)!r}")
    return whole


class WebSettings(Section):
    """The pages and the API."""

    host: str = Field(default="127.0.0.1", min_length=1)
    """Address to listen on. Anywhere but loopback a password is asked for."""

    port: int = Field(default=5001, ge=0, le=65535)
    """Port to listen on."""

    password: SecretStr | None = None
    """Asked for when set, even on loopback. Without one, and not on loopback, one is made at the
    first start and kept in the file `web-password` in the data folder."""

    hosts: tuple[str, ...] = ()
    """Further names by which browsers reach this server, such as media.home.arpa. Addresses,
    localhost and the machine's own name always pass."""

    @field_validator("password")
    @classmethod
    def _take_empty_for_none(cls, password: SecretStr | None) -> SecretStr | None:
        return password if password and password.get_secret_value() else None


class BackupSettings(Section):
    """The nightly copy of the database."""

    keep: int = Field(default=14, ge=1)
    """How many nightly backups stay."""


class Settings(Section):
    """All settings; see the wiki's page on settings for examples."""

    profiles: tuple[str, ...] = ("me",)
    """The people of this house; each has a taste of their own."""

    sources: tuple[_Source, ...] | None = None
    """Where media come from: folders and servers. Without any, those at /mnt/media/TYPE/LABEL."""

    models: ModelSettings = ModelSettings()
    """Which models describe and embed: lite, full, or a section that names them."""

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
            if value not in SETS:
                raise ValueError("should be lite, full, or a section such as {audio: clap}")
            return {"set": value}
        return value

    @field_validator("profiles")
    @classmethod
    def _check_profiles(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or not all(name.strip() for name in names):
            raise ValueError("should name at least one person, and no one by an empty name")
        _refuse_doubles(names)
        return names

    @field_validator("sources")
    @classmethod
    def _check_sources(
        cls, sources: tuple[SourceSettings, ...] | None
    ) -> tuple[SourceSettings, ...] | None:
        _refuse_doubles(source.name for source in sources or ())
        if not all(source.name.strip() for source in sources or ()):
            raise ValueError("each should have a name that is not empty")
        return sources and tuple(map(_with_whole_path, sources))

    @field_validator("playlists")
    @classmethod
    def _check_playlists(
        cls, playlists: tuple[PlaylistSettings, ...]
    ) -> tuple[PlaylistSettings, ...]:
        _refuse_doubles(playlist.name for playlist in playlists)
        return playlists

    @model_validator(mode="after")
    def _check_targets(self) -> Self:
        servers = {server.name for server in self.servers}
        for playlist in self.playlists:
            for to in playlist.write_to:
                if to not in servers:
                    try:
                        _whole_path(Path(to))
                    except ValueError as error:
                        known = ", ".join(sorted(servers)) or "none"
                        raise ValueError(
                            f"write_to of {playlist.name} {error}, or name a server ({known})"
                        ) from error
        for server in self.servers:
            for name in server.users:
                if name not in self.profiles:
                    raise ValueError(f"users of {server.name} names {name}, who is no profile")
        return self

    @property
    def database_path(self) -> Path:
        """Where the catalogue is."""
        return self.data_dir / "anagnorisis.db"

    @property
    def folders(self) -> tuple[FolderSettings, ...]:
        """The sources that are mounted folders."""
        return tuple(s for s in self.sources or () if isinstance(s, FolderSettings))

    @property
    def servers(self) -> tuple[ServerSettings, ...]:
        """The sources that are media servers."""
        return tuple(s for s in self.sources or () if isinstance(s, ServerSettings))


def _refuse_doubles(names: Iterable[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known:
            raise ValueError(f"the name {name} is there twice")
        known.add(name)


def _with_whole_path(source: SourceSettings) -> SourceSettings:
    if not isinstance(source, FolderSettings):
        return source
    try:
        return source.model_copy(update={"path": _whole_path(source.path)})
    except ValueError as error:
        raise ValueError(f"the path of {source.name} {error}") from error


def load_settings(
    environment: Mapping[str, str], *, config: Path | None = None, data_dir: Path | None = None
) -> Settings:
    """Read the file, lay the environment over it, and check all. Raises SettingsError."""
    data_dir = data_dir or Path(environment.get(PREFIX + "DATA_DIR") or "data")
    path = config or (Path(c) if (c := environment.get(PREFIX + "CONFIG")) else None)
    if path and not os.path.isfile(path):  # noqa: PTH113  # Path.is_file raises on odd names
        raise SettingsError(f"There is no settings file at {path}.")
    options = read_file(path or data_dir / CONFIG_NAME)
    lay_over(options, _variables(environment), Settings)
    if "data_dir" in options.values:
        place = options.place_of(("data_dir",))
        raise SettingsError(f"{place}is said by --data-dir or ANAGNORISIS_DATA_DIR.")
    try:
        values = {**options.values, "data_dir": data_dir.absolute()}
        settings = Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError(explain(error, options, Settings)) from None
    if settings.sources is None:
        media = Path(environment.get(PREFIX + "MEDIA") or "/mnt/media")
        settings = settings.model_copy(update={"sources": tuple(_conventional_sources(media))})
    return settings


def log_level(environment: Mapping[str, str], default: str) -> int:
    """Return the level that ANAGNORISIS_LOG_LEVEL names. Raises SettingsError."""
    name = (environment.get(PREFIX + "LOG_LEVEL") or default).upper()
    if name not in LOG_LEVELS:
        raise SettingsError(f"{PREFIX}LOG_LEVEL: should be one of {', '.join(LOG_LEVELS)}.")
    return logging.getLevelNamesMapping()[name]


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environment.items()
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in OUTSIDE_THE_FILE
    }


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
                name = os.fsencode(f"{kind}/{entry.name}").decode(errors="backslashreplace")
                yield FolderSettings(name=name, media=kind, path=entry.absolute())
