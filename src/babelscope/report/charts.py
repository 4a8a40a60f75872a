"""What the report's charts have in common: the axis of depth with its stages, bands, language colours, forests.

Charts select rows of a result and draw them; nothing is computed. A curve is always drawn over its null band, which
reaches from the null's mean to its 95th percentile. Subtitles name the measure, the number of sentences, the model and
the corpus; legends name every line and band.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.figure import (
    LANGUAGE_COLOURS,
    PALETTE,
    Drawable,
    Entry,
    finished,
    labels_in_lanes,
    tooltips,
)

INK, MUTED, THIN, BASELINE = (PALETTE[name] for name in ("ink", "muted", "thin", "language-1"))

#: Height of a line of stage names, in pixels.
_LANE = 12


def about(result: Result, n: int | None = None) -> str:
    """Return what a figure is of, in a few words: sentences, model, corpus."""
    counts = result.curves["n"].dropna()
    n = n if n is not None else (int(counts.max()) if len(counts) else None)
    model, corpus = (_named(result.meta.get(key)) for key in ("model", "corpus"))
    return "; ".join(text for text in (f"n = {n} sentences" if n else "", model, corpus) if text)


def _named(about: object) -> str:
    return str(about.get("name") or about.get("title") or "") if isinstance(about, dict) else ""


def depth_axis(stages: pd.DataFrame) -> alt.X:
    """Return the axis of depth, with room for the names of the stages below it."""
    rows = int(stages["lane"].max()) + 1 if len(stages) else 0
    return alt.X("depth:Q", scale=alt.Scale(domain=[0, 1])).axis(
        values=[0, 0.25, 0.5, 0.75, 1],
        format=".2~f",
        title="depth (first point to last)",
        titlePadding=(10 + _LANE * rows) if rows else 4,
    )


def bands(
    mean: pd.DataFrame, x: alt.X, y: Callable[[str], alt.Y], over: str = "the mean"
) -> tuple[list[Entry], list[alt.Chart]]:
    """Draw the null and the interval of a curve, as far as they are known; returns legend entries and layers."""
    entries: list[Entry] = []
    layers: list[alt.Chart] = []
    if mean["null_mean"].notna().any():
        entries.append(Entry("null (mean to 95th percentile)", PALETTE["null-band"], 7))
        null = rows_of(mean, "null").mark_area(color=PALETTE["null-band"], line=False, clip=True)
        layers.append(null.encode(x=x, y=y("null_mean"), y2="null_q95:Q"))
    if mean[["low", "high"]].notna().to_numpy().any():
        entries.append(Entry(f"95 % interval of {over}", PALETTE["interval"], 7))
        interval = rows_of(mean, "interval").mark_area(color=PALETTE["interval"], opacity=0.7, clip=True)
        layers.append(interval.encode(x=x, y=y("low"), y2="high:Q"))
    return entries, layers


def language_colours(names: Sequence[str]) -> tuple[alt.Color, list[Entry]]:
    """Return the colours of few languages, and their legend entries."""
    colours = list(LANGUAGE_COLOURS[: len(names)])
    entries = [Entry(name, colour, 1.6) for name, colour in zip(names, colours, strict=True)]
    return alt.Color("group:N", scale=alt.Scale(domain=list(names), range=colours), legend=None), entries


@dataclass(frozen=True)
class StageRun:
    """A stretch of the depth that belongs to one stage."""

    stage: str
    start: float
    end: float


def stage_runs(result: Result, kind: str) -> list[StageRun]:
    """Return which stretch of the depth belongs to which stage, from 0 to the last point; empty without stages."""
    along = queries.points(result, kind)
    starts = [0.0 if index == 0 else (along[index - 1].depth + point.depth) / 2 for index, point in enumerate(along)]
    first = [index for index, point in enumerate(along) if index == 0 or along[index - 1].stage != point.stage]
    if not any(along[index].stage for index in first):
        return []
    last = max(1.0, along[-1].depth) if len(along) > 1 else along[-1].depth
    ends = [*(starts[index] for index in first[1:]), last]
    return [StageRun(along[index].stage, starts[index], end) for index, end in zip(first, ends, strict=True)]


def stage_labels(result: Result, kind: str, width: int) -> pd.DataFrame:
    """Place the names of all stages below the axis, in as many lines as they need."""
    runs = [run for run in stage_runs(result, kind) if run.stage]
    return labels_in_lanes([(run.stage, run.start, run.end) for run in runs], width)


def stage_strip(labels: pd.DataFrame, x: alt.X, height: int) -> list[alt.Chart]:
    """Draw a strip below the axis that says which stretch of the depth belongs to which stage."""
    if labels.empty:
        return []
    fills = [(PALETTE["stage-even"], PALETTE["stage-odd"])[index % 2] for index in range(len(labels))]
    top = height + 21
    drawn = alt.Chart(labels.assign(fill=fills, y=top + 4 + _LANE * labels["lane"]).rename(columns={"start": "depth"}))
    return [
        drawn.mark_rect(clip=False)
        .encode(x=x, x2="end:Q", y=alt.value(top), y2=alt.value(top + 3), color=alt.Color("fill:N", scale=None))
        .properties(name="stages"),
        drawn.mark_text(color=MUTED, fontSize=10, baseline="top", clip=False)
        .encode(
            x=alt.X("middle:Q", scale=alt.Scale(domain=[0, 1])),
            y=alt.Y("y:Q", scale=None, axis=None),
            text="label:N",
        )
        .properties(name="stagelabels"),
    ]


def forest(
    rows: pd.DataFrame, width: int, *, label: str, x_title: str, lines: Sequence[str], title: str,
    colours: dict[str, str] | None = None, zero: str = "0: no difference",
) -> Drawable:  # fmt: skip
    """Draw effects with their intervals around 0, one row an effect.

    The rows have the columns `label` (their names), effect, low, high and, for `colours` by verdict, which then have a
    legend, verdict. The lines stand below the title; `zero` says what the line at 0 is.
    """
    names = [str(name) for name in rows[label]]
    broken = [textwrap.wrap(name, max(20, int((width + 30) / 5.7))) for name in names]
    most = max(map(len, broken), default=1)
    rows = rows.assign(text=["\n".join([" "] * (most - len(lines)) + lines) for lines in broken])
    ends = rows[["effect", "low", "high"]].to_numpy(dtype=float)
    ends = ends[np.isfinite(ends)]
    low, high = (min(0.0, float(ends.min())), max(0.0, float(ends.max()))) if len(ends) else (0.0, 1.0)
    room = 0.04 * (high - low or 1.0)
    scale = alt.Scale(domain=[low - room, high + room], nice=False, zero=False)
    # Names stand above their interval, so that the plot keeps its width.
    y = alt.Y(f"{label}:N", sort=names, title=None, axis=None)
    base = alt.Chart(rows)
    colour: Any = alt.value(INK)
    if colours:
        said = set(rows["verdict"].astype(str))
        there = [name for name in colours if name in said] + sorted(said - set(colours))
        shades = alt.Scale(domain=there, range=[colours.get(name, INK) for name in there])
        colour = alt.Color("verdict:N", scale=shades, legend=alt.Legend(title=None, orient="bottom"))
    tooltip = tooltips([label], ["effect", "low", "high"])

    def at(column: str) -> alt.X:
        return alt.X(f"{column}:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=6))

    zeros, marks = alt.Chart(pd.DataFrame({"zero": [0.0]})), base.encode(y=y, color=colour, tooltip=tooltip)
    layers = [
        zeros.mark_rule(color=PALETTE["axis"]).encode(x=at("zero")),
        marks.mark_rule(strokeWidth=2).encode(x=at("low"), x2="high:Q"),
        marks.mark_point(filled=True, size=60, opacity=1).encode(x=at("effect")),
        base.mark_text(
            align="left",
            baseline="bottom",
            dy=-6 - 13 * (most - 1),
            lineHeight=13,
            fontSize=11,
            color=INK,
            lineBreak="\n",
        ).encode(x=alt.value(0), y=y, text="text:N"),
    ]
    lines = [*lines[:-1], f"{lines[-1]}; {zero}"]
    return finished(alt.LayerChart(layer=layers), width, alt.Step(22 + 13 * most), title, lines)


#: Columns of the curves that their figures carry.
DRAWN_COLUMNS = (
    "point", "stage", "depth", "group", "value", "null_mean", "null_q95", "chance_corrected", "low", "high", "ceiling",
    "p",
)  # fmt: skip


def rows_of(data: pd.DataFrame, name: str) -> alt.Chart:
    """Make a chart on its own rows and only the columns that are drawn; NaN becomes null, which breaks a line."""
    chart: alt.Chart = alt.Chart(data[[column for column in DRAWN_COLUMNS if column in data]]).properties(name=name)
    return chart
