"""Every kind of comparison along the depth, under every measure, over what unrelated sentences give."""

from __future__ import annotations

from typing import Any

import numpy as np

from babelscope.gaps.result import Result
from babelscope.report import charts, select, words
from babelscope.report.figure import WIDE, Figure
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.told import Sentence, joined, tell

#: Numbers of the mean curves are also written as a table up to this many points.
TABLE_POINTS = 80


def evidence(result: Result) -> Evidence | None:
    """Return a sentence and a figure a kind, and the numbers of the leading measure; None without curves."""
    measure = select.leading_measure(result)
    if measure is None:
        return None
    blocks: list[Any] = []
    for kind in select.kinds(result):
        told = sentence(result, kind, measure)
        if told is None:
            continue
        blocks += [told, figure(result, kind, told), *_not_drawn(result, kind)]
        table = _numbers(result, kind, measure)
        blocks += [table] if table is not None else []
    return Evidence("Every comparison and measure along the depth", tuple(blocks)) if blocks else None


def figure(result: Result, kind: str, told: Sentence) -> Figure:
    """Return the sheet of a kind: a panel a measure."""

    def draw(width: int) -> Any:
        return charts.layer_curves(result, kind, width=300 if width >= WIDE else width, height=176)

    measures = charts.drawn_measures(result, kind)
    text = " ".join(charts.panel_text(result, kind, name) for name in measures)
    return Figure(f"layer_curves.{kind}", draw, select.rows(result.curves, kind=kind), told, text)


def sentence(result: Result, kind: str, measure: str) -> Sentence | None:
    """Say where the mean starts, where it ends, and what unrelated sentences give."""
    mean = select.mean_of(select.curve(result, kind, measure))
    mean = mean[mean["value"].notna()]
    if mean.empty:
        return None
    first, last = mean.iloc[0], mean.iloc[-1]
    best = select.highest(mean, "value")
    parts: dict[str, Any] = {
        "kind": words.KIND_TITLES[kind],
        "measure": words.measure_title(measure),
        "first": str(first["point"]),
        "last": str(last["point"]),
        "a": tell("curves", first, "value"),
        "b": tell("curves", last, "value"),
    }
    text = "{kind}: the mean {measure} is {a} at {first} and {b} at {last}"
    if str(best["point"]) not in (str(first["point"]), str(last["point"])):
        parts |= {"best": str(best["point"]), "c": tell("curves", best, "value")}
        text += ", highest at {best} ({c})"
    if np.isfinite(float(last["null_q95"])):
        parts |= {"null": tell("curves", last, "null_mean"), "q95": tell("curves", last, "null_q95")}
        text += "; unrelated sentences give {null} at {last}, 95 in 100 of them less than {q95}"
    return Sentence(text + ".", **parts)


def _not_drawn(result: Result, kind: str) -> list[Sentence]:
    """Name the measures that say nothing here, and those that say little."""
    found: list[Sentence | None] = []
    for measure in select.measures(result):
        full = select.saturation(result, kind, measure)
        if full is None:
            continue
        parts: dict[str, Any] = {"measure": words.measure_title(measure), "null": words.number(full.null), "n": full.n}
        if measure not in charts.drawn_measures(result, kind):
            text = "{measure} is not drawn: at n = {n} it gives {null} to unrelated sentences, so it says nothing here."
        else:
            parts |= {"points": full.points, "of": full.of}
            text = "{measure} is saturated at {points} of {of} points: unrelated sentences give {null} there."
        found.append(Sentence(text, **parts))
    return joined(found)


def _numbers(result: Result, kind: str, measure: str) -> Table | None:
    mean = select.mean_of(select.curve(result, kind, measure))
    if len(mean) > TABLE_POINTS:
        return None
    there = [
        name
        for name in ("depth", "value", "low", "high", "null_mean", "null_q95", "chance_corrected", "ceiling")
        if mean[name].notna().any()
    ]
    rows = tuple(
        (
            str(row["point"]),
            *(tell("curves", row, name, 3) if np.isfinite(float(row[name])) else words.NOTHING for name in there),
        )
        for _, row in mean.iterrows()
    )
    caption = f"{words.KIND_TITLES[kind]}: mean {words.measure_title(measure)}"
    return Table(caption, (Column("point", False), *(Column(name.replace("_", " ")) for name in there)), rows)
