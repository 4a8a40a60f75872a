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
from babelscope.report.charts import BASELINE, INK, MUTED, THIN
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
    series = {"value": CONTROL_TITLES["none"]} | {
        "length_regressed": CONTROL_TITLES["length_regressed"],
        "baseline": title_of(table.attrs["baseline"]),
        "shuffled": CONTROL_TITLES["shuffled"],
    }
    records = [
        {"pair": pair, "series": title, "value": float(value)}
        for column, title in series.items()
        for pair, value in zip(pairs, table[column], strict=True)
        if np.isfinite(value)
    ]
    there = [title for title in series.values() if any(record["series"] == title for record in records)]
    colours = dict(zip(series.values(), (INK, PALETTE["language-0"], BASELINE, THIN), strict=True))
    shapes = dict(zip(series.values(), ("circle", "diamond", "triangle-up", "cross"), strict=True))
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="retrieval P@1", tickCount=5))
    y = alt.Y("pair:N", sort=pairs, axis=alt.Axis(title=None, ticks=False, domain=False, grid=True, labelOverlap=False))
    legend = alt.Legend(title=None, orient="bottom", columns=2)
    scores = (
        alt.Chart(pd.DataFrame(records))
        .properties(name="scores")
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N", sort=there, scale=alt.Scale(domain=there, range=[colours[name] for name in there]),
                legend=legend,
            ),
            shape=alt.Shape(
                "series:N", sort=there, scale=alt.Scale(domain=there, range=[shapes[name] for name in there]),
                legend=legend,
            ),
            tooltip=tooltips(["pair", "series"], ["value"]),
        )
    )  # fmt: skip
    chances = [
        {"pair": pair, "value": float(value)}
        for pair, value in zip(pairs, table["chance"], strict=True)
        if np.isfinite(value)
    ]
    chance = (
        alt.Chart(pd.DataFrame(chances, columns=["pair", "value"]))
        .properties(name="chance")
        .mark_tick(color=MUTED, thickness=1.5, size=14)
        .encode(x=x, y=y)
    )
    lines = [f"at {table.attrs['last']}; the grey tick is the null’s mean (chance)", charts.about(result)]
    text = f"Retrieval P@1, {KIND_LINES[kind]}, at {table.attrs['last']}: " + "; ".join(
        f"{pair} {number(value)} (p {p_value(p)})"
        for pair, value, p in zip(pairs, table["value"], table["p"], strict=True)
    )
    chart = alt.LayerChart(layer=[chance, scores])
    return finished(chart, width, alt.Step(18), f"Retrieval: {KIND_LINES[kind]}", lines, text)
