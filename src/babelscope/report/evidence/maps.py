"""Languages by languages at a layer, and languages by layers for the similarity of speech and text."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, select, words
from babelscope.report.figure import Figure, captioned, restyled
from babelscope.report.section import Evidence
from babelscope.report.told import Sentence, tell

#: Cells that a map holds: as many layers as fit, evenly spread.
MOST_CELLS = 16_000


def evidence(result: Result) -> Evidence | None:
    """Return one map a kind of comparison under the leading measure; None where there is none."""
    measure = select.leading_measure(result)
    there = select.kinds(result)
    if measure is None:
        return None
    blocks: list[Any] = []
    for modality, kind in select.MAP_KINDS.items():
        if kind not in there or not select.has_cells(result, modality, measure):
            continue
        if len(select.languages(result)) < (1 if modality in select.ALONG else 2):
            continue
        lead = _lead(result, modality, measure)
        last = select.points(result, kind)[-1].name
        rows = select.rows(result.scores, kind=kind, measure=measure, control="none")
        along = modality in select.ALONG
        if along and len(select.languages(result)) * len(select.points(result, kind)) < 2:
            continue
        text = f"{words.MAP_TITLES[modality]}, {words.measure_title(measure)}" + ("" if along else f", at {last}") + "."
        figure = Figure(
            f"heat_map.{modality}",
            lambda width, modality=modality: chart(result, modality, measure, width),  # type: ignore[misc]
            rows if along else select.rows(rows, point_a=last),
            lead or text,
            f"{text} {lead or ''}".strip(),
        )
        blocks += [lead] if lead is not None else []
        blocks.append(figure)
        layers, shown = select.points(result, kind), _layers(result, kind)
        if not along and len(shown) < len(layers):
            blocks.append(
                Sentence(
                    "The map has {some} of {all} layers, evenly spread; scores.parquet has every one.",
                    some=len(shown), all=len(layers),
                )
            )  # fmt: skip
    return Evidence("Each language with each other", tuple(blocks)) if blocks else None


def _layers(result: Result, kind: str) -> list[str]:
    """Return the points whose maps can be chosen: all, or as many as fit, evenly spread."""
    points = [point.name for point in select.points(result, kind)]
    return select.spread(points, MOST_CELLS // len(select.languages(result)) ** 2)


def chart(result: Result, modality: str, measure: str, width: int) -> Any:
    """Draw a map; between languages its layer can be chosen in the page."""
    if modality in select.ALONG:
        return along(result, modality, measure, width)
    kind = select.MAP_KINDS[modality]
    points, names = select.points(result, kind), select.languages(result)
    size = min(width, max(200, 40 * len(names)))
    last = charts.heat_map(result, modality, None, measure, size=size)
    layers = _layers(result, kind)
    if len(layers) < 2:
        return last
    pivoted = select.cells(result, modality, measure, "none", ("value", "null_mean", "chance_corrected", "p"))
    drawn = np.array([point.name in layers for point in points])
    at, a, b = np.nonzero(np.isfinite(pivoted["value"]) & drawn[:, None, None])
    values, p = pivoted["value"][at, a, b], pivoted["p"][at, a, b]
    rows = pd.DataFrame(
        {
            "point": [points[index].name for index in at],
            "a": [names[index] for index in a],
            "b": [names[index] for index in b],
            **{name: filled[at, a, b] for name, filled in pivoted.items()},
            "label": [f"({words.number(v)})" if q > 0.05 else words.number(v) for v, q in zip(values, p, strict=True)],
        }
    )
    for layer in last.layer:
        layer.data = rows
    last.data = alt.Undefined
    there = [name for name in layers if name in set(rows["point"])]
    chosen = alt.param(name="layer", value=there[-1], bind=alt.binding_select(options=there, name="layer "))
    last.layer = [one.transform_filter("datum.point == layer") for one in last.layer]
    last.layer[0] = last.layer[0].add_params(chosen)
    last.title = captioned(
        f"{words.KIND_TITLES[kind]} (at first: {there[-1]})",
        [words.measure_title(measure), charts.about(result),
         "" if len(names) > charts.MOST_NUMBERS else "in brackets: not above the null (p > 0.05, uncorrected)"],
        size,
    )  # fmt: skip
    return last


def along(result: Result, modality: str, measure: str, width: int) -> alt.Chart:
    """Draw a map of languages (rows) and points (columns)."""
    kind = select.MAP_KINDS[modality]
    part = select.curve(result, kind, measure)
    if part["group"].nunique() <= 1 and len(select.languages(result)) > 1:  # curves too many to be kept
        part = select.mean_of(part)
    part = part[part["group"] != "mean"] if (part["group"] != "mean").any() else part
    names = [name for name in select.languages(result) if name in set(part["group"].astype(str))] or ["mean"]
    points = [point.name for point in select.points(result, kind)]
    low, high = charts.value_domain(result, modality, measure)
    made: alt.Chart = (
        alt.Chart(part[["point", "group", "value", "chance_corrected", "p"]])
        .mark_rect()
        .encode(
            x=alt.X(
                "point:N",
                sort=points,
                title="speech point",
                axis=alt.Axis(labelAngle=-90, labelOverlap=len(points) > 40),
            ),
            y=alt.Y("group:N", sort=names, title=None, axis=alt.Axis(labelOverlap=len(names) > 60)),
            color=alt.Color(
                "value:Q",
                title=f"similarity ({words.measure_title(measure)})",
                scale=alt.Scale(scheme="viridis", domain=[low, high]),
                legend=alt.Legend(orient="bottom", gradientLength=160),
            ),
            tooltip=[
                "group:N",
                "point:N",
                *(alt.Tooltip(f"{n}:Q", format=".3f") for n in ("value", "chance_corrected", "p")),
            ],
        )
        .properties(
            width=width,
            height=max(40, min(20, 900 // len(names)) * len(names)),
            title=captioned(words.MAP_TITLES[modality], [words.measure_title(measure), charts.about(result)], width),
        )
    )
    restyled(made, "")
    return made


def _lead(result: Result, modality: str, measure: str) -> Sentence | None:
    """Name the pairs with the highest and the lowest score at the last point."""
    if modality in select.ALONG:
        return None
    kind = select.MAP_KINDS[modality]
    last = select.points(result, kind)[-1].name
    part = select.rows(result.scores, kind=kind, measure=measure, control="none", point_a=last)
    part = part[part["value"].notna()]
    if len(part) < 2:
        return None
    high, low = select.highest(part, "value"), select.lowest(part, "value")
    return Sentence(
        "{what} at {point}: {measure} is highest for {a} and {b} ({high}) and lowest for {c} and {d} ({low}); the "
        "order was not tested.",
        what=words.MAP_TITLES[modality], point=last, measure=words.measure_title(measure),
        a=str(high["language_a"]), b=str(high["language_b"]), high=tell("scores", high, "value"),
        c=str(low["language_a"]), d=str(low["language_b"]), low=tell("scores", low, "value"),
    )  # fmt: skip
