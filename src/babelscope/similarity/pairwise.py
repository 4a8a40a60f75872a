"""All pairs: every measure, with null and interval, over a table of pairs; in blocks, in bounded memory, on all cores.

A representation is read and prepared once a block; a pair costs a product of what was prepared. Work is shared among
threads, each with a single BLAS thread: pair products are too small to be split further, and NumPy lets go of the
interpreter while it computes.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.errors import DataError, UsageError, did_you_mean
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor, label_of
from babelscope.similarity.blocks import NONE, VARIABLES, Block, BlockExecutor, Filled, Pair, Settings
from babelscope.similarity.checkpoint import Checkpoint
from babelscope.similarity.filling import BlockWorker
from babelscope.similarity.intervals import subsample_interval, subsamples
from babelscope.similarity.measure import Measure, parse_measure
from babelscope.similarity.permutation import chance_corrected
from babelscope.similarity.score import check_interval, coded, null_kind
from babelscope.similarity.sides import SideCache, fingerprint_of

_AT = {name: index for index, name in enumerate(VARIABLES)}

#: Representations on a side of a block.
TILE = 48


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
    clusters: Sequence[Hashable] | NDArray[Any] | None = None,
    executor: BlockExecutor | None = None,
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
    clusters : sequence, shape (n,), optional
        As :func:`~babelscope.similarity.score`; all representations have the same n sentences then.
    executor : BlockExecutor, optional
        Computes the blocks, such as an engine's; this process if left out. It does not change the numbers.

    Returns
    -------
    xarray.Dataset
        Dimensions pair and measure; coordinates ``a``, ``b`` (labels as text, tuples joined with ``/``) and
        ``measure`` (as given).
        Variables ``value, null_mean, null_sd, null_q95, chance_corrected, calibrated, p, low, high, n, kx, ky`` (NaN
        where they mean nothing) and ``saturated``, ``exact`` (a closed form). Attributes: ``conventions``, ``null`` and
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
    documents = coded(clusters)
    kinds = [null_kind(measure, null, clustered=documents is not None) for measure in chosen]
    if keep_null and any(kind == "exact" for kind in kinds):
        raise UsageError("keep_null=True needs null='permutation': a closed form draws nothing")
    check_interval(interval, documents)
    wanted = list(combinations(representations, 2)) if pairs is None else [(a, b) for a, b in pairs]
    _known(wanted, representations)
    if precision not in ("double", "single"):
        raise UsageError(f"precision={precision!r}: write 'double' or 'single'")
    settings = Settings(
        tuple(chosen),
        tuple(kinds),
        permutations,
        seed,
        alpha,
        keep_null=keep_null,
        single=precision == "single",
        memory=memory,
        fingerprints=checkpoint is not None,
        documents=documents,
    )
    table = PairTable(representations, wanted, settings, workers=workers, progress=progress, executor=executor)
    if interval == "subsample":
        table.total += draws * len(wanted)
    if checkpoint is not None:
        table.keep_in(checkpoint, [names, interval, draws, share])
    with table.computing() as pool:
        table.fill(pool)
        if interval == "subsample":
            table.subsample(pool, draws, share)
    return _dataset(table, names)


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


class PairTable:
    """A table of pairs: planned in blocks, computed here or elsewhere, kept in a checkpoint.

    Parameters
    ----------
    source : mapping
        Label -> array, or function without arguments that returns one.
    pairs : sequence of (label, label)
    settings : Settings
    keys, covariates, shuffles
        As :class:`~babelscope.similarity.blocks.Block`, for all pairs.
    workers : int, optional
        Threads; all cores by default.
    progress : callable, optional
        Called with (pairs done, pairs in all) after each block.
    executor : BlockExecutor, optional
        Computes the blocks; this process if left out.

    Attributes
    ----------
    numbers : ndarray, shape (pairs, measures, controls, numbers)
    drawn : ndarray, shape (pairs, measures, permutations), or None
    deviations : ndarray, shape (pairs, measures that have them in closed form, clusters + SKETCHES), or None
    """

    def __init__(
        self,
        source: Mapping[Any, Any],
        pairs: Sequence[Pair],
        settings: Settings,
        *,
        keys: Sequence[Hashable] = (),
        covariates: Mapping[Hashable, FloatArray] | None = None,
        shuffles: Sequence[str] = (),
        workers: int | None = None,
        progress: Callable[[int, int], None] | None = None,
        executor: BlockExecutor | None = None,
    ) -> None:
        self.source, self.pairs, self.settings = source, list(pairs), settings
        self.keys, self.covariates, self.shuffles = list(keys), dict(covariates or {}), list(shuffles)
        self.workers, self.progress, self.executor = _worker_count(workers), progress, executor
        self.done, self.total = 0, len(self.pairs)
        self.checkpoint: Checkpoint | None = None
        self.numbers, self.drawn, self.deviations = settings.room_for(len(self.pairs))

    def keep_in(self, folder: Path | str, plan: Any = None) -> None:
        """Keep finished blocks in a folder, and use those that are there.

        Parameters
        ----------
        folder : path
        plan : JSON-able
            What decides the numbers beside the pairs and settings.

        Raises
        ------
        UsageError, DataError
            As :class:`~babelscope.similarity.checkpoint.Checkpoint`.
        """
        settings = self.settings
        decided = {
            "pairs": [[label_of(a), label_of(b)] for a, b in self.pairs],
            "measures": [str(measure) for measure in settings.measures],
            "null": settings.kinds,
            "options": [settings.permutations, settings.seed, settings.alpha, settings.keep_null, settings.single],
            "controls": [settings.controls, settings.sequential, self.shuffles],
            "clusters": None if settings.clusters is None else settings.clusters.tolist(),
            "documents": None if settings.documents is None else settings.documents.tolist(),
            "covariates": {label_of(key): fingerprint_of(basis) for key, basis in self.covariates.items()},
            "memory": settings.memory,
            "more": plan,
        }
        self.checkpoint = Checkpoint(folder, decided)

    @contextmanager
    def computing(self) -> Iterator[ThreadPoolExecutor]:
        """Return the threads that compute, each with a single BLAS thread."""
        with threadpool_limits(1), ThreadPoolExecutor(self.workers) as pool:
            yield pool

    # -- blocks
    # -----------------------------------------------------------------------------------------------------------------
    def blocks(self, side_bytes: float) -> list[IntArray]:
        """Return the pairs in blocks whose representations fit in memory together, few of them read twice.

        They fit if all are of the size given; where they are larger, a block is cut further when it is computed.
        """
        labels = list(dict.fromkeys(label for pair in self.pairs for label in pair))
        room = max(int(self.settings.memory / max(side_bytes, 1.0)), 2)
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

    def fill(self, pool: ThreadPoolExecutor) -> None:
        """Compute all numbers."""
        if not self.pairs:
            return
        worker = BlockWorker(self.settings, self.workers, pool)
        missing: dict[int, IntArray] = {}
        for number, rows in enumerate(self.blocks(self._first_size(worker.sides, pool))):
            if self._restore(f"block-{number:05d}", rows, worker.sides):
                self._report(len(rows))
            else:
                missing[number] = rows
        for number, filled in self._computed(missing, worker):
            rows = missing[number]
            self._place(rows, filled)
            self._keep(f"block-{number:05d}", rows, filled)
            self._report(len(rows))

    def _first_size(self, sides: SideCache, pool: ThreadPoolExecutor) -> int:
        first = self.pairs[0][0]
        sides.source = self.source
        sides.get([first], pool)
        return sides.sizes[first]

    def _computed(self, missing: dict[int, IntArray], worker: BlockWorker) -> Iterator[tuple[int, Filled]]:
        """Compute blocks, here or by the executor; yield each as it is done."""
        if self.executor is None:
            for number, rows in missing.items():
                yield number, worker.fill(self._block(number, rows, self.source))
            return
        blocks = []
        for number, rows in missing.items():
            labels = dict.fromkeys(label for row in rows for label in self.pairs[row])
            blocks.append(self._block(number, rows, {label: self.source[label] for label in labels}))
        for number, filled in self.executor.compute(self.settings, blocks):
            for label, fingerprint in filled.fingerprints.items():
                worker.sides.check_unchanged(label, fingerprint)
            yield number, filled

    def _block(self, number: int, rows: IntArray, source: Mapping[Any, Any]) -> Block:
        keys = tuple(self.keys[row] for row in rows) if self.keys else ()
        return Block(
            number,
            tuple(self.pairs[row] for row in rows),
            source,
            keys,
            {key: self.covariates[key] for key in dict.fromkeys(keys) if key is not None},
            tuple(self.shuffles[row] for row in rows) if self.shuffles else (),
        )

    def _place(self, rows: IntArray, filled: Filled) -> None:
        self.numbers[rows] = filled.table
        if self.drawn is not None:
            self.drawn[rows] = filled.drawn
        if self.deviations is not None:
            self.deviations[rows] = filled.deviations

    def _restore(self, name: str, rows: IntArray, sides: SideCache) -> bool:
        kept = self.checkpoint.load(name) if self.checkpoint else None
        if kept is None or not np.array_equal(kept.get("index", ()), rows):
            return False
        labels = dict.fromkeys(label for row in rows for label in self.pairs[row])
        for label, fingerprint in zip(labels, kept["fingerprints"].tolist(), strict=True):
            given = self.source[label]
            now = "" if callable(given) or is_tensor(given) else fingerprint_of(given)
            if (now and fingerprint != now) or sides.seen.setdefault(label, fingerprint) != fingerprint:
                raise DataError(
                    f"{label_of(label)} has changed since the first part of this run: delete the checkpoint and run "
                    "again"
                )
        self._place(rows, Filled(kept["table"], kept.get("drawn"), kept.get("deviations"), {}))
        return True

    def _keep(self, name: str, rows: IntArray, filled: Filled) -> None:
        if self.checkpoint is None:
            return
        labels = dict.fromkeys(label for row in rows for label in self.pairs[row])
        fingerprints = np.array([filled.fingerprints[label] for label in labels])
        content = {"index": rows, "table": filled.table, "fingerprints": fingerprints}
        more = {"drawn": filled.drawn, "deviations": filled.deviations}
        self.checkpoint.save(name, content | {key: array for key, array in more.items() if array is not None})

    def _report(self, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)

    # -- intervals by subsampling
    # ----------------------------------------------------------------------------------------------------------------
    def subsample(self, pool: ThreadPoolExecutor, draws: int, share: float) -> None:
        """Fill in intervals from scores on parts of the sentences."""
        measures = self.settings.measures
        least = max(measure.minimum_sentences for measure in measures)
        plain = self.numbers[:, :, 0]
        lengths = {int(n) for n in np.unique(plain[:, 0, _AT["n"]])}
        sets = {n: subsamples(n, draws, share, self.settings.seed, least=least) for n in sorted(lengths)}
        values = np.full((draws, len(self.pairs), len(measures)), np.nan)
        for number in range(draws):
            kept = self.checkpoint.load(f"draw-{number:05d}") if self.checkpoint else None
            if kept is not None:
                values[number] = kept["values"]
            else:
                values[number] = self._drawn_values(pool, {n: rows[number] for n, rows in sets.items()})
                if self.checkpoint is not None:
                    self.checkpoint.save(f"draw-{number:05d}", {"values": values[number]})
            self._report(len(self.pairs))
        for index in range(len(self.pairs)):
            n = int(plain[index, 0, _AT["n"]])
            for at, measure in enumerate(measures):
                plain[index, at, _AT["low"] : _AT["high"] + 1] = subsample_interval(
                    plain[index, at, _AT["value"]],
                    values[:, index, at],
                    n,
                    sets[n].shape[1],
                    alpha=self.settings.alpha,
                    within=measure.range,
                )

    def _drawn_values(self, pool: ThreadPoolExecutor, rows: dict[int, IntArray]) -> FloatArray:
        kinds = ("none",) * len(self.settings.measures)
        settings = dataclasses.replace(self.settings, kinds=kinds, keep_null=False, fingerprints=False)
        table = PairTable(self.source, self.pairs, settings, workers=self.workers)
        worker = BlockWorker(settings, self.workers, pool, rows=rows)
        for number, block in enumerate(table.blocks(table._first_size(worker.sides, pool))):
            table._place(block, worker.fill(table._block(number, block, self.source)))
        return np.asarray(table.numbers[:, :, 0, _AT["value"]])


def _dataset(table: PairTable, names: list[str]) -> xr.Dataset:
    """Return a table's numbers without controls, with their labels."""
    settings, plain = table.settings, table.numbers[:, :, table.settings.controls.index(NONE)]
    data: dict[str, Any] = {name: (("pair", "measure"), plain[:, :, at]) for name, at in _AT.items() if name != "tail"}
    best = [measure.best for measure in settings.measures]
    corrected = chance_corrected(plain[:, :, _AT["value"]], plain[:, :, _AT["null_mean"]], best)
    data["chance_corrected"] = (("pair", "measure"), corrected)
    for name in ("saturated", "exact"):
        data[name] = (("pair", "measure"), plain[:, :, _AT[name]] == 1)
    if table.drawn is not None:
        data["null_draws"] = (("pair", "measure", "draw"), table.drawn)
    by_name = list(zip(names, settings.measures, strict=True))
    return xr.Dataset(
        data,
        coords={
            "a": ("pair", np.array([label_of(a) for a, _ in table.pairs], dtype=object).astype(str)),
            "b": ("pair", np.array([label_of(b) for _, b in table.pairs], dtype=object).astype(str)),
            "measure": names,
        },
        attrs={
            "conventions": {name: measure.convention_text for name, measure in by_name},
            "null": dict(zip(names, settings.kinds, strict=True)),
            "higher_is_better": {name: measure.higher_is_better for name, measure in by_name},
            "permutations": settings.permutations,
            "seed": settings.seed,
            "alpha": settings.alpha,
        },
    )


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
