"""The further tables of a result: one analysis an entry, each made from the activations and the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.gaps import centroids, decomposition, projection, tokens
from babelscope.gaps.at_output import language_costs
from babelscope.gaps.by_class import by_class
from babelscope.gaps.contrasts import Scored
from babelscope.gaps.diagnosis import diagnosis, languages_table
from babelscope.gaps.draws import draws_table
from babelscope.gaps.findings import findings
from babelscope.gaps.most_similar import most_similar

#: Makes tables by name, from the activations, the scores, the curves, the seed of its draws, and which sentences belong
#: together. Their names and
#: columns stand in :data:`babelscope.gaps.result.TABLE_COLUMNS`; a table without rows is left out.
Analysis = Callable[[Activations, pd.DataFrame, pd.DataFrame, int, NDArray[np.int64] | None], dict[str, pd.DataFrame]]

#: Every analysis, in the order in which they run.
ANALYSES: tuple[Analysis, ...] = (decomposition.tables, centroids.tables, tokens.tables, projection.tables)


def tables(
    activations: Activations,
    scores: pd.DataFrame,
    curves: pd.DataFrame,
    seed: int = 0,
    clusters: NDArray[np.int64] | None = None,
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
    clusters : ndarray of int, shape (n,), optional
        Which sentences belong together, from 0; by default they are independent.

    Returns
    -------
    dict of str to DataFrame
        By name; those without rows are left out.
    """
    found: dict[str, pd.DataFrame] = {}
    for analysis in ANALYSES:
        found |= {
            name: table for name, table in analysis(activations, scores, curves, seed, clusters).items() if len(table)
        }
    return found


def tables_of_scores(
    activations: Activations,
    scores: pd.DataFrame,
    scored: Mapping[str, Scored],
) -> dict[str, pd.DataFrame]:
    """Return the tables whose intervals rest on the draws of :func:`babelscope.gaps.resampling.resample`.

    Parameters
    ----------
    activations : Activations
    scores : DataFrame
        All scores.
    scored : mapping of measure to Scored
        The uncontrolled ones, with how they move with the sentences.

    Returns
    -------
    dict of str to DataFrame
        ``by_class``, ``findings``, ``diagnosis``, ``languages``, ``most_similar``, ``costs`` and ``draws``; none
        without rows.
    """
    found = {
        "by_class": by_class(scored, scores, activations.languages),
        "findings": findings(activations, scored, scores),
        "diagnosis": diagnosis(activations, scored, scores),
        "languages": languages_table(activations, scored, scores),
        "most_similar": most_similar(activations, scored, scores),
        "costs": language_costs(scored),
        "draws": draws_table(scored),
    }
    return {name: table for name, table in found.items() if len(table)}
