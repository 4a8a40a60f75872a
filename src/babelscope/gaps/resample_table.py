"""What each draw of sentences does to the scores at the output: kept to compare a later result with this one.

Two models scored on the same sentences with the same seed leave out the same sentences in the same draws. The
difference of their scores then has a variance of its own, which two intervals laid side by side do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.contrasts import FloatArray, IntArray, Scored
from babelscope.gaps.result import TABLE_COLUMNS, Result

#: The group of an average over all languages or pairs.
MEAN = "mean"

#: By kind, measure and group, and by part: the deviations of a first and of a second result.
SharedDraws = dict[tuple[str, str, str], dict[str, tuple[FloatArray, FloatArray]]]


def output(points: Sequence[str], depths: Sequence[float], against: Sequence[str]) -> tuple[str, str]:
    """Return the deepest point, the last of those as deep, and the last text point that it is compared with.

    Parameters
    ----------
    points, against : sequence of str
        Of the rows of one kind and measure.
    depths : sequence of float
    """
    deepest = max(depths)
    point = [name for name, depth in zip(points, depths, strict=True) if depth == deepest][-1]
    return point, [other for name, other in zip(points, against, strict=True) if name == point][-1]


def draws_table(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return how the scores at the output deviate from draw to draw.

    Parameters
    ----------
    scored : mapping of measure to Scored
        The uncontrolled scores.

    Returns
    -------
    DataFrame
        Columns ``draws`` of :data:`babelscope.gaps.result.TABLE_COLUMNS`: each language of the modality similarity, and
        the mean of every kind.
    """
    frames = []
    for one in scored.values():
        if not np.isfinite(one.deviations.blocks).all(0).any():
            continue
        for kind in dict.fromkeys(one.rows["kind"]):
            found = one.where(kind=kind)
            rows = one.rows.iloc[found]
            point, against = output(list(rows["point_a"]), list(rows["depth_a"]), list(rows["point_b"]))
            at = found[((rows["point_a"] == point) & (rows["point_b"] == against)).to_numpy()]
            groups: dict[str, IntArray] = {MEAN: at}
            if kind == "modality_similarity":
                groups |= {str(one.rows["language_a"].iloc[row]): np.array([row]) for row in at}
            place = {"kind": kind, "measure": one.measure, "point": point, "against": against}
            for group, members in groups.items():
                for part in ("blocks", "halves"):
                    values: FloatArray = getattr(one.deviations, part)[:, members].mean(1)
                    told: dict[str, Any] = {"part": part, "draw": np.arange(len(values)), "deviation": values}
                    frames.append(pd.DataFrame(place | {"group": group} | told))
    columns = list(TABLE_COLUMNS["draws"])
    return pd.concat(frames, ignore_index=True)[columns] if frames else pd.DataFrame(columns=columns)


#: By kind, measure, group and part, each with its deviations.
Draws = dict[tuple[str, str, str, str], FloatArray]


def draws_of(result: Result) -> Draws:
    """Return the deviations that a result keeps; none where it has no such table."""
    table = result.tables.get("draws")
    if table is None:
        return {}
    keys = ["kind", "measure", "group", "part"]
    rows = table.sort_values("draw", kind="stable").groupby(keys, sort=False)["deviation"]
    return {(str(a), str(b), str(c), str(d)): values.to_numpy() for (a, b, c, d), values in rows}


def same_draws(first: Result, second: Result) -> bool:
    """Whether two results of one corpus left out the same sentences in the same draws."""
    options = [one.meta.get("options", {}) for one in (first, second)]
    same = all(options[0].get(key) == options[1].get(key) for key in ("seed", "clusters"))
    return same and not _reordered(first, second)


def shared_draws(ours: Draws, theirs: Draws) -> SharedDraws:
    """Return the deviations that two results both keep, side by side.

    Parameters
    ----------
    ours, theirs : dict
        As :func:`draws_of` returns them, of results with the :func:`same draws <same_draws>`.
    """
    found: SharedDraws = {}
    for (kind, measure, group, part), values in ours.items():
        other = theirs.get((kind, measure, group, part))
        if other is not None and len(other) == len(values):
            found.setdefault((kind, measure, group), {})[part] = values, other
    return found


def _reordered(first: Result, second: Result) -> bool:
    """Whether two results are known to hold their sentences in another order, in which draws leave out others."""
    orders = [
        list(dict.fromkeys(one.tables["projection"]["sentence"]))
        for one in (first, second)
        if "projection" in one.tables
    ]
    return len(orders) == 2 and orders[0] != orders[1]
