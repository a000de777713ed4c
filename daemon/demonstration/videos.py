"""Four short clips that move and sound, each with an .nfo file as media servers write it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

from daemon.demonstration.encoding import FRAMES_A_SECOND, PICTURES, write_video
from daemon.demonstration.painting import (
    Part,
    balloon,
    boat,
    clouds,
    falling,
    firs,
    glow,
    house,
    paint,
    ridge,
    sea,
    sky,
    stars,
    town,
)  # fmt: skip
from daemon.demonstration.synthesis import Tune, play

SIZE = (480, 270)


@dataclass(frozen=True, slots=True)
class Clip:
    """One film: what is said of it, and what it shows."""

    title: str
    year: int
    extension: str
    seconds: int
    genres: tuple[str, ...]
    plot: str
    director: str
    tune: Tune
    still: tuple[Part, ...]
    """What does not move."""
    moving: Callable[[float], tuple[Part, ...]]
    """What does, and is before it, at a time in seconds."""


def _sunset(time: float) -> tuple[Part, ...]:
    return (
        glow(0.6, 0.42 + 0.035 * time, 0.07, "#fff0b8", "#ffc46b"),
        sea(0.6, "#d9783f", "#3a2f52", glitter="#ffd896", x=0.6, time=time),
        boat(0.2 + 0.07 * time, 0.7, 0.12, sail="#3a2a3c"),
    )


def _snow(time: float) -> tuple[Part, ...]:
    return (falling(180, "#e8eefb", time),)


def _balloons(time: float) -> tuple[Part, ...]:
    return (
        balloon(0.2 + 0.05 * time, 0.6 - 0.06 * time, 0.17, "#d9483b", "#f6d55c"),
        balloon(0.65 + 0.03 * time, 0.36 - 0.02 * time, 0.11, "#3b6fb5", "#f4f1e8"),
    )


def _rain(time: float) -> tuple[Part, ...]:
    return (falling(160, "#8d9cc0", 6 * time, streak=0.08),)


CLIPS = (
    Clip("The Sun Goes Home", 2018, ".mp4", 4, ("Drama", "Nature"),
         "A sun, a sea and a small boat with nowhere else to be. In the end the sun goes down.",
         "Lena Amsel", Tune("The Sun Goes Home", "pad", "lydian", 60, 57),
         (sky("#3b3561", "#c8553d", "#ffb35c", bottom=0.6),), _sunset),
    Clip("Someone Left the Lamp On", 2016, ".mp4", 4, ("Family", "Holiday"),
         "Snow falls on a cottage in the woods on a winter night. Inside it is warm; one can tell.",
         "Otto Quill", Tune("Someone Left the Lamp On", "bells", "major", 96, 69),
         (sky("#0d1733", "#33497a", bottom=0.75), ridge(0.76, "#93a7cc", 0.05, 0.4),
          firs(12, 0.76, "#1c2b3f", 0.24, "#9db2d6"),
          house(0.5, 0.92, 0.2, "#4a3226", "#dfe8f5", "#ffcf70")), _snow),
    Clip("Two Balloons Are Company", 2015, ".webm", 4, ("Comedy", "Adventure"),
         "Two hot-air balloons race each other over the fields, very politely.",
         "Pim Vandersea", Tune("Two Balloons Are Company", "brass", "major", 120, 60, True),
         (sky("#5a9fd6", "#fbe6c8", bottom=0.8), clouds(4, 0.4), ridge(0.82, "#86a860", 0.08, 0.5)),
         _balloons),
    Clip("Rain Check", 2021, ".mp4", 4, ("Thriller", "Crime"),
         "A city at night, heavy rain, a thousand windows. Behind one of them an umbrella has "
         "gone missing.",
         "Otto Quill", Tune("Rain Check", "guitar", "minor", 92, 45, True),
         (sky("#0a0d22", "#3a2b56"), stars(30, 0.3), town(0.9, "#1d2138", "#f7cf6b", 14, 0.55)),
         _rain),
)  # fmt: skip


def make_videos(folder: Path) -> int:
    """Film all clips into folders of their own and return how many there are."""
    for clip in CLIPS:
        name = f"{clip.title} ({clip.year})"
        (folder / name).mkdir(parents=True)
        path = folder / name / f"{name}{clip.extension}"
        rate = PICTURES[clip.extension][3]
        write_video(path, _frames(clip), play(clip.tune, rate)[: clip.seconds * rate])
        path.with_suffix(".nfo").write_text(_nfo(clip), encoding="utf-8")
    return len(CLIPS)


def _frames(clip: Clip) -> Iterator[Image.Image]:
    background = paint(SIZE, clip.title, clip.still)
    for number in range(clip.seconds * FRAMES_A_SECOND):
        moving = clip.moving(number / FRAMES_A_SECOND)
        yield paint(SIZE, clip.title, moving, background).reduce(2)


def _nfo(clip: Clip) -> str:
    genres = "".join(f"  <genre>{escape(genre)}</genre>\n" for genre in clip.genres)
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<movie>\n'
        f"  <title>{escape(clip.title)}</title>\n  <year>{clip.year}</year>\n"
        f"  <plot>{escape(clip.plot)}</plot>\n{genres}"
        f"  <director>{escape(clip.director)}</director>\n</movie>\n"
    )
