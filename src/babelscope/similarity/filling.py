"""The numbers of one block of pairs: every measure under every control, on all cores of this process."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.errors import DataError
from babelscope.similarity.arrays import FloatArray, IntArray, label_of, to_numpy
from babelscope.similarity.blocks import NONE, REGRESSED, SHUFFLED, Block, Filled, Pair, Settings
from babelscope.similarity.jackknife import deviations_by_cluster
from babelscope.similarity.measure import Measure, Outcome, State
from babelscope.similarity.permutation import permutations
from babelscope.similarity.representation import Representation
from babelscope.similarity.residuals import ROUNDING, NothingLeft, ResidualRows, location, regress_out, residual_rows
from babelscope.similarity.score import calibration_of
from babelscope.similarity.sides import Side, SideCache

#: Representations that are multiplied with all others of a block at once. A constant, for the bits of a product may
#: depend on how it is cut, and must not depend on how many cores there are.
STRIP = 12

#: Sets of permutations that are kept.
ORDERS = 16


class BlockWorker:
    """Computes blocks of one table of pairs, and keeps what it prepared from one block to the next.

    The pool has as many threads as there are workers; BLAS is to have a single one in each.
    """

    def __init__(self, settings: Settings, workers: int, pool: ThreadPoolExecutor) -> None:
        self.settings, self.workers, self.pool = settings, workers, pool
        again = REGRESSED in settings.controls and not all(m.regresses_states for m in settings.measures)
        self.sides = SideCache(
            {},
            settings.measures,
            settings.memory,
            settings.single,
            settings.fingerprints,
            whole=again,
            documents=settings.documents,
        )
        self._orders: dict[tuple[int, int, bytes], IntArray] = {}
        self._drawing = threading.Lock()

    def fill(self, block: Block) -> Filled:
        """Return the numbers of a block; DataError for data that a measure is not defined on."""
        self.sides.source = block.source
        filled = Filled(*self.settings.room_for(len(block.pairs)), {})
        self._fill(block, np.arange(len(block.pairs)), filled)
        labels = dict.fromkeys(label for pair in block.pairs for label in pair)
        filled.fingerprints.update({label: self.sides.seen[label] for label in labels})
        return filled

    def _fill(self, block: Block, rows: IntArray, filled: Filled) -> None:
        pairs = [block.pairs[row] for row in rows]
        sides = self.sides.get(dict.fromkeys(label for pair in pairs for label in pair), self.pool)
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
        room = self.sides.budget / 2
        labels = dict.fromkeys(label for row in rows for label in block.pairs[row])
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
                left, right = ([*dict.fromkeys(pair[side] for pair in some)] for side in (0, 1))
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
        drawn = self._write(filled, row, at, NONE, measure, x, y, outcome, left.n, left.n, settings.documents)
        if filled.drawn is not None and drawn is not None:
            filled.drawn[row, at] = drawn
        if (
            filled.deviations is not None
            and settings.clusters is not None
            and outcome.influence is not None
            and outcome.pairs is not None
        ):
            place = settings.deviating.index(at)
            by_cluster = deviations_by_cluster(outcome.influence, settings.clusters)
            filled.deviations[row, place] = np.concatenate([by_cluster, outcome.pairs])
        if order is not None:
            numbers = filled.table[row, at, settings.controls.index(SHUFFLED)]
            numbers["value"], numbers["n"] = outcome.shuffled, left.n
            numbers["kx"], numbers["ky"] = measure.ranks(x, y)
            numbers["saturated"] = numbers["exact"] = numbers["tail"] = 0.0

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
            self._write(filled, row, at, REGRESSED, measure, x, y, outcome, n, permuted, clusters)

    def _write(
        self,
        filled: Filled,
        row: int,
        at: int,
        control: str,
        measure: Measure,
        x: State,
        y: State,
        outcome: Outcome,
        n: int,
        permuted: int,
        clusters: IntArray | None,
    ) -> FloatArray | None:
        settings = self.settings
        calibration, used, drawn = calibration_of(
            measure,
            x,
            y,
            outcome.value,
            settings.kinds[at],
            partial(self.order, permuted, clusters),
            settings.permutations,
            settings.alpha,
            law=outcome.law,
            sequential=settings.sequential,
            stopping=settings.tails[settings.measures.index(measure)] if settings.tails else False,
        )
        numbers = filled.table[row, at, settings.controls.index(control)]
        numbers["value"], numbers["n"] = outcome.value, n
        numbers["kx"], numbers["ky"] = measure.ranks(x, y)
        numbers["saturated"], numbers["exact"], numbers["tail"] = 0.0, used == "exact", used == "tail"
        if calibration is not None:
            for name, number in calibration.numbers().items():
                numbers[name] = number
        return drawn

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
