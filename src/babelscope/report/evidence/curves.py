"""Every kind of comparison along the depth, under every measure, over what unrelated sentences give."""

from __future__ import annotations

import math
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.charts import BASELINE, INK, THIN, rows_of
from babelscope.report.evidence.rows import listing
from babelscope.report.figure import (
    LANGUAGE_COLOURS,
    PALETTE,
    WIDE,
    Drawable,
    Entry,
    Figure,
    captioned,
    key_of,
    restyled,
    tooltips,
)
from babelscope.report.section import Evidence, Table
from babelscope.report.sentences import Sentence, tell
from babelscope.report.wording import KIND_TITLES, measure_title, number, plural

#: More languages or pairs than this are not drawn one by one: the mean stands for them.
MOST_LINES = 120

#: More languages than this are not drawn one by one on the first screen.
MOST_IN_HERO = 12

#: Numbers of the mean curves are also written as a table up to this many points.
TABLE_POINTS = 80


def evidence(result: Result) -> Evidence | None:
    """Return a sentence and a figure a kind, and the numbers of the leading measure; None without curves."""
    measure = queries.leading_measure(result)
    if measure is None:
        return None
    blocks: list[Any] = []
    for kind in queries.kinds(result):
        lead = sentence(result, kind, measure)
        if lead is None:
            continue
        blocks += [lead, figure(result, kind, lead), *_not_drawn(result, kind)]
        table = _numbers(result, kind, measure)
        blocks += [table] if table is not None else []
    return Evidence("Every comparison and measure along the depth", tuple(blocks)) if blocks else None


def hero(result: Result) -> Figure | None:
    """Return the leading measure of speech and text along the depth; of another kind where there is none of that."""
    measure = queries.leading_measure(result)
    for kind in queries.kinds(result):
        if measure is None or (said := sentence(result, kind, measure)) is None:
            continue
        each = len(queries.groups(result, kind)) <= MOST_IN_HERO

        def draw(width: int, kind: str = kind, measure: str = measure, each: bool = each) -> object:
            height = 220 if width >= WIDE else 200
            return layer_curves(result, kind, measure, each=each, width=width, height=height)

        rows = queries.curve(result, kind, measure)
        return Figure("similarity", draw, rows, said, panel_text(result, kind, measure))
    return None


def figure(result: Result, kind: str, lead: Sentence) -> Figure:
    """Return the sheet of a kind: a panel a measure."""

    def draw(width: int) -> Any:
        return layer_curves(result, kind, width=300 if width >= WIDE else width, height=176)

    measures = drawn_measures(result, kind)
    text = " ".join(panel_text(result, kind, name) for name in measures)
    return Figure(f"layer_curves.{kind}", draw, queries.rows(result.curves, kind=kind), lead, text)


