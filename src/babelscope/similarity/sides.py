"""Prepared representations, within a budget of memory."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from babelscope.errors import DataError
from babelscope.similarity.arrays import IntArray, is_tensor, label_of
from babelscope.similarity.measure import Measure, State
from babelscope.similarity.representation import Representation


@dataclass
class Side:
    """What is kept of one representation: of so many sentences and features, what each measure needs, and its bytes.

    The fingerprint of what was read is empty unless it was asked for. `whole` is there where a measure has to prepare
    all of it again after covariates are regressed out.
    """

    n: int
    d: int
    states: list[State]
    size: int
    fingerprint: str
    whole: Representation | None = None


@dataclass
class SideCache:
    """Prepared representations within a budget of bytes, the least recently used forgotten first."""

    source: Mapping[Hashable, Any]
    measures: Sequence[Measure]
    budget: float
    single: bool = False
    fingerprints: bool = False
    whole: bool = False  # whether representations are kept as well as what is prepared of them
    documents: IntArray | None = None  # which sentences belong together
    seen: dict[Hashable, str] = field(default_factory=dict)
    kept: OrderedDict[Hashable, Side] = field(default_factory=OrderedDict)
    sizes: dict[Hashable, int] = field(default_factory=dict)
    bytes_kept: float = 0.0
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _keeping: threading.Lock = field(default_factory=threading.Lock)

    def make(self, label: Hashable) -> Side:
        """Read and prepare one side, without keeping it.

        DataError if a measure is not defined on it, or it has changed since it was read before.
        """
        given = self.source[label]
        if callable(given) and not is_tensor(given):
            with self._reading:  # stores are not asked to be safe for threads
                given = given()
        x = Representation(given, label, single=self.single, clusters=self.documents)
        fingerprint = fingerprint_of(given) if self.fingerprints and not is_tensor(given) else ""
        self.check_unchanged(label, fingerprint)
        for measure in self.measures:
            measure.check(x.n, label)
        states = [measure.prepare(x) for measure in self.measures]
        if self.single:
            states = [measure.narrow(state) for measure, state in zip(self.measures, states, strict=True)]
        size = sum(size_of(state) for state in states) + (size_of(x.rows) if self.whole else 0)
        return Side(x.n, x.d, states, size, fingerprint, x.bare() if self.whole else None)

    def check_unchanged(self, label: Hashable, fingerprint: str) -> None:
        """Refuse a representation that is not what was read of it before."""
        if self.seen.setdefault(label, fingerprint) != fingerprint:
            raise DataError(
                f"{label_of(label)} has changed since the first part of this run: delete the checkpoint and run again"
            )

    def get(self, labels: Iterable[Hashable], pool: ThreadPoolExecutor) -> dict[Hashable, Side] | None:
        """Return the prepared sides, made in parallel where they are not kept; None if they do not fit together.

        Two fit always. Whether more do depends on their sizes alone, not on what is kept already or how many cores
        there are; when it returns, :attr:`sizes` has them all.
        """
        wanted = dict.fromkeys(labels)
        if self._fit(wanted):
            for label in wanted:
                if label in self.kept:
                    self.kept.move_to_end(label)
            missing = [label for label in wanted if label not in self.kept]
            list(pool.map(partial(self._take, wanted=wanted.keys()), missing))
        return {label: self.kept[label] for label in wanted} if self._fit(wanted) else None

    def _fit(self, labels: Collection[Hashable]) -> bool:
        """Whether sides fit together, as far as their sizes are known."""
        return len(labels) <= 2 or sum(self.sizes.get(label, 0) for label in labels) <= self.budget

    def _take(self, label: Hashable, wanted: Collection[Hashable]) -> None:
        """Prepare one side, and keep it if it fits next to those of `wanted` that are kept."""
        side = self.make(label)
        with self._keeping:
            self.sizes[label] = side.size
            if self.bytes_kept + side.size > self.budget:
                for other in [other for other in self.kept if other not in wanted]:
                    self.bytes_kept -= self.kept.pop(other).size
                    if self.bytes_kept + side.size <= self.budget:
                        break
            if self.bytes_kept + side.size <= self.budget or len(wanted) <= 2:
                self.kept[label] = side
                self.bytes_kept += side.size


def fingerprint_of(given: Any) -> str:
    """Return a digest of an array's shape, type and values."""
    array = np.ascontiguousarray(np.asarray(given))
    digest = hashlib.blake2b(f"{array.shape}{array.dtype.str}".encode(), digest_size=8)
    digest.update(memoryview(array.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]
    return digest.hexdigest()


def size_of(state: Any) -> int:
    """Return the bytes of a prepared state."""
    if isinstance(state, np.ndarray):
        return int(state.nbytes)
    if is_tensor(state):
        return int(state.numel() * state.element_size())
    if isinstance(state, (list, tuple)):
        return sum(size_of(item) for item in state)
    return sum(size_of(item) for item in vars(state).values()) if hasattr(state, "__dict__") else 64
