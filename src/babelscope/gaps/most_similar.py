"""Where speech and text are most similar, said only as far as the points differ.

The best of many points is chosen and scored on the same sentences. So every point is compared with every other, all
pairs together: points that none exceeds stay candidates, and the best point of other sentences is among them (Hsu's
multiple comparisons with the best, from all pairwise differences). The intervals of the values hold for all points
together, so also for the one that was chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from babelscope.capture.store import Activations
from babelscope.gaps.contrasts import Scored, Term
from babelscope.gaps.findings import leading
from babelscope.gaps.result import table_of
from babelscope.gaps.simultaneous import simultaneous
from babelscope.gaps.speech_path import speech_path

#: The probability that the candidates lack the best point.
LEVEL = 0.005


def most_similar(activations: Activations, scored: Mapping[str, Scored], scores: pd.DataFrame) -> pd.DataFrame:
    """Compare the speech points by how similar speech and text are there, on average over the languages.

    This is the table ``most_similar``, one row a point in the order of depth; it is empty without a modality similarity
    or a measure that leads.
    """
    measure, stops = leading(scored), speech_path(activations, scores)
    if measure is None or not stops:
        return table_of("most_similar")
    raw, corrected = scored[measure], scored[measure].corrected
    rows = [raw.where(kind="modality_similarity", point_a=stop.point, point_b=stop.against) for stop in stops]
    if not np.isfinite(corrected.values[np.concatenate(rows)]).all():
        return table_of("most_similar")
    means = np.array([corrected.values[at].mean() for at in rows])
    candidate = np.ones(len(stops), dtype=bool)
    known = raw.deviations.freedom >= 1
    pairs = list(combinations(range(len(stops)), 2)) if known else []
    if pairs:
        terms: list[list[Term]] = [[(1.0, rows[a]), (-1.0, rows[b])] for a, b in pairs]
        low, high = simultaneous(corrected, terms).intervals(LEVEL)
        for (a, b), least, most in zip(pairs, low, high, strict=True):
            candidate[b] &= not least > 0
            candidate[a] &= not most < 0
    together = simultaneous(raw, [[(1.0, at)] for at in rows])
    low, high = together.intervals(scale=raw.scale, units=raw.deviations.units)
    compared: list[dict[str, Any]] = [
        {
            "measure": measure,
            "point": stop.point,
            "against": stop.against,
            "stage": stop.stage,
            "depth": stop.depth,
            "value": float(raw.values[rows[at]].mean()),
            "low": low[at],
            "high": high[at],
            "chance_corrected": means[at],
            "best": at == int(means.argmax()),
            "candidate": bool(candidate[at]) if known else None,
            "n": float(raw.rows["n"].iloc[rows[at]].min()),
            "languages": len(rows[at]),
        }
        for at, stop in enumerate(stops)
    ]
    return table_of("most_similar", compared)
