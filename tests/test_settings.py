"""What an operator may write, how a slip is told, and that nothing is touched meanwhile."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, SecretStr

from daemon.chosen_models import choose_models
from daemon.options import SettingsError
from daemon.playlist_settings import parse_limit
from daemon.settings import Settings, load_settings, log_level, parse_window

WIKI = Path(__file__).resolve().parents[1] / "wiki" / "settings.md"
NOWHERE = {"ANAGNORISIS_MEDIA": "/nonexistent"}


def load(home: Path, text: str | bytes = "", **environment: str) -> Settings:
    """Load `home`/config.yaml under these variables (without their prefix)."""
    (home / "config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    variables = {f"ANAGNORISIS_{name}": value for name, value in environment.items()}
    return load_settings(NOWHERE | variables, data_dir=home)


def refusal(home: Path, text: str | bytes = "", **environment: str) -> str:
    """Return what is said about settings that are wrong."""
    with pytest.raises(SettingsError) as caught:
        load(home, text, **environment)
    return str(caught.value).replace(str(home), "HOME")


def test_without_any_file_everything_has_a_default(tmp_path: Path) -> None:
    settings = load_settings(NOWHERE, data_dir=tmp_path / "data")
    assert settings.profiles == ("me",)
    assert settings.sources == ()
    assert settings.web.host == "127.0.0.1"
    assert not (tmp_path / "data").exists()


def test_the_example_of_the_design_is_understood(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        """
profiles: [anna, ben]
sources:
  - {kind: folder, name: Music, media: music, path: /mnt/media/music/Main}
