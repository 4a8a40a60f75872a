"""Blocks of a table of pairs, as whoever computes them elsewhere is given them.

A block's numbers depend on its pairs, what they read, and :class:`Settings` alone: not on who computes it, nor on how
many cores there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from babelscope.similarity.arrays import FloatArray, IntArray
from babelscope.similarity.jackknife import SKETCHES
from babelscope.similarity.measure import Measure

Pair = tuple[Hashable, Hashable]

#: The numbers of a pair under a measure and a control.
VARIABLES = (
    "value", "null_mean", "null_sd", "null_q95", "calibrated", "p", "low", "high", "n", "kx", "ky", "saturated",
    "exact", "tail",
)  # fmt: skip

#: Their type in arrays, whose fields have these names.
NUMBERS = np.dtype([(name, np.float64) for name in VARIABLES])

#: Controls: as it is; after regressing out the pair's covariates; the second side's sentences in another order.
NONE, REGRESSED, SHUFFLED = "none", "regressed", "shuffled"


@dataclass(frozen=True)
class Settings:
    """What is the same for all blocks of a table.

    Attributes
    ----------
    measures : tuple of Measure
    kinds : tuple of str
        The null of each measure: ``exact``, ``permutation`` or ``none``.
    permutations, seed, alpha, keep_null, memory
        As :func:`babelscope.similarity.pairwise`.
    single, fingerprints : bool
        Whether prepared sides are kept in single precision, and whether what is read is fingerprinted.
    controls : tuple of str
        :data:`NONE` first, or :data:`REGRESSED` alone.
    clusters : ndarray of int, shape (n,), or None
        Which cluster each sentence is in, from 0: deviations are given where a measure has a closed form of them.
    documents : ndarray of int, shape (n,), or None
        Which sentences are not independent of one another: permutations and folds keep them together. `kinds` names no
        closed form then.
    sequential : bool
        Whether permutations are drawn until the p-value is decided, `permutations` at most.
    tails : tuple of bool
        Of each measure, whether drawing ends where a score is out of the permutations' reach, p being a model's then
        (:func:`~babelscope.similarity.permutation.out_of_reach`); empty: of none.
    """

    measures: tuple[Measure, ...]
    kinds: tuple[str, ...]
    permutations: int
    seed: int
    alpha: float
    keep_null: bool = False
    single: bool = False
    memory: float = 1e9
    fingerprints: bool = False
    controls: tuple[str, ...] = (NONE,)
    clusters: IntArray | None = None
    sequential: bool = False
    documents: IntArray | None = None
    tails: tuple[bool, ...] = ()

    @property
    def units(self) -> int:
        """How many sentences, or sets of sentences that are left out together, deviations are by."""
        return 0 if self.clusters is None else int(self.clusters.max()) + 1

    @property
    def deviating(self) -> tuple[int, ...]:
        """Which measures get deviations, by their place among all."""
        return tuple(at for at, measure in enumerate(self.measures) if measure.has_influence)

    def room_for(self, pairs: int) -> tuple[NDArray[np.void], FloatArray | None, FloatArray | None]:
        """Return arrays of NaN for the numbers of so many pairs: table, permuted scores, deviations."""
        table = np.full((pairs, len(self.measures), len(self.controls)), np.nan, dtype=NUMBERS)
        drawn = np.full((pairs, len(self.measures), self.permutations), np.nan) if self.keep_null else None
        if self.clusters is None:
            return table, drawn, None
        return table, drawn, np.full((pairs, len(self.deviating), self.units + SKETCHES), np.nan)


@dataclass(frozen=True)
class Block:
    """Pairs that are computed together: the block with this number of a table.

    `source` has an array, or a function without arguments that returns one, by label. Out of each pair the covariates
    under its key are regressed, None for a pair without: orthonormal bases of centred covariates, shape (n, c).
    `shuffles` says which shuffle each pair gets.
    """

    number: int
    pairs: tuple[Pair, ...]
    source: Mapping[Hashable, Any]
    keys: tuple[Hashable, ...] = ()
    covariates: Mapping[Hashable, FloatArray] = field(default_factory=dict)
    shuffles: tuple[str, ...] = ()


@dataclass(frozen=True)
class Filled:
    """The numbers of a block.

    `table` has shape (pairs, measures, controls). Of the first control there are `drawn`, permuted scores, shape
    (pairs, measures, permutations), and `deviations`, shape (pairs, measures that have them in closed form, clusters +
    SKETCHES): by cluster, and behind them the sketches of pairs of sentences. `fingerprints` are of what was read, by
    label; empty strings unless they were asked for.
    """

    table: NDArray[np.void]
    drawn: FloatArray | None
    deviations: FloatArray | None
    fingerprints: dict[Hashable, str]


class BlockExecutor(Protocol):
    """Computes blocks elsewhere, such as on the machines of a cluster."""

    def compute(self, settings: Settings, blocks: Sequence[Block]) -> Iterator[tuple[int, Filled]]:
        """Yield each block's number and numbers, in any order.

        Raises
        ------
        BabelscopeError
            What a block raised.
        """
