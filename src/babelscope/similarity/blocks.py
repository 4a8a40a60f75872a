"""Blocks of a table of pairs, as whoever computes them elsewhere is given them.

A block's numbers depend on its pairs, what they read, and :class:`Settings` alone: not on who computes it, nor on how
many cores there are.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

from babelscope.similarity.arrays import FloatArray
from babelscope.similarity.measure import Measure


@dataclass(frozen=True)
class Settings:
    """What is the same for all blocks of a table. The fields are those of :func:`babelscope.similarity.pairwise`."""

    measures: tuple[Measure, ...]
    kinds: tuple[str, ...]
    permutations: int
    seed: int
    alpha: float
    keep_null: bool
    single: bool
    memory: float
    fingerprints: bool


@dataclass(frozen=True)
class Block:
    """Pairs that are computed together.

    Attributes
    ----------
    number : int
        Its place among the blocks of the table.
    pairs : tuple of (label, label)
    source : mapping
        Label -> array, or function without arguments that returns one, for the labels of the pairs.
    """

    number: int
    pairs: tuple[tuple[Hashable, Hashable], ...]
    source: Mapping[Hashable, Any]


@dataclass(frozen=True)
class Filled:
    """The numbers of a block.

    Attributes
    ----------
    table : ndarray, shape (pairs, measures, numbers)
    drawn : ndarray, shape (pairs, measures, permutations), or None
    fingerprints : dict
        Of what was read, by label; empty strings unless they were asked for.
    """

    table: FloatArray
    drawn: FloatArray | None
    fingerprints: dict[Hashable, str]


class Comparer(Protocol):
    """Who computes blocks elsewhere."""

    def compute(self, settings: Settings, blocks: Sequence[Block]) -> Iterator[tuple[int, Filled]]:
        """Yield each block's number and numbers, in any order.

        Raises
        ------
        BabelscopeError
            What a block raised.
        """


_comparer: ContextVar[Comparer | None] = ContextVar("comparer", default=None)


@contextmanager
def computed_by(comparer: Comparer | None) -> Iterator[None]:
    """Let another compute the blocks of every table of pairs that is asked for in this context; None: who asks."""
    token = _comparer.set(comparer)
    try:
        yield
    finally:
        _comparer.reset(token)


def comparer() -> Comparer | None:
    """Return who computes blocks in this context; None: who asks."""
    return _comparer.get()
