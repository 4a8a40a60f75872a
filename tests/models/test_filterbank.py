"""The filterbank gives the bits that transformers gives, whatever the length."""

from __future__ import annotations

import numpy as np
import pytest
from transformers import SeamlessM4TFeatureExtractor
from transformers.audio_utils import spectrogram, window_function

from babelscope.models import beats
from babelscope.models.filterbank import HOP, WINDOW, fbank, standardised_pairs


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


def test_energies_for_beats_are_those_of_transformers_to_the_bit() -> None:
    heard = np.concatenate([np.zeros(2_000, dtype=np.float32), sound(30_000)])
    window, filters = window_function(WINDOW, "povey", periodic=False), beats._filters()
    given = heard.astype(np.float64) * 2**15
    theirs = spectrogram(
        given, window, frame_length=WINDOW, hop_length=HOP, fft_length=512, power=2.0, center=False, preemphasis=0.97,
        mel_filters=filters, log_mel="log", mel_floor=1e-6, remove_dc_offset=True,
    )  # fmt: skip
    np.testing.assert_array_equal(fbank(given, window, filters, 1e-6), theirs.T)
