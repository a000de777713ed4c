"""Words and vectors for music by musicnn: 50 tags each from MagnaTagATune and the Million Songs.

The network and its front end are those of Pons and Serra, "musicnn: Pre-trained convolutional
neural networks for music audio tagging" (2019, arXiv:1909.06654): log-mel patches of three seconds,
timbral and temporal filters, three residual layers, pooling over time, two dense layers. The
weights are the package's TensorFlow checkpoints.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ml.devices import use_all_cores
from ml.families.tensor_bundle import read_bundle
from ml.installed import file_hash, find_package
from ml.perceiving import Item, ModelUnusable, Percept, pack_percepts

Floats = npt.NDArray[np.float32]

PACKAGE = "musicnn"
SHA256 = {
    "MTT_musicnn": "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab",
    "MSD_musicnn": "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6",
}
"""Of the data files in version 0.1.0."""

RATE, HOP, WINDOW, MELS = 16_000, 256, 512, 96
PATCH_FRAMES = 187
"""Three seconds."""
BATCH_PATCHES = 24
KERNELS = ((7, 38, 204), (7, 67, 204), (128, 1, 51), (64, 1, 51), (32, 1, 51))
"""Of the front end: height in frames, width in mels, filters."""
NORM_EPSILON = 1e-3
NORM_NAMES = (
    ("weight", "gamma"), ("bias", "beta"), ("running_mean", "moving_mean"),
    ("running_var", "moving_variance"),
)  # fmt: skip

_NAMES = {
    "MTT_musicnn": (
        "guitar, classical, slow, techno, strings, drums, electronic, rock, fast, piano, ambient,"
        " beat, violin, vocals, synth, female voice, indian, opera, male voice, singing, vocals,"
        " no vocals, harpsichord, loud, quiet, flute, female voice, male voice, no vocals, pop,"
        " soft, sitar, solo, male voice, classical, choir, vocals, new age, dance, male voice,"
        " female voice, beat, harp, cello, no vocals, weird, country, metal, female voice, choir"
    ),
    "MSD_musicnn": (
        "rock, pop, alternative, indie, electronic, female vocalists, dance, 2000s, alternative"
        " rock, jazz, beautiful, metal, chillout, male vocalists, classic rock, soul, indie rock,"
        " mellow, electronica, 1980s, folk, 1990s, chill, instrumental, punk, oldies, blues, hard"
        " rock, ambient, acoustic, experimental, female vocalist, guitar, hip-hop, 1970s, party,"
        " country, easy listening, sexy, catchy, funk, electro, heavy metal, progressive rock,"
        " 1960s, r&b, indie pop, sad, house, happy"
    ),
}
"""In the order of the outputs; MagnaTagATune's synonyms are folded into one word."""
TAGS = {name: tags.split(", ") for name, tags in _NAMES.items()}
LEAST = {"MTT_musicnn": 0.15, "MSD_musicnn": 0.12}
"""Mean activation from which a tag is said. Both were read off real tracks: below it the tags
describe the data set more than the piece."""
MOST_TAGS = 7


def start(options: dict[str, Any]) -> "MusicTagger":
    """Load both networks from the package. Raises ModelUnusable."""
    folder, version = find_package(PACKAGE)
    return MusicTagger(folder, version)


