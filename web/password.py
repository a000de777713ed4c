"""The password of the pages: set in the settings, by the command line, or made at first start."""

import ipaddress
import logging
import os
import secrets
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from daemon.settings import Settings

log = logging.getLogger(__name__)

CLEAR_NAME, HASH_NAME = "web-password", "web-password.hash"
KNOWN_NAME = "web-password.known"
"""The hash of a password that is given in the clear elsewhere: sessions last while it does."""
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # nothing that looks like something else
GROUPS, GROUP_LENGTH = 4, 5
"""20 characters of 32: 100 bits."""


def is_loopback(host: str) -> bool:
    """Tell whether an address to listen on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def ensure_password(settings: Settings) -> str | None:
    """Return the hash (argon2) of the password in force; None where none is asked for.

    Without any, and listening beyond loopback, one is made and its file named in the log.
    """
    if settings.web.password is not None:
        return _hash(settings.data_dir, settings.web.password.get_secret_value())
    hash_path, clear_path = settings.data_dir / HASH_NAME, settings.data_dir / CLEAR_NAME
    if hash_path.exists():
        return hash_path.read_text(encoding="ascii").strip()
    if not _read(clear_path):  # an emptied file must not mean that no password is the right one
        if is_loopback(settings.web.host):
            return None
        _write_privately(clear_path, _make_password())
    log.info("The pages ask for a password; it is in %s", clear_path)
    return _hash(settings.data_dir, _read(clear_path))


def store_password(data_dir: Path, text: str) -> None:
    """Keep the hash of a password that a person chose; it takes the place of one that was made."""
    _write_privately(data_dir / HASH_NAME, PasswordHasher().hash(text))
    for replaced in (CLEAR_NAME, KNOWN_NAME):
        (data_dir / replaced).unlink(missing_ok=True)


def is_right(password_hash: str, text: str) -> bool:
    """Tell whether `text` is the password; takes some 50 ms, so call it in a thread."""
    try:
        return PasswordHasher().verify(password_hash, text)
    except (VerificationError, InvalidHashError):
        return False


def _hash(data_dir: Path, text: str) -> str:
    """Return the hash of a password: the one of the last start where it is still that password.

    Another salt would look like another password, and sign everybody out.
    """
    known = _read(data_dir / KNOWN_NAME)
    if known and is_right(known, text):
        return known
    made = PasswordHasher().hash(text)
    _write_privately(data_dir / KNOWN_NAME, made)
    return made


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def _make_password() -> str:
    groups = ("".join(secrets.choice(ALPHABET) for _ in range(GROUP_LENGTH)) for _ in range(GROUPS))
    return "-".join(groups)


def _write_privately(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