models: lite
schedule: {nightly: "0 1 * * *", window: "01:00-06:30", sync: 15m, refresh_playlists: "0 6 * * *"}
playlists: []
web: {host: 127.0.0.1, port: 5001}
backup: {keep: 14}
""",
    )
    assert settings.profiles == ("anna", "ben")
    assert settings.folders[0].path == Path("/mnt/media/music/Main")
    assert settings.schedule.sync.total_seconds() == 900


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\nwbe: {port: 1}", "line 2: wbe: there is no such option; did you mean web?"),
        ("web:\n  prot: 1", "line 2: web.prot: there is no such option; did you mean port?"),
        ("web:\n  xyz: 1", "line 2: web.xyz: there is no such option; there are host, hosts, p"),
        ("web: {port: 70000}", "line 1: web.port: input should be less than or equal to 65535"),
        ("web: {port: many}", "line 1: web.port: input should be a valid integer"),
        ("web:\n  host: ''", "line 2: web.host: "),
        ("web: 5001", "line 1: web: should be a section"),
        ("web: {password: 1234}", "line 1: web.password: should be text; put it in quotes"),
        ("profiles: anna", "line 1: profiles: should be a list"),
        ("profiles: []", "line 1: profiles: should name at least one"),
        ("profiles: [a, ' ']", "line 1: profiles: should name at least one"),
        ("profiles: [1234]", "line 1: profiles.0: should be text"),
        ("a: 1\nprofiles: [anna, anna]", "line 2: profiles: the name anna is there twice"),
        ("schedule: {sync: 15}", "line 1: schedule.sync: should be a number and s, m, h or d"),
        ("schedule: {sync: 0m}", "line 1: schedule.sync: should be longer than nothing"),
        ("schedule: {sync: 99999999999d}", "line 1: schedule.sync: should be longer than"),
        ("schedule: {nightly: daily}", "line 1: schedule.nightly: should be a cron line"),
        ("schedule: {nightly: '0 1 * * 0'}", "line 1: schedule.nightly: should name its weekd"),
        ("schedule: {window: 01:00}", "line 1: schedule.window: "),
        ("schedule: {window: '1-2-3'}", "line 1: schedule.window: should be two times of day"),
        ("schedule: {window: 01:00-01:00}", "line 1: schedule.window: should begin and end"),
        ("models: huge", "line 1: models: should be lite, full, or a section"),
        ("models: {text: ../here}", "line 1: models.text: ../here is no text model; it can be min"),
        ("models: {device: gpu}", "line 1: models.device: input should be 'auto', 'cpu' or"),
        ("backup: {keep: 0}", "line 1: backup.keep: input should be greater than or equal to 1"),
        ("workers: 0", "line 1: workers: input should be greater"),
        ("data_dir: /x", "line 1: data_dir: is said by --data-dir"),
        ("playlists:\n- {name: A}\n- {name: A}", "line 1: playlists: the name A is there twice"),
        ("playlists:\n- kind: music", "line 2: playlists.0.name: is missing"),
        ("playlists: [{name: A, limit: 60 apples}]", "playlists.0.limit: should be in tracks"),
        ("playlists: [{name: A, limit: 0}]", "playlists.0.limit: should be an amount"),
        ("playlists: [{name: A, write_to: [here]}]", "write_to of A should be a whole"),
        ("sources:\n- {name: A, media: music}", "line 2: sources.0.path: is missing"),
        ("sources: [{name: A, media: film, path: /a}]", "line 1: sources.0.media: input should"),
        ("sources: [{name: A, media: music, path: a}]", "the path of A should be a whole path"),
        ("sources: [{name: A, media: music, path: ''}]", "the path of A should be a whole path"),
        ("sources: [{name: '', media: music, path: /a}]", "line 1: sources: each should have a"),
        (
            "sources:\n- {name: A, media: music, path: /a}\n- {name: A, media: text, path: /b}",
            "line 1: sources: the name A is there twice",
        ),
        ("sources:\n- name: A\n  media: music\n  pth: /a", "line 4: sources.0.pth: there is no"),
        ("web: {port: 1}\nweb: {port: 2}", "line 2: web: is there twice (see line 1)"),
        ("web: {port: 1,\n port: 2}", "line 2: web.port: is there twice (see line 1)"),
        ("web: {port: [1\nbackup: x", "HOME/config.yaml, line 2: "),
        ("- web", "HOME/config.yaml, line 1: should be options and values"),
        ("just words", "HOME/config.yaml, line 1: should be options and values"),
        ("1: one", "line 1: 1: there is no such option"),
        ("null: one", ": there is no such option"),
        ("a: 1\n---\nb: 1", "HOME/config.yaml, line 2: "),
        ("web: !!python/object:os.system x", "HOME/config.yaml, line 1: "),
        ("profiles: &a [*a]", "line 1: profiles"),
        ("x: 2026-99-99", "HOME/config.yaml"),
        (b"web: \xff\xfe", "HOME/config.yaml cannot be read"),
        (b"web: \x00", "HOME/config.yaml is no YAML"),
        ("[" * 5000, "HOME/config.yaml"),
    ],
)
def test_a_slip_is_told_with_its_option_and_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    assert said in refusal(tmp_path, text)


def test_every_slip_is_told_at_once(tmp_path: Path) -> None:
    said = refusal(tmp_path, "web: {port: x}\nbackup: {keep: y}\nprofils: [a]")
    assert [line.split(": ")[1] for line in said.splitlines()] == [
        "web.port",
        "backup.keep",
        "profils",
    ]


def test_a_section_with_all_its_options_commented_out_is_the_default(tmp_path: Path) -> None:
    settings = load(tmp_path, "web:\n  # port: 80\nmodels:\nschedule:\n")
    assert settings.web.port == 5001
    assert settings.models.names("text") == ("minilm",)


def test_anchors_may_be_used(tmp_path: Path) -> None:
    text = "playlists:\n- &a {name: A, limit: 3 h}\n- {<<: *a, name: B}\n"
    assert [p.limit for p in load(tmp_path, text).playlists] == ["3 h", "3 h"]


def test_home_is_written_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/anna")
    (text, *_) = choose_models(load(tmp_path, "models: {text: ~/a-model}"))
    assert text.folder == Path("/home/anna/a-model")
    assert not text.card.repository  # it was looked for on the hub, as NAME of ~
    settings = load(tmp_path, "sources: [{name: A, media: music, path: ~/Music}]")
    assert settings.folders[0].path == Path("/home/anna/Music")


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    for name in ("none.yaml", ".", "x" * 300):
        with pytest.raises(SettingsError, match="There is no settings file at"):
            load_settings(NOWHERE, config=tmp_path / name, data_dir=tmp_path)
    with pytest.raises(SettingsError, match="There is no settings file at"):
        load_settings(NOWHERE | {"ANAGNORISIS_CONFIG": "/nonexistent.yaml"}, data_dir=tmp_path)


def test_a_config_yaml_that_cannot_be_read_is_not_taken_for_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").mkdir()
    with pytest.raises(SettingsError, match="cannot be read"):
        load_settings(NOWHERE, data_dir=tmp_path)


def test_the_environment_lies_over_the_file(tmp_path: Path) -> None:
    settings = load(
        tmp_path,
        "web: {port: 1, host: 10.0.0.1}\nprofiles: [anna]\n"
        "sources: [{name: A, media: music, path: /a}]",
        WEB__PORT="2",
        PROFILES="[ben, 'carl']",
        SOURCES__0__PATH="/b",
        SCHEDULE__WATCH="false",
        SCHEDULE__SYNC="2h",
        SCHEDULE__WINDOW="",
        WEB__HOSTS="[a.example, b.example]",
        PLAYLISTS="[{name: Mix, limit: 3 h}]",
        MODELS="lite",
    )
    assert (settings.web.port, settings.web.host) == (2, "10.0.0.1")
    assert settings.profiles == ("ben", "carl")
    assert settings.folders[0].path == Path("/b")
    assert settings.schedule.watch is False
    assert settings.schedule.sync.total_seconds() == 7200
    assert settings.schedule.window == ""
    assert settings.web.hosts == ("a.example", "b.example")
    assert settings.playlists[0].limit == "3 h"


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("WEB__PROT", "1", "ANAGNORISIS_WEB__PROT: web.prot: there is no such option; did you"),
        ("WEB__PORT", "many", "ANAGNORISIS_WEB__PORT: web.port: input should be a valid integer"),
        ("WEB__PORT__X", "1", "web.port"),
        ("PROFILES", "anna", "ANAGNORISIS_PROFILES: profiles: should be a list, such as"),
        ("PROFILES", "[anna", "ANAGNORISIS_PROFILES: should be YAML"),
        ("WEB__HOSTS", "{a", "ANAGNORISIS_WEB__HOSTS: should be YAML"),
        ("SOURCES__1__PATH", "/b", "ANAGNORISIS_SOURCES__1__PATH: there is no entry 1"),
        ("SOURCES__A__PATH", "/b", "ANAGNORISIS_SOURCES__A__PATH: name an entry of the list by"),
        ("SOURCES__A", "/b", "ANAGNORISIS_SOURCES__A: name an entry of the list by"),
        ("WEB__0__PATH", "/b", "ANAGNORISIS_WEB__0__PATH: there is no entry 0"),
        ("0", "x", "ANAGNORISIS_0: there is no entry 0"),
        ("WEB__²", "x", "there is no such option"),
        ("", "x", "there is no such option"),
        ("WEB__PASSWORD_FILE", "/nonexistent", "ANAGNORISIS_WEB__PASSWORD_FILE: '/nonexistent'"),
        ("WEB__PASSWORD_FILE", "", "ANAGNORISIS_WEB__PASSWORD_FILE: '' cannot be read"),
        ("SCHEDULE__SYNC", "soon", "ANAGNORISIS_SCHEDULE__SYNC: schedule.sync: should be a num"),
    ],
)
def test_a_slip_in_the_environment_names_the_variable(
    tmp_path: Path, name: str, value: str, said: str
) -> None:
    text = "sources: [{name: A, media: music, path: /a}]"
    assert said in refusal(tmp_path, text, **{name: value})


@pytest.mark.parametrize(
    "password", ["1234", "007", "1e5", "yes", "null", "[x", "a: b", "#secret", "'quoted'", "* &"]
)
def test_a_password_is_taken_as_it_is(tmp_path: Path, password: str) -> None:
    settings = load(tmp_path, WEB__PASSWORD=password)
    assert settings.web.password == SecretStr(password)


def test_an_empty_password_is_none(tmp_path: Path) -> None:
    assert load(tmp_path, WEB__PASSWORD="").web.password is None
    assert load(tmp_path, "web: {password: ''}").web.password is None


def test_a_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("0042\n")
    settings = load(tmp_path, "web: {password: other}", WEB__PASSWORD_FILE=str(secret))
    assert settings.web.password == SecretStr("0042")
    secret.write_bytes(b"\xff\xfe")
    assert "is not text in UTF-8" in refusal(tmp_path, WEB__PASSWORD_FILE=str(secret))


def test_a_secret_is_never_shown(tmp_path: Path) -> None:
    settings = load(tmp_path, "web: {password: hush-hush, port: 1}")
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert "hush" not in shown
    for text in (
        "web: {password: hush-hush, port: x}",
        "web: {password: [hush-hush]}",
        "web: hush-hush",
        "web:\n  password: 'hush-hush\nprofiles: x",
        "web: {password: hush-hush\nx",
    ):
        assert "hush" not in refusal(tmp_path, text)
    assert "hush" not in refusal(tmp_path, WEB="{password: hush-hush")
    assert "hush" not in refusal(tmp_path, WEB="hush-hush")


def test_the_levels_of_the_log_are_known() -> None:
    assert log_level({"ANAGNORISIS_LOG_LEVEL": "debug"}, "INFO") == 10
    assert log_level({}, "INFO") == 20
    with pytest.raises(SettingsError, match="ANAGNORISIS_LOG_LEVEL: should be one of DEBUG"):
        log_level({"ANAGNORISIS_LOG_LEVEL": "loud"}, "INFO")


def test_amounts_are_tracks_hours_or_bytes() -> None:
    assert parse_limit("60 tracks") == (60, "items")
    assert parse_limit("1.5 h") == (5400, "seconds")
    assert parse_limit("2GB") == (2e9, "bytes")
    assert parse_limit(" 7 ") == (7, "items")


def test_a_window_may_pass_midnight() -> None:
    window = parse_window("23:00 - 05:30")
    assert window
    assert [str(time) for time in window] == ["23:00:00", "05:30:00"]
    assert parse_window("") is None
    with pytest.raises(ValueError, match="two times of day"):
        parse_window("01:00+02:00-06:30")


def test_folders_at_type_and_label_are_sources(tmp_path: Path) -> None:
    for folder in ("music/Main", "music/.hidden", "images/Süd", "images/b", "other/x", "videos"):
        (tmp_path / "media" / folder).mkdir(parents=True)
    odd = os.fsencode(tmp_path / "media" / "images") + b"/\xff"
    os.mkdir(odd)  # noqa: PTH102
    settings = load(tmp_path, MEDIA=str(tmp_path / "media"))
    found = {source.name: (source.media, bytes(source.path)) for source in settings.folders}
    assert found == {
        "music/Main": ("music", bytes(tmp_path / "media/music/Main")),
        "images/Süd": ("images", bytes(tmp_path / "media/images/Süd")),
        "images/b": ("images", bytes(tmp_path / "media/images/b")),
        "images/\\xff": ("images", odd),
    }


def test_a_type_folder_with_files_of_its_own_is_one_source(tmp_path: Path) -> None:
    (tmp_path / "media/music/Album").mkdir(parents=True)
    (tmp_path / "media/music/song.mp3").touch()
    (tmp_path / "media/text").mkdir()
    (tmp_path / "media/text/.hidden").touch()
    settings = load(tmp_path, MEDIA=str(tmp_path / "media"))
    assert [(s.name, s.path) for s in settings.folders] == [("music", tmp_path / "media/music")]


def test_two_labels_that_read_alike_are_two_sources(tmp_path: Path) -> None:
    for name in (b"\xfe", b"\xff"):
        os.makedirs(os.fsencode(tmp_path / "media" / "music") + b"/" + name)  # noqa: PTH103
    settings = load(tmp_path, MEDIA=str(tmp_path / "media"))
    assert len({source.name for source in settings.folders}) == 2


def test_sources_that_are_named_stand_for_the_convention(tmp_path: Path) -> None:
    (tmp_path / "media/music/Main").mkdir(parents=True)
    settings = load(tmp_path, "sources: []", MEDIA=str(tmp_path / "media"))
    assert settings.sources == ()


def test_wrong_settings_end_every_verb_with_2_and_touch_nothing(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("profiles: [anna]\n\nwbe: {port: 1}\n")
    where = ["--config", str(config), "--data-dir", str(tmp_path / "data")]
    done = subprocess.run(
        [sys.executable, "-m", "daemon", *where, "rank", "--json"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (f"{config}, line 3: wbe: there is no such option; did you mean web?\n")
    assert not (tmp_path / "data").exists()


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Return the sections that an option can be, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for a in get_args(annotation) for found in sections_in(a)]


def options_of(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the description of every option that can be written in a file."""
    for name, option in model.model_fields.items():
        if not option.exclude:
            yield prefix + name, option.description or ""
            for section in sections_in(option.annotation):
                yield from options_of(section, f"{prefix}{name}.")


OPTIONS = dict(options_of(Settings))


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_says_what_it_is_and_stands_in_the_wiki(name: str) -> None:
    assert len(OPTIONS[name]) > 10
    page = WIKI.read_text()
    assert re.search(rf"^\| `{re.escape(name)}` \|", page, re.MULTILINE), f"no row for {name}"


def test_the_wiki_names_no_option_that_is_not_there() -> None:
    rows = re.findall(r"^\| `([a-z_.]+)` \|", WIKI.read_text(), re.MULTILINE)
    assert set(rows) == set(OPTIONS)


def test_the_examples_of_the_wiki_are_valid(tmp_path: Path) -> None:
    examples = re.findall(r"^```yaml\n(.*?)^```", WIKI.read_text(), re.MULTILINE | re.DOTALL)
    assert examples
    for example in examples:
        assert load(tmp_path, example).profiles
