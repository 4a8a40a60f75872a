"""Speech layer by text layer: where two towers are most similar, wherever in their depth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from babelscope.gaps.result import Result
from babelscope.report import drawing, select, words
from babelscope.report.drawing import Groups
from babelscope.report.packing import pack
from babelscope.report.select import PointAt
from babelscope.report.told import Sentence, joined, tell

#: Characters of packed cells that the page may carry.
BUDGET = 500_000

QUANTITIES = ("chance_corrected", "value")


def section(result: Result) -> dict[str, Any] | None:
    """Return the map as it is drawn first, and the data with which the script redraws it; None where there is none."""
    speech, text = select.crossings(result)
    leading = select.leading_measure(result)
    if not speech or leading is None:
        return None
    means = {measure: _means(result, measure) for measure in select.measures(result)}
    means = {measure: rows for measure, rows in means.items() if rows["chance_corrected"].notna().any()}
    if not means:
        return None
    first = leading if leading in means else next(iter(means))
    values = _table(means[first], "chance_corrected", speech, text)
    top = max(float(np.nanmax(_table(rows, "chance_corrected", speech, text))) for rows in means.values())
    domain = (0.0, top if top > 0 else 1.0)
    shown = values.T[::-1]  # rows are text points, the deepest at the top
    runs = _runs([point.stage for point in reversed(text)])
    cell = max(7, min(32, 640 // len(speech), 560 // len(text)))
    told = (
        f"Chance-corrected {words.measure_title(first)} of every speech point with every text point, mean over "
        f"languages: from {words.number(float(np.nanmin(values)))} to {words.number(float(np.nanmax(values)))}."
    )
    picture, shape = drawing.grid(
        drawing.levels_of(shown, domain),
        [point.name for point in reversed(text)], [point.name for point in speech],
        "cross-title", told, cell=cell, groups=Groups(tuple(runs)) if any(label for label, _, _ in runs) else None,
        row_title="text point, deeper upwards", column_title="speech point, deeper to the right", turned=True,
    )  # fmt: skip
    packed, languages, partial = _packed(result, means, first, speech, text)
    return {
        "picture": picture,
        "measures": [{"name": name, "title": words.measure_title(name)} for name in packed],
        "first": first,
        "domain": domain,
        "languages": languages,
        "partial": partial,
        "lead": joined(_lead(means[first], first, speech, text)),
        "data": {
            "speech": [[p.name, p.stage, round(p.depth, 4)] for p in speech],
            "text": [[p.name, p.stage, round(p.depth, 4)] for p in text],
            "shape": shape.as_dict(),
            "domain": domain,
            "cells": packed,
        },
    }


def _means(result: Result, measure: str) -> pd.DataFrame:
    return select.mean_of(select.rows(result.curves, kind="modality_similarity", measure=measure, control="none"))


def _table(rows: pd.DataFrame, quantity: str, speech: list[PointAt], text: list[PointAt]) -> NDArray[np.float64]:
    """Return an array of speech points by text points."""
    a = {point.name: index for index, point in enumerate(speech)}
    b = {point.name: index for index, point in enumerate(text)}
    filled = np.full((len(speech), len(text)), np.nan)
    i = np.array([a.get(str(name), -1) for name in rows["point"]], dtype=int)
    j = np.array([b.get(str(name), -1) for name in rows["against"]], dtype=int)
    kept = (i >= 0) & (j >= 0)
    filled[i[kept], j[kept]] = rows[quantity].to_numpy(dtype=float)[kept]
    return filled


def _packed(
    result: Result, means: dict[str, pd.DataFrame], first: str, speech: list[PointAt], text: list[PointAt]
) -> tuple[dict[str, dict[str, Any]], list[str], bool]:
    """Pack the means of every measure, then single languages as far as there is room."""
    left, partial = BUDGET, False
    size = len(speech) * len(text)
    digits = 3 if size * len(QUANTITIES) * len(means) * (1 + len(select.languages(result))) * 3 <= BUDGET else 2
    packed: dict[str, dict[str, Any]] = {}
    for measure, rows in means.items():
        packed[measure] = {"mean": {}}
        for quantity in QUANTITIES:
            packed[measure]["mean"][quantity] = pack(_table(rows, quantity, speech, text), digits)
            left -= size * digits
    names = select.languages(result)
    carried: list[str] = []
    for measure in [first, *(name for name in means if name != first)]:
        if len(names) < 2 or size * digits * len(names) * len(QUANTITIES) > left:
            partial = partial or len(names) > 1
            continue
        rows = select.rows(result.curves, kind="modality_similarity", measure=measure, control="none")
        for name in names:
            part = select.rows(rows, group=name)
            if part["chance_corrected"].notna().any():
                packed[measure][f"language {name}"] = {
                    quantity: pack(_table(part, quantity, speech, text), digits) for quantity in QUANTITIES
                }
                left -= size * digits * len(QUANTITIES)
        carried = names
    return packed, carried, partial


def _runs(labels: list[str]) -> list[tuple[str, int, int]]:
    runs: list[tuple[str, int, int]] = []
    for index, label in enumerate(labels):
        if runs and runs[-1][0] == label:
            runs[-1] = (label, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((label, index, 1))
    return runs


def _lead(rows: pd.DataFrame, measure: str, speech: list[PointAt], text: list[PointAt]) -> list[Sentence | None]:
    there = rows[rows["chance_corrected"].notna()]
    best = select.highest(there, "chance_corrected")
    if not (there["calibrated"] > 0).any():
        return [Sentence("No pair of layers is above the 95th percentile of what unrelated sentences give.")]
    ends = there[(there["point"] == speech[-1].name) & (there["against"] == text[-1].name)]
    parts: dict[str, Any] = {
        "a": str(best["point"]),
        "b": str(best["against"]),
        "high": tell("curves", best, "chance_corrected"),
        "measure": words.measure_title(measure),
    }
    sentence = "The chance-corrected {measure} is highest between speech at {a} and text at {b} ({high}; not tested)"
    if len(ends) and ends.index[0] != best.name:
        parts["end"] = tell("curves", ends.iloc[0], "chance_corrected")
        sentence += "; between the two outputs it is {end}"
    return [Sentence(sentence + ".", **parts)]
