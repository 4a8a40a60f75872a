"""What length adaptation does to the similarity of speech and text."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from babelscope.gaps.findings import CORRECTED
from babelscope.gaps.result import Result
from babelscope.report import charts, select, words
from babelscope.report.evidence import rows as evidence_rows
from babelscope.report.figure import LANGUAGE_COLOURS, PALETTE, Entry, Figure, captioned, key_of, restyled
from babelscope.report.section import Evidence, Section, section
from babelscope.report.told import Sentence, tell

#: The stage's name in the tables.
STAGE = "length adaptation"

_SAYS = {
    "holds": "Length adaptation makes speech more similar to its text: {effect}",
    "holds not": "Length adaptation does not make speech more similar to its text: {effect}",
    "cannot tell": "Inconclusive: length adaptation changes the similarity of speech to its text by {effect}",
}


@section(order=30)
def adaptation(result: Result) -> Section | None:
    """Return the tested change and the points from before to after; None without such a stage."""
    table, measure = result.tables.get("findings"), select.leading_measure(result)
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
    return Section(
        "adaptation", "What does length adaptation do?", (lead,), _figure(result, measure, lead), None, (evidence,)
    )


def _parts(row: pd.Series[Any]) -> tuple[str, dict[str, Any]]:
    parts: dict[str, Any] = {"measure": words.measure_title(str(row["measure"]))}
    text = ""
    if np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        parts |= {"low": tell("findings", row, "low"), "high": tell("findings", row, "high")}
        text = ", 95 % {low} to {high}"
    adjusted = float(row.get("p_adjusted", np.nan))
    if np.isfinite(adjusted):
        parts["p"] = tell("findings", row, "p_adjusted")
        text += ", corrected p " + ("{p}" if str(parts["p"]).startswith("<") else "= {p}")
    return text, parts


def _sentence(row: pd.Series[Any]) -> Sentence:
    text, parts = _parts(row)
    start = _SAYS.get(str(row["verdict"]), _SAYS["cannot tell"])
    if not np.isfinite(float(row["effect"])):
        return Sentence("What length adaptation does cannot be told.")
    return Sentence(
        start + " (chance-corrected {measure}" + text + ").", effect=tell("findings", row, "effect"), **parts
    )


def _of_class(row: pd.Series[Any]) -> Sentence:
    text, parts = _parts(row)
    effect = tell("findings", row, "effect") if np.isfinite(float(row["effect"])) else words.NOTHING
    return Sentence(
        "{group}-resource languages: {verdict}, {effect}" + text + ".",
        group=str(row["group"]), verdict=words.VERDICT_TITLES.get(str(row["verdict"]), str(row["verdict"])),
        effect=effect, **{name: part for name, part in parts.items() if name != "measure"},
    )  # fmt: skip


def _figure(result: Result, measure: str, lead: Sentence) -> Figure | None:
    part = select.curve(result, "modality_similarity", measure)
    part = part[(part["stage"] == STAGE) & part["value"].notna()]
    if part["point"].nunique() < 2:
        return None
    return Figure("adaptation", lambda width: _chart(result, part, measure, width), part, lead, str(lead))


def _chart(result: Result, part: pd.DataFrame, measure: str, width: int) -> Any:
    mean = select.mean_of(part)
    points = select.in_order(mean["point"])
    names = [name for name in select.groups(result, "modality_similarity") if name in set(part["group"].astype(str))]
    columns = list(charts.DRAWN_COLUMNS)
    x = alt.X("point:N", sort=points, title="point", axis=alt.Axis(labelAngle=0 if width // len(points) > 130 else -30))
    scale = alt.Scale(domain=list(charts.curves_domain(result, "modality_similarity", measure)), nice=False)

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", title=f"similarity ({words.measure_title(measure)})", scale=scale)

    over = int(mean["groups"].max())
    key = [Entry(f"mean over {over} language{'' if over == 1 else 's'}", PALETTE["ink"], 2.25)]
    layers: list[alt.Chart] = []
    if mean["null_q95"].notna().any():
        key.append(Entry("null (mean to 95th percentile)", PALETTE["null-band"], 7))
        layers.append(
            alt.Chart(mean[columns])
            .mark_area(color=PALETTE["null-band"], clip=True)
            .encode(x=x, y=at("null_mean"), y2="null_q95:Q")
        )
    if mean["low"].notna().any():
        key.append(Entry("95 % interval of the mean", PALETTE["interval"], 7))
        layers.append(
            alt.Chart(mean[columns])
            .mark_area(color=PALETTE["interval"], opacity=0.7, clip=True)
            .encode(x=x, y=at("low"), y2="high:Q")
        )
    if 1 < len(names) <= len(LANGUAGE_COLOURS):
        each = alt.Color(
            "group:N", legend=None, scale=alt.Scale(domain=names, range=list(LANGUAGE_COLOURS[: len(names)]))
        )
        layers.append(
            alt.Chart(part[part["group"] != "mean"][columns])
            .mark_line(strokeWidth=1.1)
            .encode(
                x=x, y=at("value"), color=each, tooltip=["group:N", "point:N", alt.Tooltip("value:Q", format=".3f")]
            )
        )
    drawn = alt.Chart(mean[columns])
    layers.append(drawn.mark_line(color=PALETTE["ink"], strokeWidth=2.25).encode(x=x, y=at("value")))
    layers.append(key_of(key, width))
    if 1 < len(names) <= len(LANGUAGE_COLOURS):
        shades = zip(names, LANGUAGE_COLOURS, strict=False)
        layers.append(key_of([Entry(name, shade, 1.6) for name, shade in shades], width, "languages"))
    made = alt.LayerChart(
        layer=layers, width=width, height=190,
        title=captioned("Similarity of speech and text through length adaptation", [charts.about(result)], width),
    ).resolve_scale(stroke="independent", strokeDash="independent", strokeWidth="independent")  # fmt: skip
    return restyled(made, "")
