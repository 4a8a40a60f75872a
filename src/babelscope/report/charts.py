"""The report's pictures, as Altair charts that can be restyled.

Every function takes a :class:`~babelscope.gaps.result.Result`, selects rows of it and draws them; nothing is computed.
Colours are safe for colour-blind readers: Okabe and Ito's for languages, viridis for heat maps. A curve is always
drawn over its null band, which reaches from the null's mean to its 95th percentile.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import altair as alt
import numpy as np
import pandas as pd

from babelscope.errors import DataError
from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.old_names import current_kind
from babelscope.gaps.result import Result
from babelscope.report import select
from babelscope.report.words import CONTROL_TITLES, KIND_LINES, KIND_TITLES, measure_title, number, p_value

INK = "#1c2127"
MUTED = "#5b6570"
GRID = "#e7e9ec"
AXIS = "#aeb5bd"
NULL_BAND = "#d4d8dd"
NULL_EDGE = "#8d96a0"
INTERVAL = "#c5d3e0"
THIN = "#9ca5af"
STAGE_EVEN = "#c4cad1"
STAGE_ODD = "#dfe3e7"
PAPER = "#ffffff"

#: Okabe and Ito's colours without black (the mean is black) and with the yellow darkened, which is lost on white.
LANGUAGE_COLOURS: tuple[str, ...] = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a89400")

FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"

#: More languages or pairs than this are not drawn one by one: the mean stands for them.
MOST_LINES = 120

#: Numbers are written into the cells of a heat map up to this many languages.
MOST_NUMBERS = 14

Chart = alt.LayerChart | alt.ConcatChart

Styled = TypeVar("Styled", alt.LayerChart, alt.ConcatChart)


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
) -> Chart:
    """Draw how a gap changes along the depth.

    Parameters
    ----------
    result : Result
        What a study found.
    kind : str
        ``modality_similarity``, ``language_similarity_text`` or ``language_similarity_speech``.
    measure : str, optional
        As written in the scores; without it, one panel for each measure.
    each : bool
        Whether to draw a thin line for every language or pair (up to :data:`MOST_LINES` of them) beside the mean.
    regressed : bool
        Whether to draw, dashed, the mean after length was regressed out, with the 95th percentile of its own null.
    legend : bool
        Whether to explain the colours of the languages.
    width, height : int
        Size of a panel's plot in pixels.

    Returns
    -------
    altair chart
        One layered panel, or a grid of them. Named layers: ``null``, ``interval``, ``each``, ``mean``, ``meanpoints``,
        ``regressed``,
        ``regressednull``, ``ceiling``, ``stages``.

    Raises
    ------
    UsageError
        If the result has no such kind or measure.
    """
    kind = select.known("kind of comparison", kind, select.kinds(result))
    if measure is None:
        panels = [
            _curve_panel(result, kind, name, each, regressed, legend, width, height).properties(
                title=measure_title(name)
            )
            for name in select.measures(result)
        ]
        return _styled(
            alt.concat(
                *panels,
                columns=3,
                title=alt.TitleParams(curves_title(kind), subtitle=curves_key(result, kind, regressed)),
            ),
            f"{KIND_TITLES[kind]} along the depth, one panel a measure. "
            + " ".join(panel_text(result, kind, name) for name in select.measures(result)),
        )
    select.known("measure", measure, select.measures(result))
    return _styled(
        _curve_panel(result, kind, measure, each, regressed, legend, width, height), panel_text(result, kind, measure)
    )


def panel_text(result: Result, kind: str, measure: str) -> str:
    """Say in words what a panel of :func:`layer_curves` shows: the text for those who cannot see it."""
    mean = select.mean_of(select.curve(result, kind, measure)).dropna(subset=["value"])
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


def curves_title(kind: str) -> str:
    """Return the heading of the curves of a kind."""
    return f"{KIND_TITLES[kind]}: {KIND_LINES[kind]}"


def curves_key(result: Result, kind: str, regressed: bool) -> str:
    """Say what the lines and bands of the curves of a kind are."""
    lines = f"black: mean over {_unit(kind, 2)}; grey band: null, from its mean to its 95th percentile"
    strongest = [select.baseline_level(result, kind, name)[0] for name in select.measures(result)]
    if any(strongest):
        lines += (
            f"; dash-dotted: strongest baseline ({', '.join(map(title_of, select.in_order(filter(None, strongest))))})"
        )
    if regressed and len(select.rows(result.curves, kind=kind, control="length_regressed")):
        lines += "; dashed: mean with length regressed out, dotted grey: its null's 95th percentile"
    if select.rows(result.curves, kind=kind)["ceiling"].notna().any():
        lines += "; dotted black: ceiling, what two readers of a sentence allow"
    return lines


def curves_domain(result: Result, measure: str) -> tuple[float, float]:
    """Return the ends of the scale of a measure's curves: the same for every kind, in twentieths, zero included."""
    low, high = select.value_range(result, measure)
    return math.floor(low * 20) / 20, math.ceil(high * 20) / 20


