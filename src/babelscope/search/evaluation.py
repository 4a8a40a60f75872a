"""Retrieval of translations by an index: between every two sides, by the same measure as in studies.

Items with the same sentence id are translations. Each kind and language is one side; a sentence's vector is compared
with all sentences that both sides have.
"""

from __future__ import annotations

from itertools import permutations

import pandas as pd

from babelscope.errors import DataError
from babelscope.search.index import Index
from babelscope.similarity import retrieval

#: Columns of the table.
COLUMNS: tuple[str, ...] = ("from_kind", "from_language", "to_kind", "to_language", "n", "p_at_1", "mrr", "chance")
#: Fewest sentences that two sides must have in common.
LEAST = 3


def evaluate(index: Index, *, centre: bool = True) -> pd.DataFrame:
    """Measure retrieval between all kinds and languages of an index.

    Parameters
    ----------
    index : Index
        Of a manifest or corpus, so that sentence ids join translations. Windows of long recordings are excluded; of
        several recordings of a sentence the first counts.
    centre : bool
        Whether each side's own mean is subtracted first, as in a study.

    Returns
    -------
    DataFrame
        Columns :data:`COLUMNS`, one row a direction. ``p_at_1`` and ``mrr`` are
        :func:`babelscope.similarity.retrieval` from one side to the other over ``n`` sentences; ``chance`` is 1 / n.

    Raises
    ------
    DataError
        If no two sides have three sentences in common.
    """
    whole = index.items[index.items["whole"]]
    sides = {
        side: rows.drop_duplicates("sentence").reset_index().set_index("sentence")["index"]
        for side, rows in whole.groupby(["kind", "language"], sort=True)
    }
    rows = []
    for source, target in permutations(sides, 2):
        common = sides[source].index.intersection(sides[target].index, sort=None)
        if len(common) < LEAST:
            continue
        x, y = (index.vectors[side[common].to_numpy()] for side in (sides[source], sides[target]))
        scores = [retrieval(x, y, direction="xy", centre=centre, mrr=mrr) for mrr in (False, True)]
        rows.append((*source, *target, len(common), *scores, 1 / len(common)))
    if not rows:
        raise DataError(
            f"the index {index.path} has no two kinds or languages with {LEAST} sentences in common: index a manifest "
            f"or corpus, whose ids join translations"
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))
