"""What models are shown of a file: windows and frames spread over it, in bounded memory."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame

from connectors.base import Kind
from connectors.folder.excerpts import FRAMES, LOUDEST, View, make_excerpts

EAR, SHARP_EAR = View(rate=16_000, seconds=3), View(rate=48_000, seconds=10)


def excerpts(path: Path, kind: Kind, *views: View) -> list[npt.NDArray[Any] | None]:
    made = make_excerpts(bytes(path), kind, views, str(path.parent))
    return [np.load(each["path"]) if each["path"] else None for each in made]


def write_rising_sound(path: Path, minutes: int) -> None:
    """Write a sound that is louder each minute, at 8 kHz."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("flac", rate=8000)
        stream.layout = "mono"
        for minute in range(minutes):
            level = 30_000 * (minute + 1) // minutes
            samples = np.tile(np.array([level, -level], np.int16), (1, 240_000))
            frame = AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 8000, minute * 480_000
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def write_brightening_video(path: Path, frames: int) -> None:
    """Write a silent video, a frame a second, a key frame every ten, that goes to white."""
    with av.open(path, "w") as container:
        stream: Any = container.add_stream("mpeg4", rate=1)
        stream.width = stream.height = 32
        stream.pix_fmt, stream.gop_size = "yuv420p", 10
        for number in range(frames):
            shade = np.full((32, 32, 3), 255 * number // frames, np.uint8)
            for packet in stream.encode(VideoFrame.from_ndarray(shade)):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def write_floats(path: Path, samples: npt.NDArray[np.float32], rate: int) -> None:
    data = samples.astype("<f4").tobytes()
    form = struct.pack("<IHHIIHH", 16, 3, 1, rate, 4 * rate, 4, 32)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + form
    path.write_bytes(head + b"data" + struct.pack("<I", len(data)) + data)


def test_three_hours_are_heard_from_end_to_end_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    write_rising_sound(path, 180)
    tracemalloc.start()
    try:
        windows, sharp = excerpts(path, "music", EAR, SHARP_EAR)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert windows is not None
    assert sharp is not None
    assert (windows.shape, sharp.shape) == ((4, 48_000), (4, 480_000))
    loudness = np.abs(windows).mean(axis=1)
    assert loudness / loudness[-1] == pytest.approx([0.006, 0.336, 0.667, 1], abs=0.02)
    assert peak < 40 << 20  # three hours at 48 kHz are 2 GB


@pytest.mark.parametrize("container", ["mkv", "mp4", "avi"])
def test_frames_come_from_all_of_a_long_video(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"long.{container}"
    write_brightening_video(path, 3600)
    frames, sound = excerpts(path, "videos", View(size=32), EAR)
    assert sound is None
    assert frames is not None
    shades = frames.mean(axis=(1, 2, 3))
    wanted = 255 * (np.arange(FRAMES) + 0.5) / FRAMES
    assert shades == pytest.approx(wanted, abs=5)


def test_a_file_of_any_floats_gives_numbers_to_work_with(tmp_path: Path) -> None:
    path = tmp_path / "floats.wav"
    samples = np.random.default_rng(5).standard_normal(8 * 16_000).astype(np.float32)
    samples[:20_000] *= 1e25
    samples[30_000:60_000:100] = np.nan
    samples[60_000:90_000:100] = np.inf
    write_floats(path, samples, 16_000)  # as one of the ears hears it, the other does not
    for windows in excerpts(path, "music", EAR, SHARP_EAR):
        assert windows is not None
        assert len(windows) == 1
        assert np.isfinite(windows).all()
        assert 0.1 < np.abs(windows).max() <= LOUDEST
