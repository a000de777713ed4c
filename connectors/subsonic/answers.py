"""The server's JSON, read with patience; and its errors, told apart."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from connectors.base import (
    BadAnswer,
    ConnectorError,
    Misconfigured,
    NotAllowed,
    NotFound,
    Refused,
    SignInRefused,
)

LONGEST_MESSAGE = 200


class ApiRefused(Refused):
    """An error of the API without a better name; `code` and `words` are the server's."""

    def __init__(self, server: str, code: int, words: str) -> None:
        super().__init__(f"{server}: {words}")
        self.code = code
        self.words = words


class VersionRefused(Misconfigured):
    """The server does not take the version we asked with; `spoken` is the one it speaks."""

    def __init__(self, message: str, spoken: str) -> None:
        super().__init__(message)
        self.spoken = spoken


class Answer:
    """A part of what a server said. What is missing is empty; what is nonsense is BadAnswer."""

    def __init__(self, server: str, content: Mapping[str, Any]) -> None:
        self._server = server
        self._content = content

    def get(self, name: str) -> Any:
        """Return a value as it came; None where there is none."""
        return self._content.get(name)

    def __contains__(self, name: str) -> bool:
        return name in self._content

    @property
    def content(self) -> dict[str, Any]:
        """All of it."""
        return dict(self._content)

    def part(self, name: str) -> "Answer":
        """Return an object in it. Servers that think in XML send "" for an empty one."""
        value = self._content.get(name)
        if value is None or value == "":
            return Answer(self._server, {})
        if not isinstance(value, dict):
            raise BadAnswer(f"{self._server}'s answer has no object in {name}.")
        return Answer(self._server, value)

    def many(self, name: str) -> list[dict[str, Any]]:
        """Return a list of objects, {} for those that are none; a single one may come bare."""
        value = self._content.get(name)
        if value is None or value == "":
            return []
        if isinstance(value, dict):
            return [value]
        if not isinstance(value, list):
            raise BadAnswer(f"{self._server}'s answer has no list in {name}.")
        return [entry if isinstance(entry, dict) else {} for entry in value]


def read_answer(server: str, body: bytes, secrets: Collection[str]) -> Answer:
    """Return what is inside `subsonic-response`; raise what it says went wrong.

    `secrets` are struck out of the server's own words.
    """
    try:
        content = json.loads(body)["subsonic-response"]
        status = content["status"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadAnswer(f"{server}'s answer is not of the Subsonic API.") from error
    if status == "ok":
        return Answer(server, content)
    told = content.get("error")
    told = told if isinstance(told, dict) else {}
    try:
        code = int(told.get("code", 0))
    except (TypeError, ValueError, OverflowError):
        code = 0
    words = str(told.get("message") or "it failed")
    for secret in secrets:
        words = words.replace(secret, "…")
    raise error_of(server, code, words[:LONGEST_MESSAGE], str(content.get("version") or ""))


def error_of(server: str, code: int, words: str, version: str = "") -> ConnectorError:
    """Return our error for one of the API's; `version` is the one that the server speaks."""
    message = f"{server}: {words}"
    match code:
        case 20 | 30:
            return VersionRefused(f"{message} (the versions of the API do not fit)", version)
        case 40:
            return SignInRefused(f"{server} does not take the user name or password.")
        case 50:
            return NotAllowed(message)
        case 70:
            return NotFound(message)
        case _:
            return ApiRefused(server, code, words)
