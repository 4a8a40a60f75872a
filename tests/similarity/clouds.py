"""Synthetic representations for the tests of similarity."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

SPECTRA = ("flat", "power", "steep")


def cloud(rng: np.random.Generator, n: int, d: int, spectrum: str = "power", tail: float | None = None) -> FloatArray:
    """Return n sentences in d features with a spectrum, turned at random; `tail`: degrees of Student's t."""
    raw = rng.normal(size=(n, d)) if tail is None else rng.standard_t(tail, size=(n, d))
    falls = {"flat": 0.0, "power": 0.75, "steep": 1.5}[spectrum]
    turned: FloatArray = (raw * np.arange(1, d + 1) ** -falls) @ rotation(rng, d)
    return turned


def rotation(rng: np.random.Generator, d: int) -> FloatArray:
    """Return a random orthogonal matrix."""
    q, r = np.linalg.qr(rng.normal(size=(d, d)))
    turned: FloatArray = q * np.sign(np.diag(r))
    return turned


def related(rng: np.random.Generator, n: int, dx: int, dy: int, shared: int, strength: float = 1.0) -> Any:
    """Return two sides that share `shared` directions."""
    common = rng.normal(size=(n, shared)) * strength
    x = common @ rng.normal(size=(shared, dx)) + rng.normal(size=(n, dx))
    y = common @ rng.normal(size=(shared, dy)) + rng.normal(size=(n, dy))
    return x, y
