"""TransformerEvaluator: a small transformer over an item's vectors that says how it would be rated.

An item is a sequence of tokens: one for each chunk of its description, one for each vector of
what models heard and saw, one for its facts. Eleven classes, 0 to 10; the rating is their
expectation, and a rating between two classes is shared by them in proportion.

Trained by AdamW with warm-up and cosine decay (Loshchilov & Hutter 2017, 2019), dropout, early
stopping on an inner split, and averaged over seeds. Deterministic given its seed and threads.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Doubles = npt.NDArray[np.float64]

CLASSES = 11
WIDTH, HEADS, LAYERS = 96, 4, 2
DROPOUT = 0.2
RATE, DECAY = 1e-3, 0.05
BATCH = 64
MOST_EPOCHS = 60
PATIENCE = 8
INNER_SHARE = 0.15
SEEDS = 3
MOST_TOKENS = 40
"""More than the chunks of a text, the frames of a video and the facts come to."""


@dataclass(frozen=True)
class Tokens:
    """Items as sequences: for each space the vectors of all items, one after the other."""

    dimensions: tuple[int, ...]
    """Of each space."""
    items: list[list[npt.NDArray[np.float32]]]
    """For each item, for each space, its vectors (n, D)."""

    def __len__(self) -> int:
        return len(self.items)

    def take(self, places: Sequence[int] | npt.NDArray[np.int64]) -> "Tokens":
        """Return some of the items."""
        return Tokens(self.dimensions, [self.items[int(place)] for place in places])


class TransformerEvaluator(nn.Module):
    """Ratings from tokens."""

    def __init__(self, dimensions: Sequence[int]) -> None:
        super().__init__()
        self.dimensions = tuple(dimensions)
        self.inputs = nn.ModuleList(nn.Linear(d, WIDTH) for d in dimensions)
        self.kinds = nn.Parameter(torch.randn(len(dimensions), WIDTH) * 0.02)
        self.whole = nn.Parameter(torch.randn(WIDTH) * 0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 2 * WIDTH, DROPOUT, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(WIDTH)
        self.output = nn.Linear(WIDTH, CLASSES)

    def forward(self, vectors: list[Tensor], places: list[Tensor], mask: Tensor) -> Tensor:
        """Return class logits (B, CLASSES).

        For each space its vectors (n, D) and where they go: (n,) places in the flat (B, T) grid of
        tokens; `mask` (B, T) is true where there is a token. Place 0 of each row is its own.
        """
        rows, length = mask.shape
        grid = torch.zeros(rows * length, WIDTH, device=mask.device)
        for linear, kind, space, where in zip(
            self.inputs, self.kinds, vectors, places, strict=True
        ):
            grid[where] = linear(space) + kind
        grid = grid.view(rows, length, WIDTH)
        grid[:, 0] = self.whole
        states = self.layers(grid, src_key_padding_mask=~mask)
        logits: Tensor = self.output(self.norm(states[:, 0]))
        return logits


def train(tokens: Tokens, ratings: Doubles, *, seed: int, device: str) -> list[dict[str, Any]]:
    """Return the weights of an ensemble, trained on all of it."""
    return [_train_one(tokens, ratings, seed + 1000 * n, device) for n in range(SEEDS)]


def hold_out(
    tokens: Tokens, ratings: Doubles, folds: Sequence[npt.NDArray[np.int64]], *, seed: int,
    device: str,
) -> Doubles:  # fmt: skip
    """Return out-of-fold predictions, each by one model that has not seen its fold."""
    found = np.empty(len(ratings))
    for held_out in folds:
        rest = np.setdiff1d(np.arange(len(ratings)), held_out)
        state = _train_one(tokens.take(rest), ratings[rest], seed, device)
        found[held_out] = predict([state], tokens.take(held_out), device)
    return found


def predict(states: Sequence[dict[str, Any]], tokens: Tokens, device: str) -> Doubles:
    """Return the ensemble's mean expectation (N,)."""
    found = np.zeros(len(tokens))
    for state in states:
        model = TransformerEvaluator(tokens.dimensions).to(device)
        model.load_state_dict(state)
        found += _expectations(model.eval(), tokens, device)
    return found / len(states)


