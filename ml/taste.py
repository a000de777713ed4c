"""The closed-form head of the taste model: a Gaussian process over frozen features.

Exact (Rasmussen & Williams, Gaussian Processes for Machine Learning, eq. 2.25-2.26) up to ANCHORS
ratings; beyond that a projected process (their section 8.3.4), whose inducing points are a
k-centre subset of the rated items. Either way a prediction is one kernel block times a vector
and a matrix, so that a library of 100,000 items is rescored in about a second.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ml.blas_threads import one_thread
from ml.taste_features import Features, Floats, Prepared, prepare
from ml.taste_kernel import Anchors, TasteSettings, prior_mean, prior_shift, prior_variance
from ml.taste_search import choose_settings

__all__ = ["Features", "TasteHead", "TasteSettings", "choose_settings", "fit"]

Doubles = npt.NDArray[np.float64]

ANCHORS = 384
"""Ratings that are taken exactly; with more of them, the number of inducing points."""
CANDIDATES = 2048
"""Rated items among which the inducing points are chosen."""
BLOCK_ITEMS = 4096
LOWEST, HIGHEST = 0.0, 10.0


@dataclass(frozen=True)
class TasteHead:
    """A fitted model: mean = prior + k w and variance = k(x, x) - |k R|², k = kernel to anchors."""

    settings: TasteSettings
    mean: float
    """The prior mean, in rating points, of an item that the community finds typical."""
    anchors: Anchors
    weights: Floats
    """(M,)"""
    reduction: Floats
    """R (M, r): by how much the ratings reduce the uncertainty."""
    spread: Floats
    """(M, r): spread spreadᵀ makes weights of what the labels say to each anchor."""

    def predict(self, features: Features | Prepared) -> tuple[Floats, Floats]:
        """Return the expected ratings (N,), 0 to 10, and their standard deviations (N,).

        The deviation is that of a rating, so it holds the person's own noise.
        """
        items = prepare(features)
        means = np.empty(len(items), np.float32)
        deviations = np.empty(len(items), np.float32)
        for start in range(0, len(items), BLOCK_ITEMS):
            block = slice(start, start + BLOCK_ITEMS)
            means[block], deviations[block] = self._predict_block(items.take(block))
        return np.clip(means, LOWEST, HIGHEST), deviations

    def explain(
        self, features: Prepared, items: Prepared, ratings: Doubles, noise_scale: Doubles
    ) -> Iterator[tuple[float, Floats]]:
        """Yield for each item what the community adds and what each label does, (n,), in points.

        The labels are those that the head was fitted to. What one does is its distance from what
        was expected before any of them, times its say. (An anchor's weight is no answer: it says
        where the others were wrong about it.) A prediction is the mean and all of them together.
        """
        residuals = ratings - prior_shift(items, self.settings) - self.mean
        says = self.spread.T.astype(np.float64)
        if len(self.anchors) < len(items):
            noise = self.settings.noise_of(noise_scale)
            says = says @ (self.anchors.kernel(items).T / noise)
        says = self.spread @ (says * residuals)  # (M, n)
        for row in range(len(features)):
            item = features.take(slice(row, row + 1))
            points: Floats = (self.anchors.kernel(item)[0] @ says).astype(np.float32)
            yield float(prior_shift(item, self.settings)[0]), points

    def _predict_block(self, items: Prepared) -> tuple[Floats, Floats]:
        kernel = self.anchors.kernel(items)
        known = kernel @ self.reduction
        variance = prior_variance(items, self.settings) - np.einsum("ij,ij->i", known, known)
        deviations = np.sqrt(np.maximum(variance, 0) + np.float32(self.settings.noise))
        means = kernel @ self.weights + np.float32(self.mean)
        return means + prior_shift(items, self.settings), deviations


def fit(
    features: Features | Prepared,
    ratings: npt.ArrayLike,
    settings: TasteSettings,
    noise_scale: npt.ArrayLike | None = None,
) -> TasteHead:
    """Fit the head to ratings (n,) of items.

    `noise_scale` (n,) multiplies the noise's standard deviation of each label: above 1 for weak
    ones. Raises ValueError without any rating.
    """
    items = prepare(features)
    values = np.asarray(ratings, np.float64)
    scale = np.ones(len(values)) if noise_scale is None else np.asarray(noise_scale, np.float64)
    if len(values) == 0 or not len(values) == len(items) == len(scale):
        raise ValueError("There must be ratings, and one item and one noise scale for each.")
    values = values - prior_shift(items, settings)
    mean = prior_mean(values[scale == 1])
    noise = settings.noise_of(scale)
    with one_thread():
        if len(values) <= ANCHORS:
            anchors = Anchors(items, settings)
            weights, reduction = _solve_exactly(anchors.kernel(items), values - mean, noise)
            spread = reduction
        else:
            anchors = Anchors(items.take(_centres(items, settings)), settings)
            weights, reduction, spread = _solve_projected(anchors, items, values - mean, noise)
    return TasteHead(settings, mean, anchors, weights, reduction, spread)


def _solve_exactly(kernel: Floats, residuals: Doubles, noise: Doubles) -> tuple[Floats, Floats]:
    """Return w = (K + N)⁻¹ y and R with R Rᵀ = (K + N)⁻¹."""
    covariance = kernel.astype(np.float64)
    covariance[np.diag_indices(len(noise))] += noise
    root = np.linalg.inv(np.linalg.cholesky(covariance)).T  # (n, n), upper triangular
    weights = root @ (root.T @ residuals)
    return weights.astype(np.float32), root.astype(np.float32)


def _solve_projected(
    anchors: Anchors, items: Prepared, residuals: Doubles, noise: Doubles
) -> tuple[Floats, Floats, Floats]:
    """Return w, R and the spread of the projected process.

    With Kmm = L Lᵀ, V = L⁻¹ Kmn N^-½ and S = I + V Vᵀ: w = L⁻ᵀ S⁻¹ V N^-½ y, and
    R Rᵀ = Kmm⁻¹ - (Kmm + Kmn N⁻¹ Knm)⁻¹ = L⁻ᵀ (I - S⁻¹) L⁻¹. The spread is L⁻ᵀ S^-½, so that
    w = spread spreadᵀ Kmn N⁻¹ y.
    """
    between = anchors.kernel(anchors.items).astype(np.float64)
    between[np.diag_indices(len(between))] += 1e-5 * between.diagonal().mean() + 1e-9
    inverse = np.linalg.inv(np.linalg.cholesky(between))  # L⁻¹
    scaled = (anchors.kernel(items) / np.sqrt(noise)[:, None].astype(np.float32)).T
    whitened = inverse @ scaled.astype(np.float64)  # V (M, n)
    eigenvalues, vectors = np.linalg.eigh(whitened @ whitened.T)
    eigenvalues = np.maximum(eigenvalues, 0)
    root = inverse.T @ vectors
    weights = root @ ((vectors.T @ (whitened @ (residuals / np.sqrt(noise)))) / (1 + eigenvalues))
    reduction = root * np.sqrt(eigenvalues / (1 + eigenvalues))
    spread = root / np.sqrt(1 + eigenvalues)
    return weights.astype(np.float32), reduction.astype(np.float32), spread.astype(np.float32)


def _centres(items: Prepared, settings: TasteSettings) -> npt.NDArray[np.int64]:
    """Choose ANCHORS items that cover the others: farthest first, in the kernel's metric."""
    candidates = np.arange(len(items))
    if len(items) > CANDIDATES:
        candidates = np.linspace(0, len(items) - 1, CANDIDATES).astype(np.int64)
    members = items.take(candidates)
    kernel = Anchors(members, settings).kernel(members)
    variance = kernel.diagonal()
    chosen = [int(np.argmax(kernel.sum(axis=0)))]  # the one most like all others
    distance = np.full(len(candidates), np.inf, np.float32)
    while len(chosen) < ANCHORS:
        newest = chosen[-1]
        np.minimum(distance, variance + variance[newest] - 2 * kernel[newest], out=distance)
        chosen.append(int(distance.argmax()))
    centres: npt.NDArray[np.int64] = candidates[np.sort(chosen)]
    return centres
