"""The report's pictures, as Altair charts that can be restyled.

Every function takes a :class:`~babelscope.gaps.result.Result`, selects rows of it and draws them; nothing is computed.
A curve is always drawn over its null band, which reaches from the null's mean to its 95th percentile. Subtitles name
the measure, the number of sentences, the model and the corpus; legends name every line and band.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.errors import DataError
from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.old_names import current_kind
from babelscope.gaps.result import Result
from babelscope.report import select
from babelscope.report.figure import (
    LANGUAGE_COLOURS,
    PALETTE,
    Drawable,
    Entry,
    captioned,
    key_of,
    labels_in_lanes,
    restyled,
)
from babelscope.report.words import CONTROL_TITLES, KIND_LINES, KIND_TITLES, measure_title, number, p_value

INK, MUTED, THIN, PAPER = (PALETTE[name] for name in ("ink", "muted", "thin", "paper"))
BASELINE = PALETTE["language-1"]

#: More languages or pairs than this are not drawn one by one: the mean stands for them.
MOST_LINES = 120

#: Numbers are written into the cells of a heat map up to this many languages.
MOST_NUMBERS = 14

#: Height of a line of stage names, in pixels.
_LANE = 12


def about(result: Result, n: int | None = None) -> str:
    """Return what a figure is of, in a few words: sentences, model, corpus."""
    counts = result.curves["n"].dropna()
    n = n if n is not None else (int(counts.max()) if len(counts) else None)
    model, corpus = (_named(result.meta.get(part)) for part in ("model", "corpus"))
    return "; ".join(part for part in (f"n = {n} sentences" if n else "", model, corpus) if part)


def _named(part: object) -> str:
    return str(part.get("name") or part.get("title") or "") if isinstance(part, dict) else ""


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
    kind = select.known("kind of comparison", kind, select.kinds(result))
    if measure is None:
        measures = drawn_measures(result, kind)
        columns = max(1, min(len(measures), (width + 340) // 300 if width < 300 else 3))
        panels = [
            _curve_panel(result, kind, name, each, regressed, legend, width, height).properties(
                title=alt.TitleParams(measure_title(name), fontSize=12, offset=6)
            )
            for name in measures
        ]
        chart: alt.ConcatChart = alt.concat(
            *panels, columns=columns, title=captioned(curves_title(kind), [about(result)], width * columns)
        ).resolve_scale(stroke="independent", strokeDash="independent", strokeWidth="independent", color="independent")
        texts = [
            f"{KIND_TITLES[kind]} along the depth, one panel a measure.",
            *(panel_text(result, kind, name) for name in measures),
        ]
        return restyled(chart, " ".join(texts))
    select.known("measure", measure, select.measures(result))
    panel = _curve_panel(result, kind, measure, each, regressed, legend, width, height)
    panel.title = captioned(curves_title(kind), [f"{measure_title(measure)}; {about(result)}"], width)
    return restyled(panel, panel_text(result, kind, measure))


def drawn_measures(result: Result, kind: str) -> list[str]:
    """Return the measures that say something of a kind: measured, and not saturated everywhere."""
    there = [name for name in select.measures(result) if select.curve(result, kind, name)["value"].notna().any()]
    full = {name: select.saturation(result, kind, name) for name in there}
    clear = [name for name in there if not ((found := full[name]) and found.everywhere and found.blind)]
    return clear or there or select.measures(result)


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
    return f"{KIND_TITLES[kind]} over depth"


def curves_domain(result: Result, kind: str, measure: str) -> tuple[float, float]:
    """Return the ends of the scale of a kind's curves.

    It reaches from 0, what unrelated sentences give, to 1, perfect agreement; further only where a value lies outside.
    An interval or null that reaches beyond is drawn up to the edge.
    """
    low, high = select.value_range(result, kind, measure)
    return min(0.0, math.floor(low * 20) / 20), max(1.0, math.ceil(high * 20) / 20)


def _unit(kind: str, count: int) -> str:
    word = "language" if kind in select.OF_ONE_LANGUAGE else "pair of languages"
    return word if count == 1 else {"language": "languages"}.get(word, "pairs of languages")


def _curve_panel(
    result: Result, kind: str, measure: str, each: bool, regressed: bool, legend: bool, width: int, height: int
) -> alt.LayerChart:
    part = select.curve(result, kind, measure)
    mean = select.mean_of(part)
    names = select.groups(result, kind)
    lanes = stage_labels(result, kind, width)
    rows = int(lanes["lane"].max()) + 1 if len(lanes) else 0
    y = alt.Scale(domain=list(curves_domain(result, kind, measure)), nice=False, zero=False)
    x = alt.X(
        "depth:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(
            values=[0, 0.25, 0.5, 0.75, 1],
            format=".2~f",
            title="depth (first point to last)",
            titlePadding=(10 + _LANE * rows) if rows else 4,
        ),
    )

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=y, axis=alt.Axis(title=f"similarity ({measure_title(measure)})", tickCount=5))

    over = int(mean["groups"].max()) if len(mean) else 0
    key: list[Entry] = []
    languages: list[Entry] = []
    layers: list[alt.Chart] = []
    if mean["null_mean"].notna().any():
        key.append(Entry("null (mean to 95th percentile)", PALETTE["null-band"], 7))
        layers += [
            _rows(mean, "null")
            .mark_area(color=PALETTE["null-band"], line=False, clip=True)
            .encode(x=x, y=at("null_mean"), y2="null_q95:Q"),
            _rows(mean, "nulledge")
            .mark_line(color=PALETTE["null-edge"], strokeWidth=0.75, clip=True)
            .encode(x=x, y=at("null_mean")),
        ]
    if mean[["low", "high"]].notna().to_numpy().any():
        key.append(Entry("95 % interval of the mean", PALETTE["interval"], 7))
        layers.append(
            _rows(mean, "interval")
            .mark_area(color=PALETTE["interval"], opacity=0.7, clip=True)
            .encode(x=x, y=at("low"), y2="high:Q")
        )
    key.insert(0, Entry(f"mean over {over} {_unit(kind, over)}", INK, 2.25))
    if each and 1 < len(names) <= MOST_LINES:
        thin = part[part["group"].isin(names)]
        shown = thin if len(names) <= 20 else thin[["point", "depth", "group", "value"]]
        lines = _rows(shown, "each").mark_line(strokeWidth=1.1 if len(names) <= 20 else 0.5, opacity=0.85)
        if kind in select.OF_ONE_LANGUAGE and len(names) <= len(LANGUAGE_COLOURS):
            colours = list(LANGUAGE_COLOURS[: len(names)])
            colour: Any = alt.Color("group:N", scale=alt.Scale(domain=names, range=colours), legend=None)
            languages = [Entry(name, shade, 1.6) for name, shade in zip(names, colours, strict=True)]
        else:
            colour = alt.value(THIN)
            key.append(Entry(f"each {_unit(kind, 1)}", THIN, 1))
        tooltip = _TOOLTIP if len(names) <= 20 else ["group:N", "point:N", alt.Tooltip("value:Q", format=".3f")]
        layers.append(lines.encode(x=x, y=at("value"), color=colour, detail="group:N", tooltip=tooltip))
    without = select.mean_of(select.curve(result, kind, measure, "length_regressed")) if regressed else mean[:0]
    if len(without):
        key.append(Entry("mean after regressing out length", INK, 1.5, (5, 3)))
        layers += [
            _rows(without, "regressednull")
            .mark_line(color=PALETTE["null-edge"], strokeWidth=0.75, strokeDash=[2, 2], clip=True)
            .encode(x=x, y=at("null_q95")),
            _rows(without, "regressed")
            .mark_line(color=INK, strokeWidth=1.5, strokeDash=[5, 3])
            .encode(x=x, y=at("value")),
        ]
    if mean["ceiling"].notna().any():
        key.append(Entry("noise ceiling: two readers of a sentence", INK, 1.25, (1, 3)))
        layers.append(
            _rows(mean, "ceiling")
            .mark_line(color=INK, strokeWidth=1.25, strokeDash=[1, 3])
            .encode(x=x, y=at("ceiling"))
        )
    name, level = select.baseline_level(result, kind, measure)
    if level is not None:
        key.append(Entry(f"strongest baseline: {title_of(name)}, {number(level)}", BASELINE, 1.5, (8, 3, 2, 3)))
        layers.append(
            alt.Chart(pd.DataFrame({"baseline": [level]}))
            .properties(name="baseline")
            .mark_rule(color=BASELINE, strokeWidth=1.5, strokeDash=[8, 3, 2, 3])
            .encode(y=at("baseline"))
        )
    layers.append(_rows(mean, "mean").mark_line(color=INK, strokeWidth=2.25).encode(x=x, y=at("value")))
    layers.append(
        _rows(mean, "meanpoints")
        .mark_point(color=INK, filled=True, size=14, opacity=1)
        .encode(x=x, y=at("value"), tooltip=_TOOLTIP)
    )
    layers.extend(stage_strip(lanes, x, height))
    if legend:
        layers.append(key_of(key, width))
        if languages:
            layers.append(key_of(languages, width, "languages"))
    chart: alt.LayerChart = alt.LayerChart(layer=layers, width=width, height=height).resolve_scale(
        stroke="independent", strokeDash="independent", strokeWidth="independent"
    )
    return chart


_TOOLTIP = [alt.Tooltip(f"{name}:N") for name in ("group", "point", "stage")] + [
    alt.Tooltip(f"{name}:Q", format=".3f")
    for name in ("depth", "value", "low", "high", "null_mean", "null_q95", "chance_corrected", "p")
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
                label = f"({text})" if found["p"] > 0.05 else text
                records.append({"a": a, "b": b, **found} | ({"label": label} if len(shown) <= MOST_NUMBERS else {}))
    if not records:
        raise DataError(
            f"nothing was compared at point {point!r} under {measure!r} and control {control!r}: "
            "choose another point or control"
        )
    low, high = value_domain(result, modality, measure)
    middle = low + 0.55 * (high - low)
    many = len(shown) > MOST_NUMBERS
    axis = alt.Axis(
        title="text" if modality == "cross" else None, labelAngle=-90 if many else 0, ticks=False, domain=False,
        labelOverlap=len(shown) > 60,
    )  # fmt: skip
    across = alt.Axis(
        title="speech" if modality == "cross" else None, ticks=False, domain=False, labelOverlap=len(shown) > 60
    )
    base = alt.Chart(pd.DataFrame(records)).encode(
        x=alt.X("b:N", sort=shown, axis=axis, scale=alt.Scale(domain=shown)),
        y=alt.Y("a:N", sort=shown, axis=across, scale=alt.Scale(domain=shown)),
    )
    painted = base.mark_rect(stroke=PAPER, strokeWidth=1 if len(shown) <= 40 else 0, aria=len(shown) <= 40).encode(
        color=alt.Color(
            "value:Q",
            scale=alt.Scale(scheme="viridis", domain=[low, high]),
            legend=alt.Legend(title=f"similarity ({measure_title(measure)})", orient="bottom", gradientLength=160),
        ),
        tooltip=[alt.Tooltip("a:N"), alt.Tooltip("b:N")] + [alt.Tooltip(f"{name}:Q", format=".3f") for name in here],
    )
    layers = [painted.properties(name="cells")]
    if not many:
        cell = size / len(shown)
        numbers = base.mark_text(fontSize=min(13.0, cell * 0.3)).encode(
            text="label:N", color=alt.condition(f"datum.value > {middle}", alt.value("#000000"), alt.value("white"))
        )
        layers.append(numbers.properties(name="numbers"))
    depth = next(at.depth for at in select.points(result, kind) if at.name == point)
    lines = [
        f"depth {number(depth)}; {measure_title(measure)}; {CONTROL_TITLES.get(control, control)}",
        about(result),
        "" if many else "in brackets: not above the null (p > 0.05, uncorrected)",
    ]
    values = [float(record["value"]) for record in records]
    text = (
        f"{KIND_TITLES[kind]}, {measure_title(measure)}, at {point}: {len(shown)} by {len(shown)} languages, "
        f"values from {number(min(values))} to {number(max(values))}."
    )
    chart = alt.LayerChart(
        layer=layers, width=size, height=size, title=captioned(f"{KIND_TITLES[kind]} at {point}", lines, size)
    )
    restyled(chart, text)
    return chart


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
        Named layers: ``scores`` and ``chance``.

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
        str(a) if kind in select.OF_ONE_LANGUAGE else f"{a}–{b}"
        for a, b in zip(table["language_a"], table["language_b"], strict=True)
    ]
    series = {"value": CONTROL_TITLES["none"]} | {
        "length_regressed": CONTROL_TITLES["length_regressed"],
        "baseline": title_of(table.attrs["baseline"]),
        "shuffled": CONTROL_TITLES["shuffled"],
    }
    records = [
        {"pair": pair, "series": title, "value": float(found)}
        for column, title in series.items()
        for pair, found in zip(pairs, table[column], strict=True)
        if np.isfinite(found)
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
            tooltip=[alt.Tooltip("pair:N"), alt.Tooltip("series:N"), alt.Tooltip("value:Q", format=".3f")],
        )
    )  # fmt: skip
    chances = [
        {"pair": pair, "value": float(found)}
        for pair, found in zip(pairs, table["chance"], strict=True)
        if np.isfinite(found)
    ]
    chance = (
        alt.Chart(pd.DataFrame(chances, columns=["pair", "value"]))
        .properties(name="chance")
        .mark_tick(color=MUTED, thickness=1.5, size=14)
        .encode(x=x, y=y)
    )
    lines = [f"at {table.attrs['last']}; the grey tick is the null’s mean (chance)", about(result)]
    text = f"Retrieval P@1, {KIND_LINES[kind]}, at {table.attrs['last']}: " + "; ".join(
        f"{pair} {number(found)} (p {p_value(p)})"
        for pair, found, p in zip(pairs, table["value"], table["p"], strict=True)
    )
    title = captioned(f"Retrieval: {KIND_LINES[kind]}", lines, width)
    chart = alt.LayerChart(layer=[chance, scores], width=width, height=alt.Step(18), title=title)
    restyled(chart, text)
    return chart


def forest(
    rows: pd.DataFrame, width: int, *, label: str, x_title: str, lines: Sequence[str], title: str, text: str,
    colours: dict[str, str] | None = None, zero: str = "0: no difference",
) -> Drawable:  # fmt: skip
    """Draw effects with their intervals around 0, one row an effect.

    Parameters
    ----------
    rows : DataFrame
        With the columns `label`, effect, low, high and, for `colours`, verdict.
    width : int
    label : str
        Column of the rows' names.
    x_title, title, text : str
    lines : sequence of str
        Below the title.
    colours : dict of str to str, optional
        By verdict, which then has a legend.
    zero : str
        What the line at 0 is.
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
    tooltip = [alt.Tooltip(f"{label}:N"), *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("effect", "low", "high"))]
    layers = [
        alt.Chart(pd.DataFrame({"zero": [0.0]}))
        .mark_rule(color=PALETTE["axis"])
        .encode(x=alt.X("zero:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=6))),
        base.mark_rule(strokeWidth=2).encode(
            x=alt.X("low:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=6)),
            x2="high:Q",
            y=y,
            color=colour,
            tooltip=tooltip,
        ),
        base.mark_point(filled=True, size=60, opacity=1).encode(
            x=alt.X("effect:Q", title=x_title, scale=scale, axis=alt.Axis(tickCount=6)),
            y=y,
            color=colour,
            tooltip=tooltip,
        ),
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
    chart = alt.LayerChart(
        layer=layers,
        width=width,
        height=alt.Step(22 + 13 * most),
        title=captioned(title, [*lines[:-1], f"{lines[-1]}; {zero}"], width),
    )
    return restyled(chart, text)


#: Columns of the curves that their figures carry.
DRAWN_COLUMNS = (
    "point", "stage", "depth", "group", "value", "null_mean", "null_q95", "chance_corrected", "low", "high", "ceiling",
    "p",
)  # fmt: skip


def _rows(data: pd.DataFrame, name: str) -> alt.Chart:
    """Make a chart on its own rows and only the columns that are drawn; NaN becomes null, which breaks a line."""
    chart: alt.Chart = alt.Chart(data[[one for one in DRAWN_COLUMNS if one in data]]).properties(name=name)
    return chart
