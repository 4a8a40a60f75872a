"""What the report's charts have in common: the axis of depth with its stages, bands, language colours, forests.

Charts select rows of a result and draw them; nothing is computed. A curve is always drawn over its null band, which
reaches from the null's mean to its 95th percentile. Subtitles name the measure, the number of sentences, the model and
the corpus; legends name every line and band.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.figure import LANGUAGE_COLOURS, PALETTE, Drawable, Entry, finished, tooltips

INK, MUTED, THIN, BASELINE = (PALETTE[name] for name in ("ink", "muted", "thin", "language-1"))

#: Height of a line of stage names, in pixels.
_LANE = 12

#: Scales of a chart's legends of lines, which :func:`~babelscope.report.figure.key_of` draws: each has its own.
OWN_LEGENDS: dict[str, Any] = dict.fromkeys(("stroke", "strokeDash", "strokeWidth"), "independent")

Channel = TypeVar("Channel", alt.Color, alt.Shape, alt.StrokeDash)


def about(result: Result, n: int | None = None) -> str:
    """Return what a figure is of, in a few words: sentences, model, corpus."""
    counts = result.curves["n"].dropna()
    n = n if n is not None else (int(counts.max()) if len(counts) else None)
    named = [queries.mapping(result.meta, key) for key in ("model", "corpus")]
    names = [str(each.get("name") or each.get("title") or "") for each in named]
    return "; ".join(text for text in (f"n = {n} sentences" if n else "", *names) if text)


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
    colours = LANGUAGE_COLOURS[: len(names)]
    entries = [Entry(name, colour, 1.6) for name, colour in zip(names, colours, strict=True)]
    return scaled(alt.Color, "group", names, colours, legend=None), entries


def scaled(channel: type[Channel], column: str, names: Iterable[str], looks: Iterable[Any], **options: Any) -> Channel:
    """Return a channel of a chart that gives each of the names in a column its look, such as a colour."""
    return channel(f"{column}:N", scale=alt.Scale(domain=list(names), range=list(looks)), **options)


def stage_labels(result: Result, kind: str, width: int) -> pd.DataFrame:
    """Place the names of all stages below the axis so that none is cut and none runs into another.

    The columns are label, start and end of the stretch of the depth that is the stage's, and the label's middle and
    lane (0 is the first below the axis).
    """
    along = queries.points(result, kind)
    starts = [0.0 if index == 0 else (along[index - 1].depth + point.depth) / 2 for index, point in enumerate(along)]
    first = [index for index, point in enumerate(along) if index == 0 or along[index - 1].stage != point.stage]
    ends = [starts[index] for index in first[1:]]
    if along:
        last = along[-1].depth
        ends.append(max(1.0, last) if len(along) > 1 else last)
    rows: list[dict[str, Any]] = []
    taken: list[float] = []  # up to where, by lane
    for index, end in zip(first, ends, strict=True):
        stage, start = along[index].stage, starts[index]
        if stage:
            room = (0.56 * 10 * len(stage) + 6) / width
            middle = min(max((start + end) / 2, room / 2), max(room / 2, 1 - room / 2))
            left, right = middle - room / 2, middle + room / 2
            lane = next((number for number, reached in enumerate(taken) if left >= reached), len(taken))
            taken[lane : lane + 1] = [right]
            rows.append({"label": stage, "start": start, "end": end, "middle": middle, "lane": lane})
    return pd.DataFrame(rows, columns=["label", "start", "end", "middle", "lane"])


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
    rows: pd.DataFrame, columns: Sequence[str], names: Sequence[str], width: int, *, label: str, x_title: str,
    lines: Sequence[str], title: str, verdicts: Sequence[str] | None = None, colours: dict[str, str] | None = None,
    zero: str = "0: no difference",
) -> Drawable:  # fmt: skip
    """Draw effects with their intervals around 0, one row an effect.

    The columns are those of the effect and of the ends of its interval. The names of the rows stand in the figure's
    column `label`. Verdicts have their colours, and a legend. The lines stand below the title; `zero` says what the
    line at 0 is.
    """
    effects = {name: rows[column] for name, column in zip(("effect", "low", "high"), columns, strict=True)}
    rows = pd.DataFrame({label: names, **effects} | ({} if verdicts is None else {"verdict": verdicts}))
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
    if verdicts is not None:
        said = set(rows["verdict"].astype(str))
        known = colours or {}
        there = [name for name in known if name in said] + sorted(said - set(known))
        shades = [known.get(name, INK) for name in there]
        colour = scaled(alt.Color, "verdict", there, shades, legend=alt.Legend(title=None, orient="bottom"))
    tooltip = tooltips([label], ["effect", "low", "high"])

    def at(column: str) -> alt.X:
        return alt.X(f"{column}:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=6))

    zeros, marks = alt.Chart(pd.DataFrame({"zero": [0.0]})), base.encode(y=y, color=colour, tooltip=tooltip)
    layers = [
        zeros.mark_rule(color=PALETTE["axis"]).encode(x=at("zero")),
        marks.mark_rule(strokeWidth=2).encode(x=at("low"), x2="high:Q"),
        marks.mark_point(filled=True, size=60, opacity=1).encode(x=at("effect")),
        base.mark_text(
            align="left", baseline="bottom", dy=-6 - 13 * (most - 1), lineHeight=13, fontSize=11, color=INK,
            lineBreak="\n",
        ).encode(x=alt.value(0), y=y, text="text:N"),
    ]  # fmt: skip
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
