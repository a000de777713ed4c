"""Decodes what models look at and listen to: windows of sound, pictures, frames of videos.

An item is decoded once for all models; each names the views that it wants. Only what lies in a
view is decoded, so that a film of three hours takes no more memory than a clip.
"""

import bisect
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, TypedDict

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from connectors.base import Kind, UnreadableFile
from connectors.folder.containers import find_stream, open_container, seconds_of
from connectors.folder.decoding import MOST_PIXELS, frame_picture, open_picture, shrink

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class View(TypedDict, total=False):
    """What a model wants of an item: `rate` and `seconds`, or `size`.

    Sound: mono at `rate` Hz, in windows of `seconds` spread evenly. Pictures and frames: at most
    `size` pixels a side.
    """

    rate: int
    seconds: float
    size: int


WINDOWS = 4
"""Of sound in a piece. Each view takes the middle of the same windows, so that what one model
hears does not depend on which others listen."""
WINDOW_SECONDS = 30.0
FRAMES = 8
"""Of a video."""
MOST_DECODED = 400
"""Frames that are decoded at most on the way to a wanted one."""
LOUDEST = 4.0
"""Files of floats may hold any number; what models square would not be finite any more."""
LONGEST_UNKNOWN = 600.0
"""Seconds that are looked at of sound that does not say how long it is."""


def make_excerpts(
    path: bytes, kind: Kind, views: Sequence[View], folder: str
) -> list[dict[str, Any]]:
    """Write a .npy file for each view; return {"path", "count"} for each, in their order.

    Sound is float32 (windows, samples), pictures are uint8 (frames, height, width, 3). The path is
    "" where the item has nothing of the sort, such as the sound of a silent film. The caller
    removes the files. Raises UnreadableFile.
    """
    try:
        with open(path, "rb") as file:
            arrays = _decode(file, kind, views)
    except OSError as error:
        raise UnreadableFile(f"cannot be read: {error.strerror or error}") from error
    return [_save(array, folder) for array in arrays]


def _decode(file: BinaryIO, kind: Kind, views: Sequence[View]) -> list[npt.NDArray[Any] | None]:
    sounds = [view for view in views if "rate" in view]
    sizes = [view["size"] for view in views if "size" in view]
    heard: list[Floats | None] = [None] * len(sounds)
    seen: list[Pixels | None] = [None] * len(sizes)
    if kind == "images" and sizes:
        seen = list(_shrunk([_picture(file, max(sizes))], sizes))
    elif kind == "music":
        heard = list(_hear(file, "sound", sounds))
    elif kind == "videos":
        if sizes:
            seen = list(_shrunk(_frames(file, max(sizes)), sizes))
        if sounds and _has_sound(file):
            heard = list(_hear(file, "video", sounds))
    found_sounds, found_pictures = iter(heard), iter(seen)
    return [next(found_sounds if "rate" in view else found_pictures) for view in views]


def _save(array: npt.NDArray[Any] | None, folder: str) -> dict[str, Any]:
    if array is None:
        return {"path": "", "count": 0}
    path = os.path.join(folder, f"{uuid.uuid4().hex}.npy")
    np.save(path, array)
    return {"path": path, "count": len(array)}


def window_starts(duration: float) -> list[float]:
    """Return where the windows of a piece begin, in seconds."""
    if duration <= WINDOW_SECONDS:
        return [0.0]
    count = min(WINDOWS, int(np.ceil(duration / WINDOW_SECONDS)))
    return [float(start) for start in np.linspace(0, duration - WINDOW_SECONDS, count)]


def _hear(file: BinaryIO, what: str, views: Sequence[View]) -> list[Floats]:
    """Return the windows of each view."""
    windows: list[list[Floats]] = [[] for _ in views]
    with open_container(file, what) as container:
        stream = find_stream(container, "audio")
        duration = seconds_of(container, stream)
        starts = window_starts(duration or LONGEST_UNKNOWN)
        whole = min(duration or WINDOW_SECONDS, WINDOW_SECONDS)
        for start in starts:
            middle = start + whole / 2
            spans = [(max(start, middle - v["seconds"] / 2), v["seconds"]) for v in views]
            heard = _listen(container, stream, spans, [view["rate"] for view in views])
            for place, samples in enumerate(heard):
                if len(samples):
                    windows[place].append(samples)
    if not all(windows):
        raise UnreadableFile("has no sound in it that can be decoded")
    return [_stack(each) for each in windows]


