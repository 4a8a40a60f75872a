"""Retrieval at the last point with its controls, one row a language or pair."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.errors import DataError
from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.old_names import current_kind
from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.charts import BASELINE, INK, MUTED, THIN, scaled
from babelscope.report.figure import PALETTE, Figure, finished, tooltips
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.sentences import Sentence
from babelscope.report.wording import CONTROL_TITLES, KIND_LINES, KIND_TITLES, number, p_value

#: Rows of one table and figure before it is cut to the pairs with one language.
MOST_ROWS = 40


def evidence(result: Result) -> Evidence | None:
    """Return one figure and table a kind for which retrieval was measured; None where it was not."""
    blocks: list[Any] = []
    for kind in queries.kinds(result):
        table = queries.retrieval_rows(result, kind, MOST_ROWS)
        if table.empty:
            continue
        lead = Sentence(
            "Retrieval P@1, {line}, at {point}: how often the nearest neighbour is the sentence’s own counterpart.",
            line=KIND_LINES[kind],
            point=str(table.attrs["last"]),
        )
        figure = Figure(
            f"retrieval.{kind}",
            lambda width, kind=kind: retrieval_chart(result, kind, most=MOST_ROWS, width=width),  # type: ignore[misc]
            queries.retrieval_rows(result, kind),
            lead,
            str(retrieval_chart(result, kind, most=MOST_ROWS).description),
        )
        blocks += [lead, figure, _table(table, kind)]
    return Evidence("Retrieval, with its controls", tuple(blocks)) if blocks else None


def _table(table: Any, kind: str) -> Table:
    heads = {
        "first": f"first point ({table.attrs['first']})",
        "value": f"last point ({table.attrs['last']})",
        "length_regressed": CONTROL_TITLES["length_regressed"],
        "baseline": title_of(table.attrs["baseline"]),
        "shuffled": CONTROL_TITLES["shuffled"],
        "chance": "chance",
        "p": "p, uncorrected",
    }
    shown = [name for name in heads if table[name].notna().any()]
    if table.attrs["first"] == table.attrs["last"]:
        shown = [name for name in shown if name != "first"]
    single = kind in queries.OF_ONE_LANGUAGE
    rows = tuple(
        (
            str(row["language_a"]) if single else f"{row['language_a']} – {row['language_b']}",
            *(p_value(row[name]) if name == "p" else number(row[name]) for name in shown),
        )
        for _, row in table.iterrows()
    )
    pivot = table.attrs["pivot"]
    caption = KIND_TITLES[kind] + (f", pairs with {pivot} ({len(rows)} of {table.attrs['of']})" if pivot else "")
    return Table(
        caption, (Column("language" if single else "pair", False), *(Column(heads[name]) for name in shown)), rows
    )


def retrieval_chart(result: Result, kind: str, *, most: int = 60, width: int = 360) -> alt.LayerChart:
    """Draw retrieval (P@1) at the last point with its controls, one row a language or pair.

    Parameters
    ----------
    result : Result
        What a study found.
    kind : str
        One of the kinds of comparison.
    most : int
        With more pairs than this, only those with English (or with the first language) are drawn.
    width : int
        Width of the plot in pixels.

    Returns
    -------
    altair chart
        Named layers: ``scores`` and ``chance``.

    Raises
    ------
    DataError
        If retrieval was not measured for this kind.
    """
    kind = current_kind(kind, "kind")
    table = queries.retrieval_rows(result, kind, most)
    if table.empty:
        raise DataError(
            f"retrieval was not measured for {kind!r}: add it to the study's measures, or choose another kind"
        )
    pairs = [
        str(a) if kind in queries.OF_ONE_LANGUAGE else f"{a}–{b}"
        for a, b in zip(table["language_a"], table["language_b"], strict=True)
    ]
    drawn = {
        "value": (CONTROL_TITLES["none"], INK, "circle"),
        "length_regressed": (CONTROL_TITLES["length_regressed"], PALETTE["language-0"], "diamond"),
        "baseline": (title_of(table.attrs["baseline"]), BASELINE, "triangle-up"),
        "shuffled": (CONTROL_TITLES["shuffled"], THIN, "cross"),
    }

    def records(column: str, **more: str) -> list[dict[str, Any]]:
        values = zip(pairs, table[column], strict=True)
        return [{"pair": pair, **more, "value": float(value)} for pair, value in values if np.isfinite(value)]

    there = {column: look for column, look in drawn.items() if table[column].notna().any()}
    titles, colours, shapes = (list(looks) for looks in zip(*there.values(), strict=True))
    rows = [row for column, title in zip(there, titles, strict=True) for row in records(column, series=title)]
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="retrieval P@1", tickCount=5))
    y = alt.Y("pair:N", sort=pairs, axis=alt.Axis(title=None, ticks=False, domain=False, grid=True, labelOverlap=False))
    legend = alt.Legend(title=None, orient="bottom", columns=2)
    scores = alt.Chart(pd.DataFrame(rows)).properties(name="scores").mark_point(filled=True, size=55, opacity=1)
    scores = scores.encode(
        x=x,
        y=y,
        color=scaled(alt.Color, "series", titles, colours, sort=titles, legend=legend),
        shape=scaled(alt.Shape, "series", titles, shapes, sort=titles, legend=legend),
        tooltip=tooltips(["pair", "series"], ["value"]),
    )
    ticks = alt.Chart(pd.DataFrame(records("chance"), columns=["pair", "value"])).properties(name="chance")
    chance = ticks.mark_tick(color=MUTED, thickness=1.5, size=14).encode(x=x, y=y)
    lines = [f"at {table.attrs['last']}; the grey tick is the null’s mean (chance)", charts.about(result)]
    text = f"Retrieval P@1, {KIND_LINES[kind]}, at {table.attrs['last']}: " + "; ".join(
        f"{pair} {number(value)} (p {p_value(p)})"
        for pair, value, p in zip(pairs, table["value"], table["p"], strict=True)
    )
    chart = alt.LayerChart(layer=[chance, scores])
    return finished(chart, width, alt.Step(18), f"Retrieval: {KIND_LINES[kind]}", lines, text)
