"""Makes small pictures of items for pages; never in the library."""

import io
import os
from contextlib import suppress
from typing import Any, BinaryIO

from PIL import Image

from connectors.base import Kind, UnreadableFile
from connectors.folder.containers import find_stream, is_cover, open_container
from connectors.folder.decoding import MOST_PIXELS, frame_picture, open_picture, shrink
from connectors.folder.documents import open_pdf
from connectors.folder.formats import extension_of

COVERS = tuple(
    b"%b.%b" % (stem, extension)
    for stem in (b"cover", b"folder", b"front", b"album")
    for extension in (b"jpg", b"jpeg", b"png", b"webp")
)
LARGEST_COVER = 64 << 20
QUALITY = 82


def make_thumbnail(path: bytes, kind: Kind, size: int, target: str) -> bool:
    """Write a WebP of at most `size` a side; False where there is nothing to show.

    Raises UnreadableFile.
    """
    try:
        with open(path, "rb") as file:
            image = _show(file, path, kind, size)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    if image is None and kind == "music":
        image = _cover_beside(path, size)
    if image is None:
        return False
    _save(image, target)
    return True


def _show(file: BinaryIO, path: bytes, kind: Kind, size: int) -> Image.Image | None:
    if kind == "images":
        return _small_picture(file, size)
    if kind == "videos":
        return _video_frame(file, size)
    if kind == "music":
        return _embedded_cover(file, size)
    return _first_page(file, size) if extension_of(path) == b"pdf" else None


def _small_picture(file: BinaryIO, size: int) -> Image.Image:
    with open_picture(file) as image:
        return shrink(image, size)


def _embedded_cover(file: BinaryIO, size: int) -> Image.Image | None:
    with suppress(UnreadableFile), open_container(file, "sound") as container:
        for stream in container.streams.video:
            if is_cover(stream):
                packet = next(container.demux(stream))
                return _small_picture(io.BytesIO(bytes(packet)), size)
    return None


def _cover_beside(path: bytes, size: int) -> Image.Image | None:
    """Return the cover that lies in the item's folder, by the names that players know."""
    folder = os.path.dirname(path)
    try:
        names = {name.lower(): name for name in os.listdir(folder)}
    except OSError:
        return None
    for cover in COVERS:
        if cover in names:
            with (
                suppress(OSError, UnreadableFile),
                open(b"%b/%b" % (folder, names[cover]), "rb") as f,
            ):
                if os.fstat(f.fileno()).st_size <= LARGEST_COVER:
                    return _small_picture(f, size)
    return None


def _video_frame(file: BinaryIO, size: int) -> Image.Image | None:
    """Return the frame at a tenth of the length, or the first that can be decoded."""
    for share in (0.1, 0.0):
        with suppress(UnreadableFile), open_container(file, "video") as container:
            stream = find_stream(container, "video")
            if share and container.duration:
                container.seek(int(container.duration * share))
            if frame := _decode_one(container, stream):
                return frame_picture(frame, stream, size)
    return None


def _decode_one(container: Any, stream: Any) -> Any:
    """Return the first frame that is small enough; None within a hundred packets."""
    context = stream.codec_context
    if context.width * context.height > MOST_PIXELS:
        return None
    for tried, packet in enumerate(container.demux(stream)):
        for frame in packet.decode():
            return frame
        if tried > 100:
            break
    return None


def _first_page(file: BinaryIO, size: int) -> Image.Image | None:
    with open_pdf(file) as document:
        if not len(document):
            return None
        page = document[0]
        longest = max(page.get_size()) or 1.0
        image: Image.Image = page.render(scale=min(4.0, size / longest)).to_pil().convert("RGB")
        page.close()
    image.thumbnail((size, size))
    return image


def _save(image: Image.Image, target: str) -> None:
    """Write to a file beside the target, then put it in place at once."""
    folder = os.path.dirname(target)
    if folder:
        os.makedirs(folder, exist_ok=True)
    partial = f"{target}.{os.getpid()}.part"
    try:
        image.save(partial, "WEBP", quality=QUALITY)
        os.replace(partial, target)
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        raise
