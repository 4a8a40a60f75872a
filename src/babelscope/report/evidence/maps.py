"""Maps: languages by languages at a layer, and languages by layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.errors import DataError
from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.figure import PALETTE, Figure, captioned, finished, tooltips
from babelscope.report.section import Evidence
from babelscope.report.sentences import Sentence, tell
from babelscope.report.wording import CONTROL_TITLES, KIND_TITLES, MAP_TITLES, measure_title, number

#: Numbers are written into the cells of a heat map up to this many languages.
MOST_NUMBERS = 14

#: Cells that a map holds: as many layers as fit, evenly spread.
MOST_CELLS = 16_000

_QUANTITIES = ("value", "null_mean", "chance_corrected", "p")
_BRACKETS = "in brackets: not above the null (p > 0.05, uncorrected)"


def evidence(result: Result) -> Evidence | None:
    """Return one map a kind of comparison under the leading measure; None where there is none."""
    measure = queries.leading_measure(result)
    there = queries.kinds(result)
    if measure is None:
        return None
    blocks: list[Any] = []
    for modality, kind in queries.MAP_KINDS.items():
        if kind not in there or not np.isfinite(queries.cells(result, modality, measure)["value"][-1:]).any():
            continue
        along, layers = modality in queries.ALONG, queries.points(result, kind)
        if len(queries.languages(result)) * (len(layers) if along else 1) < 2:
            continue
        lead = None if along else _lead(result, modality, measure)
        last = layers[-1].name
        rows = queries.rows(result.scores, kind=kind, measure=measure, control="none")
        text = f"{MAP_TITLES[modality]}, {measure_title(measure)}" + ("" if along else f", at {last}") + "."
        figure = Figure(
            f"heat_map.{modality}",
            lambda width, modality=modality: chart(result, modality, measure, width),  # type: ignore[misc]
            rows if along else queries.rows(rows, point_a=last),
            lead or text,
            f"{text} {lead or ''}".strip(),
        )
        blocks += [lead] if lead is not None else []
        blocks.append(figure)
        if not along and len(shown := _layers(result, kind)) < len(layers):
            said = "The map has {some} of {all} layers, evenly spread; scores.parquet has every one."
            blocks.append(Sentence(said, some=len(shown), all=len(layers)))
    return Evidence("Each language with each other", tuple(blocks)) if blocks else None


def _layers(result: Result, kind: str) -> list[str]:
    """Return the points whose maps can be chosen: all, or as many as fit, evenly spread."""
    points = [point.name for point in queries.points(result, kind)]
    return queries.spread(points, MOST_CELLS // len(queries.languages(result)) ** 2)


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
    queries.known("modality", modality, list(queries.MAP_KINDS))
    kind = queries.known("kind of comparison", queries.MAP_KINDS[modality], queries.kinds(result))
    along = [at.name for at in queries.points(result, kind)]
    point = along[-1] if point is None else queries.known("point", point, along)
    measure = queries.leading_measure(result) if measure is None else measure
    measure = queries.known("measure", measure or "", queries.measures(result))
    names = queries.languages(result)
    shown = [queries.known("language", name, names) for name in order] if order is not None else names
    pivoted = queries.cells(result, modality, measure, control, _QUANTITIES)
    here = {quantity: filled[along.index(point)] for quantity, filled in pivoted.items()}
    records: list[dict[str, Any]] = []
    for a in shown:
        for b in shown:
            i, j = names.index(a), names.index(b)
            if np.isfinite(here["value"][i, j]):
                score = {quantity: float(filled[i, j]) for quantity, filled in here.items()}
                text = number(score["value"])
                label = f"({text})" if score["p"] > 0.05 else text
                records.append({"a": a, "b": b, **score} | ({"label": label} if len(shown) <= MOST_NUMBERS else {}))
    if not records:
        raise DataError(
            f"nothing was compared at point {point!r} under {measure!r} and control {control!r}: "
            "choose another point or control"
        )
    low, high = value_domain(result, measure)
    middle = low + 0.55 * (high - low)
    many = len(shown) > MOST_NUMBERS

    def axis(title: str, **options: Any) -> alt.Axis:
        title_or_none = title if modality == "cross" else None
        return alt.Axis(title=title_or_none, ticks=False, domain=False, labelOverlap=len(shown) > 60, **options)

    scale = alt.Scale(domain=shown)
    base = alt.Chart(pd.DataFrame(records)).encode(
        x=alt.X("b:N", sort=shown, axis=axis("text", labelAngle=-90 if many else 0), scale=scale),
        y=alt.Y("a:N", sort=shown, axis=axis("speech"), scale=scale),
    )
    legend = alt.Legend(title=f"similarity ({measure_title(measure)})", orient="bottom", gradientLength=160)
    colour = alt.Color("value:Q", scale=alt.Scale(scheme="viridis", domain=[low, high]), legend=legend)
    few = len(shown) <= 40
    painted = base.mark_rect(stroke=PALETTE["paper"], strokeWidth=1 if few else 0, aria=few)
    painted = painted.encode(color=colour, tooltip=tooltips(["a", "b"], here))
    layers = [painted.properties(name="cells")]
    if not many:
        cell = size / len(shown)
        numbers = base.mark_text(fontSize=min(13.0, cell * 0.3)).encode(
            text="label:N", color=alt.condition(f"datum.value > {middle}", alt.value("#000000"), alt.value("white"))
        )
        layers.append(numbers.properties(name="numbers"))
    depth = next(at.depth for at in queries.points(result, kind) if at.name == point)
    lines = [
        f"depth {number(depth)}; {measure_title(measure)}; {CONTROL_TITLES.get(control, control)}",
        charts.about(result),
        "" if many else _BRACKETS,
    ]
    values = [float(record["value"]) for record in records]
    text = (
        f"{KIND_TITLES[kind]}, {measure_title(measure)}, at {point}: {len(shown)} by {len(shown)} languages, "
        f"values from {number(min(values))} to {number(max(values))}."
    )
    return finished(alt.LayerChart(layer=layers), size, size, f"{KIND_TITLES[kind]} at {point}", lines, text)


def value_domain(result: Result, measure: str) -> tuple[float, float]:
    """Return the ends of the colour scale: the same for every map and point, so that they can be compared."""
    kinds, controls = list(queries.MAP_KINDS.values()), ["none", "length_regressed"]
    scores = queries.rows(result.scores, kind=kinds, measure=measure, control=controls)
    drawn = scores["value"].to_numpy(dtype=float)
    drawn = drawn[np.isfinite(drawn)]
    if not len(drawn):
        return 0.0, 1.0
    low, high = min(0.0, float(drawn.min())), float(drawn.max())
    return (low, high) if high > low else (low, low + 1.0)


def chart(result: Result, modality: str, measure: str, width: int) -> Any:
    """Draw a map; between languages its layer can be chosen in the page."""
    if modality in queries.ALONG:
        return along(result, modality, measure, width)
    kind = queries.MAP_KINDS[modality]
    points, names, layers = queries.points(result, kind), queries.languages(result), _layers(result, kind)
    size = min(width, max(200, 40 * len(names)))
    last = heat_map(result, modality, None, measure, size=size)
    if len(layers) < 2:
        return last
    pivoted = queries.cells(result, modality, measure, "none", _QUANTITIES)
    drawn = np.array([point.name in layers for point in points])
    at, a, b = np.nonzero(np.isfinite(pivoted["value"]) & drawn[:, None, None])
    values, p = pivoted["value"][at, a, b], pivoted["p"][at, a, b]
    rows = pd.DataFrame(
        {
            "point": [points[index].name for index in at],
            "a": [names[index] for index in a],
            "b": [names[index] for index in b],
            **{name: filled[at, a, b] for name, filled in pivoted.items()},
            "label": [f"({number(v)})" if q > 0.05 else number(v) for v, q in zip(values, p, strict=True)],
        }
    )
    for layer in last.layer:
        layer.data = rows
    last.data = alt.Undefined
    there = [name for name in layers if name in set(rows["point"])]
    chosen = alt.param(name="layer", value=there[-1], bind=alt.binding_select(options=there, name="layer "))
    last.layer = [one.transform_filter("datum.point == layer") for one in last.layer]
    last.layer[0] = last.layer[0].add_params(chosen)
    lines = [measure_title(measure), charts.about(result), "" if len(names) > MOST_NUMBERS else _BRACKETS]
    last.title = captioned(f"{KIND_TITLES[kind]} (at first: {there[-1]})", lines, size)
    return last


def along(result: Result, modality: str, measure: str, width: int) -> alt.Chart:
    """Draw a map of languages (rows) and points (columns)."""
    kind = queries.MAP_KINDS[modality]
    curves = queries.curve(result, kind, measure)
    if curves["group"].nunique() <= 1 and len(queries.languages(result)) > 1:  # curves too many to be kept
        curves = queries.mean_of(curves)
    curves = curves[curves["group"] != "mean"] if (curves["group"] != "mean").any() else curves
    names = [name for name in queries.languages(result) if name in set(curves["group"].astype(str))] or ["mean"]
    points = [point.name for point in queries.points(result, kind)]
    low, high = value_domain(result, measure)
    columns = ["point", "group", "value", "chance_corrected", "p"]
    scale, legend = alt.Scale(scheme="viridis", domain=[low, high]), alt.Legend(orient="bottom", gradientLength=160)
    made: alt.Chart = alt.Chart(curves[columns]).mark_rect()
    made = made.encode(
        x=alt.X("point:N", sort=points, title="speech point").axis(labelAngle=-90, labelOverlap=len(points) > 40),
        y=alt.Y("group:N", sort=names, title=None, axis=alt.Axis(labelOverlap=len(names) > 60)),
        color=alt.Color("value:Q", title=f"similarity ({measure_title(measure)})", scale=scale, legend=legend),
        tooltip=tooltips(["group", "point"], columns[2:]),
    )
    height = max(40, min(20, 900 // len(names)) * len(names))
    lines = [measure_title(measure), charts.about(result)]
    return finished(made, width, height, MAP_TITLES[modality], lines)


def _lead(result: Result, modality: str, measure: str) -> Sentence | None:
    """Name the pairs with the highest and the lowest score at the last point."""
    kind = queries.MAP_KINDS[modality]
    last = queries.points(result, kind)[-1].name
    scores = queries.rows(result.scores, kind=kind, measure=measure, control="none", point_a=last)
    scores = scores[scores["value"].notna()]
    if len(scores) < 2:
        return None
    high, low = queries.highest(scores, "value"), queries.lowest(scores, "value")
    return Sentence(
        "{what} at {point}: {measure} is highest for {a} and {b} ({high}) and lowest for {c} and {d} ({low}); the "
        "order was not tested.",
        what=MAP_TITLES[modality], point=last, measure=measure_title(measure),
        a=str(high["language_a"]), b=str(high["language_b"]), high=tell("scores", high, "value"),
        c=str(low["language_a"]), d=str(low["language_b"]), low=tell("scores", low, "value"),
    )  # fmt: skip
