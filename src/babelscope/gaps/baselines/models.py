"""Other models than the one that is studied, on the same sentences: controls that say what a number is worth.

A joint model of which parts are frozen owes some of its scores to those parts. The same model with an untrained part,
or a plain linear map in its place, shows how much. Their curves stand in tables of the result, under their own labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from babelscope.gaps.naming import measure_title
from babelscope.gaps.result import TABLE_COLUMNS, Result
from babelscope.gaps.traced import Number, Traced, told, told_mean

#: The kinds of comparison in which speech takes part: text alone is the same text side's in every control.
KINDS_BESIDE: tuple[str, ...] = ("modality_similarity", "language_similarity_speech", "cross_similarity")


def beside(results: Mapping[str, Result]) -> dict[str, pd.DataFrame]:
    """Gather what other models, by label, gave on the same sentences.

    ``beside`` are their curves, ``beside_centroids`` their distances between means, each with the column ``model``;
    those without rows are left out.
    """
    frames_by_table: dict[str, list[pd.DataFrame]] = {"beside": [], "beside_centroids": []}
    for label, result in results.items():
        plain = result.curves[result.curves["control"] == "none"]
        frames_by_table["beside"].append(plain.assign(model=label))
        if "centroids" in result.tables:
            frames_by_table["beside_centroids"].append(result.tables["centroids"].assign(model=label))
    joined = {
        name: pd.concat(frames, ignore_index=True)[list(TABLE_COLUMNS[name])]
        for name, frames in frames_by_table.items()
        if any(len(frame) for frame in frames)
    }
    return {name: table for name, table in joined.items() if len(table)}


def told_beside(result: Result) -> list[Traced]:
    """Say where the model and those of :func:`beside` end, and how far the means of speech and text come together.

    At most two sentences, made of the tables alone.
    """
    return [sentence for sentence in (_ends(result), _means(result)) if sentence is not None]


def with_beside(meta: dict[str, Any], sentences: Sequence[Traced]) -> dict[str, Any]:
    """Return a result's ``meta`` with further sentences at the end of its headline, each once."""
    already, parts = list(meta["headline"]), list(meta.get("headline_parts", []))
    parts += [[sentence] for sentence in already[len(parts) :]]
    new = [sentence for sentence in sentences if sentence not in already]
    return meta | {
        "headline": [*already, *(str(sentence) for sentence in new)],
        "headline_parts": [*parts, *(sentence.parts() for sentence in new)],
    }


def _ends(result: Result) -> Traced | None:
    if "beside" not in result.tables:
        return None
    others = _gap(result.tables["beside"])
    own = _gap(result.curves[result.curves["control"] == "none"])
    measures = [measure for measure in dict.fromkeys(own["measure"]) if str(measure).startswith("retrieval")]
    for measure in measures or list(dict.fromkeys(own["measure"]))[:1]:
        mine, theirs = own[own["measure"] == measure], others[others["measure"] == measure]
        point = next((name for name in reversed(list(mine["point"])) if name in set(theirs["point"])), None)
        if point is None:
            continue
        at = mine[mine["point"] == point].iloc[0]
        parts: dict[str, Number | str] = {}
        listed: list[str] = []
        for label, rows in theirs[theirs["point"] == point].groupby("model", sort=False):
            parts |= {f"label{len(listed)}": str(label), f"value{len(listed)}": told("beside", rows.iloc[0], "value")}
            listed.append(f"{{label{len(listed)}}} {{value{len(listed)}}}")
        return Traced(
            "At {point} {measure} between speech and text of one language is {value}; "
            "for comparison: " + ", ".join(listed) + ".",
            point=str(point), measure=measure_title(str(measure)), value=told("curves", at, "value"), **parts,
        )  # fmt: skip
    return None


def _means(result: Result) -> Traced | None:
    if "centroids" not in result.tables:
        return None
    own = _fall("centroids", result.tables["centroids"])
    if own is None:
        return None
    first, last, before, after = own
    parts: dict[str, Number | str] = {"first": first, "last": last, "before": before, "after": after}
    listed: list[str] = []
    others = result.tables.get("beside_centroids", pd.DataFrame(columns=["model"]))
    for label, rows in others.groupby("model"):
        fall = _fall("beside_centroids", rows)
        if fall is not None and fall[:2] == (first, last):
            number = len(listed)
            parts |= {f"label{number}": str(label), f"before{number}": fall[2], f"after{number}": fall[3]}
            listed.append(f"{{label{number}}} {{before{number}}} and {{after{number}}}")
    return Traced(
        "The distance between the means of speech and text, over the spread within each, is {before} at {first} and "
        "{after} at {last}" + (f" ({'; '.join(listed)})." if listed else "."),
        **parts,
    )


def _fall(table: str, rows: pd.DataFrame) -> tuple[str, str, Number, Number] | None:
    """First and last point that speech and text share, and the mean distance over languages there."""
    gap = rows[rows["kind"] == "modality_gap"]
    points = list(dict.fromkeys(gap["point"]))
    if len(points) < 2:
        return None
    before, after = (told_mean(table, gap[gap["point"] == point], "distance") for point in (points[0], points[-1]))
    return str(points[0]), str(points[-1]), before, after


def _gap(curves: pd.DataFrame) -> pd.DataFrame:
    return curves[(curves["kind"] == "modality_similarity") & (curves["group"] == "mean")]
