"""Makes small media of every format, for all tests: real encoders, real tags.

Everything is deterministic. Paths may be str, bytes or Path; folders on the way are made.
"""

import base64
import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import exiv2
import mutagen
import numpy as np
import pillow_heif
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from docx import Document
from mutagen import asf, flac, id3, mp4
from PIL import Image

pillow_heif.register_heif_opener()

AnyPath = str | bytes | Path

AUDIO_FORMATS = {
    "mp3": ("mp3", "libmp3lame"), "flac": ("flac", "flac"), "ogg": ("ogg", "vorbis"),
    "oga": ("ogg", "flac"), "opus": ("ogg", "libopus"), "m4a": ("ipod", "aac"),
    "m4b": ("ipod", "aac"), "aac": ("adts", "aac"), "wav": ("wav", "pcm_s16le"),
    "aif": ("aiff", "pcm_s16be"), "aiff": ("aiff", "pcm_s16be"), "wma": ("asf", "wmav2"),
    "mka": ("matroska", "libopus"), "wv": ("wv", "wavpack"),
}  # fmt: skip
"""Extension to container and codec."""

UNTAGGED_AUDIO = ("aac", "mka")
"""Formats whose tags `make_audio` leaves empty."""

VIDEO_FORMATS = {
    "mp4": ("mp4", "libx264", "aac"), "m4v": ("mp4", "libx264", "aac"),
    "mov": ("mov", "libx264", "aac"), "mkv": ("matroska", "libx264", "aac"),
    "webm": ("webm", "libvpx", "libopus"), "avi": ("avi", "mpeg4", "libmp3lame"),
    "wmv": ("asf", "wmv2", "wmav2"), "flv": ("flv", "flv", "libmp3lame"),
    "ogv": ("ogg", "libvpx", "vorbis"), "mpeg": ("mpeg", "mpeg2video", "mp2"),
    "mpg": ("mpeg", "mpeg2video", "mp2"), "ts": ("mpegts", "mpeg2video", "mp2"),
    "m2ts": ("mpegts", "mpeg2video", "mp2"), "3gp": ("3gp", "mpeg4", "aac"),
}  # fmt: skip
"""Extension to container, picture codec and sound codec."""

PICTURE_FORMATS = {
    "jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "gif": "GIF", "webp": "WEBP", "bmp": "BMP",
    "tif": "TIFF", "tiff": "TIFF", "heic": "HEIF", "heif": "HEIF", "avif": "AVIF",
}  # fmt: skip
"""Extension to Pillow's name of the format."""

DOCUMENT_FORMATS = ("txt", "md", "markdown", "html", "htm", "pdf", "epub", "docx")


def extension_of(path: AnyPath) -> str:
    """Return the extension in small letters, without its dot."""
    return os.path.splitext(os.fsdecode(path))[1][1:].lower()  # noqa: PTH122  # bytes paths


def write(path: AnyPath, content: bytes) -> None:
    """Write a file and the folders on its way."""
    folder = os.path.dirname(os.fsencode(path))  # noqa: PTH120
    if folder:
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    with open(path, "wb") as file:  # noqa: PTH123
        file.write(content)


def make_audio(
    path: AnyPath, *, seconds: float = 1.0, frequency: float = 440.0, **tags: Any
) -> None:
    """Write a tone as the extension says, with the tags of `tag_audio`."""
    container_name, codec = AUDIO_FORMATS[extension_of(path)]
    target = io.BytesIO()
    with av.open(target, "w", format=container_name) as container:
        stream = _add_audio(container, codec)
        for frame in _tone(seconds, frequency, stream.rate):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    write(path, target.getvalue())
    if tags:
        tag_audio(path, **tags)


def _add_audio(container: Any, codec: str) -> Any:
    rate = 48000 if codec == "libopus" else 44100
    options = {"strict": "experimental"} if codec == "vorbis" else {}
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.layout = "stereo"
    if not codec.startswith("pcm"):
        stream.bit_rate = 96000
    return stream


def _tone(seconds: float, frequency: float, rate: int) -> Iterator[AudioFrame]:
    samples = np.arange(round(seconds * rate))
    wave = (8000 * np.sin(2 * np.pi * frequency * samples / rate)).astype(np.int16)
    for start in range(0, len(wave), 1024):
        piece = np.repeat(wave[start : start + 1024], 2).reshape(1, -1)
        frame = AudioFrame.from_ndarray(piece, format="s16", layout="stereo")
        frame.sample_rate, frame.pts = rate, start
        yield frame