class MusicTagger:
    """The operations of the worker."""

    def __init__(self, folder: Path, version: str) -> None:
        use_all_cores()
        self._networks = {name: _load(folder / name, name) for name in SHA256}
        self._filters = torch.from_numpy(mel_filters())
        self._window = torch.hann_window(WINDOW)
        self._version = version

    def about(self) -> dict[str, Any]:
        """Return the space of the vectors, and where the model runs."""
        return {
            "space": f"musicnn@{self._version}:mean-3s",
            "dimensions": 400,
            "device": "cpu",
            "reason": "it is small",
            "has_text_tower": False,
        }

    @torch.inference_mode()
    def perceive(self, items: list[Item]) -> dict[str, Any]:
        """Return one vector and the tags of each piece; its sound is at 16 kHz.

        See `ml.perceiving.pack_percepts` for the answer.
        """
        return pack_percepts([self._perceive(np.load(item["sound"])) for item in items])

    def _perceive(self, windows: Floats) -> Percept:
        patches = torch.cat([self._patches(window) for window in torch.from_numpy(windows)])
        if not len(patches):
            return Percept(np.empty((0, 400), np.float32), "")
        words: list[str] = []
        parts = []
        for name, network in self._networks.items():
            outputs = [network(batch) for batch in patches.split(BATCH_PATCHES)]
            chances = torch.cat([chance for chance, _ in outputs]).mean(dim=0)
            parts.append(F.normalize(torch.cat([f for _, f in outputs]).mean(dim=0), dim=0))
            words += _name_tags(chances.numpy(), TAGS[name], LEAST[name])
        vector = F.normalize(torch.cat(parts), dim=0).numpy()
        said = list(dict.fromkeys(words))
        return Percept(vector[None], f"Sounds like: {', '.join(said)}" if said else "")

    def _patches(self, samples: Tensor) -> Tensor:
        """Return log-mel patches (N, 187, 96) of mono sound; a rest shorter than one is left out.

        Reads as librosa's `melspectrogram(n_fft=512, hop_length=256, n_mels=96)`, power 2.
        """
        if len(samples) < RATE // 2:
            return torch.empty(0, PATCH_FRAMES, MELS)
        short = PATCH_FRAMES * HOP - len(samples)
        if short > 0:  # a sound of under three seconds is repeated
            samples = samples.repeat(-(-PATCH_FRAMES * HOP // len(samples)))[: PATCH_FRAMES * HOP]
        spectrum = torch.stft(
            samples, WINDOW, HOP, window=self._window, pad_mode="constant", return_complex=True
        )
        mels = self._filters @ spectrum.abs().square()  # (96, T)
        frames = torch.log10(10_000 * mels + 1).T
        count = len(frames) // PATCH_FRAMES
        return frames[: count * PATCH_FRAMES].reshape(count, PATCH_FRAMES, MELS)


class _Network(nn.Module):
    """One musicnn; maps patches (N, 187, 96) to chances (N, 50) and features (N, 200)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_input = _norm(1, two_d=True)
        self.front = nn.ModuleList(nn.Conv2d(1, n, (high, wide)) for high, wide, n in KERNELS)
        self.front_norms = nn.ModuleList(_norm(n, two_d=True) for _, _, n in KERNELS)
        self.middle = nn.ModuleList(nn.Conv2d(1, 64, (7, width)) for width in (561, 64, 64))
        self.middle_norms = nn.ModuleList(_norm(64, two_d=True) for _ in range(3))
        self.norm_pooled = _norm(1506)
        self.dense = nn.Linear(1506, 200)
        self.norm_dense = _norm(200)
        self.output = nn.Linear(200, 50)

    def forward(self, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Return chances and features."""
        states = self.norm_input(patches[:, None])
        maps = []
        for place, (convolution, norm) in enumerate(zip(self.front, self.front_norms, strict=True)):
            height = KERNELS[place][0]
            before = 3 if place < 2 else (height - 1) // 2  # "same" pads the shorter side before
            padded = F.pad(states, (0, 0, before, height - 1 - before))
            maps.append(norm(F.relu(convolution(padded))).amax(dim=3))  # (N, C, T)
        layers = [torch.cat(maps, dim=1)]
        for convolution, norm in zip(self.middle, self.middle_norms, strict=True):
            padded = F.pad(layers[-1].transpose(1, 2)[:, None], (0, 0, 3, 3))
            made = norm(F.relu(convolution(padded)))[..., 0]
            layers.append(made if len(layers) == 1 else made + layers[-1])
        features = torch.cat(layers, dim=1)  # (N, 753, T)
        # The largest value and the mean of each feature lie side by side, feature by feature.
        pooled = torch.stack([features.amax(dim=2), features.mean(dim=2)], dim=2).flatten(1)
        dense = self.norm_dense(F.relu(self.dense(self.norm_pooled(pooled))))
        return torch.sigmoid(self.output(dense)), dense


def _norm(channels: int, *, two_d: bool = False) -> nn.Module:
    kind = nn.BatchNorm2d if two_d else nn.BatchNorm1d
    return kind(channels, eps=NORM_EPSILON)


def _load(folder: Path, name: str) -> _Network:
    data = folder / ".data-00000-of-00001"
    if not data.is_file() or file_hash(data) != SHA256[name]:
        raise ModelUnusable(f"{data} is damaged or of another version; reinstall {PACKAGE}.")
    tensors = read_bundle(folder / ".index", data)
    network = _Network()
    norms = [network.norm_input, *network.front_norms, *network.middle_norms]
    norms += [network.norm_pooled, network.norm_dense]
    convolutions = [*network.front, *network.middle]
    state: dict[str, Tensor] = {}
    names = {module: path for path, module in network.named_modules()}
    for place, norm in enumerate(norms):
        scope = "batch_normalization" + (f"_{place}" if place else "")
        for ours, theirs in NORM_NAMES:
            state[f"{names[norm]}.{ours}"] = torch.from_numpy(tensors[f"{scope}/{theirs}"].copy())
        state[f"{names[norm]}.num_batches_tracked"] = torch.tensor(0)
    for place, convolution in enumerate(convolutions):
        scope = "conv2d" + (f"_{place}" if place else "")
        kernel = tensors[f"{scope}/kernel"].transpose(3, 2, 0, 1)  # (H, W, in, out) to torch's
        state[f"{names[convolution]}.weight"] = torch.from_numpy(kernel.copy())
        state[f"{names[convolution]}.bias"] = torch.from_numpy(tensors[f"{scope}/bias"].copy())
    for layer, scope in ((network.dense, "dense"), (network.output, "dense_1")):
        state[f"{names[layer]}.weight"] = torch.from_numpy(tensors[f"{scope}/kernel"].T.copy())
        state[f"{names[layer]}.bias"] = torch.from_numpy(tensors[f"{scope}/bias"].copy())
    network.load_state_dict(state)
    return network.eval()


def _name_tags(chances: Floats, tags: Sequence[str], least: float) -> list[str]:
    """Return the tags that are likely enough, most likely first."""
    order = np.argsort(-chances)[: MOST_TAGS * 2]
    named = dict.fromkeys(tags[place] for place in order if chances[place] >= least)
    return list(named)[:MOST_TAGS]


def mel_filters() -> Floats:
    """Return Slaney's mel filters (96, 257), each of unit area.

    As in M. Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.
    """
    step, corner = 200 / 3, 1000.0
    log_step = np.log(6.4) / 27

    def to_hertz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        above = corner * np.exp(log_step * (mel - corner / step))
        return np.where(mel < corner / step, mel * step, above)

    top = corner / step + np.log(RATE / 2 / corner) / log_step
    edges = to_hertz(np.linspace(0, top, MELS + 2))
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)
    rising = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    areas = 2 / (edges[2:] - edges[:-2])
    filters = np.maximum(0, np.minimum(rising, falling)) * areas[:, None]
    return filters.astype(np.float32)
