"""All pairs: every measure, with null and interval, over a table of pairs; in blocks, in bounded memory, on all cores.

A representation is read and prepared once a block; a pair costs a product of what was prepared. Work is shared among
threads, each with a single BLAS thread: pair products are too small to be split further, and NumPy lets go of the
interpreter while it computes.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor, label_of
from babelscope.similarity.blocks import Block, Filled, Settings, comparer
from babelscope.similarity.checkpoint import Checkpoint
from babelscope.similarity.intervals import subsample_interval, subsamples
from babelscope.similarity.measure import Measure, State, parse_measure
from babelscope.similarity.permutation import permutations as draw
from babelscope.similarity.representation import Representation
from babelscope.similarity.score import INTERVALS, calibration_of, null_kind

#: Numbers of the result, in order.
VARIABLES = (
    "value",
    "null_mean",
    "null_sd",
    "null_q95",
    "calibrated",
    "p",
    "low",
    "high",
    "n",
    "kx",
    "ky",
    "saturated",
    "exact",
)
_AT = {name: index for index, name in enumerate(VARIABLES)}

Pair = tuple[Hashable, Hashable]

#: Representations on a side of a block.
TILE = 48

#: Representations that are multiplied with all others of a block at once. A constant, for the bits of a product may
#: depend on how it is cut, and must not depend on how many cores there are.
STRIP = 12


@dataclass
class _Side:
    """What is kept of one representation."""

    n: int
    d: int
    states: list[State]
    size: int
    fingerprint: str


@dataclass
class _Sides:
    """Prepared representations within a budget of bytes, the least recently used forgotten first."""

    source: Mapping[Hashable, Any]
    measures: Sequence[Measure]
    budget: float
    single: bool = False
    fingerprints: bool = False
    rows: dict[int, IntArray] | None = None  # n -> which sentences, for subsamples
    seen: dict[Hashable, str] = field(default_factory=dict)
    kept: OrderedDict[Hashable, _Side] = field(default_factory=OrderedDict)
    sizes: dict[Hashable, int] = field(default_factory=dict)
    held: float = 0.0  # bytes that are kept
    _reading: threading.Lock = field(default_factory=threading.Lock)
    _keeping: threading.Lock = field(default_factory=threading.Lock)

    def make(self, label: Hashable) -> _Side:
        given = self.source[label]
        if callable(given) and not is_tensor(given):
            with self._reading:  # stores are not asked to be safe for threads
                given = given()
        x = Representation(given, label, single=self.single)
        fingerprint = _fingerprint(given) if self.fingerprints and not is_tensor(given) else ""
        self.check_unchanged(label, fingerprint)
        n, d = x.n, x.d
        if self.rows is not None:
            x = x.subset(self.rows[n])
        for measure in self.measures:
            measure.check(x.n, label)
        states = [measure.prepare(x) for measure in self.measures]
        if self.single:
            states = [measure.narrow(state) for measure, state in zip(self.measures, states, strict=True)]
        return _Side(n, d, states, sum(_size(state) for state in states), fingerprint)

    def check_unchanged(self, label: Hashable, fingerprint: str) -> None:
        """Refuse a representation that is not what was read of it before."""
        if self.seen.setdefault(label, fingerprint) != fingerprint:
            raise DataError(
                f"{label_of(label)} has changed since the first part of this run: delete the checkpoint and run again"
            )

    def get(self, labels: Iterable[Hashable], pool: ThreadPoolExecutor) -> dict[Hashable, _Side] | None:
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
        """Prepare one side, and keep it if it fits beside those of `wanted` that are kept."""
        side = self.make(label)
        with self._keeping:
            self.sizes[label] = side.size
            if self.held + side.size > self.budget:
                for other in [other for other in self.kept if other not in wanted]:
                    self.held -= self.kept.pop(other).size
                    if self.held + side.size <= self.budget:
                        break
            if self.held + side.size <= self.budget or len(wanted) <= 2:
                self.kept[label] = side
                self.held += side.size


def _fingerprint(given: Any) -> str:
    array = np.ascontiguousarray(np.asarray(given))
    digest = hashlib.blake2b(f"{array.shape}{array.dtype.str}".encode(), digest_size=8)
    digest.update(memoryview(array.reshape(-1).view(np.uint8)))  # type: ignore[arg-type]
    return digest.hexdigest()


def _size(state: Any) -> int:
    """Return the bytes of a prepared state."""
    if isinstance(state, np.ndarray):
        return int(state.nbytes)
    if is_tensor(state):
        return int(state.numel() * state.element_size())
    if isinstance(state, (list, tuple)):
        return sum(_size(item) for item in state)
    return sum(_size(item) for item in vars(state).values()) if hasattr(state, "__dict__") else 64


def pairwise(
    representations: Mapping[Any, Any],
    measures: Sequence[str | Measure] | str | Measure = ("svcca",),
    *,
    pairs: Sequence[tuple[Hashable, Hashable]] | None = None,
    null: str | None = "auto",
    permutations: int = 200,
    seed: int = 0,
    interval: str | None = None,
    draws: int = 100,
    share: float = 0.8,
    alpha: float = 0.05,
    keep_null: bool = False,
    precision: str = "double",
    workers: int | None = None,
    memory: float = 1e9,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | str | None = None,
) -> xr.Dataset:
    """Compare many pairs of representations under many measures.

    Parameters
    ----------
    representations : mapping
        Label -> array of sentences x features (NumPy or torch), or a function without arguments that returns one, so
        that a store on the disk is read a block at a time.
    measures : sequence of str or Measure
        Such as ``["svcca(variance=0.90)", "linear_cka"]``.
    pairs : sequence of (label, label), optional
        All unordered pairs by default. Both sides of a pair need the same sentences; pairs may differ in theirs.
    null : {"auto", "exact", "permutation", None}
        As :func:`~babelscope.similarity.score`. One set of permutations serves all pairs with the same number of
        sentences.
    permutations, seed, interval, draws, share, alpha
        As :func:`~babelscope.similarity.score`. One set of subsamples serves all pairs.
    keep_null : bool
        Also return the permuted scores (``null_draws``), for a maximum over layers
        (:func:`~babelscope.similarity.max_over`); needs null="permutation".
    precision : {"double", "single"}
        "single" keeps prepared bases and kernels in float32, after centring and decomposing in float64: half the
        memory, products twice as fast, values within 1e-6.
    workers : int, optional
        Threads; all cores by default. BLAS is held to one thread in each.
    memory : float
        Bytes for prepared representations; beyond, pairs are taken in blocks and representations prepared again. The
        sides of one pair are held whatever their size, and each thread has one representation in work beside it.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each block; subsamples count as further pairs.
    checkpoint : path, optional
        A folder that keeps each finished block. Called again with the same arguments, the run goes on from there.

    Returns
    -------
    xarray.Dataset
        Dimensions pair and measure; coordinates ``a``, ``b`` (labels as text, tuples joined with ``/``) and
        ``measure`` (as given).
        Variables ``value, null_mean, null_sd, null_q95, calibrated, p, low, high, n, kx, ky`` (NaN where they mean
        nothing) and ``saturated``, ``exact`` (a closed form). Attributes: ``conventions``, ``null`` and
        ``higher_is_better`` by measure, ``seed``, ``permutations``, ``alpha``.

    Raises
    ------
    UsageError
        For an unknown measure, option or label.
    DataError
        For data a measure is not defined on; the label, or the pair, is named.
    """
    given = [measures] if isinstance(measures, (str, Measure)) else list(measures)
    chosen = [parse_measure(item) for item in given]
    names = [item if isinstance(item, str) else str(item) for item in given]
    if not chosen:
        raise UsageError("no measure was given: name at least one, such as 'svcca'")
    if len(set(names)) < len(names):
        raise UsageError(f"a measure is named twice in {', '.join(names)}")
    kinds = [null_kind(measure, null) for measure in chosen]
    if keep_null and any(kind == "exact" for kind in kinds):
        raise UsageError("keep_null=True needs null='permutation': a closed form draws nothing")
    if interval not in (None, *INTERVALS):
        raise UsageError(f"there is no interval {interval!r}: {did_you_mean(str(interval), INTERVALS)}")
    wanted = list(combinations(representations, 2)) if pairs is None else [(a, b) for a, b in pairs]
    _known(wanted, representations)
    if precision not in ("double", "single"):
        raise UsageError(f"precision={precision!r}: write 'double' or 'single'")
    run = _Run(
        representations,
        chosen,
        kinds,
        wanted,
        permutations,
        seed,
        alpha,
        keep_null,
        precision == "single",
        _worker_count(workers),
        memory,
        progress,
    )
    run.total = len(wanted) * (1 + (draws if interval == "subsample" else 0))
    if checkpoint is not None:
        run.checkpoint = Checkpoint(checkpoint, run.plan(names, interval, draws, share))
    with threadpool_limits(1), ThreadPoolExecutor(run.workers) as pool:
        run.main(pool)
        if interval == "subsample":
            run.intervals(pool, draws, share)
    return run.dataset(names)


def cross_layer(
    a: Mapping[Any, Any],
    b: Mapping[Any, Any],
    measures: Sequence[str | Measure] | str | Measure = ("svcca",),
    **options: Any,
) -> xr.Dataset:
    """Compare every layer of one model or side with every layer of another.

    Parameters
    ----------
    a, b : mapping
        Layer -> array or function, as for :func:`pairwise`.
    measures, **options
        As :func:`pairwise`, but for `pairs`.

    Returns
    -------
    xarray.Dataset
        As :func:`pairwise`, with dimensions layer_a, layer_b and measure.

    Raises
    ------
    UsageError, DataError
        As :func:`pairwise`.
    """
    if "pairs" in options:
        raise UsageError("cross_layer compares every layer with every layer: use pairwise to choose pairs")
    sides = {("a", key): value for key, value in a.items()} | {("b", key): value for key, value in b.items()}
    flat = pairwise(sides, measures, pairs=[(("a", i), ("b", j)) for i in a for j in b], **options)
    shape = (len(a), len(b))
    data = {
        name: (("layer_a", "layer_b", *variable.dims[1:]), variable.values.reshape(*shape, *variable.shape[1:]))
        for name, variable in flat.data_vars.items()
    }
    coordinates = {
        "layer_a": [label_of(key) for key in a],
        "layer_b": [label_of(key) for key in b],
        "measure": flat["measure"].values,
    }
    return xr.Dataset(data, coords=coordinates, attrs=flat.attrs)


class Filler:
    """Computes blocks that were sent here, and keeps what it prepared from one block of a table to the next.

    Parameters
    ----------
    workers : int
        Threads. BLAS is held to one in each.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self._table: Hashable = None
        self._sides: _Sides | None = None
        self._orders: dict[int, IntArray] = {}

    def fill(self, table: Hashable, settings: Settings, block: Block) -> Filled:
        """Return the numbers of a block.

        Parameters
        ----------
        table : hashable
            Which table the block is of: labels of two tables may mean different things.
        settings : Settings
        block : Block

        Raises
        ------
        DataError
            For data that a measure is not defined on.
        """
        if self._sides is None or table != self._table:
            self._table, self._orders = table, {}
            self._sides = _Sides({}, settings.measures, settings.memory, settings.single, settings.fingerprints)
        self._sides.source = block.source
        run = _Run(
            block.source,
            list(settings.measures),
            list(settings.kinds),
            list(block.pairs),
            settings.permutations,
            settings.seed,
            settings.alpha,
            settings.keep_null,
            settings.single,
            self.workers,
            settings.memory,
            None,
        )
        run.orders = self._orders
        with threadpool_limits(1):
            run._fill(np.arange(len(block.pairs)), self._sides, self._pool)
        labels = dict.fromkeys(label for pair in block.pairs for label in pair)
        return Filled(run.table, run.drawn, {label: self._sides.seen[label] for label in labels})


