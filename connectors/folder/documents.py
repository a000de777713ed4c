"""Reads texts: who wrote them, and what they are called."""

import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO
from xml.etree.ElementTree import ParseError

import pypdfium2
import yaml
from bs4 import BeautifulSoup
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from connectors.base import UnreadableFile
from connectors.folder.bounds import Reading, year_of
from connectors.folder.formats import extension_of
from connectors.folder.plaintext import decode

HEAD = 64 * 1024
"""Bytes of a plain text or page in which its title is looked for."""

MOST_PARTS = 10_000
"""Files in an epub or docx."""

LARGEST_PART = 32 << 20
LARGEST_WHOLE = 512 << 20
"""Bytes, unpacked: of one file in an epub or docx, and of all."""

_DC = "{http://purl.org/dc/elements/1.1/}"
_CORE = "{http://schemas.openxmlformats.org/package/2006/metadata/core-properties}"


def read_document(file: BinaryIO, path: bytes) -> Reading:
    """Read what a text says about itself. Raises UnreadableFile."""
    extension = extension_of(path)
    reading = Reading()
    if extension == b"pdf":
        values = _read_pdf(file)
    elif extension == b"epub":
        values = _read_epub(file)
    elif extension == b"docx":
        values = _read_docx(file)
    else:
        file.seek(0)
        text = decode(file.read(HEAD))
        if extension in (b"html", b"htm"):
            values = _read_html(text)
        else:
            values = _read_plain(text, extension)
    reading.overrule(values)
    return reading


@contextmanager
def open_pdf(file: BinaryIO) -> Iterator[Any]:
    """Yield an open PDF; what cannot be read becomes UnreadableFile."""
    file.seek(0)
    try:
        document = pypdfium2.PdfDocument(file)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise UnreadableFile("is locked with a password") from error
        raise UnreadableFile("is not a PDF that can be read") from error
    try:
        yield document
    except pypdfium2.PdfiumError as error:
        raise UnreadableFile(f"is a damaged PDF ({error})") from error
    finally:
        document.close()


def _read_pdf(file: BinaryIO) -> dict[str, Any]:
    with open_pdf(file) as document:
        pages = len(document)
        facts = document.get_metadata_dict()
    if not pages:
        raise UnreadableFile("is a PDF without pages")
    return {
        "title": facts.get("Title", ""),
        "artists": _names(facts.get("Author", "")),
        "keywords": re.split("[;,]", facts.get("Keywords", "")[:10_000]),
        "overview": facts.get("Subject", ""),
        "year": year_of(facts.get("CreationDate", "")),
        "extra": {"Pages": str(pages)},
    }


