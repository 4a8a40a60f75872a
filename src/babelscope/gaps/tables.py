"""The further tables of a result: one analysis an entry, each made from the activations and the scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.capture.store import Activations
from babelscope.gaps.at_output import language_costs
from babelscope.gaps.by_class import by_class
from babelscope.gaps.centroids import centroids_table
from babelscope.gaps.contrasts import Scored
from babelscope.gaps.decomposition import decomposition_table
from babelscope.gaps.diagnosis import diagnosis, languages_table
from babelscope.gaps.findings import findings
from babelscope.gaps.most_similar import most_similar
from babelscope.gaps.projection import projection_table
from babelscope.gaps.resample_table import draws_table
from babelscope.gaps.tokens import tokens_tables


def tables_of_activations(
    activations: Activations, scores: pd.DataFrame, seed: int = 0, clusters: NDArray[np.int64] | None = None
) -> dict[str, pd.DataFrame]:
    """Return the tables that are made from the activations themselves, by name; none without rows.

    `clusters` says which sentences belong together, from 0; by default they are independent.
    """
    tables = {
        "decomposition": decomposition_table(activations, clusters),
        "centroids": centroids_table(activations, clusters),
        **tokens_tables(activations, scores, seed),
        "projection": projection_table(activations, seed=seed),
    }
    return {name: table for name, table in tables.items() if len(table)}


def tables_of_scores(
    activations: Activations,
    scores: pd.DataFrame,
    scored: Mapping[str, Scored],
) -> dict[str, pd.DataFrame]:
    """Return the tables whose intervals rest on how the scores move with the sentences, by name; none without rows."""
    tables = {
        "by_class": by_class(scored, scores, activations.languages),
        "findings": findings(activations, scored, scores),
        "diagnosis": diagnosis(activations, scored, scores),
        "languages": languages_table(activations, scored, scores),
        "most_similar": most_similar(activations, scored, scores),
        "costs": language_costs(scored),
        "draws": draws_table(scored),
    }
    return {name: table for name, table in tables.items() if len(table)}