def _known(wanted: Sequence[Pair], representations: Mapping[Any, Any]) -> None:
    for pair in wanted:
        for label in pair:
            if label not in representations:
                hint = did_you_mean(label_of(label), [label_of(key) for key in representations])
                raise UsageError(f"there is no representation {label_of(label)!r}: {hint}")


def _worker_count(workers: int | None) -> int:
    if workers is None:
        return max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 1)
    if workers < 1:
        raise UsageError(f"workers={workers}: at least 1 is needed")
    return workers


@dataclass
class _Run:
    """One call of :func:`pairwise`."""

    source: Mapping[Hashable, Any]
    measures: list[Measure]
    kinds: list[str]
    pairs: list[Pair]
    count: int
    seed: int
    alpha: float
    keep_null: bool
    single: bool
    workers: int
    memory: float
    progress: Callable[[int, int], None] | None
    checkpoint: Checkpoint | None = None
    total: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.pairs), len(self.measures))
        self.table = np.full((*shape, len(VARIABLES)), np.nan)
        self.drawn = np.full((*shape, self.count), np.nan) if self.keep_null else None
        self.orders: dict[int, IntArray] = {}
        self._drawing = threading.Lock()

    def plan(self, names: list[str], interval: str | None, draws: int, share: float) -> dict[str, Any]:
        """Return what decides the numbers."""
        return {
            "pairs": [[label_of(a), label_of(b)] for a, b in self.pairs],
            "measures": [str(measure) for measure in self.measures],
            "names": names,
            "null": self.kinds,
            "options": [self.count, self.seed, self.alpha, self.keep_null, self.single, interval, draws, share],
            "memory": self.memory,
        }

    # -- blocks
    # -----------------------------------------------------------------------------------------------------------------
    def blocks(self, side_bytes: float) -> list[IntArray]:
        """Return the pairs in blocks whose representations fit in memory together, few of them read twice.

        They fit if all are of the size given; where they are larger, :meth:`_split` cuts a block further.
        """
        labels = list(dict.fromkeys(label for pair in self.pairs for label in pair))
        room = max(int(self.memory / max(side_bytes, 1.0)), 2)
        group = max(room // 2, 1) if len(labels) > room else len(labels)
        # Tiles within what memory holds: a product of TILE with TILE matrices pays, and a block is a step of progress.
        tile = {label: (index // max(group, 1), index // TILE) for index, label in enumerate(labels)}
        keyed: dict[tuple[Any, ...], list[int]] = {}
        for index, (a, b) in enumerate(self.pairs):
            low, high = sorted((tile[a], tile[b]))
            keyed.setdefault((low[0], high[0], low[1], high[1]), []).append(index)
        out: list[list[int]] = []
        last: tuple[Any, ...] = ()
        for key, indices in sorted(keyed.items()):
            if out and last[:2] == key[:2] and len(out[-1]) + len(indices) <= TILE * TILE // 4:
                out[-1].extend(indices)  # sparse tiles: together they make a block
            else:
                out.append(indices)
            last = key
        return [np.asarray(indices, dtype=np.int64) for indices in out]

    def main(self, pool: ThreadPoolExecutor) -> None:
        """Fill the table."""
        if not self.pairs:
            return
        sides = _Sides(self.source, self.measures, self.memory, self.single, self.checkpoint is not None)
        blocks = self.blocks(self._first_size(sides, pool))
        left: dict[int, IntArray] = {}
        for number, block in enumerate(blocks):
            if self._restore(f"block-{number:05d}", block, sides):
                self._told(len(block))
            else:
                left[number] = block
        for number in self._filled(left, sides, pool):
            self._keep(f"block-{number:05d}", left[number], sides)
            self._told(len(left[number]))

    def _first_size(self, sides: _Sides, pool: ThreadPoolExecutor) -> int:
        first = self.pairs[0][0]
        sides.get([first], pool)
        return sides.sizes[first]

    def _filled(self, left: dict[int, IntArray], sides: _Sides, pool: ThreadPoolExecutor) -> Iterator[int]:
        """Fill in blocks, here or wherever this context says; yield the number of each that is done."""
        elsewhere = comparer()
        if elsewhere is None:
            for number, block in left.items():
                self._fill(block, sides, pool)
                yield number
            return
        settings = Settings(
            tuple(self.measures),
            tuple(self.kinds),
            self.count,
            self.seed,
            self.alpha,
            self.keep_null,
            self.single,
            self.memory,
            self.checkpoint is not None,
        )
        blocks = [
            Block(
                number,
                tuple(self.pairs[index] for index in block),
                {label: self.source[label] for label in self._labels(block)},
            )
            for number, block in left.items()
        ]
        for number, filled in elsewhere.compute(settings, blocks):
            for label, fingerprint in filled.fingerprints.items():
                sides.check_unchanged(label, fingerprint)
            self.table[left[number]] = filled.table
            if self.drawn is not None:
                self.drawn[left[number]] = filled.drawn
            yield number

    def _restore(self, name: str, block: IntArray, sides: _Sides) -> bool:
        found = self.checkpoint.load(name) if self.checkpoint else None
        if found is None or not np.array_equal(found.get("index", ()), block):
            return False
        for label, fingerprint in zip(self._labels(block), found["fingerprints"], strict=True):
            given = self.source[label]
            now = "" if callable(given) or is_tensor(given) else _fingerprint(given)
            if (now and str(fingerprint) != now) or sides.seen.setdefault(label, str(fingerprint)) != str(fingerprint):
                raise DataError(
                    f"{label_of(label)} has changed since the first part of this run: delete the checkpoint and run "
                    "again"
                )
        self.table[block] = found["table"]
        if self.drawn is not None:
            self.drawn[block] = found["drawn"]
        return True

    def _keep(self, name: str, block: IntArray, sides: _Sides) -> None:
        if self.checkpoint is None:
            return
        fingerprints = np.array([sides.seen[label] for label in self._labels(block)])
        content = {"index": block, "table": self.table[block], "fingerprints": fingerprints}
        if self.drawn is not None:
            content["drawn"] = self.drawn[block]
        self.checkpoint.save(name, content)

    def _labels(self, block: IntArray) -> list[Hashable]:
        return list(dict.fromkeys(label for index in block for label in self.pairs[index]))

    def _told(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)

    # -- numbers
    # ----------------------------------------------------------------------------------------------------------------
    def _fill(self, block: IntArray, sides: _Sides, pool: ThreadPoolExecutor) -> None:
        held = sides.get(self._labels(block), pool)
        if held is None:
            for part in self._split(block, sides):
                self._fill(part, sides, pool)
            return
        for index in block:
            a, b = self.pairs[index]
            for measure in self.measures:
                measure.check_pair((held[a].n, held[a].d), (held[b].n, held[b].d), (a, b))
        together = self._products(block, held, pool)
        pieces = np.array_split(block, min(len(block), self.workers * 8))
        list(pool.map(partial(self._piece, held=held, together=together), pieces))

    def _split(self, block: IntArray, sides: _Sides) -> list[IntArray]:
        """Return a block in parts with less to hold: its labels in groups of half the memory, two groups a part."""
        room = sides.budget / 2
        while True:
            group: dict[Hashable, int] = {}
            number, held = 0, 0.0
            for label in self._labels(block):
                if held and held + sides.sizes[label] > room:
                    number, held = number + 1, 0.0
                group[label] = number
                held += sides.sizes[label]
            parts: dict[tuple[int, ...], list[int]] = {}
            for index in block.tolist():
                parts.setdefault(tuple(sorted(group[label] for label in self.pairs[index])), []).append(index)
            if len(parts) > 1:
                return [np.asarray(parts[key], dtype=np.int64) for key in sorted(parts)]
            room /= 2  # one side alone has more than half

    def _products(
        self, block: IntArray, held: dict[Hashable, _Side], pool: ThreadPoolExecutor
    ) -> dict[int, dict[Pair, float]]:
        """Return the values of measures that have one product for many pairs, if the block is dense enough to gain."""
        out: dict[int, dict[Pair, float]] = {}
        pairs = [self.pairs[index] for index in block]
        for at, measure in enumerate(self.measures):
            out_of_one: dict[Pair, float] = {}
            for n in sorted({held[a].n for a, _ in pairs}):
                some = [pair for pair in pairs if held[pair[0]].n == n]
                left, right = ([*dict.fromkeys(pair[side] for pair in some)] for side in (0, 1))
                if 4 * len(some) < len(left) * len(right) or len(some) < 8:
                    continue
                ys = [held[label].states[at] for label in right]
                parts = np.array_split(np.arange(len(left)), -(-len(left) // STRIP))
                xs = [[held[left[i]].states[at] for i in part] for part in parts]
                tables = list(pool.map(partial(measure.values, ys=ys), xs))
                there = [table for table in tables if table is not None]
                if len(there) < len(tables):
                    continue
                table = np.concatenate(there)
                row, column = ({label: i for i, label in enumerate(side)} for side in (left, right))
                out_of_one |= {(a, b): float(table[row[a], column[b]]) for a, b in some}
            if out_of_one:
                out[at] = out_of_one
        return out

    def _piece(self, piece: IntArray, held: dict[Hashable, _Side], together: dict[int, dict[Pair, float]]) -> None:
        for index in piece:
            a, b = self.pairs[index]
            left, right = held[a], held[b]
            for at, (measure, kind) in enumerate(zip(self.measures, self.kinds, strict=True)):
                x, y = left.states[at], right.states[at]
                known = together.get(at, {}).get((a, b))
                value = measure.value(x, y) if known is None else known
                found, used, drawn = calibration_of(measure, x, y, value, kind, partial(self.order, left.n), self.alpha)
                row = self.table[index, at]
                row[_AT["value"]], row[_AT["n"]] = value, left.n
                row[_AT["kx"]], row[_AT["ky"]] = measure.ranks(x, y)
                row[_AT["saturated"]], row[_AT["exact"]] = 0.0, used == "exact"
                if found is not None:
                    row[1:6] = found.mean, found.sd, found.q95, found.calibrated, found.p
                    row[_AT["saturated"]] = found.saturated
                if self.drawn is not None and drawn is not None:
                    self.drawn[index, at] = drawn

    def order(self, n: int) -> IntArray:
        """Return the permutations of n sentences."""
        with self._drawing:
            if n not in self.orders:
                self.orders[n] = draw(n, self.count, self.seed)
            return self.orders[n]

    def intervals(self, pool: ThreadPoolExecutor, draws: int, share: float) -> None:
        """Fill in the intervals."""
        least = max(measure.minimum_sentences for measure in self.measures)
        lengths = {int(n) for n in np.unique(self.table[:, 0, _AT["n"]])}
        sets = {n: subsamples(n, draws, share, self.seed, least=least) for n in sorted(lengths)}
        values = np.full((draws, len(self.pairs), len(self.measures)), np.nan)
        for number in range(draws):
            found = self.checkpoint.load(f"draw-{number:05d}") if self.checkpoint else None
            if found is not None:
                values[number] = found["values"]
            else:
                values[number] = self._drawn_values(pool, {n: rows[number] for n, rows in sets.items()})
                if self.checkpoint is not None:
                    self.checkpoint.save(f"draw-{number:05d}", {"values": values[number]})
            self._told(len(self.pairs))
        for index in range(len(self.pairs)):
            n = int(self.table[index, 0, _AT["n"]])
            for at, measure in enumerate(self.measures):
                self.table[index, at, _AT["low"] : _AT["high"] + 1] = subsample_interval(
                    self.table[index, at, _AT["value"]],
                    values[:, index, at],
                    n,
                    sets[n].shape[1],
                    alpha=self.alpha,
                    within=measure.range,
                )

    def _drawn_values(self, pool: ThreadPoolExecutor, rows: dict[int, IntArray]) -> FloatArray:
        part = dataclasses.replace(
            self, kinds=["none"] * len(self.measures), count=1, keep_null=False, progress=None, checkpoint=None
        )
        sides = _Sides(self.source, self.measures, self.memory, self.single, rows=rows)
        for block in part.blocks(part._first_size(sides, pool)):
            part._fill(block, sides, pool)
        return np.asarray(part.table[:, :, _AT["value"]])

    def dataset(self, names: list[str]) -> xr.Dataset:
        """Return the table with its labels."""
        data: dict[str, Any] = {name: (("pair", "measure"), self.table[:, :, at]) for name, at in _AT.items()}
        for name in ("saturated", "exact"):
            data[name] = (("pair", "measure"), self.table[:, :, _AT[name]] == 1)
        if self.drawn is not None:
            data["null_draws"] = (("pair", "measure", "draw"), self.drawn)
        return xr.Dataset(
            data,
            coords={
                "a": ("pair", np.array([label_of(a) for a, _ in self.pairs], dtype=object).astype(str)),
                "b": ("pair", np.array([label_of(b) for _, b in self.pairs], dtype=object).astype(str)),
                "measure": names,
            },
            attrs={
                "conventions": {name: m.convention_text for name, m in zip(names, self.measures, strict=True)},
                "null": dict(zip(names, self.kinds, strict=True)),
                "higher_is_better": {name: m.higher_is_better for name, m in zip(names, self.measures, strict=True)},
                "permutations": self.count,
                "seed": self.seed,
                "alpha": self.alpha,
            },
        )
