"""Hashes of a file: of all of it in samples, and of what stays when its tags change.

The names of the methods stand before the content hashes; hashes of two methods never compare.
"""

import os
from fractions import Fraction
from typing import BinaryIO

import av
import xxhash

from connectors.base import UnreadableFile

BLOCK = 1 << 20
BLOCKS = 5
LARGEST_PICTURE = 1 << 28
"""Pictures above this are not hashed by content: one would have to read all of it."""

_ESTIMATED = frozenset(("mp3", "aac"))
"""Containers whose length FFmpeg may guess from the size of the file, tags and all."""


def soft_hash(file: BinaryIO, size: int) -> str:
    """Hash the size and five evenly spread blocks of 1 MiB; all of a file of up to 5 MiB."""
    state = xxhash.xxh3_128(b"%d\0" % size)
    if size <= BLOCK * BLOCKS:
        file.seek(0)
        state.update(file.read(size))
        return state.hexdigest()
    for index in range(BLOCKS):
        file.seek((size - BLOCK) * index // (BLOCKS - 1))
        state.update(file.read(BLOCK))
    return state.hexdigest()


def packets_hash(container: "av.container.InputContainer", stream: "av.stream.Stream") -> str:
    """Hash the first MiB of a stream's packets and its length; raises UnreadableFile if empty.

    The length tells apart recordings that begin alike, such as with silence.
    """
    state, taken = xxhash.xxh3_128(), 0
    for packet in container.demux(stream):
        taken += packet.size
        state.update(bytes(packet))
        if taken >= BLOCK:
            break
    if not taken:
        raise UnreadableFile(f"has no {stream.type} in it")
    state.update(_length(container, stream).encode())
    return f"packets:{state.hexdigest()}"


def _length(container: "av.container.InputContainer", stream: "av.stream.Stream") -> str:
    if stream.duration is not None and stream.time_base is not None:
        seconds = stream.duration * stream.time_base
    else:
        seconds = Fraction(container.duration or 0, av.time_base)
    return f"{float(seconds):.{1 if container.format.name in _ESTIMATED else 3}f}"


def picture_hash(file: BinaryIO, size: int) -> str | None:
    """Hash a JPEG, PNG or WebP without its metadata; None for other formats."""
    file.seek(0)
    start = file.read(12)
    if size > LARGEST_PICTURE:
        return None
    if start.startswith(b"\xff\xd8"):
        return f"jpeg:{_hash_jpeg(file)}"
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return f"png:{_hash_png(file)}"
    if start[:4] == b"RIFF" and start[8:] == b"WEBP":
        return f"webp:{_hash_webp(file)}"
    return None


def _hash_jpeg(file: BinaryIO) -> str:
    """Hash all segments but APPn and COM (ITU T.81, B.1.1), then the rest from the first scan."""
    state = xxhash.xxh3_128()
    file.seek(2)
    while True:
        marker = file.read(4)
        if len(marker) < 4 or marker[0] != 0xFF:
            break
        if marker[1] == 0xFF:  # a fill byte
            file.seek(-3, os.SEEK_CUR)
            continue
        length = int.from_bytes(marker[2:], "big") - 2
        if 0xE0 <= marker[1] <= 0xEF or marker[1] == 0xFE:
            file.seek(max(length, 0), os.SEEK_CUR)
            continue
        state.update(marker + file.read(max(length, 0)))
        if marker[1] == 0xDA:
            break
    _update_to_end(state, file)
    return state.hexdigest()


_PNG_PIXELS = frozenset((b"IHDR", b"PLTE", b"IDAT", b"tRNS", b"acTL", b"fcTL", b"fdAT"))
_WEBP_PIXELS = frozenset((b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF"))


def _hash_png(file: BinaryIO) -> str:
    """Hash the chunks that make the pixels (PNG, section 5.3)."""
    state = xxhash.xxh3_128()
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[:4], "big")
        if head[4:] in _PNG_PIXELS:
            state.update(head[4:] + file.read(min(length, LARGEST_PICTURE)))
            file.seek(4, os.SEEK_CUR)
        else:
            file.seek(length + 4, os.SEEK_CUR)
    return state.hexdigest()


def _hash_webp(file: BinaryIO) -> str:
    """Hash the chunks that make the pixels; VP8X holds flags that change with the metadata."""
    state = xxhash.xxh3_128()
    file.seek(12)
    while len(head := file.read(8)) == 8:
        length = int.from_bytes(head[4:], "little")
        length += length % 2
        if head[:4] in _WEBP_PIXELS:
            state.update(head[:4] + file.read(min(length, LARGEST_PICTURE)))
        else:
            file.seek(length, os.SEEK_CUR)
    return state.hexdigest()


def _update_to_end(state: "xxhash.xxh3_128", file: BinaryIO) -> None:
    while block := file.read(BLOCK):
        state.update(block)