def _unit(kind: str, count: int) -> str:
    word = "language" if kind in select.OF_ONE_LANGUAGE else "pair"
    return word if count == 1 else f"{word}s"


def _curve_panel(
    result: Result, kind: str, measure: str, each: bool, regressed: bool, legend: bool, width: int, height: int
) -> alt.LayerChart:
    part = select.curve(result, kind, measure)
    mean = select.mean_of(part)
    names = select.groups(result, kind)
    y = alt.Scale(domain=list(curves_domain(result, measure)), nice=False, zero=False)
    x = alt.X(
        "depth:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(values=[0, 0.25, 0.5, 0.75, 1], format=".2~f", title="depth", titlePadding=23),
    )

    def at(column: str, title: str | None = None) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=y, axis=alt.Axis(title=title, tickCount=5))

    heading = measure_title(measure) if legend else None
    layers: list[alt.Chart] = [
        _chart(mean, "null")
        .mark_area(color=NULL_BAND, line=False)
        .encode(x=x, y=at("null_mean", heading), y2="null_q95:Q"),
        _chart(mean, "nulledge").mark_line(color=NULL_EDGE, strokeWidth=0.75).encode(x=x, y=at("null_mean", heading)),
    ]
    if mean[["low", "high"]].notna().to_numpy().any():
        layers.append(
            _chart(mean, "interval")
            .mark_area(color=INTERVAL, opacity=0.7)
            .encode(x=x, y=at("low", heading), y2="high:Q")
        )
    if each and 1 < len(names) <= MOST_LINES:
        thin = part[part["group"].isin(names)]
        lines = _chart(thin, "each").mark_line(strokeWidth=1.1 if len(names) <= 20 else 0.5, opacity=0.85)
        if kind in select.OF_ONE_LANGUAGE and len(names) <= len(LANGUAGE_COLOURS):
            colour = alt.Color(
                "group:N",
                scale=alt.Scale(domain=names, range=list(LANGUAGE_COLOURS[: len(names)])),
                legend=alt.Legend(title=None, symbolType="stroke") if legend else None,
            )
            layers.append(
                lines.encode(x=x, y=at("value", heading), color=colour, description="group:N", tooltip=_TOOLTIP)
            )
        else:
            lines = lines.encode(x=x, y=at("value", heading), detail="group:N", description="group:N", tooltip=_TOOLTIP)
            layers.append(lines.encode(color=alt.value(THIN)))
    if regressed:
        without = select.mean_of(select.curve(result, kind, measure, "length_regressed"))
        if len(without):
            layers.append(
                _chart(without, "regressednull")
                .mark_line(color=NULL_EDGE, strokeWidth=0.75, strokeDash=[2, 2])
                .encode(x=x, y=at("null_q95", heading))
            )
            layers.append(
                _chart(without, "regressed")
                .mark_line(color=INK, strokeWidth=1.5, strokeDash=[5, 3])
                .encode(x=x, y=at("value", heading))
            )
    if mean["ceiling"].notna().any():
        layers.append(
            _chart(mean, "ceiling")
            .mark_line(color=INK, strokeWidth=1.25, strokeDash=[1, 3])
            .encode(x=x, y=at("ceiling", heading))
        )
    _, level = select.baseline_level(result, kind, measure)
    if level is not None:
        layers.append(
            alt.Chart(pd.DataFrame({"baseline": [level]}))
            .properties(name="baseline")
            .mark_rule(color=LANGUAGE_COLOURS[1], strokeWidth=1.5, strokeDash=[8, 3, 2, 3])
            .encode(y=at("baseline", heading))
        )
    layers.append(_chart(mean, "mean").mark_line(color=INK, strokeWidth=2.25).encode(x=x, y=at("value", heading)))
    layers.append(
        _chart(mean, "meanpoints")
        .mark_point(color=INK, filled=True, size=14, opacity=1)
        .encode(x=x, y=at("value", heading), tooltip=_TOOLTIP)
    )
    layers.extend(_stage_strip(result, kind, x, width, height))
    return alt.LayerChart(layer=layers, width=width, height=height)


