"""Twenty-four pieces of music with their tags, on eight records."""

from dataclasses import dataclass
from pathlib import Path

import mutagen

from daemon.demonstration.encoding import SOUND, write_sound
from daemon.demonstration.synthesis import Tune, play


@dataclass(frozen=True, slots=True)
class Record:
    """An album, and the sound that its pieces have in common."""

    title: str
    artist: str
    genre: str
    year: int
    extension: str
    voice: str
    key: int
    drums: bool
    pieces: tuple["Piece", ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A title, how it goes, and words for a .meta file beside it."""

    title: str
    scale: str
    tempo: int
    words: str = ""


RECORDS = (
    Record("Kitchen Window", "The Marmalade Trio", "Folk", 2014, ".mp3", "plucked", 62, False, (
        Piece("Kettle Before Sunrise", "major", 104),
        Piece("Flour on the Floor", "pentatonic", 132,
              "A quick, cheerful tune for baking bread. Plucked strings, no singing; somebody "
              "taps a wooden spoon in spirit."),
        Piece("Rain at the Kitchen Window", "minor", 84,
              "Quiet and a little sad: an afternoon indoors while it rains. Good with tea."),
    )),
    Record("Slow Tides", "Ines Halloran", "Ambient", 2019, ".ogg", "pad", 55, False, (
        Piece("The Harbour Asleep", "lydian", 56,
              "Long, calm chords without any beat. For falling asleep, or for reading late."),
        Piece("Fog Comes In Wearing Socks", "dorian", 60),
        Piece("Low Water, Long Light", "major", 58),
    )),
    Record("Parade for Two Left Feet", "The Brass Button Band", "Jazz", 1998, ".mp3", "brass", 58,
           True, (
        Piece("March of the Late Arrivals", "major", 126),
        Piece("The Tuba Has Opinions", "blues", 116,
              "A clumsy, funny strut for brass and drums, played with a straight face."),
        Piece("Waltzing in the Wrong Shoes", "dorian", 96),
    )),
    Record("Night Bus", "Volta Kiosk", "Electronic", 2021, ".m4a", "lead", 57, True, (
        Piece("Last Stop, Everyone Off", "minor", 120),
        Piece("Neon in the Puddles", "dorian", 112,
              "Driving home through a wet city at night. Synthesisers, a steady drum machine, "
              "and shop signs upside down in the street."),
        Piece("Doors Closing, Mind Your Heart", "minor", 128),
    )),
    Record("Small Nocturnes", "Marguerite Vane", "Classical", 1987, ".flac", "piano", 60, False, (
        Piece("Nocturne for a Sleeping Cat", "major", 66,
              "Slow solo piano, soft as a paw. Nothing happens, and it is lovely."),
        Piece("Nocturne for a Letter Never Sent", "minor", 70),
        Piece("Nocturne for the Neighbour's Piano", "lydian", 76),
    )),
    Record("Bells of Upper Wobbling", "The Tower Street Ringers", "Holiday", 2003, ".opus", "bells",
           67, False, (
        Piece("Snow on the Belfry", "major", 88,
              "Bells on a winter morning; it sounds like Christmas and cold fingers."),
        Piece("Practice on Thursday", "pentatonic", 108),
        Piece("The Bell That Arrived by Boat", "dorian", 80),
    )),
    Record("Dust and Diesel", "The Crooked Fence", "Blues Rock", 1976, ".mp3", "guitar", 52, True, (
        Piece("Gravel Road, Good Dog", "blues", 118,
              "Loud guitar, heavy drums, windows down, a dog in the passenger seat."),
        Piece("My Truck Remembers You", "blues", 92),
        Piece("Thunder Owes Me Money", "minor", 138),
    )),
    Record("Pixel Orchard", "Bit Beekeeper", "Chiptune", 2011, ".ogg", "square", 64, True, (
        Piece("Level One: Apples", "pentatonic", 150,
              "Music of an old video game: bright, fast, a bit silly, and hard to forget."),
        Piece("The Boss Is a Goose", "minor", 160),
        Piece("Save Point by the River", "major", 100),
    )),
)  # fmt: skip
"""Ordered by nothing but taste."""


def make_music(folder: Path) -> int:
    """Write all records into folders of their own and return how many pieces there are."""
    for record in RECORDS:
        place = folder / f"{record.artist} - {record.title}"
        place.mkdir(parents=True)
        for number, piece in enumerate(record.pieces, 1):
            _write(place, record, number, piece)
    return sum(len(record.pieces) for record in RECORDS)


def _write(place: Path, record: Record, number: int, piece: Piece) -> None:
    title = piece.title.replace(":", ",")  # some file systems know no colon
    path = place / f"{number:02} {title}{record.extension}"
    tune = Tune(piece.title, record.voice, piece.scale, piece.tempo, record.key, record.drums)
    write_sound(path, play(tune, SOUND[record.extension][3]))
    _tag(path, record, number, piece)
    if piece.words:
        Path(f"{path}.meta").write_text(f"{piece.words}\n", encoding="utf-8")


def _tag(path: Path, record: Record, number: int, piece: Piece) -> None:
    audio = mutagen.File(path, easy=True)
    if audio.tags is None:
        audio.add_tags()
    audio["title"], audio["artist"] = piece.title, record.artist
    audio["album"], audio["albumartist"] = record.title, record.artist
    audio["genre"], audio["date"] = record.genre, str(record.year)
    audio["tracknumber"] = f"{number}/{len(record.pieces)}"
    audio.save()