@contextmanager
def open_archive(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """Yield a zip that is no bomb; what cannot be read becomes UnreadableFile."""
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive:
            parts = archive.infolist()
            sizes = [part.file_size for part in parts]
            if len(parts) > MOST_PARTS or max(sizes, default=0) > LARGEST_PART * 8:
                raise UnreadableFile("has too much packed into it to be a text")
            if sum(sizes) > LARGEST_WHOLE:
                unpacked, most = sum(sizes) >> 20, LARGEST_WHOLE >> 20
                raise UnreadableFile(f"would unpack to {unpacked} MiB; at most {most} are read")
            yield archive
    except (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError) as error:
        raise UnreadableFile(f"is damaged or cut short ({error})") from error
    except (zlib.error, lzma.LZMAError) as error:
        raise UnreadableFile(f"is damaged ({error})") from error
    except (NotImplementedError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise UnreadableFile(f"is packed in a way that cannot be read ({error})") from error


def read_part(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return one file of an archive. Raises UnreadableFile where it is missing or too large."""
    try:
        part = archive.getinfo(name)
    except KeyError:
        raise UnreadableFile(f"lacks its part {name[:100]}") from None
    if part.file_size > LARGEST_PART:
        raise UnreadableFile(f"has a part of {part.file_size >> 20} MiB")
    with archive.open(part) as file:
        return file.read(LARGEST_PART)


def parse_xml(content: bytes) -> Any:
    """Parse XML without entities and outside references. Raises UnreadableFile."""
    try:
        return fromstring(content, forbid_dtd=False)
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UnreadableFile(f"has broken XML in it ({type(error).__name__})") from error


def open_package(archive: zipfile.ZipFile) -> tuple[str, Any]:
    """Return the path and the root element of an epub's package document (EPUB 3.3, 4.2.6)."""
    container = parse_xml(read_part(archive, "META-INF/container.xml"))
    rootfile = container.find(".//{*}rootfile")
    path = rootfile.get("full-path", "") if rootfile is not None else ""
    return path, parse_xml(read_part(archive, path))


def _read_epub(file: BinaryIO) -> dict[str, Any]:
    with open_archive(file) as archive:
        _, package = open_package(archive)
    texts = {
        name: [element.text or "" for element in package.iter(_DC + name)]
        for name in ("title", "creator", "language", "subject", "description", "date", "publisher")
    }
    first = {name: next(iter(found), "") for name, found in texts.items()}
    description = BeautifulSoup(first["description"][:100_000], "html.parser").get_text(" ")
    return {
        "title": first["title"],
        "artists": texts["creator"],
        "language": first["language"],
        "genres": texts["subject"],
        "overview": description,
        "year": year_of(first["date"]),
        "studios": texts["publisher"],
    }


def _read_docx(file: BinaryIO) -> dict[str, Any]:
    with open_archive(file) as archive:
        archive.getinfo("word/document.xml")
        if "docProps/core.xml" not in archive.namelist():
            return {}
        core = parse_xml(read_part(archive, "docProps/core.xml"))

    def text(name: str) -> str:
        return core.findtext(name) or ""

    return {
        "title": text(_DC + "title"),
        "artists": _names(text(_DC + "creator")),
        "overview": text(_DC + "description"),
        "language": text(_DC + "language"),
        "keywords": re.split("[;,]", text(_CORE + "keywords")[:10_000]),
        "genres": re.split("[;,]", text(_CORE + "category")[:10_000]),
    }


def _read_html(text: str) -> dict[str, Any]:
    page = BeautifulSoup(text, "html.parser")

    def meta(*names: str) -> str:
        for name in names:
            tag = page.find("meta", attrs={"name": name}) or page.find("meta", property=name)
            if tag and tag.get("content"):
                return str(tag["content"])
        return ""

    heading = page.title or page.h1
    return {
        "title": heading.get_text(" ") if heading else "",
        "artists": _names(meta("author", "article:author")),
        "overview": meta("description", "og:description"),
        "keywords": meta("keywords").split(","),
        "year": year_of(meta("date", "article:published_time", "dcterms.date")),
        "language": str(page.html.get("lang", "")) if page.html else "",
    }


_FRONT_MATTER = re.compile(r"---[ \t]*\r?\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\r?\n|$)", re.DOTALL)
_HEADING = re.compile(r"^\s{0,3}#{1,2}\s+(.+?)\s*#*\s*$", re.MULTILINE)
_UNDERLINED = re.compile(r"^(\S[^\n]{0,199})\r?\n(?:={3,}|-{3,})\s*$", re.MULTILINE)
_ORG_TITLE = re.compile(r"^#\+title:\s*(.+)$", re.MULTILINE | re.IGNORECASE)


def _read_plain(text: str, extension: bytes) -> dict[str, Any]:
    if extension == b"txt":
        return {}
    if extension == b"org":
        match = _ORG_TITLE.search(text)
        return {"title": match[1]} if match else {}
    front = _front_matter(text) if text.startswith("---") else {}
    match = _HEADING.search(text) if extension != b"rst" else None
    match = match or _UNDERLINED.search(text)
    return {
        "title": front.get("title") or (match[1] if match else ""),
        "artists": _listed(front.get("author") or front.get("authors")),
        "keywords": _listed(front.get("tags") or front.get("keywords")),
        "genres": _listed(front.get("category") or front.get("categories")),
        "overview": str(front.get("description") or front.get("summary") or ""),
        "language": str(front.get("lang") or front.get("language") or ""),
        "year": year_of(front.get("date") or ""),
    }


def _front_matter(text: str) -> dict[str, Any]:
    """Return the YAML between the dashes at a Markdown file's beginning; nothing if it is odd."""
    match = _FRONT_MATTER.match(text)
    if not match or ("&" in match[1] and "*" in match[1]):  # aliases can grow without bounds
        return {}
    try:
        values = yaml.safe_load(match[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return {str(k).lower(): v for k, v in values.items()} if isinstance(values, dict) else {}


def _listed(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(entry) for entry in value]
    return re.split("[;,]", str(value)) if value else []


def _names(text: str) -> list[str]:
    return [name.strip() for name in re.split(r";|\s+and\s+|&", text[:10_000])]
