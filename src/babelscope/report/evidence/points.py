"""Sentences as points: two principal axes of a layer, by language and modality."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.figure import LANGUAGE_COLOURS, NARROW, Figure, finished
from babelscope.report.section import Evidence
from babelscope.report.sentences import Sentence, percent

#: Rows that the figure holds: as many layers as fit, evenly spread; of one that does not fit, the first rows.
MOST_ROWS = 12_000


def evidence(result: Result) -> Evidence | None:
    """Return the cloud of the last point that has both modalities; None where nothing was projected."""
    if (table := queries.table(result, "projection")) is None or not queries.languages(result):
        return None
    point = _last_point(table)
    here = queries.rows(table, point=point)
    lead = Sentence(
        "At {point} the first axis holds {share_x} of the variance and the second {share_y}: the picture shows that "
        "part, and no more.",
        point=point,
        **{name: percent("projection", here.iloc[0], name) for name in ("share_x", "share_y")},
    )
    blocks: list[Any] = [lead]
    layers, shown = queries.in_order(table["point"]), _layers(table, point)
    if len(shown) < len(layers):
        said = "The figure has {some} of {all} layers, evenly spread; tables/projection.parquet has every one."
        blocks.append(Sentence(said, some=len(shown), all=len(layers)))
    text = f"{here['sentence'].nunique()} sentences at {point}, each a point on the first two principal axes."
    figure = Figure("point_map", lambda width: chart(result, width=width), here, lead, text)
    return Evidence("Sentences as points", (*blocks, figure))


def _last_point(table: pd.DataFrame) -> str:
    """Return the last point that has as many modalities as any."""
    count = table.groupby("point", sort=False, observed=True)["modality"].nunique()
    return str(count[count == count.max()].index[-1])


def _layers(table: pd.DataFrame, last: str) -> list[str]:
    """Return the points that can be chosen: all, or as many as fit, evenly spread up to the last."""
    names = queries.in_order(table["point"])
    if len(table) <= MOST_ROWS:
        return names
    return queries.spread(names[: names.index(last) + 1], MOST_ROWS // int(table["point"].value_counts().max()))


def chart(result: Result, point: str | None = None, *, width: int = 420, height: int | None = None) -> alt.Chart:
    """Draw the sentences at a point on their first two principal axes, by language and modality.

    Without a point the last one is drawn, and the page lets its reader choose another.
    """
    table = result.tables["projection"]
    if point is None:
        point = _last_point(table)
        names = _layers(table, point)
    else:
        names = [queries.known("point", point, queries.in_order(table["point"]))]
    chosen = None
    if len(names) > 1:
        chosen = alt.param(name="layer", value=point, bind=alt.binding_select(options=names, name="layer "))
    shown = table[table["point"].isin(names)].head(MOST_ROWS)
    here = table[table["point"] == point]
    shares = [100 * float(here[name].iloc[0]) for name in ("share_x", "share_y")]
    there, modalities = queries.in_order(table["language"]), queries.in_order(table["modality"])
    spoken = [name for name in queries.languages(result) if name in there] or there
    modalities.sort(key=lambda name: name != "text")
    legend = alt.Legend(orient="bottom")
    if len(spoken) <= len(LANGUAGE_COLOURS):
        colours, columns = LANGUAGE_COLOURS[: len(spoken)], alt.Legend(orient="bottom", columns=7)
        colour = charts.scaled(alt.Color, "language", spoken, colours, title=None, legend=columns)
    else:
        colour = charts.scaled(alt.Color, "modality", modalities, LANGUAGE_COLOURS[:2], title=None, legend=legend)
    made: alt.Chart = alt.Chart(shown[["point", "modality", "language", "sentence", "x", "y"]])
    made = made.mark_point(size=35, filled=True, opacity=0.7).encode(
        x=alt.X("x:Q", title=f"first axis ({shares[0]:.0f} % of the variance)", scale=alt.Scale(zero=False)),
        y=alt.Y("y:Q", title=f"second axis ({shares[1]:.0f} %)", scale=alt.Scale(zero=False)),
        color=colour,
        shape=charts.scaled(alt.Shape, "modality", modalities, ["circle", "cross"], title=None, legend=legend),
        tooltip=["sentence:N", "language:N", "modality:N"],
    )
    if chosen is not None:
        made = made.add_params(chosen).transform_filter("datum.point == layer")
    title = f"Sentences at {point}" if chosen is None else f"Sentences on two axes (at first: {point})"
    lines = ["shares of variance on the axes are those at " + point, charts.about(result)]
    return finished(made, width, height or (300 if width > NARROW else 240), title, lines)
