"""The further tables of a result: one analysis an entry, each made from the activations and the scores."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps import centroids, decomposition, projection, tokens

#: Makes tables by name, from the activations, the scores, the curves, and the seed of its draws. Their names and
#: columns stand in :data:`babelscope.gaps.result.TABLE_COLUMNS`; a table without rows is left out.
Analysis = Callable[[Activations, pd.DataFrame, pd.DataFrame, int], dict[str, pd.DataFrame]]

#: Every analysis, in the order in which they run.
ANALYSES: tuple[Analysis, ...] = (decomposition.tables, centroids.tables, tokens.tables, projection.tables)


def tables(
    activations: Activations, scores: pd.DataFrame, curves: pd.DataFrame, seed: int = 0
) -> dict[str, pd.DataFrame]:
    """Return every further table that the activations and scores allow.

    Parameters
    ----------
    activations : Activations
        Complete.
    scores, curves : DataFrame
        Of the same activations.
    seed : int
        Of every draw.

    Returns
    -------
    dict of str to DataFrame
        By name; those without rows are left out.
    """
    found: dict[str, pd.DataFrame] = {}
    for analysis in ANALYSES:
        found |= {name: table for name, table in analysis(activations, scores, curves, seed).items() if len(table)}
    return found
