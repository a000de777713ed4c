import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from connectors.base import FileFacts, Kind
from connectors.folder.reading import read_file
from connectors.folder.scan import Scan
from connectors.folder.texts import read_text
from daemon.demonstration.library import FolderInUse, make_library
from daemon.demonstration.music import RECORDS
from daemon.demonstration.pictures import VIEWS
from daemon.demonstration.videos import CLIPS

COUNTS = {"music": 24, "images": 24, "videos": 4, "text": 16}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demonstration")
    assert make_library(folder) == COUNTS
    return folder


def read(library: Path, kind: Kind) -> list[FileFacts]:
    """Read all items of a kind just as the daemon does."""
    root = os.fsencode(library / kind)
    scan = Scan(root, kind)
    assert scan.walk()["new"] == COUNTS[kind]
    return [read_file(root, kind, row) for row in scan.take("new", 1000)]


def files_in(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def sound_of(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray().astype(float) for frame in container.decode(audio=0)]
    return np.concatenate(frames, axis=-1)


def paths_with(folder: Path, *extensions: str) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in extensions)


def test_every_piece_of_music_has_its_tags(library: Path) -> None:
    facts = read(library, "music")
    said = {
        (f.metadata.title, f.metadata.artists, f.metadata.album, f.metadata.genres, f.metadata.year)
        for f in facts
    }
    wanted = {
        (p.title, (r.artist,), r.title, (r.genre,), r.year) for r in RECORDS for p in r.pieces
    }
    assert said == wanted
    words = {piece.words for record in RECORDS for piece in record.pieces if piece.words}
    assert {fact.sidecar.strip() for fact in facts if fact.sidecar} == words
    assert all(8 < (fact.metadata.duration or 0) < 25 for fact in facts)


def test_every_piece_of_music_sounds_and_none_like_another(library: Path) -> None:
    paths = list(paths_with(library / "music", ".mp3", ".ogg", ".opus", ".m4a", ".flac"))
    spectra = []
    for path in paths:
        sound = sound_of(path)
        spectrum = np.abs(np.fft.rfft(sound[0, :200_000]))[:40_000].reshape(400, -1).sum(1)
        spectra.append(spectrum / np.linalg.norm(spectrum))
    assert len(paths) == COUNTS["music"]
    likeness = np.array(spectra) @ np.array(spectra).T
    assert np.triu(likeness, 1).max() < 0.999


def test_every_picture_has_its_words_and_can_be_seen(library: Path) -> None:
    facts = read(library, "images")
    said = {
        (m.title, m.overview, m.keywords, m.artists, m.year) for m in (f.metadata for f in facts)
    }
    assert said == {
        (v.title, v.about, tuple(v.keywords.split(", ")), (v.artist,), int(v.taken[:4]))
        for v in VIEWS
    }
    for path in paths_with(library / "images", ".jpg", ".png", ".webp"):
        with Image.open(path) as picture:
            assert picture.size == (1080, 720)
            assert np.asarray(picture.convert("L")).std() > 5
    assert len({fact.look for fact in facts}) == len(VIEWS)


def test_every_clip_moves_and_sounds_and_has_its_nfo(library: Path) -> None:
    facts = read(library, "videos")
    said = {(m.title, m.year, m.overview, m.genres) for m in (f.metadata for f in facts)}
    assert said == {(clip.title, clip.year, clip.plot, clip.genres) for clip in CLIPS}
    for path in paths_with(library / "videos", ".mp4", ".webm"):
        with av.open(str(path)) as container:
            frames = [f.to_ndarray(format="gray").astype(float) for f in container.decode(video=0)]
        assert len(frames) == 64
        assert np.abs(frames[-1] - frames[0]).mean() > 1
        assert np.abs(sound_of(path)).max() > 0


def test_every_text_can_be_read_and_has_a_title(library: Path) -> None:
    for fact in read(library, "text"):
        path = os.fsencode(library / "text") + b"/" + fact.path
        assert fact.metadata.title
        assert len(read_text(path)) > 200


def test_a_second_call_makes_the_same_bytes_elsewhere_and_nothing_in_the_same_place(
    library: Path, tmp_path: Path
) -> None:
    before = files_in(library)
    assert sum(map(len, before.values())) < 15_000_000
    command = [sys.executable, "-m", "daemon.demonstration"]
    made = subprocess.run([*command, tmp_path / "other"], capture_output=True, text=True)
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout.startswith("Made 24 music, 24 images")
    again = subprocess.run([*command, library], capture_output=True, text=True)
    assert again.returncode == 1
    assert "nothing was made" in again.stderr
    assert files_in(library) == before == files_in(tmp_path / "other")


@pytest.mark.parametrize("kind", COUNTS)
def test_a_folder_with_anything_in_it_is_left_alone(tmp_path: Path, kind: str) -> None:
    mine = tmp_path / kind / "mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(FolderInUse, match=kind):
        make_library(tmp_path)
    assert list(tmp_path.rglob("*")) == [mine.parent, mine]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    command = [sys.executable, "-m", "daemon.demonstration", str(tmp_path / "file" / "media")]
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1
    assert "cannot be written" in failed.stderr
    assert "Traceback" not in failed.stderr
