"""Blocks of a table of pairs: what is computed in one, and the worker that computes it on all cores of its process.

A block's numbers depend on its pairs, what they read, and :class:`Settings` alone: not on who computes it, nor on how
many cores there are. Prepared representations are kept within a budget of memory.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor, label_of, to_numpy
from babelscope.similarity.jackknife import SKETCHES, deviations_by_cluster
from babelscope.similarity.measure import Measure, Outcome, State
from babelscope.similarity.permutation import permutations
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import ROUNDING, NothingLeft, ResidualRows, location, regress_out, residual_rows
from babelscope.similarity.score import calibration_of

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

#: Representations that are multiplied with all others of a block at once. A constant, for the bits of a product may
#: depend on how it is cut, and must not depend on how many cores there are.
STRIP = 12

#: Sets of permutations that are kept.
ORDERS = 16


@dataclass(frozen=True)
class Settings:
    """What is the same for all blocks of a table; options of :func:`babelscope.similarity.pairwise` are as there.

    `kinds` are the nulls of the measures: ``exact``, ``permutation`` or ``none``. `single` says whether prepared sides
    are kept in single precision, `fingerprints` whether what is read is fingerprinted. `controls` are :data:`NONE`
    first and others, or :data:`REGRESSED` alone. `clusters`, shape (n,), say from 0 which sentences are left out
    together: deviations are given where a measure has a closed form of them. `documents`, shape (n,), say which are not
    independent of one another: permutations and folds keep them together, and `kinds` names no closed form then. With
    `sequential`, permutations are drawn until the p-value is decided, `permutations` at most; `tails` says of each
    measure whether drawing ends where a score is out of their reach, p being a model's then
    (:func:`~babelscope.similarity.permutation.out_of_reach`), and is empty for none.
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

    settings: Settings
    whole: bool  # whether representations are kept as well as what is prepared of them
    source: Mapping[Hashable, Any] = field(default_factory=dict)
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
        settings, given = self.settings, self.source[label]
        if callable(given) and not is_tensor(given):
            with self._reading:  # stores are not asked to be safe for threads
                given = given()
        x = Representation(given, label, single=settings.single, clusters=settings.documents)
        fingerprint = fingerprint_of(given) if settings.fingerprints and not is_tensor(given) else ""
        self.check_unchanged(label, fingerprint)
        for measure in settings.measures:
            measure.check(x.n, label)
        states = [measure.prepare(x) for measure in settings.measures]
        if settings.single:
            states = [measure.narrow(state) for measure, state in zip(settings.measures, states, strict=True)]
        size = sum(size_of(state) for state in states) + (size_of(x.rows) if self.whole else 0)
        return Side(x.n, x.d, states, size, fingerprint, x.bare() if self.whole else None)

    def check_unchanged(self, label: Hashable, fingerprint: str) -> None:
        """Refuse a representation that is not what was read of it before."""
        if self.seen.setdefault(label, fingerprint) != fingerprint:
            raise DataError(
                f"{label_of(label)} has changed since the first part of this run: delete the checkpoint and run again"
            )

    def get(self, labels: Collection[Hashable], pool: ThreadPoolExecutor) -> dict[Hashable, Side] | None:
        """Return the prepared sides, made in parallel where they are not kept; None if they do not fit together.

        Two fit always. Whether more do depends on their sizes alone, not on what is kept already or how many cores
        there are; when it returns, :attr:`sizes` has them all.
        """
        if self._fit(labels):
            for label in labels:
                if label in self.kept:
                    self.kept.move_to_end(label)
            missing = [label for label in labels if label not in self.kept]
            list(pool.map(partial(self._take, wanted=frozenset(labels)), missing))
        return {label: self.kept[label] for label in labels} if self._fit(labels) else None

    def _fit(self, labels: Collection[Hashable]) -> bool:
        """Whether sides fit together, as far as their sizes are known."""
        return len(labels) <= 2 or sum(self.sizes.get(label, 0) for label in labels) <= self.settings.memory

    def _take(self, label: Hashable, wanted: Collection[Hashable]) -> None:
        """Prepare one side, and keep it if it fits next to those of `wanted` that are kept."""
        side = self.make(label)
        with self._keeping:
            self.sizes[label] = side.size
            if self.bytes_kept + side.size > self.settings.memory:
                for other in [other for other in self.kept if other not in wanted]:
                    self.bytes_kept -= self.kept.pop(other).size
                    if self.bytes_kept + side.size <= self.settings.memory:
                        break
            if self.bytes_kept + side.size <= self.settings.memory or len(wanted) <= 2:
                self.kept[label] = side
                self.bytes_kept += side.size