_TOOLTIP = [alt.Tooltip(f"{name}:N") for name in ("group", "point", "stage")] + [
    alt.Tooltip(f"{name}:Q", format=".3f")
    for name in ("depth", "value", "null_mean", "null_q95", "chance_corrected", "p")
]


@dataclass(frozen=True)
class StageRun:
    """A stretch of the depth that belongs to one stage."""

    stage: str
    start: float
    end: float


def stage_runs(result: Result, kind: str) -> list[StageRun]:
    """Return which stretch of the depth belongs to which stage, from 0 to the last point; empty without stages."""
    along = select.points(result, kind)
    starts = [0.0 if index == 0 else (along[index - 1].depth + point.depth) / 2 for index, point in enumerate(along)]
    first = [index for index, point in enumerate(along) if index == 0 or along[index - 1].stage != point.stage]
    if not any(along[index].stage for index in first):
        return []
    last = max(1.0, along[-1].depth) if len(along) > 1 else along[-1].depth
    ends = [*(starts[index] for index in first[1:]), last]
    return [StageRun(along[index].stage, starts[index], end) for index, end in zip(first, ends, strict=True)]


def fits(run: StageRun, width: int) -> bool:
    """Whether a stage's name fits into its stretch of a plot; one that is wider would run into the next."""
    return (run.end - run.start) * width > 6 * len(run.stage)


def _stage_strip(result: Result, kind: str, x: alt.X, width: int, height: int) -> list[alt.Chart]:
    """Draw a strip below the axis that says which stretch of the depth belongs to which stage."""
    runs = [
        {
            "stage": run.stage,
            "depth": run.start,
            "end": run.end,
            "fill": (STAGE_EVEN, STAGE_ODD)[index % 2],
            "middle": (run.start + run.end) / 2,
            "label": run.stage if fits(run, width) else "",
        }
        for index, run in enumerate(stage_runs(result, kind))
    ]
    if not runs:
        return []
    top = height + 20
    return [
        _chart(runs, "stages")
        .mark_rect(clip=False)
        .encode(
            x=x,
            x2="end:Q",
            y=alt.value(top),
            y2=alt.value(top + 3),
            color=alt.Color("fill:N", scale=None),
            description="stage:N",
        ),
        _chart(runs, "stagelabels")
        .mark_text(color=MUTED, fontSize=9.5, baseline="top", clip=False)
        .encode(x=alt.X("middle:Q", scale=alt.Scale(domain=[0, 1])), y=alt.value(top + 6), text="label:N"),
    ]


