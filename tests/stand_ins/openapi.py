"""Checks requests and answers against a formal description, where one lies beside the checkout.

    description = load("jellyfin-openapi-10.11.11.json")      # None where there is none
    description.refuse_request("GET", "/Items", [("limit", "x")], "", b"")    # -> why, or ""

A description is checked by openapi-core. That takes milliseconds a call, so what has the same
shape as something that passed is let through: same route, same names, same kinds of values.
"""

import functools
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

DESCRIPTIONS = Path(__file__).resolve().parents[3] / "shared" / "api"

_UUID = re.compile(r"[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INT32 = re.compile(r"-?\d{1,9}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")

Pairs = Sequence[tuple[str, str]]


@dataclass
class _Request:
    method: str
    path: str
    parameters: RequestParameters
    content_type: str
    body: bytes | None
    host_url: str = "http://stand-in"


@dataclass
class _Answer:
    status_code: int
    content_type: str
    data: bytes
    headers: Headers = field(default_factory=Headers)


class Description:
    """The operations that an API has, with their parameters, bodies and answers."""

    def __init__(self, document: dict[str, Any]) -> None:
        document["servers"] = [{"url": "/"}]
        self._operations: dict[str, dict[str, dict[str, Any]]] = {}
        for path, operations in document["paths"].items():
            known = {m: o for m, o in operations.items() if isinstance(o, dict)}
            self._operations[path] = {method.upper(): o for method, o in known.items()}
            for operation in known.values():
                operation.pop("security", None)  # who may do it is for the stand-in to judge
                operation["parameters"] = [
                    parameter  # openapi-core misses optional objects in a query
                    for parameter in operation.get("parameters", ())
                    if parameter.get("schema", {}).get("type") != "object"
                ]
        self._enums = _enums(document)
        self._templates = [(_pattern(path), path) for path in sorted(self._operations, key=_rank)]
        self._passed: set[object] = set()
        uuid = {"uuid": lambda value: bool(_UUID.fullmatch(str(value)))}
        # The servers' ids have no dashes; and checking the description itself takes minutes.
        config = Config(
            spec_validator_cls=None,
            extra_format_validators=uuid,
            extra_format_unmarshallers={"uuid": str},
        )
        self._api = OpenAPI.from_dict(document, config=config)

    def template(self, path: str) -> str | None:
        """Return the described path that fits, however its letters are cased."""
        found = (template for pattern, template in self._templates if pattern.fullmatch(path))
        return next(found, None)

    def has(self, method: str, template: str) -> bool:
        """Say whether the description knows the operation."""
        return method.upper() in self._operations.get(template, {})

    def refuse_request(
        self, method: str, path: str, query: Pairs, content_type: str, body: bytes
    ) -> str:
        """Return why the description does not allow a request; "" if it does."""
        template = self.template(path)
        if template is None:
            return f"{path} is not described"
        operation = self._operations[template].get(method.upper())
        if operation is None:
            return f"{method} {template} is not described"
        unknown = {name for name, _ in query} - {
            parameter["name"] for parameter in operation.get("parameters", ())
        }
        if unknown:
            return f"{method} {template} has no parameters {', '.join(sorted(unknown))}"
        if body and "requestBody" not in operation:
            return f"{method} {template} takes no body"
        small, shape = self._reduce(_parse(content_type, body))
        if small is not None:
            body = json.dumps(small).encode()
        kinds = frozenset((name, _kind(value)) for name, value in query)
        repeated = frozenset(name for name, _ in query if [n for n, _ in query].count(name) > 1)
        ids = tuple(_kind(part) for part in path.split("/"))
        key = ("request", method, template, ids, kinds, repeated, content_type, shape)
        if key in self._passed:
            return ""
        request = self._request(method, _recase(path, template), query, content_type, body)
        try:
            self._api.validate_request(request)
        except OpenAPIError as error:
            return f"{method} {template}: {_reason(error)}"
        self._passed.add(key)
        return ""

    def refuse_answer(
        self, method: str, path: str, status: int, content_type: str, body: bytes
    ) -> str:
        """Return how a JSON answer differs from the description; "" if it does not."""
        template = self.template(path)
        assert template is not None
        small, shape = self._reduce(_parse(content_type, body))
        key = ("answer", method, template, status, content_type, shape)
        if key in self._passed:
            return ""
        body = json.dumps(small).encode() if small is not None else body
        request = self._request(method, _recase(path, template), (), "", b"")
        try:
            self._api.validate_response(request, _Answer(status, content_type, body))
        except OpenAPIError as error:
            return f"answer of {method} {template}: {_reason(error)}"
        self._passed.add(key)
        return ""

    def _request(
        self, method: str, path: str, query: Pairs, content_type: str, body: bytes
    ) -> _Request:
        parameters = RequestParameters(query=ImmutableMultiDict(query))
        return _Request(method.lower(), path, parameters, content_type, body or None)

    def _reduce(self, value: Any, name: str = "") -> tuple[Any, object]:
        """Return a value with one entry of each shape in its lists, and its shape.

        Strings that the description counts up for that name are kept apart, others go by kind.
        """
        if isinstance(value, dict):
            parts = {key: self._reduce(part, key) for key, part in value.items()}
            shape = frozenset((key, part[1]) for key, part in parts.items())
            return {key: part[0] for key, part in parts.items()}, shape
        if isinstance(value, list):
            found = {part[1]: part[0] for part in (self._reduce(part, name) for part in value)}
            return list(found.values()), ("list", frozenset(found))
        if isinstance(value, str):
            is_counted = value in self._enums.get(name, ())
            return value, value if is_counted else ("text", _kind(value, literal=False))
        if isinstance(value, int) and not isinstance(value, bool):
            return value, ("int", abs(value) < 2**31)
        return value, type(value).__name__


@functools.cache
def load(name: str) -> Description | None:
    """Read a description; None where it does not lie beside the checkout."""
    path = DESCRIPTIONS / name
    return Description(json.loads(path.read_bytes())) if path.is_file() else None


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{[^}]+\}", template)
    return re.compile("([^/]+)".join(re.escape(part) for part in parts), re.IGNORECASE)


