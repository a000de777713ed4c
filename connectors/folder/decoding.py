"""Decodes pictures with bounded memory."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from struct import error as StructError
from typing import Any, BinaryIO

import pillow_heif
from PIL import Image, ImageOps, UnidentifiedImageError

from connectors.base import UnreadableFile

pillow_heif.register_heif_opener()

MOST_PIXELS = 250_000_000
"""Larger pictures are not decoded: three bytes a pixel, more than once in memory."""

Image.MAX_IMAGE_PIXELS = None  # ours is checked before anything is decoded

_ERRORS = (
    UnidentifiedImageError, OSError, ValueError, SyntaxError, EOFError, KeyError, IndexError,
    TypeError, OverflowError, RuntimeError, AttributeError, ZeroDivisionError, StructError,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow's many plug-ins raise on garbage."""


@contextmanager
def open_picture(file: BinaryIO) -> Iterator[Image.Image]:
    """Yield a picture that is small enough; all errors in the block become UnreadableFile."""
    file.seek(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about EXIF and the like that we do not use
            with Image.open(file) as image:
                width, height = image.size
                if width * height > MOST_PIXELS:
                    raise UnreadableFile(
                        f"claims {width} by {height} pixels; more than"
                        f" {MOST_PIXELS // 1_000_000} million are not decoded"
                    )
                yield image
    except MemoryError as error:
        raise UnreadableFile("needs too much memory to decode") from error
    except UnidentifiedImageError as error:
        raise UnreadableFile("is not a picture that can be read") from error
    except _ERRORS as error:
        raise UnreadableFile(f"is damaged or cut short ({error})") from error


def shrink(image: Image.Image, size: int) -> Image.Image:
    """Return the picture upright, in RGB(A), at most `size` a side."""
    scale = size / max(image.size)
    width, height = (max(1, math.ceil(side * scale)) for side in image.size)
    image.draft("RGB", (width, height))  # JPEG decodes straight to an eighth
    image.load()
    image = upright(image)
    has_alpha = image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        image = _to_eight_bits(image)
    image = image.convert("RGBA" if has_alpha else "RGB")
    image.thumbnail((size, size), Image.Resampling.LANCZOS, reducing_gap=2.0)
    return image


def frame_picture(frame: Any, stream: Any, size: int) -> Image.Image:
    """Return a frame of a video at most `size` a side: square pixels, turned as it says."""
    aspect = float(stream.sample_aspect_ratio or 1) or 1.0
    width, height = frame.width * aspect, float(frame.height)
    scale = min(1.0, size / max(width, height))
    small = frame.reformat(  # in FFmpeg
        width=max(1, round(width * scale)), height=max(1, round(height * scale)), format="rgb24"
    )
    image: Image.Image = small.to_image()
    return image.rotate(frame.rotation, expand=True) if frame.rotation else image


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Scale what has more bits by its own range; converting would cut it off at 255."""
    image = image.convert("F")
    low, high = (float(v) for v in image.getextrema())  # type: ignore[arg-type]
    scale = 255 / (high - low) if high > low else 0.0
    return image.point(lambda value: value * scale - low * scale).convert("L")


def upright(image: Image.Image) -> Image.Image:
    """Turn the picture as its EXIF orientation says."""
    return ImageOps.exif_transpose(image)


def look_of(image: Image.Image) -> str:
    """Return the difference hash of a picture: 64 comparisons of neighbours, as hex.

    Of http://www.hackerfactor.com/blog/index.php?/archives/529-Kind-of-Like-That.html.
    """
    small = image.convert("L").resize((9, 8), Image.Resampling.BOX)
    row = list(small.getdata())
    bits = 0
    for y in range(8):
        for x in range(8):
            bits = bits << 1 | (row[9 * y + x] < row[9 * y + x + 1])
    return f"{bits:016x}"
