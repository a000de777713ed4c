"""The text of long, rich and odd documents, for describing."""

import os
from pathlib import Path

import pytest

from connectors.base import ConnectorUnavailable, UnreadableFile
from connectors.folder.texts import HEAD, LIMIT, sample, spread
from connectors.folder.worker import FolderWorker
from tests import media


def text_of(path: Path) -> str:
    return FolderWorker().read_text(os.fsencode(path.parent), os.fsencode(path.name))


def test_a_short_text_is_taken_whole() -> None:
    assert sample("one\n\ntwo\n") == "one\n\ntwo"


def test_a_long_text_is_its_beginning_and_samples_up_to_its_end() -> None:
    paragraphs = [f"Paragraph {number:05} " + "x" * 300 for number in range(2_000)]
    text = sample("\n\n".join(paragraphs))
    assert HEAD < len(text) <= LIMIT
    assert text[:HEAD] == "\n\n".join(paragraphs)[:HEAD]
    assert "Paragraph 01999" in text


def test_a_long_text_without_paragraphs_is_cut() -> None:
    assert len(sample("word " * 100_000)) <= LIMIT


def test_spread_entries_are_even() -> None:
    assert spread(range(10), 5) == [1, 3, 5, 7, 9]
    assert spread("ab", 5) == ["a", "b"]


def test_a_page_gives_what_one_reads_and_no_scripts(tmp_path: Path) -> None:
    page = "<html><head><title>T</title><style>p{}</style><script>evil()</script></head>\
<body><p>One&nbsp;&amp; two</p><ul><li>three</li></ul><!-- hidden --></body></html>"
    media.write(tmp_path / "a.html", page.encode())
    text = text_of(tmp_path / "a.html")
    assert "One\xa0& two" in text
    assert "three" in text
    assert not {"evil", "p{}", "hidden"} & set(text.replace("()", "").split())


@pytest.mark.parametrize("extension", ["epub", "docx", "pdf", "txt", "html"])
def test_long_documents_stay_within_bounds(tmp_path: Path, extension: str) -> None:
    text = "\n\n".join(f"Paragraph {number} about herons. " * 4 for number in range(2_500))
    media.make_document(tmp_path / f"a.{extension}", text, title="Long")
    found = text_of(tmp_path / f"a.{extension}")
    assert 20_000 < len(found) <= LIMIT
    assert "Paragraph 1 about herons." in found


def test_a_pdf_without_text_has_none(tmp_path: Path) -> None:
    media.make_document(tmp_path / "a.pdf", "")
    assert text_of(tmp_path / "a.pdf") == ""


def test_what_is_no_text_says_so(tmp_path: Path) -> None:
    media.write(tmp_path / "a.txt", bytes(range(256)) * 10)
    with pytest.raises(UnreadableFile, match="fit no encoding"):
        text_of(tmp_path / "a.txt")
    with pytest.raises(ConnectorUnavailable, match="No such file"):  # it may come back
        text_of(tmp_path / "missing.txt")
    media.write(tmp_path / "a.pdf", b"%PDF-1.4 nothing")
    with pytest.raises(UnreadableFile, match="is not a PDF"):
        text_of(tmp_path / "a.pdf")


def test_real_texts_are_read(shared_media: Path) -> None:
    paths = sorted((shared_media / "text").rglob("*.txt"))
    for path in paths:
        assert len(text_of(path)) > 500
    assert any("Debian" in text_of(path) for path in paths)