TAGS = {
    "title": (id3.TIT2, "title", "\xa9nam", "Title"),
    "artist": (id3.TPE1, "artist", "\xa9ART", "Author"),
    "albumartist": (id3.TPE2, "albumartist", "aART", "WM/AlbumArtist"),
    "album": (id3.TALB, "album", "\xa9alb", "WM/AlbumTitle"),
    "genre": (id3.TCON, "genre", "\xa9gen", "WM/Genre"),
    "date": (id3.TDRC, "date", "\xa9day", "WM/Year"),
    "composer": (id3.TCOM, "composer", "\xa9wrt", "WM/Composer"),
    "track": (id3.TRCK, "tracknumber", "trkn", "WM/TrackNumber"),
    "disc": (id3.TPOS, "discnumber", "disk", "WM/PartOfSet"),
    "comment": (id3.COMM, "comment", "\xa9cmt", "Description"),
    "lyrics": (id3.USLT, "lyrics", "\xa9lyr", "WM/Lyrics"),
}
"""Neutral name to ID3 frame, Vorbis key, MP4 atom and ASF key."""


def tag_audio(path: AnyPath, *, cover: bytes | None = None, **tags: Any) -> None:
    """Write tags by the names of `TAGS` (text or lists of texts) and a cover (JPEG; not wma).

    Names outside `TAGS` are written as they are: TXXX, Vorbis and ASF keys, MP4 freeform atoms.
    """
    with open(path, "rb+") as file:  # noqa: PTH123
        audio = mutagen.File(file)
        if audio.tags is None:
            audio.add_tags()
        for name, value in tags.items():
            values = [str(v) for v in (value if isinstance(value, list | tuple) else [value])]
            _set_tag(audio.tags, name, values)
        if cover is not None:
            _set_cover(audio, cover)
        file.seek(0)
        audio.save(file)


def _set_tag(tags: Any, name: str, values: list[str]) -> None:
    frame, vorbis, atom, key = TAGS.get(name, (None, name, None, name))
    if isinstance(tags, id3.ID3):
        if frame is None:
            tags.add(id3.TXXX(encoding=3, desc=name, text=values))
        elif frame in (id3.COMM, id3.USLT):
            text = values if frame is id3.COMM else values[0]
            tags.add(frame(encoding=3, lang="eng", desc="", text=text))
        else:
            tags.add(frame(encoding=3, text=values))
    elif isinstance(tags, mp4.MP4Tags):
        if atom in ("trkn", "disk"):
            tags[atom] = [(int(values[0].partition("/")[0]), 0)]
        else:
            freeform = [v.encode() for v in values]
            tags[atom or f"----:com.apple.iTunes:{name}"] = values if atom else freeform
    else:
        tags[key if isinstance(tags, asf.ASFTags) else vorbis] = values


def _set_cover(audio: Any, cover: bytes) -> None:
    if isinstance(audio.tags, id3.ID3):
        audio.tags.add(id3.APIC(encoding=3, mime="image/jpeg", type=3, desc="", data=cover))
    elif isinstance(audio.tags, mp4.MP4Tags):
        audio.tags["covr"] = [mp4.MP4Cover(cover, mp4.MP4Cover.FORMAT_JPEG)]
    else:
        block = flac.Picture()
        block.data, block.type, block.mime = cover, 3, "image/jpeg"
        if isinstance(audio, flac.FLAC):
            audio.add_picture(block)
        else:
            audio.tags["metadata_block_picture"] = [base64.b64encode(block.write()).decode()]


