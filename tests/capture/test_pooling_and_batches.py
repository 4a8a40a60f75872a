"""Pooling sees the valid positions and nothing else; batches lose nobody."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from babelscope.capture import POOLINGS, pool
from babelscope.capture.jobs import by_length
from babelscope.capture.pooling import pooling_named
from babelscope.errors import UsageError

REFERENCE = {
    "mean": lambda rows: rows.mean(axis=0),
    "max": lambda rows: rows.max(axis=0),
    "first": lambda rows: rows[0],
    "last": lambda rows: rows[-1],
}


@given(
    how=st.sampled_from(sorted(POOLINGS)),
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    padding=st.sampled_from([0.0, 1e9, float("nan"), float("inf")]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
    seed=st.integers(0, 100),
)
def test_pooling_is_that_of_the_valid_rows_whatever_the_padding(
    how: str, lengths: list[int], padding: float, dtype: torch.dtype, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(len(lengths), max(lengths), 4, generator=generator).to(dtype)
    for row, length in enumerate(lengths):
        values[row, length:] = padding
    pooled = pool(values, lengths, how)
    assert pooled.dtype == torch.float32
    for row, length in enumerate(lengths):
        expected = REFERENCE[how](values[row, :length].float().numpy())
        np.testing.assert_allclose(pooled[row].numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("how", sorted(POOLINGS))
def test_rows_of_one_length_are_pooled_together_to_the_bits_of_each_alone(how: str) -> None:
    lengths = [70, 70, 41, 41, 41, 40, 41, 3]
    values = 10 * torch.randn(len(lengths), 70, 48, generator=torch.Generator().manual_seed(0))
    pooled = pool(values, lengths, how)
    for row, length in enumerate(lengths):
        assert torch.equal(pooled[row], pool(values[row : row + 1], [length], how)[0])


def test_lengths_that_cannot_be_are_an_error() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pool(torch.zeros(2, 3, 1), [0, 3])
    with pytest.raises(ValueError, match="do not fit"):
        pool(torch.zeros(2, 3, 1), [4, 3])
    with pytest.raises(UsageError, match="did you mean 'mean'"):
        pooling_named("meen")


@given(
    lengths=st.lists(st.integers(1, 1000), max_size=40),
    size=st.integers(1, 8),
    budget=st.none() | st.integers(1, 3000),
)
def test_every_utterance_is_in_exactly_one_batch_within_its_limits(
    lengths: list[int], size: int, budget: int | None
) -> None:
    batches = by_length(lengths, size, budget)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= size
        if budget is not None and len(batch) > 1:
            assert len(batch) * max(lengths[index] for index in batch) <= budget
    assert batches == by_length(lengths, size, budget)
    longest = [max(lengths[index] for index in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


def test_a_batch_of_none_is_refused() -> None:
    with pytest.raises(UsageError, match="batch_size"):
        by_length([1, 2], 0)