def heat_map(
    result: Result,
    modality: str,
    point: str | None = None,
    measure: str | None = None,
    *,
    control: str = "none",
    order: Sequence[str] | None = None,
    size: int = 320,
) -> alt.LayerChart:
    """Draw one score for every pair of languages at one point.

    Parameters
    ----------
    result : Result
        What a study found.
    modality : str
        ``text`` or ``speech``: language against language; ``text-speech``: text against speech of one language, on the
        diagonal.
    point : str, optional
        Name of a point; without it, the last one.
    measure : str, optional
        As written in the scores; without it, the first that is not saturated.
    control : str
        ``none`` or another control of the scores.
    order : sequence of str, optional
        Languages to show, in this order; without it, all in the corpus's order.
    size : int
        Width and height of the plot in pixels.

    Returns
    -------
    altair chart
        Named layers: ``cells`` and, up to :data:`MOST_NUMBERS` languages, ``numbers``. A number in brackets cannot be
        told from the null (p > 0.05).

    Raises
    ------
    UsageError
        If the result has no such modality, point, measure or language.
    DataError
        If nothing was compared there.
    """
    select.known("modality", modality, list(select.MAP_KINDS))
    kind = select.known("kind of comparison", select.MAP_KINDS[modality], select.kinds(result))
    along = [at.name for at in select.points(result, kind)]
    point = along[-1] if point is None else select.known("point", point, along)
    measure = select.leading_measure(result) if measure is None else measure
    measure = select.known("measure", measure or "", select.measures(result))
    names = select.languages(result)
    shown = [select.known("language", name, names) for name in order] if order is not None else names
    pivoted = select.cells(result, modality, measure, control, ("value", "null_mean", "chance_corrected", "p"))
    here = {quantity: filled[along.index(point)] for quantity, filled in pivoted.items()}
    records: list[dict[str, Any]] = []
    for a in shown:
        for b in shown:
            i, j = names.index(a), names.index(b)
            if np.isfinite(here["value"][i, j]):
                found = {quantity: float(filled[i, j]) for quantity, filled in here.items()}
                text = number(found["value"])
                records.append({"a": a, "b": b, **found, "label": f"({text})" if found["p"] > 0.05 else text})
    if not records:
        raise DataError(
            f"nothing was compared at point {point!r} under {measure!r} and control {control!r}: "
            "choose another point or control"
        )
    low, high = value_domain(result, modality, measure)
    middle = low + 0.55 * (high - low)
    axis = alt.Axis(
        title=None, labelAngle=0 if len(shown) <= MOST_NUMBERS else -90, ticks=False, domain=False, labelOverlap=False
    )
    base = _chart(records, None).encode(
        x=alt.X("b:N", sort=shown, axis=axis, scale=alt.Scale(domain=shown)),
        y=alt.Y(
            "a:N",
            sort=shown,
            axis=alt.Axis(title=None, ticks=False, domain=False, labelOverlap=False),
            scale=alt.Scale(domain=shown),
        ),
    )
    painted = base.mark_rect(stroke=PAPER, strokeWidth=1 if len(shown) <= 40 else 0, aria=len(shown) <= 40).encode(
        color=alt.Color(
            "value:Q",
            scale=alt.Scale(scheme="viridis", domain=[low, high]),
            legend=alt.Legend(title=measure_title(measure), titleLimit=200),
        ),
        tooltip=[alt.Tooltip("a:N"), alt.Tooltip("b:N")] + [alt.Tooltip(f"{name}:Q", format=".3f") for name in here],
    )
    layers = [painted.properties(name="cells")]
    if len(shown) <= MOST_NUMBERS:
        cell = size / len(shown)
        numbers = base.mark_text(fontSize=min(13.0, cell * 0.3)).encode(
            text="label:N", color=alt.condition(f"datum.value > {middle}", alt.value(INK), alt.value(PAPER))
        )
        layers.append(numbers.properties(name="numbers"))
    depth = next(at.depth for at in select.points(result, kind) if at.name == point)
    title = alt.TitleParams(
        f"{KIND_TITLES[kind]} at {point}",
        subtitle=f"depth {number(depth)}; {measure_title(measure)}; {CONTROL_TITLES.get(control, control)}",
    )
    values = [float(record["value"]) for record in records]
    text = (
        f"{KIND_TITLES[kind]}, {measure_title(measure)}, at {point}: {len(shown)} by {len(shown)} languages, "
        f"values from {number(min(values))} to {number(max(values))}."
    )
    return _styled(alt.LayerChart(layer=layers, width=size, height=size, title=title), text)


