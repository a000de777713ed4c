"""Options as they were given: a YAML file, and the environment laid over it.

Every value remembers its place, so that what is wrong can be said with its line or variable.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

Place = tuple[str | int, ...]

WORDINGS = {
    "string_type": "should be text; put it in quotes",
    "tuple_type": "should be a list, such as [one, two]",
    "model_type": "should be a section of options, such as {option: value}",
    "missing": "is missing",
}
"""pydantic's messages that speak of Python, said for people, by its kind of error."""


class Section(BaseModel):
    """A section of the settings: nothing unknown in it, nothing changed after the start."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _take_empty_for_default(cls, value: object) -> object:
        """Let a section whose options are all commented out be there."""
        return {} if value is None else value


class SettingsError(Exception):
    """The settings are wrong; the message names the place and what would be right."""


@dataclass
class Options:
    """What was given, before it is checked."""

    path: Path
    """Of the settings file, whether there is one or not."""
    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    """Which environment variable an option came from."""

    def place_of(self, loc: Place) -> str:
        """Say where an option, or what it is part of, was given."""
        option = ".".join(map(str, loc))
        for length in range(len(loc), 0, -1):
            if loc[:length] in self.origins:
                return f"{self.origins[loc[:length]]}: {option}: "
            if loc[:length] in self.lines:
                return f"{self.path}, line {self.lines[loc[:length]]}: {option}: "
        return f"{self.path}: {option + ': ' if option else ''}"


def read_file(path: Path) -> Options:
    """Read a settings file; one that is not there gives no options. Raises SettingsError."""
    options = Options(path)
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except FileNotFoundError:
        return options
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise SettingsError(f"{path}, line {line}: {error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SettingsError(f"{path} is no YAML: {error}") from error
    if values is None:
        return options
    if not isinstance(values, dict):
        raise SettingsError(f"{path}, line 1: should be options and values, such as web: {{…}}")
    _note_lines(node, (), options, set())
    options.values = {str(name): value for name, value in values.items()}
    return options


def _note_lines(node: yaml.Node | None, where: Place, options: Options, seen: set[int]) -> None:
    """Note the line of every option. Raises SettingsError for one that is there twice."""
    if id(node) in seen:  # an anchor may be used many times, and even within itself
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            place, line = (*where, str(key.value)), key.start_mark.line + 1
            if place in options.lines and key.tag != "tag:yaml.org,2002:merge":
                option, first = ".".join(map(str, place)), options.lines[place]
                raise SettingsError(
                    f"{options.path}, line {line}: {option}: is there twice (see line {first})."
                )
            options.lines[place] = line
            _note_lines(value, place, options, seen)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            options.lines[(*where, index)] = value.start_mark.line + 1
            _note_lines(value, (*where, index), options, seen)


def lay_over(options: Options, variables: Mapping[str, str], model: type[BaseModel]) -> None:
    """Put variables named SECTION__OPTION, by their whole names, into the options.

    `variables`: name without the prefix, to value; `model` tells text from lists and sections,
    which are written as YAML. NAME_FILE takes the value from a file. Raises SettingsError.
    """
    for variable, value in sorted(variables.items()):
        name = variable.partition("_")[2]
        if name.endswith("_FILE"):
            name, value = name.removesuffix("_FILE"), _read_secret(variable, value)
        place = tuple(int(p) if p.isdecimal() else p for p in name.lower().split("__"))
        is_text = not _has_parts(_annotation_at(model, place))
        _set(options.values, place, value if is_text else _parse(variable, value), variable)
        options.origins[place] = variable


def _parse(variable: str, text: str) -> object:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise SettingsError(
            f"{variable}: should be YAML, such as [one, two] or {{option: value}}."
        ) from None


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise SettingsError(f"{variable}: {path!r} cannot be read: {error.strerror}") from error
    except ValueError:
        raise SettingsError(f"{variable}: {path!r} is not text in UTF-8") from None


def _set(values: Any, place: Place, value: object, variable: str) -> None:
    for step in place[:-1]:
        key = _key(values, step, variable)
        if isinstance(values, dict) and not isinstance(values.get(key), dict | list):
            values[key] = {}
        values = values[key]
    values[_key(values, place[-1], variable)] = value


def _key(values: Any, step: str | int, variable: str) -> str | int:
    """Return the key or index that `step` names in a section or list."""
    if isinstance(values, list):
        if not isinstance(step, int):
            raise SettingsError(f"{variable}: name an entry of the list by its number, from 0.")
        if step < len(values):
            return step
    elif isinstance(step, str) and isinstance(values, dict):
        return step
    raise SettingsError(f"{variable}: there is no entry {step} to change in the file.")


def explain(error: ValidationError, options: Options, model: type[BaseModel]) -> str:
    """Say what is wrong, a line for each problem; never with a value, which may be a secret."""
    problems = error.errors(include_url=False, include_input=False)
    return "\n".join(_problem(problem, options, model) for problem in problems)


def _problem(problem: Any, options: Options, model: type[BaseModel]) -> str:
    loc, sections = _walk(model, problem["loc"])
    place = options.place_of(loc)
    if problem["type"] == "extra_forbidden":
        names = {n for s in sections for n, option in s.model_fields.items() if not option.exclude}
        close = difflib.get_close_matches(str(loc[-1]), names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(names))}."
        return f"{place}there is no such option; {hint}"
    if problem["type"] == "union_tag_invalid":
        return f"{place}kind should be one of {problem['ctx']['expected_tags']}"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return place + WORDINGS.get(problem["type"], message[:1].lower() + message[1:])


def _walk(model: type[BaseModel], loc: Place) -> tuple[Place, list[type[BaseModel]]]:
    """Return the place of an option without pydantic's tags of unions, and its sections."""
    place: list[str | int] = []
    sections = [model]
    annotations: list[Any] = [model]
    for step in loc:
        found = [s for annotation in annotations for s in _sections_of(annotation)]
        tagged = [s for s in found if len(found) > 1 and step in _tags_of(s)]
        if tagged:
            annotations = list(tagged)
            continue
        place.append(step)
        if isinstance(step, str):
            sections = found or sections
            options = [s.model_fields[step] for s in found if step in s.model_fields]
            annotations = [option.annotation for option in options if not option.exclude]
    return tuple(place), sections


def _tags_of(section: type[BaseModel]) -> tuple[Any, ...]:
    kind = section.model_fields.get("kind")
    return get_args(kind.annotation) if kind else ()


def _annotation_at(model: type[BaseModel], place: Place) -> Any:
    """Return the type of the option at `place`; None where there is no such option."""
    annotations: list[Any] = [model]
    for step in place:
        sections = [s for annotation in annotations for s in _sections_of(annotation)]
        if isinstance(step, str) and sections:
            options = [s.model_fields[step] for s in sections if step in s.model_fields]
            annotations = [option.annotation for option in options if not option.exclude]
        elif isinstance(step, str):
            return None
    return annotations[0] if annotations else None


def _sections_of(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections_of(part)]


def _has_parts(annotation: Any) -> bool:
    """Tell whether an option is a list or a section, not one value."""
    if get_origin(annotation) in (tuple, list, dict) or _sections_of(annotation):
        return True
    return any(_has_parts(argument) for argument in get_args(annotation))