def sentence(result: Result, kind: str, measure: str) -> Sentence | None:
    """Say where the mean starts, where it ends, and what unrelated sentences give."""
    mean = queries.mean_of(queries.curve(result, kind, measure))
    mean = mean[mean["value"].notna()]
    if mean.empty:
        return None
    first, last = mean.iloc[0], mean.iloc[-1]
    best = queries.highest(mean, "value")
    parts: dict[str, Any] = {
        "kind": KIND_TITLES[kind],
        "measure": measure_title(measure),
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
    sentences: list[Sentence] = []
    for measure in queries.measures(result):
        full = queries.saturation(result, kind, measure)
        if full is None:
            continue
        parts: dict[str, Any] = {"measure": measure_title(measure), "null": number(full.null), "n": full.n}
        if measure not in drawn_measures(result, kind):
            text = "{measure} is not drawn: at n = {n} it gives {null} to unrelated sentences, so it says nothing here."
        else:
            parts |= {"points": full.points, "of": full.of}
            text = "{measure} is saturated at {points} of {of} points: unrelated sentences give {null} there."
        sentences.append(Sentence(text, **parts))
    return sentences


def _numbers(result: Result, kind: str, measure: str) -> Table | None:
    mean = queries.mean_of(queries.curve(result, kind, measure))
    if len(mean) > TABLE_POINTS:
        return None
    names = ("depth", "value", "low", "high", "null_mean", "null_q95", "chance_corrected", "ceiling")
    numbers = {name: name.replace("_", " ") for name in names if mean[name].notna().any()}
    caption = f"{KIND_TITLES[kind]}: mean {measure_title(measure)}"
    return listing("curves", mean, caption, {"point": "point"}, numbers, digits=3)


_TOOLTIP = tooltips(
    ["group", "point", "stage"],
    ["depth", "value", "low", "high", "null_mean", "null_q95", "chance_corrected", "p"],
)


def layer_curves(
    result: Result,
    kind: str,
    measure: str | None = None,
    *,
    each: bool = True,
    regressed: bool = True,
    legend: bool = True,
    width: int = 300,
    height: int = 180,
) -> Drawable:
    """Draw how similar speech and text, or languages, are along the depth.

    Parameters
    ----------
    result : Result
        What a study found.
    kind : str
        ``modality_similarity``, ``language_similarity_text`` or ``language_similarity_speech``.
    measure : str, optional
        As written in the scores; without it, one panel for each measure.
    each : bool
        Whether to draw a thin line for every language or pair (up to :data:`MOST_LINES` of them) below the mean.
    regressed : bool
        Whether to draw, dashed, the mean after regressing out length, with the 95th percentile of its own null.
    legend : bool
        Whether to explain lines and bands.
    width, height : int
        Size of a panel's plot in pixels.

    Returns
    -------
    altair chart
        One layered panel, or a grid of them. Named layers: ``null``, ``interval``, ``each``, ``mean``, ``meanpoints``,
        ``regressed``, ``regressednull``, ``ceiling``, ``baseline``, ``stages``, ``stagelabels``, ``key``.

    Raises
    ------
    UsageError
        If the result has no such kind or measure.
    """
    kind = queries.known("kind of comparison", kind, queries.kinds(result))
    title = f"{KIND_TITLES[kind]} over depth"
    if measure is None:
        measures = drawn_measures(result, kind)
        columns = max(1, min(len(measures), (width + 340) // 300 if width < 300 else 3))
        panels = [
            _curve_panel(result, kind, name, each, regressed, legend, width, height).properties(
                title=alt.TitleParams(measure_title(name), fontSize=12, offset=6)
            )
            for name in measures
        ]
        about = captioned(title, [charts.about(result)], width * columns)
        chart: alt.ConcatChart = alt.concat(*panels, columns=columns, title=about)
        chart = chart.resolve_scale(**charts.OWN_LEGENDS, color="independent")
        texts = [panel_text(result, kind, name) for name in measures]
        return restyled(chart, " ".join([f"{KIND_TITLES[kind]} along the depth, one panel a measure.", *texts]))
    queries.known("measure", measure, queries.measures(result))
    panel = _curve_panel(result, kind, measure, each, regressed, legend, width, height)
    panel.title = captioned(title, [f"{measure_title(measure)}; {charts.about(result)}"], width)
    return restyled(panel, panel_text(result, kind, measure))


def drawn_measures(result: Result, kind: str) -> list[str]:
    """Return the measures that say something of a kind: measured, and not saturated everywhere."""
    there = [name for name in queries.measures(result) if queries.curve(result, kind, name)["value"].notna().any()]
    full = {name: queries.saturation(result, kind, name) for name in there}
    clear = [name for name in there if not ((saturation := full[name]) and saturation.everywhere and saturation.blind)]
    return clear or there or queries.measures(result)


def panel_text(result: Result, kind: str, measure: str) -> str:
    """Say in words what a panel of :func:`layer_curves` shows: the text for those who cannot see it."""
    mean = queries.mean_of(queries.curve(result, kind, measure)).dropna(subset=["value"])
    title = f"{KIND_TITLES[kind]}, {measure_title(measure)}"
    if mean.empty:
        return f"{title}: no values."
    first, last = mean.iloc[0], mean.iloc[-1]
    best = mean.iloc[int(mean["value"].argmax())]
    over = int(last["groups"])
    return (
        f"{title}: the mean over {over} {_unit(kind, over)} is {number(first['value'])} at {first['point']} and "
        f"{number(last['value'])} at {last['point']}, highest at {best['point']} with {number(best['value'])}; "
        f"the null's mean at {last['point']} is {number(last['null_mean'])}, "
        f"its 95th percentile {number(last['null_q95'])}."
    )


def curves_domain(result: Result, kind: str, measure: str) -> tuple[float, float]:
    """Return the ends of the scale of a kind's curves.

    It reaches from 0, what unrelated sentences give, to 1, perfect agreement; further only where a value lies outside.
    An interval or null that reaches beyond is drawn up to the edge.
    """
    plain, regressed = (queries.curve(result, kind, measure, control) for control in ("none", "length_regressed"))
    lines = [plain["value"], plain["ceiling"], queries.mean_of(regressed)["value"]]
    drawn = np.concatenate([[0.0, 1.0], *(line.to_numpy(dtype=float) for line in lines)])
    drawn = drawn[np.isfinite(drawn)]
    return math.floor(drawn.min() * 20) / 20, math.ceil(drawn.max() * 20) / 20


def _unit(kind: str, count: int) -> str:
    return plural("language", count) if kind in queries.OF_ONE_LANGUAGE else f"{plural('pair', count)} of languages"


def _curve_panel(
    result: Result, kind: str, measure: str, each: bool, regressed: bool, legend: bool, width: int, height: int
) -> alt.LayerChart:
    curves = queries.curve(result, kind, measure)
    mean = queries.mean_of(curves)
    names = queries.groups(result, kind)
    stages = charts.stage_labels(result, kind, width)
    x = charts.depth_axis(stages)
    y = alt.Scale(domain=list(curves_domain(result, kind, measure)), nice=False, zero=False)

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=y, axis=alt.Axis(title=f"similarity ({measure_title(measure)})", tickCount=5))

    def line(rows: pd.DataFrame, name: str, column: str, **style: Any) -> alt.Chart:
        drawn: alt.Chart = rows_of(rows, name).mark_line(**style).encode(x=x, y=at(column))
        return drawn

    edge: dict[str, Any] = {"color": PALETTE["null-edge"], "strokeWidth": 0.75, "clip": True}
    over = int(mean["groups"].max()) if len(mean) else 0
    entries, layers = charts.bands(mean, x, at)
    key = [Entry(f"mean over {over} {_unit(kind, over)}", INK, 2.25), *entries]
    languages: list[Entry] = []
    if mean["null_mean"].notna().any():
        layers.insert(1, line(mean, "nulledge", "null_mean", **edge))
    if each and 1 < len(names) <= MOST_LINES:
        thin = curves[curves["group"].isin(names)]
        shown = thin if len(names) <= 20 else thin[["point", "depth", "group", "value"]]
        lines = rows_of(shown, "each").mark_line(strokeWidth=1.1 if len(names) <= 20 else 0.5, opacity=0.85)
        if kind in queries.OF_ONE_LANGUAGE and len(names) <= len(LANGUAGE_COLOURS):
            colour: Any
            colour, languages = charts.language_colours(names)
        else:
            colour = alt.value(THIN)
            key.append(Entry(f"each {_unit(kind, 1)}", THIN, 1))
        tooltip = _TOOLTIP if len(names) <= 20 else tooltips(["group", "point"], ["value"])
        layers.append(lines.encode(x=x, y=at("value"), color=colour, detail="group:N", tooltip=tooltip))
    without = queries.mean_of(queries.curve(result, kind, measure, "length_regressed")) if regressed else mean[:0]
    if len(without):
        key.append(Entry("mean after regressing out length", INK, 1.5, (5, 3)))
        layers.append(line(without, "regressednull", "null_q95", strokeDash=[2, 2], **edge))
        layers.append(line(without, "regressed", "value", color=INK, strokeWidth=1.5, strokeDash=[5, 3]))
    if mean["ceiling"].notna().any():
        key.append(Entry("noise ceiling: two readers of a sentence", INK, 1.25, (1, 3)))
        layers.append(line(mean, "ceiling", "ceiling", color=INK, strokeWidth=1.25, strokeDash=[1, 3]))
    name, scores = queries.baseline_scores(result, kind, measure)
    if len(scores):
        level = float(scores.mean())
        key.append(Entry(f"strongest baseline: {title_of(name)}, {number(level)}", BASELINE, 1.5, (8, 3, 2, 3)))
        layers.append(
            alt.Chart(pd.DataFrame({"baseline": [level]}))
            .properties(name="baseline")
            .mark_rule(color=BASELINE, strokeWidth=1.5, strokeDash=[8, 3, 2, 3])
            .encode(y=at("baseline"))
        )
    layers.append(line(mean, "mean", "value", color=INK, strokeWidth=2.25))
    layers.append(
        rows_of(mean, "meanpoints")
        .mark_point(color=INK, filled=True, size=14, opacity=1)
        .encode(x=x, y=at("value"), tooltip=_TOOLTIP)
    )
    layers.extend(charts.stage_strip(stages, x, height))
    if legend:
        layers.append(key_of(key, width))
        if languages:
            layers.append(key_of(languages, width, "languages"))
    chart: alt.LayerChart = alt.LayerChart(layer=layers, width=width, height=height).resolve_scale(**charts.OWN_LEGENDS)
    return chart
