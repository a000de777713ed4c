"""Write a person's note beside a file: `NAME.EXT.meta`, the one thing ever written to a folder.

Only at a person's word, never by a step. The note appears whole or not at all.
"""

import errno
import os
import secrets

from connectors.folder.bounds import LONG

MODE = 0o644
"""Other programs of the house may read a note."""


class NoteRefused(Exception):
    """The note was not written; the message says why, and nothing has changed."""


def read_note(path: bytes) -> str:
    """Return the note beside the file at `path`, "" where there is none.

    Raises NoteRefused where it is not one that could be edited as text.
    """
    try:
        with open(path + b".meta", "rb") as file:
            content = file.read(LONG + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise NoteRefused(f"The note cannot be read: {error.strerror}.") from error
    if len(content) > LONG:
        raise NoteRefused("The note is longer than 32 KiB; edit it with a text editor.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError:
        raise NoteRefused("The note is not UTF-8; edit it with a text editor.") from None


def write_note(path: bytes, text: str, before: str) -> None:
    """Put `text` beside the file at `path`, in place of `before`; an empty text removes it.

    Raises NoteRefused, also where the note is no longer `before`.
    """
    content = text.replace("\r\n", "\n").encode()
    if len(content) > LONG:
        raise NoteRefused(f"A note holds at most 32 KiB; this one is {len(content) / 1024:.1f}.")
    if b"\0" in content:
        raise NoteRefused("A note is text.")
    if read_note(path) != before.replace("\r\n", "\n"):
        raise NoteRefused("The note was changed elsewhere in the meantime; look at it first.")
    try:
        if content.strip():
            _replace(path + b".meta", content)
        elif os.path.lexists(path + b".meta"):
            os.unlink(path + b".meta")
    except OSError as error:
        raise NoteRefused(_reason(error)) from error


def _replace(target: bytes, content: bytes) -> None:
    folder, name = os.path.split(target)
    draft = os.path.join(folder, b".%b.meta" % secrets.token_hex(8).encode())
    try:
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE)
        with open(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, os.path.join(folder, name))
    except OSError:
        if os.path.lexists(draft):
            os.unlink(draft)
        raise


def _reason(error: OSError) -> str:
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return (
            "This folder is read-only for the daemon, so the note was not written. "
            "Mount it writable if you want to write notes here."
        )
    return f"The note could not be written: {error.strerror}."
