"""At which points, in which languages, speech and text are more similar than unrelated sentences: tested together.

One correction serves the headline, the table of languages and the diagnosis: Holm's over all languages and points of
one measure. It holds whatever the dependence between layers and languages.
"""

from __future__ import annotations

import pandas as pd

from babelscope.gaps import selecting
from babelscope.gaps.pairing import shown_points
from babelscope.similarity import holm

#: The probability of any false statement about chance, over all languages and points.
LEVEL = 0.05


def above_chance(scores: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return the modality similarities along the depth with their p-values adjusted.

    These are rows of the scores, with their labels: one a language and speech point, compared with the text point that
    stands for it; besides their columns ``p_adjusted`` (Holm over all of them) and ``above``, whether it is below
    :data:`LEVEL`.
    """
    rows = selecting.rows(scores, kind="modality_similarity", control="none", measure=measure)
    rows = rows[rows["point_a"].map(shown_points(rows)) == rows["point_b"]]
    adjusted = holm(rows["p"].to_numpy(dtype=float))
    return rows.assign(p_adjusted=adjusted, above=adjusted < LEVEL)
