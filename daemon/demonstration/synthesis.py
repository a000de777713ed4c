"""Tunes from a seed: a random walk over a scale above chords, played by additive voices."""

import zlib
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
"""Mono sound, one value a sample, about -1 to 1."""

SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "pentatonic": (0, 2, 4, 7, 9),
    "blues": (0, 3, 5, 6, 7, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
}
"""Semitones above the key note."""

PROGRESSIONS = ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (0, 2, 3, 1))
"""Steps of the scale that the chords of four bars stand on."""


@dataclass(frozen=True, slots=True)
class Voice:
    """How an instrument sounds: its partials, and how a note begins and dies away."""

    partials: tuple[tuple[float, float], ...]
    """(multiple of the frequency, strength)."""
    attack: float
    """Seconds until a note is at its loudest."""
    decay: float
    """Seconds until it has fallen to a third; endless for wind and strings."""
    vibrato: float = 0.0
    """Depth in parts of the frequency."""
    drive: float = 0.0
    """How hard it is overdriven."""


def _harmonics(count: int, power: float, step: int = 1) -> tuple[tuple[float, float], ...]:
    return tuple((float(n), n**-power) for n in range(1, count * step + 1, step))


VOICES = {
    "plucked": Voice(_harmonics(8, 1.3), 0.004, 0.45),
    "piano": Voice(_harmonics(6, 1.7), 0.006, 0.8),
    "pad": Voice(((1, 1), (1.004, 0.9), (2, 0.4), (2.006, 0.3), (3, 0.12)), 0.6, 9.0, 0.002),
    "brass": Voice(_harmonics(10, 0.8), 0.05, 4.0, 0.004),
    "lead": Voice(_harmonics(14, 1.0), 0.01, 1.2, 0.003),
    "bells": Voice(((1, 1), (2, 0.6), (2.4, 0.5), (3, 0.3), (4.5, 0.25), (5.3, 0.15)), 0.002, 1.6),
    "guitar": Voice(_harmonics(10, 1.0), 0.006, 0.9, 0.002, drive=3.0),
    "square": Voice(_harmonics(9, 1.0, step=2), 0.002, 2.5),
}


@dataclass(frozen=True, slots=True)
class Tune:
    """All that decides how a piece sounds; the seed is the name."""

    name: str
    voice: str
    scale: str
    tempo: int
    """Beats a minute."""
    key: int = 60
    """The MIDI number of the key note."""
    drums: bool = False


def play(tune: Tune, rate: int, seconds: float = 12.0) -> Samples:
    """Return the sound of about so many seconds, in whole phrases of four bars."""
    random = np.random.default_rng(zlib.crc32(tune.name.encode()))
    beat = 60 / tune.tempo
    phrases = max(1, round(seconds / (16 * beat)))
    sound = np.zeros(round((phrases * 16 * beat + 1.5) * rate), dtype=np.float32)
    melodies = [_melody(random), _melody(random)]
    chords = PROGRESSIONS[random.integers(len(PROGRESSIONS))]
    for phrase in range(phrases):
        start = phrase * 16
        for at, length, step in melodies[phrase % 4 == 2]:
            _add(sound, tune, rate, (start + at) * beat, length * beat, step + len(_of(tune)), 0.5)
        for bar, root in enumerate(chords):
            for step in (root, root + 2, root + 4):
                _add(sound, tune, rate, (start + 4 * bar) * beat, 4 * beat, step, 0.16)
            _add(sound, tune, rate, (start + 4 * bar) * beat, 4 * beat, root - len(_of(tune)), 0.3)
    if tune.drums:
        _add_drums(sound, phrases * 16, round(beat * rate), rate, random)
    fade = np.minimum(1, np.arange(len(sound))[::-1] / (0.8 * rate))
    return np.asarray(0.8 * sound / np.abs(sound).max() * fade, dtype=np.float32)


def _of(tune: Tune) -> tuple[int, ...]:
    return SCALES[tune.scale]


def _melody(random: np.random.Generator) -> list[tuple[float, float, int]]:
    """Return (beat, length in beats, step of the scale) for four bars of four."""
    notes, at, step = [], 0.0, int(random.integers(0, 5))
    while at < 15:
        length = float(random.choice((0.5, 1, 1, 1.5, 2)))
        notes.append((at, min(length, 16 - at), step))
        at += length
        step = int(np.clip(step + random.integers(-2, 3), -2, 9))
    return [*notes, (at, 16 - at, 0)]  # a phrase comes home


def _add(
    sound: Samples, tune: Tune, rate: int, at: float, length: float, step: int, loudness: float
) -> None:
    octave, degree = divmod(step, len(_of(tune)))
    note = _note(tune.voice, tune.key + 12 * octave + _of(tune)[degree], round(length, 4), rate)
    start = round(at * rate)
    piece = note[: len(sound) - start]
    sound[start : start + len(piece)] += loudness * piece


@lru_cache(maxsize=256)
def _note(name: str, number: int, length: float, rate: int) -> Samples:
    voice, frequency = VOICES[name], 440 * 2 ** ((number - 69) / 12)
    exact = np.arange(round((length + 0.4) * rate)) / rate
    cycles = frequency * exact
    if voice.vibrato:
        cycles += voice.vibrato * frequency / 34.6 * np.sin(34.6 * exact)  # 5.5 Hz
    time = exact.astype(np.float32)
    sound = np.zeros_like(time)
    for multiple, strength in voice.partials:
        if multiple * frequency < rate * 0.45:
            turns = multiple * cycles
            angle = np.float32(2 * np.pi) * (turns - np.floor(turns)).astype(np.float32)
            # higher partials of struck and plucked strings die sooner
            fall = np.exp(time * np.float32(-(multiple**0.6) / voice.decay))
            sound += np.float32(strength) * np.sin(angle) * fall
    if voice.drive:
        sound = np.tanh(voice.drive * sound)
    release = np.clip((length + 0.4 - time) / 0.4, 0, 1)
    return np.asarray(sound * np.minimum(1, time / voice.attack) * release, dtype=np.float32)


def _add_drums(
    sound: Samples, beats: int, beat: int, rate: int, random: np.random.Generator
) -> None:
    """Lay a kick on the beats, a snare on every second and a hat between."""
    time = np.arange(round(0.2 * rate), dtype=np.float32) / rate
    kick = np.sin(2 * np.pi * 50 * time + 12 * np.exp(-time * 40)) * np.exp(-time * 18)
    noise = random.uniform(-1, 1, len(time)).astype(np.float32)
    snare, hat = noise * np.exp(-time * 25), noise * np.exp(-time * 90)
    for number in range(beats):
        start = number * beat
        for drum, at, loudness in (
            (snare if number % 2 else kick, start, 0.6),
            (hat, start + beat // 2, 0.2),
        ):
            piece = drum[: len(sound) - at]
            sound[at : at + len(piece)] += loudness * piece