def picture(size: tuple[int, int] = (64, 48), seed: int = 0) -> Image.Image:
    """Return a smooth picture of coarse coloured patches that differs with every seed."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(patches).resize(size, Image.Resampling.BICUBIC)


def picture_bytes(size: tuple[int, int] = (64, 48), seed: int = 0, kind: str = "JPEG") -> bytes:
    """Return `picture` encoded."""
    target = io.BytesIO()
    picture(size, seed).save(target, kind)
    return target.getvalue()


def make_picture(
    path: AnyPath,
    *,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
    rating: float | None = None,
    exif: dict[str, str] | None = None,
    xmp: dict[str, Any] | None = None,
    iptc: dict[str, str] | None = None,
) -> None:
    """Write a picture as the extension says, with the metadata of `tag_picture`."""
    write(path, picture_bytes(size, seed, PICTURE_FORMATS[extension_of(path)]))
    tags = {**(xmp or {}), **({} if rating is None else {"Xmp.xmp.Rating": f"{rating:g}"})}
    if exif or tags or iptc:
        tag_picture(path, exif=exif, xmp=tags, iptc=iptc)


def tag_picture(
    path: AnyPath,
    *,
    exif: dict[str, str] | None = None,
    xmp: dict[str, Any] | None = None,
    iptc: dict[str, str] | None = None,
) -> None:
    """Write metadata by exiv2's names, such as Exif.Image.Artist or Xmp.dc.subject, in place.

    A list becomes an XMP array. Only formats that exiv2 can write: not heic, avif, gif and bmp.
    """
    with open(path, "rb") as file:  # noqa: PTH123
        image = exiv2.ImageFactory.open(file.read())
    image.readMetadata()
    for metadata, values in (
        (image.exifData(), exif), (image.xmpData(), xmp), (image.iptcData(), iptc),
    ):  # fmt: skip
        for key, value in (values or {}).items():
            metadata[key] = exiv2.XmpArrayValue(value) if isinstance(value, list) else value
    image.writeMetadata()
    source = image.io()
    source.open()
    with source.mmap() as view:
        content = bytes(view)
    write(path, content)


def make_video(
    path: AnyPath,
    *,
    seconds: float = 1.0,
    size: tuple[int, int] = (64, 48),
    seed: int = 0,
    sound: bool = True,
    language: str = "",
    **metadata: str,
) -> None:
    """Write a moving picture with a tone, as the extension says; `metadata` for the container."""
    container_name, codec, audio_codec = VIDEO_FORMATS[extension_of(path)]
    target = io.BytesIO()
    with av.open(target, "w", format=container_name) as container:
        container.metadata.update(metadata)
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.thread_count = 1  # with more, two encodings of the same pictures may differ
        audio = _add_audio(container, audio_codec) if sound else None
        if audio and language:
            audio.metadata["language"] = language
        for frame in _frames(seconds, size, seed):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio:
            for tone in _tone(seconds, 440.0, audio.rate):
                container.mux(audio.encode(tone))
            container.mux(audio.encode(None))
    write(path, target.getvalue())


def _frames(seconds: float, size: tuple[int, int], seed: int) -> Iterator[VideoFrame]:
    pixels = np.asarray(picture(size, seed))
    for index in range(round(seconds * 25)):
        frame = VideoFrame.from_ndarray(np.roll(pixels, index, axis=1), format="rgb24")
        frame.pts = index
        yield frame


def make_document(
    path: AnyPath, text: str = "A short text.", *, title: str = "", author: str = ""
) -> None:
    """Write a text as the extension says; paragraphs are told apart by empty lines."""
    extension = extension_of(path)
    paragraphs = text.split("\n\n")
    if extension == "pdf":
        write(path, pdf_bytes(paragraphs, title, author))
    elif extension == "docx":
        write(path, _docx_bytes(paragraphs, title, author))
    elif extension == "epub":
        write(path, _epub_bytes(paragraphs, title, author))
    elif extension in ("html", "htm"):
        write(path, _html(paragraphs, title, author).encode())
    elif extension in ("md", "markdown") and (title or author):
        write(path, f"---\ntitle: {title}\nauthor: {author}\n---\n\n{text}\n".encode())
    else:
        write(path, text.encode())


def pdf_bytes(pages: Iterable[str], title: str = "", author: str = "") -> bytes:
    """Return a plain PDF of one line of text a page."""
    contents = [f"BT /F1 12 Tf 20 100 Td ({_escape(page)}) Tj ET" for page in pages]
    first = 4
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(len(contents)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(contents)}>>",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for number, content in enumerate(contents):
        objects.append(
            "<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 200]/Resources<</Font<</F1 3 0 R>>>>"
            f"/Contents {first + 2 * number + 1} 0 R>>"
        )
        objects.append(f"<</Length {len(content)}>>stream\n{content}\nendstream")
    objects.append(f"<</Title({_escape(title)})/Author({_escape(author)})>>")
    body, offsets = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        offsets.append(len(body))
        body += f"{number} 0 obj{content}endobj\n".encode("latin-1")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    trailer = f"<</Size {len(objects) + 1}/Root 1 0 R/Info {len(objects)} 0 R>>"
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer{trailer}\n"
    return body + f"{end}startxref\n{len(body)}\n%%EOF\n".encode()


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)").replace("\n", " ")


def _docx_bytes(paragraphs: Iterable[str], title: str, author: str) -> bytes:
    document = Document()
    document.core_properties.title = title
    document.core_properties.author = author
    document.core_properties.comments = ""
    for paragraph in paragraphs:
        document.add_paragraph(paragraph)
    target = io.BytesIO()
    document.save(target)
    return target.getvalue()


def _html(paragraphs: Iterable[str], title: str, author: str) -> str:
    body = "".join(f"<p>{paragraph}</p>\n" for paragraph in paragraphs)
    head = f'<meta charset="utf-8"><title>{title}</title><meta name="author" content="{author}">'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _epub_bytes(paragraphs: Iterable[str], title: str, author: str) -> bytes:
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0">'
        '<rootfiles><rootfile full-path="book/content.opf"/></rootfiles></container>'
    )
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0">'
        f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title>'
        f"<dc:creator>{author}</dc:creator><dc:language>en</dc:language></metadata>"
        '<manifest><item id="one" href="one.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="one"/></spine></package>'
    )
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mimetype", "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr("META-INF/container.xml", container)
        archive.writestr("book/content.opf", package)
        archive.writestr("book/one.xhtml", _html(paragraphs, title, author))
    return target.getvalue()
