"""The similarities along the depth: scores of one kind, measure and control at each point, and on average."""

from __future__ import annotations

import pandas as pd

from babelscope.gaps.result import CURVE_COLUMNS
from babelscope.gaps.selecting import groups

_KEYS = ["kind", "measure", "control", "point", "against", "stage", "depth"]
_PLACE = ["kind", "measure", "control", "point", "against"]
_AVERAGED = ["value", "null_mean", "null_q95", "chance_corrected", "calibrated", "ceiling"]


def curves(scores: pd.DataFrame, means: pd.DataFrame | None = None) -> pd.DataFrame:
    """Summarise a scores table along the depth.

    A group is a language (modality similarity) or a pair of languages (cross similarity: speech first). The row
    ``mean`` is the plain average over the groups of value, null, chance-corrected and calibrated score. Its interval is
    not an average of theirs, since languages and sentences are shared among them: it is given, or missing. It has no
    p-value.

    Parameters
    ----------
    scores : DataFrame
        Columns :data:`babelscope.gaps.result.SCORE_COLUMNS`.
    means : DataFrame, optional
        Intervals of the averages, as :func:`babelscope.gaps.by_class.intervals_of_means` returns them: columns kind,
        measure, control, point, against, low, high.

    Returns
    -------
    DataFrame
        Columns :data:`babelscope.gaps.result.CURVE_COLUMNS`.
    """
    rows = scores.rename(columns={"point_a": "point", "point_b": "against", "stage_a": "stage", "depth_a": "depth"})
    rows = rows.assign(group=groups(rows), groups=1)
    average = rows.groupby(_KEYS, sort=False, as_index=False).agg(
        dict.fromkeys(_AVERAGED, "mean") | {"n": "min", "groups": "sum"}
    )
    # A mean is compared with a ceiling of all that it averages, or with none.
    known = rows["ceiling"].notna().groupby([rows[key] for key in _KEYS], sort=False).all().to_numpy()
    average = average.assign(group="mean", p=float("nan"), ceiling=average["ceiling"].where(known))
    if means is None:
        average = average.assign(low=float("nan"), high=float("nan"))
    else:
        average = average.merge(means[[*_PLACE, "low", "high"]], on=_PLACE, how="left", validate="one_to_one")
    both = pd.concat([rows[[*CURVE_COLUMNS]], average[[*CURVE_COLUMNS]]], ignore_index=True)
    return both.sort_values(["kind", "measure", "control"], kind="stable", ignore_index=True)