def value_domain(result: Result, modality: str, measure: str) -> tuple[float, float]:
    """Return the ends of the colour scale: the same for every map and point, so that they can be compared."""
    found = []
    for kind in select.MAP_KINDS.values():
        values = select.rows(result.scores, kind=kind, measure=measure)
        values = values[values["control"].isin(["none", "length_regressed"])]
        found.append(values["value"].to_numpy(dtype=float))
    drawn = np.concatenate(found)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return 0.0, 1.0
    low, high = min(0.0, float(drawn.min())), float(drawn.max())
    return (low, high) if high > low else (low, low + 1.0)


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
        Named layers: ``spread``, ``scores`` and ``chance``.

    Raises
    ------
    DataError
        If retrieval was not measured for this kind.
    """
    kind = current_kind(kind, "kind")
    table = select.retrieval_rows(result, kind, most)
    if table.empty:
        raise DataError(
            f"retrieval was not measured for {kind!r}: add it to the study's measures, or choose another kind"
        )
    pairs = [
        a if kind in select.OF_ONE_LANGUAGE else f"{a}–{b}"
        for a, b in zip(table["language_a"], table["language_b"], strict=True)
    ]
    series = {"value": CONTROL_TITLES["none"]} | {
        "length_regressed": CONTROL_TITLES["length_regressed"],
        "baseline": title_of(table.attrs["baseline"]),
        "shuffled": CONTROL_TITLES["shuffled"],
    }
    records = [
        {"row": pair, "series": title, "value": float(found)}
        for column, title in series.items()
        for pair, found in zip(pairs, table[column], strict=True)
        if np.isfinite(found)
    ]
    there = [title for title in series.values() if any(record["series"] == title for record in records)]
    colours = dict(zip(series.values(), (INK, "#0072b2", "#d55e00", THIN), strict=True))
    shapes = dict(zip(series.values(), ("circle", "diamond", "triangle-up", "cross"), strict=True))
    x = alt.X("value:Q", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(title="P@1", tickCount=5))
    y = alt.Y("row:N", sort=pairs, axis=alt.Axis(title=None, ticks=False, domain=False, grid=True, labelOverlap=False))
    scores = (
        _chart(records, "scores")
        .mark_point(filled=True, size=55, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "series:N",
                sort=there,
                scale=alt.Scale(domain=there, range=[colours[name] for name in there]),
                legend=alt.Legend(title=None),
            ),
            shape=alt.Shape(
                "series:N", sort=there, scale=alt.Scale(domain=there, range=[shapes[name] for name in there])
            ),
            tooltip=[alt.Tooltip("row:N"), alt.Tooltip("series:N"), alt.Tooltip("value:Q", format=".3f")],
        )
    )
    chances = [
        {"row": pair, "value": float(found)}
        for pair, found in zip(pairs, table["chance"], strict=True)
        if np.isfinite(found)
    ]
    chance = _chart(chances, "chance").mark_tick(color=MUTED, thickness=1.5, size=14).encode(x=x, y=y)
    title = alt.TitleParams(
        f"Retrieval: {KIND_LINES[kind]}",
        subtitle=f"at {table.attrs['last']}; the grey tick is the null's mean (chance)",
    )
    text = f"Retrieval P@1, {KIND_LINES[kind]}, at {table.attrs['last']}: " + "; ".join(
        f"{pair} {number(found)} (p {p_value(p)})"
        for pair, found, p in zip(pairs, table["value"], table["p"], strict=True)
    )
    return _styled(alt.LayerChart(layer=[chance, scores], width=width, height=alt.Step(18), title=title), text)


_DRAWN_COLUMNS = (
    "point",
    "stage",
    "depth",
    "group",
    "value",
    "null_mean",
    "null_q95",
    "chance_corrected",
    "low",
    "high",
    "p",
)


def _chart(data: pd.DataFrame | list[dict[str, Any]], name: str | None) -> alt.Chart:
    """Make a chart on its own rows and only the columns that are drawn; NaN becomes null, which breaks a line."""
    # A frame, not inline values: Altair copies those deeply at every step.
    frame = pd.DataFrame(data) if isinstance(data, list) else data[[*_DRAWN_COLUMNS]]
    chart = alt.Chart(frame)
    return chart if name is None else chart.properties(name=name)


def _styled(chart: Styled, text: str) -> Styled:
    # Set, not chained: each configure_...() would copy the whole chart.
    chart.description = text
    chart.config = alt.Config(
        background=PAPER,
        font=FONT,
        padding=8,
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(
            gridColor=GRID,
            domainColor=AXIS,
            tickColor=AXIS,
            labelColor=MUTED,
            titleColor=MUTED,
            labelFontSize=10,
            titleFontSize=10.5,
            titleFontWeight="normal",
            tickSize=4,
        ),
        axisX=alt.AxisConfig(grid=False),
        title=alt.TitleConfig(
            anchor="start", color=INK, fontSize=13, fontWeight="bold", subtitleColor=MUTED, subtitleFontSize=10.5
        ),
        legend=alt.LegendConfig(
            labelColor=INK, titleColor=MUTED, titleFontWeight="normal", labelFontSize=10.5, titleFontSize=10.5
        ),
    )
    return chart
