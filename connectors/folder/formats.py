"""Which files are items of a folder of a TYPE, which are litter, and which are companions."""

from connectors.base import Kind

_EXTENSIONS: dict[Kind, str] = {
    "music": "mp3 flac ogg oga opus m4a m4b aac wav aif aiff wma ape wv mka",
    "images": "jpg jpeg png gif webp bmp tif tiff heic heif avif",
    "videos": "mp4 m4v mkv webm avi mov wmv flv ogv mpeg mpg ts m2ts 3gp",
    "text": "txt md markdown html htm pdf epub docx rst org",
}

EXTENSIONS: dict[str, frozenset[bytes]] = {
    kind: frozenset(extension.encode() for extension in text.split())
    for kind, text in _EXTENSIONS.items()
}
"""Kind to extensions, in small letters, without the dot."""

COMPANION_EXTENSIONS = frozenset((b"meta", b"nfo", b"lrc", b"xmp", b"srt", b"sub", b"ass", b"cue"))
"""Files that speak of other files; never items, whatever the TYPE."""

PARTIAL_EXTENSIONS = frozenset(
    (b"part", b"partial", b"crdownload", b"download", b"!qb", b"!ut", b"tmp", b"temp", b"bc!",
     b"aria2", b"opdownload", b"unconfirmed", b"bak", b"swp")
)  # fmt: skip
"""Downloads and copies under way, and what editors leave behind."""

LITTER = frozenset(
    (b"@eadir", b"#recycle", b"#snapshot", b"@recycle", b"@recently-snapshot", b"@tmp",
     b"$recycle.bin", b"system volume information", b"lost+found", b"thumbs.db", b"desktop.ini",
     b"__macosx", b"found.000", b"recycler")
)  # fmt: skip
"""What servers for storage and desktops strew about, in small letters."""

IGNORE_FILE = b".anagnorisisignore"
NO_MEDIA = b".nomedia"


def extension_of(name: bytes) -> bytes:
    """Return the extension in small letters, without its dot; empty without one."""
    stem, dot, extension = name.rpartition(b".")
    return extension.lower() if dot and stem else b""


def stem_of(name: bytes) -> bytes:
    """Return the name without its extension."""
    stem, dot, _ = name.rpartition(b".")
    return stem if dot and stem else name
