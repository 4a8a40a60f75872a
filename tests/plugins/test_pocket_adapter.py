"""The length adapter: exact under padding, the length it says, and a file that comes back as it was."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from babelscope.errors import DataError
from babelscope.plugins.pocket.adapter import (
    AdapterShape,
    Halving,
    PocketAdapter,
    embed_between,
    load_adapter,
    save_adapter,
    window_samples,
)

SHAPE = AdapterShape(input_width=12, width=8, hidden=16)
WORDS = 3.0 + 0.5 * torch.randn(200, 8, generator=torch.Generator().manual_seed(5))
ADAPTER = PocketAdapter.untrained(1, WORDS, SHAPE)


@settings(deadline=None, max_examples=60)
@given(lengths=st.lists(st.integers(1, 70), min_size=1, max_size=4), extra=st.integers(0, 9))
def test_padding_changes_nothing(lengths: list[int], extra: int) -> None:
    features = torch.randn(
        len(lengths), max(lengths) + extra, 12, generator=torch.Generator().manual_seed(sum(lengths))
    )
    with torch.inference_mode():
        together = ADAPTER(features, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone = ADAPTER(features[row : row + 1, :length], torch.tensor([length]))
            assert alone.shape[1] == ADAPTER.output_length(length) == -(-length // 8)
            torch.testing.assert_close(together[row : row + 1, : alone.shape[1]], alone, atol=1e-5, rtol=1e-5)
            assert not together[row, alone.shape[1] :].any()


def test_halving_is_the_convolution_that_it_says() -> None:
    halving = ADAPTER.halvings[0]
    assert isinstance(halving, Halving)
    values = torch.randn(2, 11, 12)
    weight = halving.linear.weight.reshape(8, 3, 12).transpose(1, 2)
    convolved = torch.nn.functional.conv1d(values.transpose(1, 2), weight, halving.linear.bias, stride=2, padding=1)
    expected = halving.norm(torch.nn.functional.gelu(convolved.transpose(1, 2)))
    torch.testing.assert_close(halving(values), expected)


def test_an_untrained_adapter_is_given_by_its_seed_and_has_the_words_scale() -> None:
    before = torch.get_rng_state()
    again, other = (PocketAdapter.untrained(seed, WORDS, SHAPE) for seed in (1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(ADAPTER.parameters(), again.parameters(), strict=True))
    assert not torch.equal(ADAPTER.wide.weight, other.wide.weight)
    with torch.inference_mode():
        out = again(torch.randn(40, 160, 12), torch.full((40,), 160)).flatten(0, 1)
    assert out.mean() == pytest.approx(3.0, abs=0.1) and out.std() == pytest.approx(0.5, abs=0.15)


def test_the_shared_input_is_prefix_utterance_suffix_padding() -> None:
    before, after = torch.full((2, 8), 7.0), torch.full((1, 8), 9.0)
    adapted = torch.arange(1, 7.0).reshape(2, 3, 1).expand(2, 3, 8)
    embeddings, mask = embed_between(before, adapted, torch.tensor([3, 1]), after)
    assert embeddings[..., 0].tolist() == [[7, 7, 1, 2, 3, 9], [7, 7, 4, 9, 0, 0]]
    assert mask.tolist() == [[1] * 6, [1, 1, 1, 1, 0, 0]]


@pytest.mark.parametrize(("samples", "seconds"), [(1_600, 2), (31_999, 2), (32_000, 3), (479_999, 30)])
def test_the_window_is_the_next_whole_second(samples: int, seconds: int) -> None:
    assert window_samples(samples) == seconds * 16_000


def test_too_long_for_any_window() -> None:
    with pytest.raises(DataError, match=r"30\.0 s of speech do not fit"):
        window_samples(480_000)


def test_a_file_comes_back_in_half_precision(tmp_path: Path) -> None:
    path = save_adapter(ADAPTER, tmp_path / "adapter.safetensors", {"seed": "1"})
    loaded, about = load_adapter(path)
    assert loaded.shape == SHAPE and about["seed"] == "1" and not loaded.training
    for name, tensor in ADAPTER.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor.half().float())


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = save_adapter(ADAPTER, tmp_path / "adapter.safetensors", {})
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="cannot be read"):
        load_adapter(path)
    save_file({"x": torch.zeros(1)}, path)
    with pytest.raises(DataError, match="not an adapter of this version"):
        load_adapter(path)
    state = ADAPTER.state_dict() | {"wide.bias": torch.full((16,), float("nan"))}
    broken = PocketAdapter(SHAPE)
    broken.load_state_dict(state)
    save_adapter(broken, path, {})
    with pytest.raises(DataError, match="not finite"):
        load_adapter(path)