def _recase(path: str, template: str) -> str:
    """Write a path's fixed parts as the template does: servers do not mind, openapi-core does."""
    parts = zip(path.split("/"), template.split("/"), strict=True)
    return "/".join(part if "{" in fixed else fixed for part, fixed in parts)


def _rank(template: str) -> tuple[int, str]:
    return template.count("{"), template  # /Items/Counts before /Items/{itemId}


def _enums(document: dict[str, Any]) -> dict[str, set[str]]:
    """Return the values that a property of a name may have in some schema."""
    schemas = document.get("components", {}).get("schemas", {})
    found: dict[str, set[str]] = {}
    for schema in schemas.values():
        for name, part in schema.get("properties", {}).items():
            for deep in _deep(part, schemas):
                found.setdefault(name, set()).update(map(str, deep.get("enum", ())))
    return found


def _deep(schema: dict[str, Any], schemas: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield schema
    for part in [*schema.get("allOf", ()), *schema.get("oneOf", ()), schema.get("items", {})]:
        yield part
        if "$ref" in part:
            yield schemas.get(part["$ref"].rsplit("/", 1)[-1], {})
    if "$ref" in schema:
        yield schemas.get(schema["$ref"].rsplit("/", 1)[-1], {})


def _parse(content_type: str, body: bytes) -> Any:
    if not body or "json" not in content_type:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return None


def _kind(value: str, *, literal: bool = True) -> str:
    for kind, pattern in (("uuid", _UUID), ("int", _INT32), ("date", _DATE)):
        if pattern.fullmatch(value):
            return f"a {kind}"
    return value if literal else "text"


def _reason(error: BaseException) -> str:
    causes = list(_causes(error))
    schema_errors: Iterable[object] = getattr(causes[-1], "schema_errors", ())
    reasons = sorted({str(e).splitlines()[0][:200] for e in schema_errors}) or [str(causes[-1])]
    return f"{str(error)[:120]}: {'; '.join(reasons[:3])[:600]}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
