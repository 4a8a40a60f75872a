"""What a study is judged by at first sight: the model's output, by the measure that a reader understands at once.

The output is chosen before any score is seen, unlike the best of many points, so that nothing has to be taken off.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from babelscope.gaps import selecting
from babelscope.gaps.contrasts import Scored, Term
from babelscope.gaps.findings import FEWEST_SENTENCES
from babelscope.gaps.naming import by_preference, measure_head
from babelscope.gaps.result import TABLE_COLUMNS, table_of
from babelscope.gaps.selecting import MEAN, output
from babelscope.gaps.simultaneous import simultaneous
from babelscope.similarity import holm
from babelscope.similarity.deviations import NOTHING

#: The measure that counts how often a sentence is recognised among the others.
RETRIEVAL = "retrieval"

#: The probability of any false statement about chance at the output, over all kinds, languages and pairs. That of the
#: leading measure along the depth is another (:mod:`babelscope.gaps.above_chance`).
LEVEL = 0.05

#: The probability that any of the intervals of what languages cost misses: that of the diagnosis, which asks the same
#: of similarity.
COST_LEVEL = 0.02


def at_output(curves: pd.DataFrame, kind: str, measure: str) -> pd.DataFrame:
    """Return the uncontrolled rows of one kind and measure at the model's output: groups and their mean."""
    return output(selecting.rows(curves, kind=kind, measure=measure, control="none"))


def measure_at_output(curves: pd.DataFrame, kind: str) -> str | None:
    """Return the measure that stands for a kind at the output: retrieval, else the one that leads; None without any.

    Retrieval needs one space, so that between two models without shared layers it is not measured.
    """
    rows = selecting.rows(curves, kind=kind, control="none").dropna(subset="value")
    names = by_preference(dict.fromkeys(rows["measure"].astype(str)))
    return next((name for name in names if measure_head(name) == RETRIEVAL), next(iter(names), None))


def above_chance_at_output(curves: pd.DataFrame, measures: Mapping[str, str]) -> pd.DataFrame:
    """Return every language and pair at the output, by the measure of each kind, with its p-value adjusted.

    These are rows of the curves, with their labels; besides their columns ``p_adjusted`` (Holm over all of them: kinds,
    languages and pairs) and ``above``, whether it is below :data:`LEVEL`.
    """
    frames = [at_output(curves, kind, measure) for kind, measure in measures.items()]
    rows = pd.concat(frames) if frames else curves.iloc[:0]
    rows = rows[rows["group"] != MEAN]
    adjusted = holm(rows["p"].to_numpy(dtype=float))
    return rows.assign(p_adjusted=adjusted, above=adjusted < LEVEL)


def language_costs(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return how much less often the speech and text of each language recognise one another than the others' do.

    Each language is compared with the mean of the others, so that none is chosen for its score, by retrieval at the
    output in the measure's own unit (a share of sentences). This is the table ``costs``, a row a language; it is empty
    without retrieval between speech and text or a second language. The intervals are for other sentences, and hold for
    all languages together with 98 % probability (max-t). One is missing where no sentence moves the language's own
    score, as at perfect retrieval.
    """
    measure = next((name for name in scored if measure_head(name) == RETRIEVAL), None)
    if measure is None:
        return table_of("costs")
    one = scored[measure]
    compared = one.where(kind="modality_similarity")
    rows = output(one.rows.iloc[compared], "point_a", "point_b", "depth_a")
    if len(rows) < 2 or not np.isfinite(one.values[compared]).all():
        return table_of("costs")
    own = rows.index.to_numpy()
    others = [own[own != row] for row in own]
    contrasts: list[Sequence[Term]] = [
        [(1.0, rest), (-1.0, np.array([row]))] for row, rest in zip(own, others, strict=True)
    ]
    together = simultaneous(one, contrasts)
    moving = one.errors[own] > NOTHING if one.deviations.freedom >= 1 else np.zeros(len(own), dtype=bool)
    low, high = (np.where(moving, ends, np.nan) for ends in together.intervals(COST_LEVEL))
    named = rows.rename(columns={"language_a": "language", "point_a": "point", "point_b": "against"})
    means = [float(one.values[rest].mean()) for rest in others]
    costs = named.assign(value=one.values[own], others=means, cost=together.values, low=low, high=high)
    return costs[[*TABLE_COLUMNS["costs"]]].reset_index(drop=True)


def costly(costs: pd.DataFrame) -> pd.DataFrame:
    """Return the languages that cost retrieval: the rows of :func:`language_costs` whose interval lies above 0.

    None with fewer sentences than a verdict wants (:data:`babelscope.gaps.findings.FEWEST_SENTENCES`).
    """
    return costs[(costs["low"] > 0) & (costs["n"] >= FEWEST_SENTENCES)]


def sentences_needed(n: int, detectable: float, wanted: float) -> float:
    """Return about how many sentences find a difference of `wanted` with the power with which `n` find `detectable`.

    The error of a mean over sentences falls with the square root of their number. That degrees of freedom grow as well
    is left out, which asks for a few sentences too many.
    """
    return n * (detectable / wanted) ** 2
