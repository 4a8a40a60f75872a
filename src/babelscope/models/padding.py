"""Padding: several arrays of different lengths in one, and the mask of what is no padding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def pad(arrays: Sequence[Tensor], value: float = 0) -> Tensor:
    """Stack arrays, each padded after its end along every axis to the longest.

    Parameters
    ----------
    arrays : sequence of Tensor
        Of the same number of axes.
    value : float
        What stands in the padding.

    Returns
    -------
    Tensor
        With a first axis of arrays.
    """
    first = arrays[0].shape
    if all(array.shape == first for array in arrays):
        return torch.stack(list(arrays))
    shape = [max(sizes) for sizes in zip(*(array.shape for array in arrays), strict=True)]
    padded = arrays[0].new_full((len(arrays), *shape), value)
    for row, array in zip(padded, arrays, strict=True):
        row[tuple(slice(size) for size in array.shape)] = array
    return padded


def mask(lengths: Sequence[int], positions: int | None = None) -> Tensor:
    """Return where positions are real.

    Parameters
    ----------
    positions : int, optional
        The longest if left out.

    Returns
    -------
    Tensor of bool, shape (lengths, positions)
    """
    return torch.arange(max(lengths) if positions is None else positions)[None] < torch.tensor(lengths)[:, None]
