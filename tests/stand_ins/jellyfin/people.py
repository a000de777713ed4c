"""Who is let in: tokens, API keys, Quick Connect."""

import re
import secrets
import urllib.parse
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from tests.stand_ins.jellyfin.lists import Lists
from tests.stand_ins.jellyfin.quirks import Quirks
from tests.stand_ins.jellyfin.records import Token, User, now, random_id

if TYPE_CHECKING:
    from aiohttp import web

_PAIR = re.compile(r'(\w+)=(?:"([^"]*)"|([^",\s]*))')


@dataclass
class QuickConnect:
    """A sign-in that waits for somebody to enter its code."""

    secret: str
    code: str
    created: datetime
    fields: dict[str, str]
    user: User | None = None


class People(Lists):
    """Signing in and out."""

    def __init__(self, version: str, name: str, quirks: Quirks) -> None:
        super().__init__(version, name, quirks)
        self.tokens: dict[str, Token] = {}
        self.quick_connects: dict[str, QuickConnect] = {}

    def add_api_key(self) -> str:
        """Make an API key, as an administrator does; return it."""
        return self._let_in(None, {})

    def sign_in(self, user: str, device: str = "test") -> str:
        """Return a new token of a user."""
        return self._let_in(self.user(user), {"DeviceId": device})

    def revoke_tokens(self, user: str | None = None) -> None:
        """Take back the tokens of a user, or every one and every API key."""
        person = self.user(user) if user else None
        self.tokens = {
            value: token
            for value, token in self.tokens.items()
            if person is not None and token.user is not person
        }

    def approve(self, code: str, user: str) -> None:
        """Let a user enter the code of a Quick Connect."""
        waiting = next(q for q in self.quick_connects.values() if q.code == code)
        waiting.user = self.user(user)

    def begin_quick_connect(self, fields: dict[str, str]) -> QuickConnect:
        """Give out a secret and the code of six digits that belongs to it."""
        waiting = QuickConnect(random_id(), f"{secrets.randbelow(10**6):06}", now(), fields)
        self.quick_connects[waiting.secret] = waiting
        return waiting

    def let_in(self, user: User, fields: dict[str, str]) -> Token:
        """Sign a user in on the device of the header; an older token of that device ends."""
        device = fields.get("DeviceId", "")
        for value, token in list(self.tokens.items()):
            if token.user is user and device and token.device == device:
                del self.tokens[value]
        return self.tokens[self._let_in(user, fields)]

    def _let_in(self, user: User | None, fields: dict[str, str]) -> str:
        value = random_id()
        device, client = fields.get("DeviceId", ""), fields.get("Client", "")
        self.tokens[value] = Token(value, user, device, client)
        return value

    def authorization(self, request: "web.Request") -> dict[str, str]:
        """Return the fields of the Authorization header, decoded, with the token from anywhere."""
        legacy = self.quirks.legacy_authorization
        header = request.headers.get("Authorization", "")
        if legacy and not header:
            header = request.headers.get("X-Emby-Authorization", "")
        scheme, _, rest = header.partition(" ")
        known = ("mediabrowser", "emby") if legacy else ("mediabrowser",)
        pairs = _PAIR.findall(rest) if scheme.lower() in known else []
        fields = {name: urllib.parse.unquote_plus(quoted or bare) for name, quoted, bare in pairs}
        others = [request.query.get("ApiKey")]
        if legacy:
            headers = ("X-Emby-Token", "X-MediaBrowser-Token")
            others += [*(request.headers.get(name) for name in headers)]
            others += [request.query.get("api_key")]
        found = fields.get("Token") or next((value for value in others if value), "")
        return fields | {"Token": found}
