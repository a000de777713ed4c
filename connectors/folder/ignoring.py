"""Patterns of files and folders to leave out, in the way of .gitignore.

The subset: `#` comments, `!` takes back, a slash at the end means folders only, a slash elsewhere
ties the pattern to the folder that it is written for, `*`, `?`, `[…]` within a name, and `**` over
names. The last pattern that fits decides. What lies in a folder that is left out cannot be taken
back.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_FILE = 64 * 1024
MOST_PATTERNS = 1000
MOST_DOUBLE_STARS = 4
"""In a pattern; each multiplies the time that a path can take."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    regex: re.Pattern[bytes]
    takes_back: bool
    folders_only: bool


class Ignoring:
    """The patterns that hold below one folder; `base` is its path with a slash at its end."""

    __slots__ = ("_base", "_patterns", "_upper")

    def __init__(
        self, lines: Iterable[bytes], base: bytes = b"", upper: "Ignoring | None" = None
    ) -> None:
        self._base = base
        self._upper = upper
        found = (parse_pattern(line) for line in lines)
        self._patterns = [pattern for pattern in found if pattern][:MOST_PATTERNS]
        self._patterns.reverse()

    @property
    def is_empty(self) -> bool:
        """Tell whether there is no pattern at all."""
        return not self._patterns and (self._upper is None or self._upper.is_empty)

    def leaves_out(self, path: bytes, *, folder: bool) -> bool:
        """Tell whether `path`, relative to the source's root, is left out."""
        return self._judge(path, folder) or False

    def _judge(self, path: bytes, folder: bool) -> bool | None:
        below = path[len(self._base) :]
        for pattern in self._patterns:
            if (folder or not pattern.folders_only) and pattern.regex.fullmatch(below):
                return not pattern.takes_back
        return self._upper._judge(path, folder) if self._upper else None


def parse_pattern(line: bytes) -> _Pattern | None:
    """Turn one line into a pattern; None for comments, empty lines and broken patterns."""
    line = line.strip()
    if not line or line.startswith(b"#"):
        return None
    takes_back = line.startswith(b"!")
    text = line[1:] if takes_back else line
    folders_only = text.endswith(b"/")
    text = text.rstrip(b"/")
    if text.count(b"**") > MOST_DOUBLE_STARS:
        return None
    tied = b"/" in text
    body = _translate(text.lstrip(b"/"))
    try:
        regex = re.compile(body if tied else b"(?:.*/)?" + body, re.DOTALL)
    except re.error:
        return None
    return _Pattern(regex, takes_back, folders_only) if text else None


_TOKENS = re.compile(rb"\*\*+/|/\*\*+$|\*\*+|\*|\?|\[!?\]?[^\]]*\]|\\.|.", re.DOTALL)


def _translate(text: bytes) -> bytes:
    """Turn a pattern into a regular expression.

    A star that is followed by another takes the first place where what stands between them fits,
    and never comes back to it (an atomic group), as in Python's fnmatch: many stars would take
    for ever otherwise.
    """
    parts = [[b"", b""]]  # a wildcard, and what follows up to the next
    for token in _TOKENS.findall(text):
        if token.startswith((b"*", b"/*")):
            parts.append([token, b""])
        else:
            parts[-1][1] += _translate_token(token)
    regex = b""
    for (wildcard, fixed), (following, _) in zip(parts, [*parts[1:], [b"", b""]], strict=True):
        if wildcard == following == b"*":
            regex += b"(?>[^/]*?%b)" % fixed
        else:
            regex += _translate_wildcard(wildcard) + fixed
    return regex


def _translate_wildcard(token: bytes) -> bytes:
    if token in (b"", b"*"):
        return b"[^/]*" if token else b""
    if token.startswith(b"/"):
        return b"/.*"
    return b"(?:.*/)?" if token.endswith(b"/") else b".*"


def _translate_token(token: bytes) -> bytes:
    if token == b"?":
        return b"[^/]"
    if token.startswith(b"[") and len(token) > 2:
        inside = token[1:-1].replace(b"\\", rb"\\").replace(b"[", rb"\[")
        return b"[" + (b"^" + inside[1:] if inside.startswith(b"!") else inside) + b"]"
    return re.escape(token[-1:])
