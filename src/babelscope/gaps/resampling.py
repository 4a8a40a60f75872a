"""Every comparison of a study again on parts of the sentences, for intervals of measures without a closed form.

A score between two languages and a score between two others move together when a sentence goes, because both are taken
on the same sentences. So each draw leaves the same sentences out of everything, and any average or difference of scores
has its variance from the same draws (:mod:`babelscope.similarity.deviations`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from babelscope.gaps.comparisons import Comparison, Place
from babelscope.gaps.options import Options
from babelscope.similarity import parse_measure
from babelscope.similarity.checkpoint import Checkpoint, kept_draws
from babelscope.similarity.deviations import Deviations, deviations
from babelscope.similarity.pairwise import scores_of_part


def resample(
    read: Callable[[Place], NDArray[Any]],
    comparisons: Sequence[Comparison],
    measures: Sequence[str],
    options: Options,
    *,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> dict[str, Deviations]:
    """Score all comparisons again on parts of the sentences; return their deviations by measure.

    They are NaN where a measure needs one space and a comparison has two, and wherever a draw has too few sentences for
    the measure. `progress` is called with (draws done, draws); `checkpoint` is a folder that keeps finished draws, of
    these comparisons of one store: a run that is called again goes on there.
    """
    n, seed, clusters = len(options.activations.sentences), options.seed, options.documents
    one_space = np.array([comparison.same_space for comparison in comparisons], dtype=bool)
    # Comparisons that allow the same measures are scored together: each part of each representation is prepared once.
    groups: list[tuple[bool, list[str]]] = []
    for same_space in dict.fromkeys(one_space.tolist()):
        chosen = [measure for measure in measures if same_space or not parse_measure(measure).same_space]
        groups += [(same_space, chosen)] if chosen else []
    drawn: dict[str, dict[bool, Deviations]] = {measure: {} for measure in measures}
    for number, (same_space, chosen) in enumerate(groups):
        pairs = [(comparison.a, comparison.b) for comparison in comparisons if comparison.same_space is same_space]

        def report_progress(done: int, total: int, before: int = number) -> None:
            if progress is not None:
                progress(before * total + done, len(groups) * total)

        score: Callable[[NDArray[np.int64]], NDArray[np.float64]]
        sides = {place: partial(read, place) for pair in pairs for place in pair}
        by = [parse_measure(measure) for measure in chosen]
        memory, executor = options.settings["memory"], options.executor
        score = partial(scores_of_part, sides, pairs, by, n, clusters, memory=memory, executor=executor)
        if checkpoint is not None:
            plan = {"measures": chosen, "pairs": len(pairs), "n": n, "seed": seed}
            score = kept_draws(score, Checkpoint(checkpoint / ("one-space" if same_space else "two-spaces"), plan))
        resampled = deviations(score, n, seed=seed, progress=report_progress, clusters=clusters)
        for column, measure in enumerate(chosen):
            drawn[measure][same_space] = resampled.at(column)
    return {measure: _joined(by_space, one_space) for measure, by_space in drawn.items() if by_space}


def _joined(by_space: Mapping[bool, Deviations], one_space: NDArray[np.bool_]) -> Deviations:
    """Put the deviations of comparisons in one space and in two together, NaN where a measure was not taken."""
    joined = []
    for name in ("blocks", "halves"):
        arrays = {key: getattr(resampled, name) for key, resampled in by_space.items()}
        filled = np.full((len(next(iter(arrays.values()))), len(one_space)), np.nan)
        for same_space, values in arrays.items():
            filled[:, one_space == same_space] = values
        joined.append(filled)
    # Where half of the sentences are too few, they are for all comparisons.
    short = any(not np.isfinite(resampled.halves).all() for resampled in by_space.values())
    return replace(next(iter(by_space.values())), blocks=joined[0], halves=joined[1][:0] if short else joined[1])