def labels_of(pairs: Iterable[Pair]) -> list[Hashable]:
    """Return the labels of pairs, each once, in the order in which they come."""
    return list(dict.fromkeys(label for pair in pairs for label in pair))


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


class BlockWorker:
    """Computes blocks of one table of pairs, and keeps what it prepared from one block to the next.

    The pool has as many threads as there are workers; BLAS is to have a single one in each.
    """

    def __init__(self, settings: Settings, workers: int, pool: ThreadPoolExecutor) -> None:
        self.settings, self.workers, self.pool = settings, workers, pool
        again = REGRESSED in settings.controls and not all(m.regresses_states for m in settings.measures)
        self.sides = SideCache(settings, whole=again)
        self._orders: dict[tuple[int, int, bytes], IntArray] = {}
        self._drawing = threading.Lock()

    def fill(self, block: Block) -> Filled:
        """Return the numbers of a block; DataError for data that a measure is not defined on."""
        self.sides.source = block.source
        filled = Filled(*self.settings.room_for(len(block.pairs)), {})
        self._fill(block, np.arange(len(block.pairs)), filled)
        filled.fingerprints.update({label: self.sides.seen[label] for label in labels_of(block.pairs)})
        return filled

    def _fill(self, block: Block, rows: IntArray, filled: Filled) -> None:
        pairs = [block.pairs[row] for row in rows]
        sides = self.sides.get(labels_of(pairs), self.pool)
        if sides is None:
            for some in self._split(block, rows):
                self._fill(block, some, filled)
            return
        clusters = self.settings.clusters
        for a, b in pairs:
            if clusters is not None and sides[a].n != clusters.size:
                raise DataError(
                    f"{label_of(a)} has {sides[a].n} sentences, others {clusters.size}: intervals take the same "
                    "sentences on all sides"
                )
            for measure in self.settings.measures:
                measure.check_pair((sides[a].n, sides[a].d), (sides[b].n, sides[b].d), (a, b))
        together = self._products(pairs, sides) if NONE in self.settings.controls else {}
        pieces = np.array_split(rows, min(len(rows), self.workers * 8))
        list(self.pool.map(partial(self._piece, block=block, sides=sides, together=together, filled=filled), pieces))

    def _split(self, block: Block, rows: IntArray) -> list[IntArray]:
        """Return rows in sets with less to keep: their labels in groups of half the memory, two groups a set."""
        room = self.settings.memory / 2
        labels = labels_of(block.pairs[row] for row in rows)
        while True:
            group: dict[Hashable, int] = {}
            number, size = 0, 0.0
            for label in labels:
                if size and size + self.sides.sizes[label] > room:
                    number, size = number + 1, 0.0
                group[label] = number
                size += self.sides.sizes[label]
            sets: dict[tuple[int, ...], list[int]] = {}
            for row in rows.tolist():
                sets.setdefault(tuple(sorted(group[label] for label in block.pairs[row])), []).append(row)
            if len(sets) > 1:
                return [np.asarray(sets[key], dtype=np.int64) for key in sorted(sets)]
            room /= 2  # one side alone has more than half

    def _products(self, pairs: list[Pair], sides: dict[Hashable, Side]) -> dict[int, dict[Pair, float]]:
        """Return the values of measures that have one product for many pairs, if the block is dense enough to gain."""
        out: dict[int, dict[Pair, float]] = {}
        for at, measure in enumerate(self.settings.measures):
            if self.settings.clusters is not None and measure.has_influence:
                continue  # each sentence's share is looked at anyway
            values: dict[Pair, float] = {}
            for n in sorted({sides[a].n for a, _ in pairs}):
                some = [pair for pair in pairs if sides[pair[0]].n == n]
                left, right = (list(dict.fromkeys(pair[side] for pair in some)) for side in (0, 1))
                if 4 * len(some) < len(left) * len(right) or len(some) < 8:
                    continue
                ys = [sides[label].states[at] for label in right]
                strips = np.array_split(np.arange(len(left)), -(-len(left) // STRIP))
                xs = [[sides[left[i]].states[at] for i in strip] for strip in strips]
                tables = list(self.pool.map(partial(measure.values, ys=ys), xs))
                known = [table for table in tables if table is not None]
                if len(known) < len(tables):
                    continue
                table = np.concatenate(known)
                row, column = ({label: i for i, label in enumerate(side)} for side in (left, right))
                values |= {(a, b): float(table[row[a], column[b]]) for a, b in some}
            if values:
                out[at] = values
        return out

    def _piece(
        self,
        piece: IntArray,
        block: Block,
        sides: dict[Hashable, Side],
        together: dict[int, dict[Pair, float]],
        filled: Filled,
    ) -> None:
        for row in piece:
            a, b = block.pairs[row]
            left, right = sides[a], sides[b]
            order = self._shuffle(block, row, left.n)
            for at in range(len(self.settings.measures) if NONE in self.settings.controls else 0):
                known = together.get(at, {}).get((a, b))
                self._plain(filled, row, at, left, right, known, order)
            if REGRESSED in self.settings.controls and block.keys[row] is not None:
                self._regressed(filled, row, left, right, block.covariates[block.keys[row]])

    def _shuffle(self, block: Block, row: int, n: int) -> IntArray | None:
        """Return the order in which the second side's sentences are shuffled, one for each key."""
        if SHUFFLED not in self.settings.controls:
            return None
        key = block.shuffles[row].encode()
        if self.settings.documents is not None:
            (seed,) = np.random.SeedSequence([self.settings.seed, *key]).generate_state(1)
            return np.asarray(permutations(n, 1, int(seed), self.settings.documents)[0])
        return np.random.default_rng([self.settings.seed, *key]).permutation(n).astype(np.int64)

    def _plain(
        self, filled: Filled, row: int, at: int, left: Side, right: Side, value: float | None, order: IntArray | None
    ) -> None:
        settings = self.settings
        measure, kind = settings.measures[at], settings.kinds[at]
        x, y = left.states[at], right.states[at]
        wanted = settings.clusters is not None and measure.has_influence
        outcome = measure.outcome(x, y, law=kind == "exact", order=order, influence=wanted, value=value)
        influence, pairs, clusters = outcome.influence, outcome.pairs, settings.clusters
        if filled.deviations is not None and clusters is not None and influence is not None and pairs is not None:
            filled.deviations[row, settings.deviating.index(at)] = deviations_by_cluster(influence, clusters, pairs)
        drawn = self._write(filled, row, at, NONE, x, y, outcome, left.n, left.n, settings.documents)
        if filled.drawn is not None and drawn is not None:
            filled.drawn[row, at] = drawn
        if order is not None:
            self._enter(filled, row, at, SHUFFLED, x, y, outcome.shuffled, left.n)

    def _regressed(self, filled: Filled, row: int, left: Side, right: Side, covariates: FloatArray) -> None:
        documents = self.settings.documents
        try:
            rows = residual_rows(covariates, documents)
        except NothingLeft:
            return  # this control has no number then; the others do
        for at, (measure, kind) in enumerate(zip(self.settings.measures, self.settings.kinds, strict=True)):
            n = len(rows.map) if measure.geometric else left.n
            if n < measure.minimum_sentences:
                continue
            try:
                (x, permuted), (y, _) = (_less(measure, side, at, rows) for side in (left, right))
            except NothingLeft:
                continue
            outcome = measure.outcome(x, y, law=kind == "exact")
            clusters = rows.clusters if permuted < left.n else documents
            self._write(filled, row, at, REGRESSED, x, y, outcome, n, permuted, clusters)

    def _write(
        self,
        filled: Filled,
        row: int,
        at: int,
        control: str,
        x: State,
        y: State,
        outcome: Outcome,
        n: int,
        permuted: int,
        clusters: IntArray | None,
    ) -> FloatArray | None:
        settings = self.settings
        calibration, used, drawn = calibration_of(
            settings.measures[at],
            x,
            y,
            outcome.value,
            settings.kinds[at],
            partial(self.order, permuted, clusters),
            settings.permutations,
            settings.alpha,
            law=outcome.law,
            sequential=settings.sequential,
            stopping=bool(settings.tails) and settings.tails[at],
        )
        numbers = self._enter(filled, row, at, control, x, y, outcome.value, n)
        numbers["exact"], numbers["tail"] = used == "exact", used == "tail"
        if calibration is not None:
            for name, value in calibration.numbers().items():
                numbers[name] = value
        return drawn

    def _enter(
        self, filled: Filled, row: int, at: int, control: str, x: State, y: State, value: float, n: int
    ) -> np.void:
        """Enter a score with no null, and return its place in the table."""
        numbers: np.void = filled.table[row, at, self.settings.controls.index(control)]
        numbers["value"], numbers["n"] = value, n
        numbers["kx"], numbers["ky"] = self.settings.measures[at].ranks(x, y)
        numbers["saturated"] = numbers["exact"] = numbers["tail"] = 0.0
        return numbers

    def order(self, n: int, clusters: IntArray | None, count: int) -> IntArray:
        """Return the first permutations of n rows; more of them begin with the same ones."""
        seed = self.settings.seed
        key = (n, count, b"" if clusters is None else clusters.tobytes())
        with self._drawing:
            if key not in self._orders:
                if len(self._orders) >= ORDERS:
                    del self._orders[next(iter(self._orders))]
                self._orders[key] = permutations(n, count, seed, clusters)
            return self._orders[key]


def _less(measure: Measure, side: Side, at: int, rows: ResidualRows) -> tuple[State, int]:
    """Return a side's state after regressing out covariates, and how many rows of it are permuted."""
    if measure.regresses_states:
        state = measure.regressed(side.states[at], rows.span)
        mapped = None if rows.clusters is None else measure.mapped(state, rows.map)
        return (state, side.n) if mapped is None else (mapped, len(rows.map))
    assert side.whole is not None
    whole = measure.before_regressing(to_numpy(side.whole.rows))
    mean = whole.mean(0)
    reduced = rows.map @ whole if measure.geometric else regress_out(whole, rows.span)
    if not np.linalg.norm(reduced) > ROUNDING * np.linalg.norm(whole - mean):
        raise NothingLeft(str(measure))
    clusters = rows.clusters if measure.geometric else side.whole.clusters
    if not measure.centres:  # the mean is put back, or the control would take that off as well
        if side.whole.clusters is not None and clusters is not None:
            mean = location(whole, side.whole.clusters, reduced, clusters)
        reduced = reduced + mean
    return measure.prepare(Representation(reduced, side.whole.name, clusters=clusters)), len(reduced)


class Filler:
    """Computes blocks of any table that were sent here, on so many threads, each with a single BLAS thread."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self._table: Hashable = None
        self._worker: BlockWorker | None = None

    def fill(self, table: Hashable, settings: Settings, block: Block) -> Filled:
        """Return the numbers of a block. `table` says which table it is of: labels of two may mean different things."""
        if self._worker is None or table != self._table:
            self._table, self._worker = table, BlockWorker(settings, self.workers, self._pool)
        with threadpool_limits(1):
            return self._worker.fill(block)
