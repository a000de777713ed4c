"""Opens sound and video with FFmpeg (through PyAV), as something that nobody trusts."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av
import av.logging

from connectors.base import UnreadableFile

av.logging.set_level(None)  # what is wrong with a file is told once, by us

_OPTIONS = {
    # Playlists in disguise would make FFmpeg open other files and addresses.
    "format_whitelist": (
        "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,asf,flv,ogg,mpegts,mpeg,mpegvideo,mp3,aac,"
        "flac,wav,w64,aiff,ape,wv,caf,ac3,eac3,dts,amr"
    ),
    "protocol_whitelist": "none",
}


@contextmanager
def open_container(file: BinaryIO, what: str) -> Iterator[Any]:
    """Yield an open container; every error of FFmpeg in the block becomes UnreadableFile."""
    file.seek(0)
    try:
        with av.open(_Nameless(file), options=_OPTIONS, metadata_errors="replace") as container:
            yield container
    except (av.FFmpegError, ValueError, EOFError, IndexError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreadableFile(f"is not {what} that can be read ({reason})") from error


class _Nameless:
    """A file without its name: FFmpeg must judge by content, and chokes on odd names."""

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read
        self.seek = file.seek
        self.tell = file.tell


def seconds_of(container: Any, stream: Any) -> float | None:
    """Return how long a stream runs, or the whole where the stream does not say."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def check_can_decode(container: Any, stream: Any) -> None:
    """Raise UnreadableFile unless something can be decoded from the stream's beginning."""
    for tried, packet in enumerate(container.demux(stream)):
        if packet.decode():
            return
        if tried > 300:
            break
    raise UnreadableFile(f"has no {stream.type} in it that can be decoded")


def find_stream(container: Any, what: str) -> Any:
    """Return the first stream of "audio" or "video" that is no cover. Raises UnreadableFile."""
    streams = [s for s in container.streams if s.type == what and not is_cover(s)]
    known = [stream for stream in streams if stream.codec_context is not None]
    if not known:
        raise UnreadableFile(
            f"has {what} of an unknown sort" if streams else f"has no {what} in it"
        )
    return known[0]


def is_cover(stream: Any) -> bool:
    """Tell whether a stream is a picture that is attached to the media."""
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


_BOXES = frozenset(
    (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"mfra", b"sidx",
     b"meta", b"uuid", b"styp", b"udta")
)  # fmt: skip


def check_is_whole(file: BinaryIO, size: int) -> None:
    """Raise UnreadableFile where an MP4 or MOV ends before its last box (ISO 14496-12, 4.2)."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if head[4:8] not in _BOXES:
            return  # another sort of container, or something that was hung on at the end
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # 0: up to the end of the file
            return
        position += length
    if position > size:
        raise UnreadableFile(f"is cut short: {size} of at least {position} bytes are there")
