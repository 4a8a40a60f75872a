"""Which utterances run together: those of like length, so that little is spent on padding."""

from __future__ import annotations

from collections.abc import Sequence

from babelscope.errors import UsageError


def by_length(lengths: Sequence[int], size: int, budget: int | None = None) -> list[list[int]]:
    """Group utterances into batches of like length, longest first.

    Parameters
    ----------
    lengths : sequence of int
        One an utterance.
    size : int
        Most utterances in a batch.
    budget : int, optional
        Most units in a padded batch (utterances x longest). An utterance longer than the budget runs alone.

    Returns
    -------
    list of list of int
        Indices into `lengths`; each stands in exactly one batch. The same input gives the same batches.

    Raises
    ------
    UsageError
        If `size` is not positive.
    """
    if size < 1:
        raise UsageError(f"batch_size: {size} is not a positive number")
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        current = batches[-1] if batches else []
        fits = budget is None or (len(current) + 1) * lengths[current[0] if current else index] <= budget
        if current and len(current) < size and fits:
            current.append(index)
        else:
            batches.append([index])
    return batches
