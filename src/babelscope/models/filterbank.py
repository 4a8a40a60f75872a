"""Kaldi's filterbank, all frames of a recording at once: to the bit what transformers computes frame by frame.

transformers walks through the frames in Python: on one core that took 40 % of what a middle-size SeamlessM4T's own
forward passes took, and it keeps the interpreter from whoever feeds the model. Here NumPy is given many frames at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import SeamlessM4TFeatureExtractor

from babelscope.errors import DataError
from babelscope.models.adapters.speech import Features

WINDOW, HOP, FOURIER = 400, 160, 512
PREEMPHASIS = 0.97

#: Frames that are transformed together: what they need stays in a core's cache.
_AT_ONCE = 128


def fbank(
    samples: NDArray[Any], window: NDArray[Any], filters: NDArray[np.float64], floor: float
) -> NDArray[np.float32]:
    """Return log-mel energies: each frame less its mean, pre-emphasised, windowed, its power spectrum in mel bands.

    Parameters
    ----------
    samples : ndarray, shape (n,)
        Mono, 16 kHz, 400 or more, in the scale of 16-bit integers.
    window : ndarray, shape (400,)
    filters : ndarray, shape (257, bands)
    floor : float
        What energies are raised to at least.

    Returns
    -------
    ndarray, shape (F, bands)
        F = (n - 400) // 160 + 1.
    """
    wave = np.asarray(samples).astype(np.float64)
    shape = np.asarray(window).astype(np.float64)
    framed = np.lib.stride_tricks.sliding_window_view(wave, WINDOW)[::HOP]
    power = np.empty((len(framed), FOURIER // 2 + 1), dtype=np.float64)
    for start in range(0, len(framed), _AT_ONCE):
        chunk = framed[start : start + _AT_ONCE]
        chunk = chunk - chunk.mean(axis=1, keepdims=True)
        chunk[:, 1:] -= PREEMPHASIS * chunk[:, :-1]
        chunk[:, 0] *= 1 - PREEMPHASIS
        chunk *= shape
        # In between transformers keeps the spectrum in single precision.
        spectrum = np.fft.rfft(chunk, FOURIER).astype(np.complex64)
        power[start : start + len(chunk)] = np.abs(spectrum, dtype=np.float64) ** 2.0
    energies = np.maximum(floor, np.dot(filters.T, power.T))
    return np.asarray(np.log(energies), dtype=np.float32).T


def frames(samples: int) -> int:
    """Return how many frames `samples` samples give: F = (n - 400) // 160 + 1, at least 0."""
    return max((samples - WINDOW) // HOP + 1, 0)


def pairs(samples: int) -> int:
    """Return how many positions `samples` samples give, two frames each: L = F // 2."""
    return frames(samples) // 2


class FramePairs(Features):
    """The features of :func:`standardised_pairs`, in the place of a checkpoint's own extractor."""

    def __init__(self, extractor: SeamlessM4TFeatureExtractor) -> None:
        self.extractor, self.name, self.window, self.time = extractor, "input_features", None, 0

    def __call__(self, samples: NDArray[np.float32]) -> Tensor:
        """Return a recording's features, shape (L, 2 * bands).

        Raises
        ------
        DataError
            If the recording is too short for one position: under 560 samples, 35 ms.
        """
        if pairs(len(samples)) < 1:
            raise DataError(f"{len(samples) / 16:.1f} ms of speech are too short for this model, which needs 35 ms")
        return torch.from_numpy(standardised_pairs(self.extractor, samples))


def standardised_pairs(features: SeamlessM4TFeatureExtractor, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what SeamlessM4T's feature extractor gives for one recording, without a trailing half position.

    Parameters
    ----------
    features : SeamlessM4TFeatureExtractor
        With a stride of 2.
    samples : ndarray, shape (n,)
        Mono, 16 kHz, from -1 to 1; 560 or more.

    Returns
    -------
    ndarray, shape (F // 2, 2 * bands)
        Each band standardised over the recording, two frames side by side.
    """
    scaled = np.asarray(samples, dtype=np.float32) * (2**15)
    bands = fbank(scaled, features.window, features.mel_filters, float(np.finfo(np.float32).eps))
    spread = np.sqrt(np.expand_dims(bands.var(0, ddof=1), 0) + 1e-7)
    standard = (bands - np.expand_dims(bands.mean(0), 0)) / spread
    whole = len(standard) // 2
    return np.ascontiguousarray(standard[: 2 * whole]).reshape(whole, -1)
