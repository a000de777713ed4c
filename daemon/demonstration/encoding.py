"""Sound and moving pictures into files, by FFmpeg; the same input gives the same bytes."""

from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from PIL import Image

from daemon.demonstration.synthesis import Samples

SOUND = {
    ".mp3": ("mp3", "libmp3lame", "s16p", 32000),
    ".ogg": ("ogg", "vorbis", "fltp", 32000),
    ".opus": ("ogg", "libopus", "s16", 24000),
    ".flac": ("flac", "flac", "s16", 32000),
    ".m4a": ("ipod", "aac", "fltp", 32000),
}
"""Extension to container, codec, sample format and sampling rate."""

PICTURES = {".mp4": ("libx264", "aac", "fltp", 32000), ".webm": ("libvpx", "libopus", "s16", 24000)}
"""Extension to picture codec, sound codec, its sample format and its rate."""

FRAMES_A_SECOND = 16

_SAME_BYTES = {"fflags": "+bitexact"}  # Ogg numbers its streams at random without

_OPTIONS = {
    "vorbis": {"strict": "experimental"},
    "libmp3lame": {"compression_level": "7"},
    "libx264": {"preset": "veryfast", "crf": "24", "x264-params": "mbtree=0"},
    "libvpx": {"deadline": "good", "cpu-used": "5"},
}
"""For speed; mbtree encodes differently from run to run."""


def write_sound(path: Path, sound: Samples) -> None:
    """Write mono sound of the rate that `SOUND` says for the extension."""
    container_name, codec, sample_format, rate = SOUND[path.suffix]
    with av.open(str(path), "w", format=container_name, container_options=_SAME_BYTES) as container:
        stream = _add_sound(container, codec, rate)
        _encode_sound(container, stream, sound, sample_format)


def write_video(path: Path, frames: Iterable[Image.Image], sound: Samples) -> None:
    """Write pictures of one size, `FRAMES_A_SECOND`, with mono sound of `PICTURES`' rate."""
    codec, audio_codec, sample_format, rate = PICTURES[path.suffix]
    frames = iter(frames)
    first = next(frames)
    with av.open(str(path), "w", container_options=_SAME_BYTES) as container:
        video: Any = container.add_stream(codec, rate=FRAMES_A_SECOND, options=_OPTIONS[codec])
        video.width, video.height = first.size
        video.pix_fmt = "yuv420p"
        video.bit_rate = 500_000 if codec == "libvpx" else 0
        video.thread_count = 1  # several encode differently from run to run
        audio = _add_sound(container, audio_codec, rate)
        for number, picture in enumerate(chain((first,), frames)):
            frame = VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        _encode_sound(container, audio, sound, sample_format)


def _add_sound(container: Any, codec: str, rate: int) -> Any:
    stream = container.add_stream(codec, rate=rate, options=_OPTIONS.get(codec, {}))
    stream.layout = "stereo" if codec == "vorbis" else "mono"  # FFmpeg's own Vorbis wants two
    if codec != "flac":
        stream.bit_rate = 80_000
    return stream


def _encode_sound(container: Any, stream: Any, sound: Samples, sample_format: str) -> None:
    whole = sample_format.startswith("s16")
    values = (sound * 32767).astype(np.int16) if whole else sound.astype(np.float32)
    for start in range(0, len(values), 1024):
        piece: Any = np.tile(values[start : start + 1024], (stream.channels, 1))
        frame = AudioFrame.from_ndarray(piece, format=sample_format, layout=stream.layout.name)
        frame.sample_rate, frame.pts = stream.rate, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
