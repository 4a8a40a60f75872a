"""Representations of the size and spectrum of a real study, made without a model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


def cloud(seed: int, n: int = 1000, d: int = 1024, exponent: float = 0.845) -> Float32:
    """Return n sentences in d features whose singular values fall as i^-exponent (99 % of the variance needs 180)."""
    rng = np.random.default_rng(seed)
    scales = np.arange(1, d + 1) ** -exponent
    q, _ = np.linalg.qr(rng.normal(size=(d, d)))
    out: Float32 = ((rng.normal(size=(n, d)) * scales) @ q).astype(np.float32)
    return out


def rolled(base: Float32, by: int) -> Callable[[], Float32]:
    """Return a representation that is read when it is needed: `base` with its sentences moved, unrelated to `base`."""
    return lambda: np.roll(base, by, axis=0)