def _listen(
    container: Any, stream: Any, spans: Sequence[tuple[float, float]], rates: Sequence[int]
) -> list[Floats]:
    """Decode the stretch of sound that holds all spans (start, seconds); return each at its rate.

    Raises UnreadableFile if the sound cannot be decoded.
    """
    first = min(start for start, _ in spans)
    end = max(start + seconds for start, seconds in spans)
    offset = float((stream.start_time or 0) * stream.time_base)
    if first > 0:
        container.seek(int((first + offset) / stream.time_base), stream=stream)
    # One that has nothing to do spoils the frame for those behind it.
    in_turn = sorted(rates, key=lambda rate: rate == stream.rate)
    resamplers = {rate: av.AudioResampler("flt", "mono", rate) for rate in in_turn}
    heard: dict[int, list[Floats]] = {rate: [] for rate in resamplers}
    begun: float | None = None
    for frame in container.decode(stream):
        time = float(frame.time or 0.0) - offset
        if time >= end:
            break
        if time + frame.samples / frame.sample_rate <= first:
            continue
        begun = time if begun is None else begun
        frame.pts = None  # gaps would be filled in
        for rate, resampler in resamplers.items():
            heard[rate] += [part.to_ndarray()[0] for part in resampler.resample(frame)]
    for rate, resampler in resamplers.items():
        heard[rate] += [part.to_ndarray()[0] for part in resampler.resample(None)]
    taken = []
    for (start, seconds), rate in zip(spans, rates, strict=True):
        parts = heard[rate]
        samples = np.concatenate(parts) if parts else np.empty(0, np.float32)
        skip = round(max(0.0, start - (begun or 0.0)) * rate)
        window = np.nan_to_num(samples[skip : skip + round(seconds * rate)], posinf=0, neginf=0)
        taken.append(np.clip(window, -LOUDEST, LOUDEST))
    return taken


def _stack(windows: Sequence[Floats]) -> Floats:
    """Make windows equally long; the last may end early."""
    length = max(len(window) for window in windows)
    stacked = np.zeros((len(windows), length), np.float32)
    for row, window in zip(stacked, windows, strict=True):
        row[: len(window)] = window
    return stacked


def _has_sound(file: BinaryIO) -> bool:
    with open_container(file, "video") as container:
        return any(s.codec_context is not None for s in container.streams.audio)


def _picture(file: BinaryIO, size: int) -> Pixels:
    with open_picture(file) as image:
        return _flat(shrink(image, size))


def _flat(image: Image.Image) -> Pixels:
    """Lay what is transparent on white."""
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _frames(file: BinaryIO, size: int) -> list[Pixels]:
    """Return up to FRAMES pictures of a video, spread evenly."""
    taken: list[Pixels] = []
    with open_container(file, "video") as container:
        stream = find_stream(container, "video")
        if stream.codec_context.width * stream.codec_context.height > MOST_PIXELS:
            raise UnreadableFile("has pictures that are too large to decode")
        duration = seconds_of(container, stream) or 0.0
        offset = float((stream.start_time or 0) * stream.time_base)
        frames = _FrameFinder(container, stream)
        for number in range(FRAMES):
            wanted = (number + 0.5) / FRAMES * duration
            found = frames.find(wanted + offset)
            if found is None:
                continue
            taken.append(np.asarray(frame_picture(found, stream, size)))
            if not duration:
                break
    if not taken:
        raise UnreadableFile("has no video in it that can be decoded")
    shape = taken[0].shape[1::-1]  # a stream may change its size on the way
    return [
        pixels if pixels.shape[1::-1] == shape
        else np.asarray(Image.fromarray(pixels).resize(shape))
        for pixels in taken
    ]  # fmt: skip


class _FrameFinder:
    """Finds frames of a video in the order of time, without decoding any twice where it can."""

    def __init__(self, container: Any, stream: Any) -> None:
        self._container = container
        self._stream = stream
        self._key_frames: list[int] = []
        self._frames: Iterator[Any] = iter(())
        self._last = -1.0

    def find(self, wanted: float) -> Any:
        """Return the key frame before a time; one behind it where that has been passed already."""
        place = int(wanted / self._stream.time_base)
        if self._last >= 0 and self._has_passed_key_frame_before(place):
            found = self._next(wanted)
            if found is not None:
                return found
        self._container.seek(place, stream=self._stream)
        if self._last < 0:  # Matroska's index is not read before the first seek
            self._key_frames = [e.timestamp for e in self._stream.index_entries if e.is_keyframe]
        self._frames = self._container.decode(self._stream)
        return self._next(wanted, takes_first=True)

    def _next(self, wanted: float, *, takes_first: bool = False) -> Any:
        for decoded, frame in enumerate(self._frames):
            time = float(frame.time or 0.0)
            if time > self._last and ((decoded == 0 and takes_first) or time >= wanted):
                self._last = time
                return frame
            if decoded >= MOST_DECODED:
                break
        return None

    def _has_passed_key_frame_before(self, place: int) -> bool:
        """Tell whether seeking would go back; the file's own index knows."""
        before = bisect.bisect_right(self._key_frames, place)
        last = int(self._last / self._stream.time_base)
        return before > 0 and self._key_frames[before - 1] <= last


def _shrunk(pictures: Sequence[Pixels], sizes: Sequence[int]) -> list[Pixels]:
    """Return the pictures, which are as large as the largest size, in every size."""
    largest = max(sizes)
    whole = np.stack(pictures)
    return [whole if size == largest else _resized(whole, size) for size in sizes]


def _resized(pictures: Pixels, size: int) -> Pixels:
    made = []
    for pixels in pictures:
        image = Image.fromarray(pixels)
        image.thumbnail((size, size), Image.Resampling.BICUBIC)
        made.append(np.asarray(image))
    return np.stack(made)
