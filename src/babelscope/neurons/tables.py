"""The tables of ``[neurons]``, from the pooled activations of a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from babelscope.neurons.overlap import match_table, overlap_table
from babelscope.neurons.selective import NeuronOptions, Vectors, selectivity


def neuron_tables(
    activations: Vectors,
    options: NeuronOptions,
    *,
    clusters: NDArray[Any] | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    identity: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, pd.DataFrame]:
    """Return the tables ``neurons``, ``neurons_top``, ``neurons_overlap`` and ``neurons_match``.

    Parameters
    ----------
    activations, options, clusters, seed, checkpoint, identity, progress
        As for :func:`babelscope.neurons.selectivity`.
    """
    measured = selectivity(
        activations,
        options,
        clusters=clusters,
        seed=seed,
        checkpoint=checkpoint,
        identity=identity,
        progress=progress,
    )
    return {
        "neurons": measured.table(),
        "neurons_top": measured.top(),
        "neurons_overlap": overlap_table(measured),
        "neurons_match": match_table(measured, seed=seed),
    }
