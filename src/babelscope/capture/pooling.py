"""From the positions of an utterance to one vector: over its valid positions alone, in float32, on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from babelscope.errors import UsageError, did_you_mean


def _mask(values: Tensor, lengths: Tensor) -> Tensor:
    return (torch.arange(values.shape[1], device=values.device)[None, :] < lengths[:, None])[..., None]


def mean(values: Tensor, lengths: Tensor) -> Tensor:
    """Mean over the valid positions."""
    real = _mask(values, lengths)
    return values.float().masked_fill(~real, 0.0).sum(dim=1) / lengths[:, None].float()


def maximum(values: Tensor, lengths: Tensor) -> Tensor:
    """Largest value of each feature over the valid positions."""
    return values.float().masked_fill(~_mask(values, lengths), -torch.inf).amax(dim=1)


def first(values: Tensor, lengths: Tensor) -> Tensor:
    """The first position."""
    return values[:, 0].float()


def last(values: Tensor, lengths: Tensor) -> Tensor:
    """The last valid position."""
    return values[torch.arange(len(values), device=values.device), lengths - 1].float()


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": mean, "max": maximum, "first": first, "last": last}


def pooling_named(name: str) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a pooling by its name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in POOLINGS:
        raise UsageError(f"pooling {name!r} is unknown; {did_you_mean(name, POOLINGS)}")
    return POOLINGS[name]


def pool(values: Tensor, lengths: Sequence[int], how: str = "mean") -> Tensor:
    """Reduce each utterance of a padded batch to one vector.

    Parameters
    ----------
    values : Tensor, shape (batch, positions, width)
        Valid positions come first, padding after them; what stands in the padding, NaN included, has no influence.
    lengths : sequence of int
        Valid positions of each utterance, each from 1 to ``positions``.
    how : {"mean", "max", "first", "last"}

    Returns
    -------
    Tensor, shape (batch, width)
        In float32, on the same device.

    Raises
    ------
    ValueError
        If a length is 0 or more than there are positions.
    """
    if min(lengths) < 1 or max(lengths) > values.shape[1]:
        raise ValueError(f"valid positions {min(lengths)} to {max(lengths)} do not fit {values.shape[1]} positions")
    return pooling_named(how)(values, torch.tensor(list(lengths), device=values.device))
