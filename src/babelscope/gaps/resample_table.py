"""What each draw of sentences does to the scores at the output: kept to compare a later result with this one.

Two models scored on the same sentences with the same seed leave out the same sentences in the same draws. The
difference of their scores then has a variance of its own, which two intervals laid side by side do not tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps import selecting
from babelscope.gaps.contrasts import Scored
from babelscope.gaps.result import TABLE_COLUMNS, Result, table_of
from babelscope.gaps.selecting import MEAN, output
from babelscope.similarity.arrays import FloatArray, IntArray

#: By kind, measure and group, and by part: the deviations of a first and of a second result.
SharedDraws = dict[tuple[str, str, str], dict[str, tuple[FloatArray, FloatArray]]]


def draws_table(scored: Mapping[str, Scored]) -> pd.DataFrame:
    """Return how the uncontrolled scores at the output deviate from draw to draw: the table ``draws``.

    It has each language of the modality similarity, and the mean of every kind.
    """
    frames = []
    for one in scored.values():
        if not np.isfinite(one.deviations.blocks).all(0).any():
            continue
        for kind in dict.fromkeys(one.rows["kind"]):
            rows = output(selecting.rows(one.rows, kind=kind), "point_a", "point_b", "depth_a")
            groups: dict[str, IntArray] = {MEAN: rows.index.to_numpy()}
            if kind == "modality_similarity":
                groups |= {str(language): np.array([row]) for row, language in rows["language_a"].items()}
            first = rows.iloc[0]
            place = {"kind": kind, "measure": one.measure, "point": first["point_a"], "against": first["point_b"]}
            for group, members in groups.items():
                for name in ("blocks", "halves"):
                    values: FloatArray = getattr(one.deviations, name)[:, members].mean(1)
                    draws: dict[str, Any] = {"part": name, "draw": np.arange(len(values)), "deviation": values}
                    frames.append(pd.DataFrame(place | {"group": group} | draws))
    return pd.concat(frames, ignore_index=True)[[*TABLE_COLUMNS["draws"]]] if frames else table_of("draws")


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
    """Return the deviations that two results with the :func:`same draws <same_draws>` both keep, side by side."""
    shared: SharedDraws = {}
    for (kind, measure, group, name), values in ours.items():
        other = theirs.get((kind, measure, group, name))
        if other is not None and len(other) == len(values):
            shared.setdefault((kind, measure, group), {})[name] = values, other
    return shared


def _reordered(first: Result, second: Result) -> bool:
    """Whether two results are known to hold their sentences in another order, in which draws leave out others."""
    orders = [
        list(dict.fromkeys(one.tables["projection"]["sentence"]))
        for one in (first, second)
        if "projection" in one.tables
    ]
    return len(orders) == 2 and orders[0] != orders[1]
