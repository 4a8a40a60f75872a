"""Features that are computed here are those of the class that computes them elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram
from transformers.models.granite_speech import feature_extraction_granite_speech as granite

from babelscope.models.adapters import quirks


class MelSpectrogram:
    """What torchaudio documents of its transform, by another implementation: transformers' own, in double precision."""

    def __init__(self, sample_rate: int, n_fft: int, win_length: int, hop_length: int, n_mels: int) -> None:
        self.n_fft, self.hop = n_fft, hop_length
        margin = (n_fft - win_length) // 2
        self.window = np.pad(np.hanning(win_length + 1)[:-1], (margin, n_fft - win_length - margin))
        self.filters = mel_filter_bank(n_fft // 2 + 1, n_mels, 0.0, sample_rate / 2, sample_rate, None, "htk")

    def to(self, device: str) -> MelSpectrogram:
        del device
        return self

    def __call__(self, audio: torch.Tensor) -> torch.Tensor:
        rows = [
            spectrogram(
                row.double().numpy(),
                self.window,
                self.n_fft,
                self.hop,
                self.n_fft,
                2.0,
                mel_filters=self.filters,
                mel_floor=0.0,
            )
            for row in audio
        ]
        return torch.from_numpy(np.stack(rows)).float()


@pytest.mark.parametrize("samples", [400, 2_399, 16_000, 16_160, 47_123])
def test_granite_s_features_are_those_of_its_own_extractor(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    transforms = SimpleNamespace(MelSpectrogram=MelSpectrogram)
    monkeypatch.setattr(granite, "torchaudio", SimpleNamespace(transforms=transforms), raising=False)
    monkeypatch.setattr(granite, "requires_backends", lambda *_: None)
    audio = (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)
    expected: Any = granite.GraniteSpeechFeatureExtractor()(audio)
    made = quirks.GraniteFeatures()(audio)
    assert made["audio_embed_sizes"] == expected["audio_embed_sizes"]
    assert torch.equal(made["input_features_mask"], expected["input_features_mask"])
    assert made["input_features"].shape == expected["input_features"].shape
    torch.testing.assert_close(made["input_features"], expected["input_features"], rtol=0, atol=2e-5)


def test_settings_of_a_folder_are_used(tmp_path: Path) -> None:
    config = {"model_type": "granite_speech", "window_size": 12, "downsample_rate": 4}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"n_mels": 64}), encoding="utf-8")
    made = quirks.feature_extractor(tmp_path)
    assert made is not None
    features = made(np.ones(16_000, dtype=np.float32))
    assert features["input_features"].shape == (1, 50, 128)
    assert features["audio_embed_sizes"] == [5 * 3]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "whisper"}), encoding="utf-8")
    assert quirks.feature_extractor(tmp_path) is None


def test_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="one recording at a time, not of 2"):
        quirks.GraniteFeatures()([np.ones(800, dtype=np.float32)] * 2)
