"""Other models beside the one that is studied, on the same sentences: controls that say what a number is worth.

A joint model of which parts are frozen owes some of its scores to those parts. The same model with an untrained part,
or a plain linear map in its place, shows how much. Their curves stand in tables of the result, under their own labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from babelscope.gaps.result import TABLE_COLUMNS, Result

#: The kinds of comparison in which speech takes part: text alone is the same text side's in every control.
KINDS_BESIDE: tuple[str, ...] = ("modality_gap", "language_gap_speech", "cross_gap")


def beside(results: Mapping[str, Result]) -> dict[str, pd.DataFrame]:
    """Gather what other models gave on the same sentences.

    Parameters
    ----------
    results : mapping of str to Result
        By label.

    Returns
    -------
    dict of str to DataFrame
        ``beside``: the curves, ``beside_centroids``: the distances between means, each with the column ``model``; those
        without rows are left out.
    """
    found: dict[str, list[pd.DataFrame]] = {"beside": [], "beside_centroids": []}
    for label, result in results.items():
        plain = result.curves[result.curves["control"] == "none"]
        found["beside"].append(plain.assign(model=label))
        if "centroids" in result.tables:
            found["beside_centroids"].append(result.tables["centroids"].assign(model=label))
    joined = {
        name: pd.concat(frames, ignore_index=True)[list(TABLE_COLUMNS[name])]
        for name, frames in found.items()
        if any(len(frame) for frame in frames)
    }
    return {name: table for name, table in joined.items() if len(table)}


def told_beside(result: Result) -> list[str]:
    """Say where the model and those beside it end, and how far the means of speech and text come together.

    Parameters
    ----------
    result : Result
        With the tables of :func:`beside`.

    Returns
    -------
    list of str
        At most two sentences, made of the tables alone.
    """
    return [sentence for sentence in (_ends(result), _means(result)) if sentence]


def _ends(result: Result) -> str:
    if "beside" not in result.tables:
        return ""
    others = _gap(result.tables["beside"])
    own = _gap(result.curves[result.curves["control"] == "none"])
    measures = [measure for measure in dict.fromkeys(own["measure"]) if str(measure).startswith("retrieval")]
    for measure in measures or list(dict.fromkeys(own["measure"]))[:1]:
        mine, theirs = own[own["measure"] == measure], others[others["measure"] == measure]
        point = next((name for name in reversed(list(mine["point"])) if name in set(theirs["point"])), None)
        if point is None:
            continue
        at = mine[mine["point"] == point].iloc[0]
        told = [
            f"{label} {_number(rows.loc[rows['point'] == point, 'value'])}"
            for label, rows in theirs.groupby("model", sort=False)
            if (rows["point"] == point).any()
        ]
        return (
            f"At {point} {measure} between speech and text of one language is {at['value']:.2f} (unrelated sentences: "
            f"{at['null_mean']:.2f}); beside it: {', '.join(told)}."
        )
    return ""


def _means(result: Result) -> str:
    if "centroids" not in result.tables:
        return ""
    own = _fall(result.tables["centroids"])
    if own is None:
        return ""
    first, last, before, after = own
    sentence = (
        f"The means of speech and text lie {before:.2f} of the spread within apart at {first}, {after:.2f} at {last}"
    )
    told = []
    for label, rows in result.tables.get("beside_centroids", pd.DataFrame(columns=["model"])).groupby("model"):
        fall = _fall(rows)
        if fall is not None and fall[0] == first and fall[1] == last:
            told.append(f"{label} {fall[2]:.2f} and {fall[3]:.2f}")
    return sentence + (f" ({'; '.join(told)})." if told else ".")


def _fall(rows: pd.DataFrame) -> tuple[str, str, float, float] | None:
    """First and last point that speech and text share, and the mean distance over languages there."""
    gap = rows[rows["kind"] == "modality_gap"]
    points = list(dict.fromkeys(gap["point"]))
    if len(points) < 2:
        return None
    means = gap.groupby("point")["distance"].mean()
    return str(points[0]), str(points[-1]), float(means[points[0]]), float(means[points[-1]])


def _gap(curves: pd.DataFrame) -> pd.DataFrame:
    return curves[(curves["kind"] == "modality_gap") & (curves["group"] == "mean")]


def _number(values: Any) -> str:
    return f"{float(values.iloc[0]):.2f}"
