"""A table of pairs: planned in blocks, computed here or elsewhere, kept in a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from babelscope.errors import UsageError
from babelscope.similarity.arrays import FloatArray, IntArray, is_tensor, label_of
from babelscope.similarity.blocks import (
    VARIABLES,
    Block,
    BlockExecutor,
    BlockWorker,
    Filled,
    Pair,
    Settings,
    SideCache,
    fingerprint_of,
    labels_of,
)
from babelscope.similarity.checkpoint import Checkpoint

#: Representations on a side of a block.
TILE = 48


class PairTable:
    """A table of pairs: planned in blocks, computed here or elsewhere, kept in a checkpoint.

    `source` has an array, or a function without arguments that returns one, by label; `keys`, `covariates` and
    `shuffles` are those of all pairs, as in :class:`~babelscope.similarity.blocks.Block`; `progress` is called with
    (pairs done, pairs in all) after each block.

    Attributes
    ----------
    numbers : ndarray of :data:`~babelscope.similarity.blocks.NUMBERS`, shape (pairs, measures, controls)
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
        self.decided: dict[str, Any] = {}
        self.numbers, self.drawn, self.deviations = settings.room_for(len(self.pairs))

    def keep_in(self, folder: Path | str, plan: Any = None) -> None:
        """Keep finished blocks in a folder, and use those that are there.

        `plan` is what decides the numbers besides the pairs and settings, JSON-able.
        """
        settings = self.settings
        self.decided = {
            "pairs": [[label_of(a), label_of(b)] for a, b in self.pairs],
            "measures": [str(measure) for measure in settings.measures],
            "null": settings.kinds,
            "options": [settings.permutations, settings.seed, settings.alpha, settings.keep_null, settings.single],
            "controls": [settings.controls, settings.sequential, self.shuffles],
            "clusters": None if settings.clusters is None else settings.clusters.tolist(),
            "documents": None if settings.documents is None else settings.documents.tolist(),
            "covariates": {label_of(key): fingerprint_of(basis) for key, basis in self.covariates.items()},
            "memory": settings.memory,
            "numbers": VARIABLES,
            "more": plan,
        }
        self.checkpoint = Checkpoint(folder, self.decided)

    def blocks(self, side_bytes: float) -> list[IntArray]:
        """Return the pairs in blocks whose representations fit in memory together, few of them read twice.

        They fit if all are of the size given; where they are larger, a block is cut further when it is computed.
        """
        labels = labels_of(self.pairs)
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

    def compute(self) -> None:
        """Compute all numbers, on threads with a single BLAS thread each."""
        if not self.pairs:
            return
        with threadpool_limits(1), ThreadPoolExecutor(self.workers) as pool:
            worker = BlockWorker(self.settings, self.workers, pool)
            missing: dict[int, IntArray] = {}
            for number, rows in enumerate(self.blocks(self._first_size(worker.sides, pool))):
                if self._restore(f"block-{number:05d}", rows, worker.sides):
                    self.report(len(rows))
                else:
                    missing[number] = rows
            for number, filled in self._computed(missing, worker):
                self._place(missing[number], filled)
                self._keep(f"block-{number:05d}", missing[number], filled)
                self.report(len(missing[number]))

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
            blocks.append(self._block(number, rows, {label: self.source[label] for label in self._labels(rows)}))
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

    def _labels(self, rows: IntArray) -> list[Hashable]:
        return labels_of(self.pairs[row] for row in rows)

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
        for label, fingerprint in zip(self._labels(rows), kept["fingerprints"].tolist(), strict=True):
            given = self.source[label]
            sides.check_unchanged(label, fingerprint)
            if not (callable(given) or is_tensor(given)):
                sides.check_unchanged(label, fingerprint_of(given))
        self._place(rows, Filled(kept["table"], kept.get("drawn"), kept.get("deviations"), {}))
        return True

    def _keep(self, name: str, rows: IntArray, filled: Filled) -> None:
        if self.checkpoint is None:
            return
        fingerprints = np.array([filled.fingerprints[label] for label in self._labels(rows)])
        content = {"index": rows, "table": filled.table, "fingerprints": fingerprints}
        more = {"drawn": filled.drawn, "deviations": filled.deviations}
        self.checkpoint.save(name, content | {key: array for key, array in more.items() if array is not None})

    def report(self, count: int) -> None:
        """Count so many pairs as done."""
        self.done += count
        if self.progress is not None:
            self.progress(self.done, self.total)


def _worker_count(workers: int | None) -> int:
    if workers is None:
        return max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, 1)
    if workers < 1:
        raise UsageError(f"workers={workers}: at least 1 is needed")
    return workers
