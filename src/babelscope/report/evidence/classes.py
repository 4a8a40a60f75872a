"""The curves by resource class, where the languages are of two classes or more."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.figure import PALETTE, Figure, finished, tooltips
from babelscope.report.section import Evidence
from babelscope.report.sentences import Sentence, tell
from babelscope.report.wording import KIND_TITLES, listed, measure_title

#: Colour and dash of each resource class: distinguished without colour too.
CLASSES: dict[str, tuple[str, list[int]]] = {
    "high": (PALETTE["language-0"], [1, 0]),
    "medium": (PALETTE["language-2"], [7, 3]),
    "low": (PALETTE["language-1"], [2, 3]),
}


def evidence(result: Result) -> Evidence | None:
    """Return one figure a kind under the leading measure; None with fewer than two classes."""
    table, measure = result.tables.get("by_class"), queries.leading_measure(result)
    if table is None or table.empty or measure is None:
        return None
    table = table[(table["measure"] == measure) & (table["control"] == "none") & table["chance_corrected"].notna()]
    blocks: list[Any] = []
    for kind in queries.kinds(result):
        rows = _facing(result, table[table["kind"] == kind], kind)
        rows = rows[rows["group"].isin(list(CLASSES))]
        if rows["group"].nunique() < 2:
            continue
        ends = rows.sort_values("depth", kind="stable").drop_duplicates("group", keep="last")
        parts: dict[str, Any] = {"kind": KIND_TITLES[kind], "point": str(ends["point"].iloc[-1])}
        means = []
        for name in CLASSES:
            last = ends.loc[ends["group"] == name, "point"]
            if len(last):
                row = rows[(rows["group"] == name) & (rows["point"] == last.iloc[0])].iloc[0]
                parts[name] = tell("by_class", row, "chance_corrected")
                means.append(f"{{{name}}} ({name})")
        lead = Sentence(f"{{kind}}: at {{point}} the chance-corrected mean is {listed(means)}.", **parts)
        figure = Figure(
            f"by_class.{kind}",
            lambda width, rows=rows, kind=kind: _chart(result, rows, kind, measure, width),  # type: ignore[misc]
            rows,
            lead,
            str(lead),
        )
        blocks += [lead, figure]
    return Evidence("By resource class", tuple(blocks)) if blocks else None


def _facing(result: Result, rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    if kind not in queries.OF_ONE_LANGUAGE:
        return rows
    faced = queries.facing(result)
    kept = [faced.get(str(p), str(a)) == str(a) for p, a in zip(rows["point"], rows["against"], strict=True)]
    return rows[np.array(kept, dtype=bool)]


def _chart(result: Result, rows: pd.DataFrame, kind: str, measure: str, width: int) -> Any:
    there = [name for name in CLASSES if name in set(rows["group"].astype(str))]
    columns = ["point", "stage", "depth", "group", "value", "low", "high", "null_q95", "chance_corrected", "groups"]
    legend = alt.Legend(title=None, orient="bottom", symbolType="stroke")
    colours, dashes = zip(*(CLASSES[name] for name in there), strict=True)
    made: alt.Chart = alt.Chart(rows[columns]).mark_line(strokeWidth=2)
    made = made.encode(
        x=alt.X("depth:Q", title="depth (first point to last)", scale=alt.Scale(domain=[0, 1])),
        y=alt.Y("chance_corrected:Q", title="similarity, chance-corrected"),
        color=charts.scaled(alt.Color, "group", there, colours, legend=legend),
        strokeDash=charts.scaled(alt.StrokeDash, "group", there, dashes, legend=legend),
        tooltip=tooltips(["group", "point"], ["chance_corrected", "value", "low", "high"]),
    )
    lines = [f"{measure_title(measure)}, mean of each class; 0: null’s mean", charts.about(result)]
    return finished(made, width, 190, f"{KIND_TITLES[kind]}, by resource class", lines)
