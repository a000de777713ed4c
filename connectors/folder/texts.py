"""The text of a text item, for describing: the beginning, and samples of the rest."""

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO
from urllib.parse import unquote

import docx
from bs4 import BeautifulSoup
from docx.opc.exceptions import PackageNotFoundError

from connectors.base import UnreadableFile
from connectors.folder.bounds import clean
from connectors.folder.documents import open_archive, open_package, open_pdf, read_part
from connectors.folder.formats import extension_of
from connectors.folder.plaintext import decode

LIMIT = 65_536
"""Characters in all."""

HEAD = 48 * 1024
"""Characters of the beginning, taken whole."""

MOST_BYTES = 2 << 20
"""Bytes read of a plain text or page."""

MOST_PAGES = 200
MOST_SECONDS = 20.0
"""Of a PDF."""

MOST_CHAPTERS = 500


def read_text(path: bytes) -> str:
    """Return the text of a file, at most `LIMIT` characters; "" for one of pictures only.

    Raises UnreadableFile.
    """
    extension = extension_of(path)
    try:
        with open(path, "rb") as file:
            if extension == b"pdf":
                text = _read_pdf(file)
            elif extension == b"epub":
                text = _read_epub(file)
            elif extension == b"docx":
                text = _read_docx(file)
            else:
                text = decode(file.read(MOST_BYTES))
                text = _strip_html(text) if extension in (b"html", b"htm") else text
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    return sample(text)


def sample(text: str) -> str:
    """Keep the beginning and evenly spread paragraphs of the rest, within `LIMIT`."""
    text = clean(text)
    if len(text) <= LIMIT:
        return text
    head, rest = text[:HEAD], text[HEAD:]
    paragraphs = [part for part in re.split(r"\n\s*\n", rest) if part.strip()]
    room = LIMIT - HEAD
    average = sum(map(len, paragraphs)) / max(1, len(paragraphs))
    kept = spread(paragraphs, max(1, int(room / (average + 2))))
    return (head + "\n\n" + "\n\n".join(kept))[:LIMIT]


def spread(entries: Sequence[Any], count: int) -> list[Any]:
    """Return `count` evenly spread entries, the last among them, or all where there are fewer."""
    if len(entries) <= count:
        return list(entries)
    return [entries[(index + 1) * len(entries) // count - 1] for index in range(count)]


def _strip_html(text: str) -> str:
    try:
        page = BeautifulSoup(text, "lxml")
        for tag in page(["script", "style", "noscript", "template", "svg"]):
            tag.decompose()
        blank = re.sub(r"[ \t]+", " ", page.get_text("\n"))
    except RecursionError as error:
        raise UnreadableFile("is nested too deeply") from error
    return re.sub(r"\n\s*\n\s*", "\n\n", blank)


def _read_pdf(file: BinaryIO) -> str:
    """Read pages until the head is full, then evenly spread ones of the rest."""
    deadline = time.monotonic() + MOST_SECONDS
    with open_pdf(file) as document:
        count = len(document)
        texts: list[str] = []
        length = 0
        for index in range(min(count, MOST_PAGES)):
            if length >= HEAD or time.monotonic() > deadline:
                break
            texts.append(_page_text(document, index, LIMIT))
            length += len(texts[-1])
        for index in spread(range(len(texts), count), 32):
            if time.monotonic() > deadline or length >= LIMIT:
                break
            texts.append(_page_text(document, index, (LIMIT - HEAD) // 32))
            length += len(texts[-1])
    return "\n\n".join(text for text in texts if text.strip())


def _page_text(document: Any, index: int, limit: int) -> str:
    page = document[index]
    text_page = page.get_textpage()
    try:
        count = min(text_page.count_chars(), limit)
        return str(text_page.get_text_range(0, count)).replace("\r\n", "\n") if count else ""
    finally:
        text_page.close()
        page.close()


def _read_epub(file: BinaryIO) -> str:
    """Read the chapters in the order of the spine (EPUB 3.3, 5.7)."""
    with open_archive(file) as archive:
        path, package = open_package(archive)
        names = list(_chapter_names(path, package))[:MOST_CHAPTERS]
        texts: list[str] = []
        length = 0
        for position, name in enumerate(names):
            if length >= HEAD:
                names = spread(names[position:], 16)
                break
            texts.append(_strip_html(decode(read_part(archive, name)[:MOST_BYTES])))
            length += len(texts[-1])
        else:
            names = []
        texts += [_strip_html(decode(read_part(archive, n)[:65_536]))[:1024] for n in names]
    return "\n\n".join(texts)


def _chapter_names(path: str, package: Any) -> Iterator[str]:
    folder = path.rpartition("/")[0]
    targets = {item.get("id"): item.get("href", "") for item in package.findall(".//{*}item")}
    for reference in package.findall(".//{*}itemref"):
        target = unquote(targets.get(reference.get("idref"), "")).partition("#")[0]
        if target:
            yield f"{folder}/{target}" if folder else target


def _read_docx(file: BinaryIO) -> str:
    with open_archive(file) as archive:
        read_part(archive, "word/document.xml")  # checks its size
        file.seek(0)
        try:
            document = docx.Document(file)
            paragraphs = [paragraph.text for paragraph in document.paragraphs]
        except (PackageNotFoundError, SyntaxError, AttributeError, TypeError) as error:
            raise UnreadableFile(f"is not a document that can be read ({error})") from error
    return "\n\n".join(text for text in paragraphs if text.strip())
