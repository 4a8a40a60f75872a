"""What length adaptation does to the similarity of speech and text."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.findings import CANNOT_TELL, CORRECTED, HOLDS, HOLDS_NOT
from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.evidence import rows as evidence_rows
from babelscope.report.evidence.curves import curves_domain
from babelscope.report.figure import LANGUAGE_COLOURS, PALETTE, Entry, Figure, finished, key_of, tooltips
from babelscope.report.section import Evidence, Section, section
from babelscope.report.sentences import Sentence, cell, interval, p_clause, tell
from babelscope.report.wording import VERDICT_TITLES, measure_title, plural

#: The stage's name in the tables.
STAGE = "length adaptation"

_SAYS = {
    HOLDS: "Length adaptation makes speech more similar to its text: {effect}",
    HOLDS_NOT: "Length adaptation does not make speech more similar to its text: {effect}",
    CANNOT_TELL: "Inconclusive: length adaptation changes the similarity of speech to its text by {effect}",
}


@section(order=30)
def adaptation(result: Result) -> Section | None:
    """Return the tested change and the points from before to after; None without such a stage."""
    table, measure = result.tables.get("findings"), queries.leading_measure(result)
    if table is None or measure is None:
        return None
    table = table[(table["id"] == "length_adaptation") & (table["basis"] == CORRECTED)]
    main = table[table["group"] == "all"]
    if main.empty:
        return None
    row = main.iloc[0]
    lead = _sentence(row)
    classes = table[(table["group"] != "all") & (table["group"] != "high-low")]
    by_class = [_of_class(one) for _, one in classes.iterrows()] if classes["group"].nunique() > 1 else []
    evidence = Evidence("The rows behind it", (*by_class, *evidence_rows.table(result, row["evidence"])))
    figure = _figure(result, measure, lead)
    return Section("adaptation", "What does length adaptation do?", (lead,), figure, None, (evidence,))


def _parts(row: pd.Series[Any]) -> tuple[str, dict[str, Any]]:
    parts = {"measure": measure_title(str(row["measure"])), **interval("findings", row)}
    text = ", 95 % {low} to {high}" if "low" in parts else ""
    if np.isfinite(float(row.get("p_adjusted", np.nan))):
        parts["p"] = tell("findings", row, "p_adjusted")
        text += f", corrected {p_clause(parts['p'])}"
    return text, parts


def _sentence(row: pd.Series[Any]) -> Sentence:
    text, parts = _parts(row)
    if not np.isfinite(float(row["effect"])):
        return Sentence("The effect of length adaptation could not be tested.")
    start = _SAYS.get(str(row["verdict"]), _SAYS[CANNOT_TELL]) + " (chance-corrected {measure}"
    return Sentence(start + text + ").", effect=tell("findings", row, "effect"), **parts)


def _of_class(row: pd.Series[Any]) -> Sentence:
    text, parts = _parts(row)
    parts |= {"group": str(row["group"]), "effect": cell("findings", row, "effect")}
    parts["verdict"] = VERDICT_TITLES.get(str(row["verdict"]), str(row["verdict"]))
    return Sentence("{group}-resource languages: {verdict}, {effect}" + text + ".", **parts)


def _figure(result: Result, measure: str, lead: Sentence) -> Figure | None:
    curves = queries.curve(result, "modality_similarity", measure)
    curves = curves[(curves["stage"] == STAGE) & curves["value"].notna()]
    if curves["point"].nunique() < 2:
        return None
    return Figure("adaptation", lambda width: _chart(result, curves, measure, width), curves, lead, str(lead))


def _chart(result: Result, curves: pd.DataFrame, measure: str, width: int) -> Any:
    mean = queries.mean_of(curves)
    points = queries.in_order(mean["point"])
    names = [name for name in queries.groups(result, "modality_similarity") if name in set(curves["group"].astype(str))]
    x = alt.X("point:N", sort=points, title="point", axis=alt.Axis(labelAngle=0 if width // len(points) > 130 else -30))
    scale = alt.Scale(domain=list(curves_domain(result, "modality_similarity", measure)), nice=False)

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=f"similarity ({measure_title(measure)})", scale=scale)

    over = int(mean["groups"].max())
    entries, layers = charts.bands(mean, x, at)
    key = [Entry(f"mean over {over} {plural('language', over)}", PALETTE["ink"], 2.25), *entries]
    languages: list[Entry] = []
    if 1 < len(names) <= len(LANGUAGE_COLOURS):
        colour, languages = charts.language_colours(names)
        lines = charts.rows_of(curves[curves["group"] != "mean"], "each").mark_line(strokeWidth=1.1)
        layers.append(lines.encode(x=x, y=at("value"), color=colour, tooltip=tooltips(["group", "point"], ["value"])))
    drawn = charts.rows_of(mean, "mean").mark_line(color=PALETTE["ink"], strokeWidth=2.25)
    layers += [drawn.encode(x=x, y=at("value")), key_of(key, width)]
    if languages:
        layers.append(key_of(languages, width, "languages"))
    made = alt.LayerChart(layer=layers).resolve_scale(**charts.OWN_LEGENDS)
    return finished(made, width, 190, "Similarity of speech and text through length adaptation", [charts.about(result)])
