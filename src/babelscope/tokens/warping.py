"""Monotone alignments of two sequences, many pairs at a time: dynamic time warping, and its soft form.

A path begins at the first position of both sequences, ends at the last of both, and goes on by one position in the one,
in the other, or in both. Its cost is the sum of 1 - similarity over its cells.

References
----------
Sakoe & Chiba 1978 (dynamic time warping). Cuturi & Blondel 2017, arXiv 1703.01541, eq. 1 (soft-DTW: all paths, weighted
by exp(-cost / gamma)). Mensch & Blondel 2018, arXiv 1802.03676 (expectations over these paths).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.errors import UsageError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Weight of worse paths in the soft alignment, in units of cosine.
GAMMA = 0.1

#: Steps that lead to a cell: in both sequences, in the first, in the second.
_BOTH, _FIRST, _SECOND = 0, 1, 2


@dataclass(frozen=True)
class Stack:
    """Similarities of many pairs of sequences, each padded to the largest.

    Attributes
    ----------
    values : ndarray, shape (P, T, B)
        Similarity of position i of the first and j of the second sequence of pair b; finite, also in the padding.
    rows, columns : ndarray of int, shape (B,)
        Lengths of both sequences, 1 or more.
    """

    values: NDArray[np.float32]
    rows: IntArray
    columns: IntArray

    @classmethod
    def of(cls, similarities: list[Any]) -> Stack:
        """Stack matrices of shapes (positions of the first, positions of the second).

        Raises
        ------
        UsageError
            If one is empty, no matrix, or not finite.
        """
        matrices = [np.asarray(one, dtype=np.float32) for one in similarities]
        for number, one in enumerate(matrices):
            if one.ndim != 2 or not one.size or not np.isfinite(one).all():
                raise UsageError(f"alignment: similarity {number} of shape {one.shape} is empty or not finite")
        rows = np.array([one.shape[0] for one in matrices], dtype=np.int64)
        columns = np.array([one.shape[1] for one in matrices], dtype=np.int64)
        values = np.zeros((rows.max(), columns.max(), len(matrices)), dtype=np.float32)
        for number, one in enumerate(matrices):
            values[: one.shape[0], : one.shape[1], number] = one
        return cls(values, rows, columns)

    def __len__(self) -> int:
        return len(self.rows)


def dtw(stack: Stack) -> FloatArray:
    """Return the mean similarity along the cheapest path of each pair, shape (B,)."""
    cost, length, _ = _cheapest(stack, keep=False)
    return 1 - cost / length


def soft_dtw(stack: Stack, gamma: float = GAMMA) -> FloatArray:
    """Return the expected similarity along all paths of each pair, weighted by exp(-cost / gamma): shape (B,).

    The expected sum of a path's similarities over its expected number of cells; for gamma to 0 that of :func:`dtw`.

    Raises
    ------
    UsageError
        If gamma is not above 0.
    """
    if not gamma > 0:
        raise UsageError(f"gamma: {gamma} is not above 0")
    high, wide, count = stack.values.shape
    last = np.arange(count)
    ends = np.full((2, count), np.nan)
    # Of each cell of the row above and this one: soft cost, expected sum of similarities, expected cells.
    above = np.full((3, wide + 1, count), 0.0)
    above[0] = np.inf
    above[0, 0] = 0.0
    for row in range(high):
        here = np.zeros_like(above)
        here[0, 0] = np.inf
        for column in range(wide):
            similar = stack.values[row, column].astype(np.float64)
            before = np.stack([above[:, column], above[:, column + 1], here[:, column]])
            least = before[:, 0].min(axis=0)
            reached = np.isfinite(least)
            shift = np.where(reached, least, 0.0)
            weights = np.exp(-(before[:, 0] - shift) / gamma)
            total = np.where(reached, weights.sum(axis=0), 1.0)
            weights /= total
            here[0, column + 1] = np.where(reached, shift - gamma * np.log(total) + 1 - similar, np.inf)
            here[1, column + 1] = (weights * before[:, 1]).sum(axis=0) + similar
            here[2, column + 1] = (weights * before[:, 2]).sum(axis=0) + 1
        above = here
        ended = last[stack.rows == row + 1]
        ends[:, ended] = here[1:, stack.columns[ended], ended]
    return np.asarray(ends[0] / ends[1])


def paths(stack: Stack) -> list[IntArray]:
    """Return the cheapest path of each pair: its cells in order, shape (cells, 2)."""
    _, _, steps = _cheapest(stack, keep=True)
    cheapest: list[IntArray] = []
    for number in range(len(stack)):
        row, column = int(stack.rows[number]) - 1, int(stack.columns[number]) - 1
        cells = [(row, column)]
        while row or column:
            step = steps[row, column, number]
            row -= step != _SECOND
            column -= step != _FIRST
            cells.append((row, column))
        cheapest.append(np.array(cells[::-1], dtype=np.int64))
    return cheapest


def _cheapest(stack: Stack, *, keep: bool) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
    """Return cost and cells of each pair's cheapest path, and, if kept, the step that leads to each cell."""
    high, wide, count = stack.values.shape
    pairs = np.arange(count)
    steps = np.zeros((high, wide, count) if keep else (0, 0, 0), dtype=np.uint8)
    costs, lengths = np.full(count, np.nan), np.full(count, np.nan)
    above, above_cells = np.full((wide + 1, count), np.inf), np.zeros((wide + 1, count))
    above[0] = 0.0
    for row in range(high):
        here, cells = np.full((wide + 1, count), np.inf), np.zeros((wide + 1, count))
        for column in range(wide):
            before = np.stack([above[column], above[column + 1], here[column]])
            step = before.argmin(axis=0)  # of equal ones that in both sequences
            here[column + 1] = before[step, pairs] + 1 - stack.values[row, column]
            cells[column + 1] = np.choose(step, [above_cells[column], above_cells[column + 1], cells[column]]) + 1
            if keep:
                steps[row, column] = step
        above, above_cells = here, cells
        ended = pairs[stack.rows == row + 1]
        costs[ended], lengths[ended] = here[stack.columns[ended], ended], cells[stack.columns[ended], ended]
    return costs, lengths, steps
