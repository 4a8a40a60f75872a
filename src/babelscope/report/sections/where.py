"""Where speech and text meet: the points that cannot be distinguished from the most similar one."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.above_chance import above_chance
from babelscope.gaps.result import Result
from babelscope.gaps.traced import told_count
from babelscope.report import charts, queries
from babelscope.report.evidence import crosslayer, curves, points, variance
from babelscope.report.figure import PALETTE, Figure, finished, tooltips
from babelscope.report.section import Section, section
from babelscope.report.sentences import Sentence, interval, tell
from babelscope.report.wording import measure_title


@section(order=10)
def where(result: Result) -> Section | None:
    """Return the answer from the table ``most_similar``, else from the curves; None without any curve."""
    makers = (
        curves.evidence,
        crosslayer.evidence,
        variance.evidence,
        variance.centroid_evidence,
        points.evidence,
    )
    there = tuple(made for make in makers if (made := make(result)) is not None)
    if not there:
        return None
    table = result.tables.get("most_similar")
    if table is not None and len(table) > 1:
        lead = _chance(result, table) or _sentence(table)
        figure = Figure("most_similar", lambda width: chart(result, width), table, lead, str(lead))
        return Section("where", "Where do speech and text meet?", (lead,), figure, None, there)
    kinds, measure = queries.kinds(result), queries.leading_measure(result)
    said = [curves.sentence(result, kind, measure) for kind in kinds if measure]
    across = "modality_similarity" in kinds
    question = "Where do speech and text meet?" if across else "How does similarity change with depth?"
    return Section("where", question, tuple(each for each in said if each is not None)[:2], None, None, there)


def _chance(result: Result, table: pd.DataFrame) -> Sentence | None:
    """Say that speech and text are nowhere above chance, if they are not: no point is more similar then."""
    tested = above_chance(result.scores, str(table["measure"].iloc[0]))
    if tested["above"].any() or not tested["p_adjusted"].notna().any():
        return None
    return Sentence(
        "Not found anywhere: {measure} of speech and text is above chance at none of {all} points, in no language.",
        measure=measure_title(str(table["measure"].iloc[0])),
        all=told_count("most_similar", table),
    )


def _sentence(table: pd.DataFrame) -> Sentence:
    best = table[table["best"].astype(bool)].iloc[0]
    ends = interval("most_similar", best)
    parts: dict[str, Any] = {"best": str(best["point"]), "stage": str(best["stage"]), **ends}
    parts |= {"measure": measure_title(str(best["measure"])), "value": tell("most_similar", best, "value")}
    parts["all"] = told_count("most_similar", table)
    text = "{measure} of speech and text is highest at {best} ({stage}): {value}"
    if ends:
        text += " ({low} to {high})"
    if table["candidate"].isna().any():
        return Sentence(text + "; it was not tested against the other points.", **parts)
    candidates = table[table["candidate"].astype(bool)]
    if len(candidates) == 1:
        return Sentence(text + ", more than at any other of {all} points.", **parts)
    if len(candidates) == len(table):
        return Sentence(text + ", but no point is found to be lower than another ({all} points).", **parts)
    parts |= {"some": told_count("most_similar", candidates), "first": str(candidates["point"].iloc[0])}
    parts["last"] = str(candidates["point"].iloc[-1])
    return Sentence(text + ", but {some} of {all} points cannot be distinguished, from {first} to {last}.", **parts)


def chart(result: Result, width: int) -> Any:
    """Draw every point with its interval; those that may be the most similar in colour."""
    table = result.tables["most_similar"]
    tested = bool(table["candidate"].notna().all())
    names = ["may be the most similar", "found to be lower"] if tested else ["not tested"]
    candidate = table["candidate"].fillna(0).astype(bool)
    rows = table[["point", "stage", "depth", "value", "low", "high", "chance_corrected"]]
    rows = rows.assign(is_=np.where(candidate, names[0], names[-1]))
    labels = charts.stage_labels(result, "modality_similarity", width)
    height = 210
    x = charts.depth_axis(labels)
    title = f"similarity ({measure_title(str(table['measure'].iloc[0]))})"
    domain = [min(0.0, float(rows["value"].min())), max(1.0, float(rows["value"].max()))]
    shades, legend = (PALETTE["language-0"], PALETTE["null-edge"])[: len(names)], alt.Legend(orient="bottom")
    colour = charts.scaled(alt.Color, "is_", names, shades, title=None, legend=legend)
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=tooltips(["point", "stage"], ["value", "low", "high"]))

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=title, scale=alt.Scale(domain=domain, nice=False))

    layers = [base.mark_point(filled=True, size=40, opacity=1).encode(y=at("value")).properties(name="points")]
    known = bool(rows["low"].notna().any())
    if known:
        rules = base.mark_rule(strokeWidth=1.5, clip=True).encode(y=at("low"), y2="high:Q")
        layers.insert(0, rules.properties(name="intervals"))
    layers += charts.stage_strip(labels, x, height)
    lines = ["95 % intervals, for all points together" if known else "", charts.about(result)]
    return finished(alt.LayerChart(layer=layers), width, height, "Where speech and text are most similar", lines)
