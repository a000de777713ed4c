"""Turns bytes of unknown encoding into text."""

import codecs

from charset_normalizer import from_bytes

from connectors.base import UnreadableFile

SAMPLE = 32 * 1024
"""Bytes by which the encoding is guessed."""

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def decode(content: bytes) -> str:
    """Decode the beginning of a text, which may end within a letter.

    A byte order mark counts first, then UTF-8, then what charset-normalizer finds likely. Raises
    UnreadableFile for what is no text.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content[len(mark) :].decode(encoding, "replace")
    if b"\0" not in content[:SAMPLE]:
        try:
            return codecs.getincrementaldecoder("utf-8")().decode(content)
        except UnicodeDecodeError:
            pass
    best = from_bytes(content[:SAMPLE]).best()
    if best is None or (b"\0" in content[:SAMPLE] and "utf" not in best.encoding):
        raise UnreadableFile("is no text: its bytes fit no encoding")
    return content.decode(best.encoding, "replace")