def _train_one(tokens: Tokens, ratings: Doubles, seed: int, device: str) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    torch.manual_seed(seed)
    order = chance.permutation(len(ratings))
    inner = max(2, round(INNER_SHARE * len(ratings)))
    stop, rest = order[:inner], order[inner:]
    model = TransformerEvaluator(tokens.dimensions).to(device)
    with torch.no_grad():  # begin at the person's own distribution
        shares = _soft(ratings[rest]).mean(dim=0) + 0.02
        model.output.bias.copy_(shares.log())
        model.output.weight.mul_(0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
    steps = MOST_EPOCHS * math.ceil(len(rest) / BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda n: _rate_at(n, steps))
    best, since, kept = math.inf, 0, _state(model)
    for _ in range(MOST_EPOCHS):
        model.train()
        shuffled = chance.permutation(rest)
        for first in range(0, len(shuffled), BATCH):
            batch = shuffled[first : first + BATCH]
            logits = model(*_collate(tokens.take(batch), device))
            wanted = _soft(ratings[batch]).to(device)
            loss = -(wanted * logits.log_softmax(dim=-1)).sum(dim=-1).mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
        errors = _expectations(model.eval(), tokens.take(stop), device) - ratings[stop]
        error = float(np.mean(errors**2))
        if error < best - 1e-4:
            best, since, kept = error, 0, _state(model)
        else:
            since += 1
        if since >= PATIENCE:
            break
    return kept


def _rate_at(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, steps - warm)))


def _state(model: nn.Module) -> dict[str, Any]:
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def _soft(ratings: Doubles) -> Tensor:
    """Return (N, CLASSES): each rating shared by its two neighbours."""
    values = torch.from_numpy(np.clip(ratings, 0, CLASSES - 1)).float()
    low = values.floor().long().clamp(max=CLASSES - 2)
    share = values - low
    soft = torch.zeros(len(values), CLASSES)
    soft[torch.arange(len(values)), low] = 1 - share
    soft[torch.arange(len(values)), low + 1] = share
    return soft


@torch.inference_mode()
def _expectations(model: TransformerEvaluator, tokens: Tokens, device: str) -> Doubles:
    found = []
    classes = torch.arange(CLASSES, dtype=torch.float32, device=device)
    for first in range(0, len(tokens), 4 * BATCH):
        places = range(first, min(first + 4 * BATCH, len(tokens)))
        logits = model(*_collate(tokens.take(list(places)), device))
        found.append((logits.softmax(dim=-1) @ classes).cpu().numpy())
    return np.concatenate(found).astype(np.float64) if found else np.empty(0)


def _collate(tokens: Tokens, device: str) -> tuple[list[Tensor], list[Tensor], Tensor]:
    counts = [1 + min(sum(map(len, item)), MOST_TOKENS) for item in tokens.items]
    length = max(counts)
    mask = torch.zeros(len(tokens), length, dtype=torch.bool)
    vectors: list[list[npt.NDArray[np.float32]]] = [[] for _ in tokens.dimensions]
    places: list[list[int]] = [[] for _ in tokens.dimensions]
    for row, item in enumerate(tokens.items):
        mask[row, : counts[row]] = True
        place = 1
        for space, rows in enumerate(item):
            for vector in rows[: max(0, MOST_TOKENS + 1 - place)]:
                vectors[space].append(vector)
                places[space].append(row * length + place)
                place += 1
    stacked = [
        torch.from_numpy(np.stack(of) if of else np.empty((0, d), np.float32)).to(device)
        for of, d in zip(vectors, tokens.dimensions, strict=True)
    ]
    return (
        stacked,
        [torch.tensor(p, dtype=torch.long, device=device) for p in places],
        mask.to(device),
    )
