"""What is done to the positions of an utterance at a point: a shift, or another content of a subspace.

An edit takes the valid positions of one utterance, shape (positions, width), and returns as many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

FloatArray = NDArray[np.float64]


class Edit(Protocol):
    """What is done to the positions of one utterance."""

    def __call__(self, values: Tensor) -> Tensor:
        """Return the positions as they are to be, shape (positions, width)."""


@dataclass(frozen=True)
class Shift:
    """Add one vector to every position.

    Attributes
    ----------
    vector : ndarray, shape (width,)
    """

    vector: FloatArray

    def __call__(self, values: Tensor) -> Tensor:
        """Return the shifted positions."""
        return values + torch.from_numpy(self.vector).to(values)


@dataclass(frozen=True)
class Swap:
    """Replace what positions have in a subspace by what a target has there.

    Attributes
    ----------
    basis : ndarray, shape (k, width)
        Orthonormal rows.
    target : ndarray, shape (width,)
    size_of : Swap, optional
        Another one: the change is scaled to the size that the other's has, over all positions of the utterance.
    """

    basis: FloatArray
    target: FloatArray
    size_of: Swap | None = None

    def change(self, values: Tensor) -> Tensor:
        """Return what is added to the positions, in float64."""
        basis = torch.from_numpy(self.basis).to(values.device)
        change = (torch.from_numpy(self.target).to(values.device) - values.double()) @ basis.T @ basis
        if self.size_of is None:
            return change
        size = float(torch.linalg.vector_norm(change))
        return change * (float(torch.linalg.vector_norm(self.size_of.change(values))) / size if size > 0 else 0.0)

    def __call__(self, values: Tensor) -> Tensor:
        """Return the positions with the target's content in the subspace."""
        return values + self.change(values).to(values)


def rotated_at_random(shifts: FloatArray, sample: FloatArray, generator: np.random.Generator) -> FloatArray:
    """Return random vectors with the lengths and the inner products of given ones, in directions of the data.

    Parameters
    ----------
    shifts : ndarray, shape (m, width)
    sample : ndarray, shape (n, width)
        Vectors of the same space, centred: the random directions are Gaussian combinations of them, so that they have
        the data's covariance. Directions in which nothing varies would be a control that is too easy to beat.
    generator : numpy Generator

    Returns
    -------
    ndarray, shape (m, width)
        Sizes and angles among the vectors are those of `shifts`; if the sample has fewer directions than they, those of
        their leading part.
    """
    left, sizes, _ = np.linalg.svd(shifts, full_matrices=False)
    rank = int((sizes > 1e-12 * max(sizes[0], 1e-300)).sum()) if len(sizes) else 0
    basis = random_basis(sample, rank, generator)
    return np.asarray(left[:, : len(basis)] * sizes[: len(basis)] @ basis)


def random_basis(sample: FloatArray, k: int, generator: np.random.Generator) -> FloatArray:
    """Return k orthonormal rows that Gaussian combinations of a centred sample span; fewer if it has fewer."""
    drawn = generator.standard_normal((k, len(sample))) @ sample
    q, r = np.linalg.qr(drawn.T)
    kept = np.abs(np.diag(r)) > 1e-9 * max(float(np.abs(r).max(initial=0.0)), 1e-300)
    return np.asarray(q.T[kept])
