"""Speech layer by text layer: where two towers are most similar, wherever in their depth."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.figure import WIDE, Figure, finished, tooltips
from babelscope.report.section import Evidence
from babelscope.report.sentences import Sentence, tell
from babelscope.report.wording import measure_title

#: Rows up to which single languages can be chosen in the page.
MOST_ROWS = 20_000


def evidence(result: Result) -> Evidence | None:
    """Return the map; None unless speech points were compared with several text points."""
    speech, _ = queries.crossings(result)
    measure = queries.leading_measure(result)
    if not speech or measure is None:
        return None
    rows = _rows(result, measure)
    means = queries.mean_of(rows)
    if not means["chance_corrected"].notna().any():
        return None
    lead = _lead(result, means, measure)

    def draw(width: int) -> alt.Chart:
        return chart(result, measure, width=width, height=360 if width >= WIDE else 300)

    figure = Figure("cross_layer", draw, means, lead, str(lead))
    return Evidence("Every speech layer with every text layer", (lead, figure))


def _rows(result: Result, measure: str) -> pd.DataFrame:
    return queries.rows(result.curves, kind="modality_similarity", measure=measure, control="none")


def chart(result: Result, measure: str, group: str | None = None, *, width: int, height: int) -> alt.Chart:
    """Draw the map of one language, or of the mean (the language can then be chosen where there are few rows)."""
    speech, text = queries.crossings(result)
    rows = _rows(result, measure)
    chosen = None
    if group is not None:
        rows = queries.rows(rows, group=group)
    elif len(rows) <= MOST_ROWS and len(names := queries.languages(result)) > 1:
        menu = alt.binding_select(options=["mean", *names], name="language ")
        chosen = alt.param(name="shown", value="mean", bind=menu)
    else:
        rows = queries.mean_of(rows)
    columns = ["point", "against", "group", "value", "null_q95", "chance_corrected", "n"]
    many = max(len(speech), len(text)) > 40
    across, up = [point.name for point in speech], [point.name for point in reversed(text)]
    drawn: alt.Chart = alt.Chart(rows[columns]).mark_rect()
    drawn = drawn.encode(
        x=alt.X("point:N", title="speech point", sort=across).axis(labelAngle=-90, labelOverlap=many),
        y=alt.Y("against:N", title="text point", sort=up).axis(labelOverlap=many),
        color=alt.Color(
            "chance_corrected:Q",
            title="similarity, chance-corrected",
            scale=alt.Scale(scheme="viridis", domainMin=0, clamp=True),
            legend=alt.Legend(orient="bottom", gradientLength=160),
        ),
        tooltip=tooltips(["group", "point", "against"], ["value", "null_q95", "chance_corrected"]),
    )
    if chosen is not None:
        drawn = drawn.add_params(chosen).transform_filter("datum.group == shown")
    lines = [
        f"{measure_title(measure)}; {group or 'mean over languages'}; negative values in the colour of 0",
        charts.about(result),
    ]
    return finished(drawn, width, height, "Similarity of every speech point and text point", lines)


def _lead(result: Result, means: pd.DataFrame, measure: str) -> Sentence:
    speech, text = queries.crossings(result)
    there = means[means["chance_corrected"].notna()]
    best = queries.highest(there, "chance_corrected")
    if not (there["calibrated"] > 0).any():
        return Sentence("No pair of layers is above the 95th percentile of what unrelated sentences give.")
    ends = there[(there["point"] == speech[-1].name) & (there["against"] == text[-1].name)]
    parts: dict[str, Any] = {"a": str(best["point"]), "b": str(best["against"]), "measure": measure_title(measure)}
    parts["high"] = tell("curves", best, "chance_corrected")
    sentence = "The chance-corrected {measure} is highest between speech at {a} and text at {b} ({high}; not tested)"
    if len(ends) and ends.index[0] != best.name:
        parts["end"] = tell("curves", ends.iloc[0], "chance_corrected")
        sentence += "; between the two outputs it is {end}"
    return Sentence(sentence + ".", **parts)
