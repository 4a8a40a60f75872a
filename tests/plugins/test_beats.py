"""BEATs: Kaldi's features, patches, the same in any batch; checkpoints are accounted for to the key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers.audio_utils import spectrogram, window_function
from transformers.models.t5.modeling_t5 import T5Attention

from babelscope.errors import DataError
from babelscope.models import filterbank
from babelscope.models.weights.accounting import fill
from babelscope.plugins.salmonn.beats import (
    FBANK_MEAN,
    FBANK_SCALE,
    Beats,
    BeatsSizes,
    _filters,
    fbank,
    frames,
    patches,
)
from babelscope.plugins.salmonn.beats_checkpoint import read_beats
from babelscope.testing.tiny import salmonn as small

REFERENCE = json.loads((Path(__file__).parent / "reference" / "salmonn.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("beats")
    torch.save({"cfg": small.BEATS_SETTINGS, "model": small.beats_state()}, place / small.BEATS_FILE)
    return place / small.BEATS_FILE


@pytest.fixture(scope="module")
def beats(file: Path) -> Beats:
    held = read_beats(file)
    model = Beats(held.sizes).eval().requires_grad_(False)
    fill(model.state_dict(), held.state.items(), str(file))
    return model


def recording(samples: int) -> np.ndarray:
    return (0.1 * np.random.RandomState(samples).standard_normal(samples)).astype(np.float32)


# --- features ---


def test_features_are_kaldis() -> None:
    energies = fbank(recording(5_000)).astype(np.float64) * FBANK_SCALE + FBANK_MEAN
    np.testing.assert_allclose(energies.mean(axis=0), REFERENCE["fbank"], atol=3e-4)


@given(samples=st.integers(400, 6_000))
@settings(max_examples=25, deadline=None)
def test_frames_and_patches_are_as_many_as_claimed(samples: int) -> None:
    made = fbank(recording(samples))
    assert made.shape == (frames(samples), 128)
    assert patches(samples) == 8 * (len(made) // 16)


def test_too_little_has_no_frame_and_silence_is_finite() -> None:
    assert [frames(samples) for samples in (0, 399, 400, 559, 560)] == [0, 0, 1, 1, 2]
    silent = fbank(np.zeros(4_000, dtype=np.float32))
    assert np.isfinite(silent).all() and np.ptp(silent) == 0


# --- the encoder ---


def test_distances_fall_into_the_buckets_of_t5(beats: Beats) -> None:
    size = 150
    offset = torch.arange(size)[None] - torch.arange(size)[:, None]
    theirs = T5Attention._relative_position_bucket(
        offset, bidirectional=True, num_buckets=beats.sizes.buckets, max_distance=beats.sizes.farthest
    )
    ours = beats.encoder._buckets(size)
    assert torch.equal(ours, theirs)
    assert len(set(ours.flatten().tolist())) == beats.sizes.buckets - 1  # none ahead by zero
    released = Beats(BeatsSizes(layers=1, width=24, heads=2, conv_groups=4)).encoder._buckets(1500)
    wide = torch.arange(1500)[None] - torch.arange(1500)[:, None]
    assert torch.equal(released, T5Attention._relative_position_bucket(wide, True, 320, 800))


@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_a_padded_batch_gives_what_each_gives_alone(beats: Beats, data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(2_800, 30_000), min_size=2, max_size=4))
    counts = [patches(samples) for samples in sizes]
    each = [
        torch.from_numpy(fbank(recording(samples))[: count * 2]) for samples, count in zip(sizes, counts, strict=True)
    ]
    filler = data.draw(st.sampled_from([0.0, 1e3]))
    together = beats(nn.utils.rnn.pad_sequence(each, batch_first=True, padding_value=filler), counts)
    for row, (energies, count) in enumerate(zip(each, counts, strict=True)):
        alone = beats(energies[None], [count])[0]
        assert alone.shape == (count, beats.sizes.width)
        assert float((together[row, :count] - alone).abs().max()) < 1e-5 * float(alone.abs().max())


def test_residuals_are_scaled_as_deepnorm_has_it() -> None:
    assert BeatsSizes(layers=12).residual == pytest.approx(24**0.25)
    assert BeatsSizes(deep_norm=False).residual == 1


# --- checkpoints ---


def test_the_convolutions_weight_is_put_together_as_weight_norm_does(file: Path, beats: Beats) -> None:
    state = torch.load(file, weights_only=True)["model"]
    size, direction = (state[f"encoder.pos_conv.0.weight_{part}"] for part in "gv")
    torch.testing.assert_close(beats.encoder.pos_conv.weight, torch._weight_norm(direction, size, 2))


def test_sizes_are_those_of_the_file_and_the_classifier_is_left_out(file: Path) -> None:
    held = read_beats(file)
    assert (held.sizes.layers, held.sizes.width, held.sizes.buckets, held.sizes.farthest) == (3, 24, 32, 80)
    assert held.left_out == ("predictor.weight", "predictor.bias")


def changed(file: Path, place: Path, edit: Callable[[dict[str, Any], dict[str, Tensor]], object]) -> Path:
    checkpoint = torch.load(file, weights_only=True)
    edit(checkpoint["cfg"], checkpoint["model"])
    torch.save(checkpoint, place / "BEATs.pt")
    return place / "BEATs.pt"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda said, state: said.update(layer_norm_first=True), "layer_norm_first is True; only BEATs_iter3"),
        (lambda said, state: said.pop("gru_rel_pos"), "gru_rel_pos is None"),
        (lambda said, state: said.update(encoder_layers="3"), "encoder_layers is '3', not a positive number"),
        (lambda said, state: said.update(encoder_attention_heads=7), "7 heads, .* do not fit together"),
        (lambda said, state: state.pop("encoder.pos_conv.0.weight_g"), "lack 'encoder.pos_conv.0.weight_g'"),
        (
            lambda said, state: state.update({"encoder.pos_conv.0.weight_g": torch.ones(128)}),
            "shapes .* do not fit together",
        ),
        (
            lambda said, state: state.update(
                {"encoder.layers.0.self_attn.relative_attention_bias.weight": torch.zeros(32, 2)}
            ),
            "differ, but are one array in BEATs",
        ),
        (lambda said, state: state.clear(), "have no 'model'"),
        (lambda said, state: state.update({"layer_norm.bias": 3}), "'layer_norm.bias' under 'model' is not a tensor"),
    ],
)
def test_a_checkpoint_of_another_architecture_is_one_line(file: Path, tmp_path: Path, edit: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read_beats(changed(file, tmp_path, edit))
    assert "\n" not in str(caught.value)


def test_a_file_without_settings_is_not_beats(tmp_path: Path) -> None:
    torch.save({"model": {"a": torch.zeros(1)}}, tmp_path / "BEATs.pt")
    with pytest.raises(DataError, match="no settings under 'cfg'"):
        read_beats(tmp_path / "BEATs.pt")
    torch.save([1, 2], tmp_path / "BEATs.pt")
    with pytest.raises(DataError, match="no table of tensors, but a list"):
        read_beats(tmp_path / "BEATs.pt")


@pytest.mark.parametrize("to", [0.0, 0.01, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_one_line(file: Path, tmp_path: Path, to: float) -> None:
    whole = file.read_bytes()
    (tmp_path / "BEATs.pt").write_bytes(whole[: int(to * len(whole))])
    with pytest.raises(DataError, match="cut short or damaged") as caught:
        read_beats(tmp_path / "BEATs.pt")
    assert "\n" not in str(caught.value)


def test_energies_are_those_of_transformers_to_the_bit() -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(30_000) + 0.05).astype(np.float32)
    heard = np.concatenate([np.zeros(2_000, dtype=np.float32), noise])
    window, filters = window_function(400, "povey", periodic=False), _filters()
    scaled = heard.astype(np.float64) * 2**15
    theirs = spectrogram(
        scaled, window, frame_length=400, hop_length=160, fft_length=512, power=2.0, center=False, preemphasis=0.97,
        mel_filters=filters, log_mel="log", mel_floor=1e-6, remove_dc_offset=True,
    )  # fmt: skip
    np.testing.assert_array_equal(filterbank.fbank(scaled, window, filters, 1e-6), theirs.T)
