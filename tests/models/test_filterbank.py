"""The filterbank gives the bits that transformers gives, whatever the length."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import SeamlessM4TFeatureExtractor

from babelscope.models.filterbank import HOP, WINDOW, standardised_pairs


def sound(samples: int) -> np.ndarray:
    """Return noise upon a tone and a constant."""
    noise = np.random.default_rng(samples).standard_normal(samples)
    return (0.1 * noise + 0.2 * np.sin(np.arange(samples) / 9) + 0.05).astype(np.float32)


@pytest.mark.parametrize("samples", [560, 719, 720, 4_999, 128 * 160 + 240, 128 * 160 + 400, 60_001])
def test_features_are_those_of_transformers_to_the_bit(samples: int) -> None:
    features = SeamlessM4TFeatureExtractor()
    heard = sound(samples)
    theirs = features(heard, sampling_rate=16_000, return_tensors="np").input_features[0]
    ours = standardised_pairs(features, heard)
    assert ours.dtype == np.float32 and ours.shape == (((samples - WINDOW) // HOP + 1) // 2, 160)
    np.testing.assert_array_equal(ours, theirs[: len(ours)])
