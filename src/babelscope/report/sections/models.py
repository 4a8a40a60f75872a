"""How the model compares with the other models of the study: paired differences with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.report import charts, queries
from babelscope.report.evidence import baselines
from babelscope.report.figure import PALETTE, Entry, Figure, finished, key_of, tooltips
from babelscope.report.section import Evidence, Section, section
from babelscope.report.sentences import Sentence, interval, tell
from babelscope.report.wording import KIND_TITLES, measure_head, measure_title, number, slug

#: One colour and dash a model, the studied one first.
STROKES: tuple[tuple[str, tuple[int, ...]], ...] = (
    (PALETTE["ink"], ()),
    (PALETTE["language-1"], (6, 3)),
    (PALETTE["language-2"], (2, 3)),
    (PALETTE["language-4"], (8, 3, 2, 3)),
    (PALETTE["language-5"], (4, 4)),
)


@section(order=40)
def models(result: Result) -> Section | None:
    """Return the differences from each other model at the last common point; None without other models."""
    if (table := queries.table(result, "beside")) is None:
        return None
    own = str(result.meta.get("model", {}).get("name") or "the model")
    rows = _differences(result)
    lead, figure = Sentence("No difference from the other models was tested."), None
    if rows is not None and len(rows):
        lead = _sentence(rows, own)
        figure = Figure("models", lambda width: _chart(result, rows, own, width), rows, lead, str(lead))
    blocks = {
        "The models along the depth": tuple(_curves(result, table, own)),
        "About the other models": tuple(_notes(result)),
    }
    evidence = tuple(Evidence(title, shown) for title, shown in blocks.items() if shown)
    return Section("models", "How does this model compare?", (lead,), figure, None, evidence)


def _differences(result: Result) -> pd.DataFrame | None:
    """Return the rows of ``against_baselines`` that are other models, of speech and text at the last point."""
    here = baselines.at_output(result)
    if here is None:
        return None
    here = here[~here["baseline"].isin(list(BASELINES)) & (here["kind"] == "modality_similarity")]
    return here[here["difference"].notna()]


def _sentence(rows: pd.DataFrame, own: str) -> Sentence:
    """Say of every other model whether it is exceeded, under retrieval where that was measured."""
    names = queries.in_order(rows["measure"])
    measure = next((name for name in names if measure_head(name) == "retrieval"), names[0])
    here = rows[rows["measure"] == measure]
    parts: dict[str, Any] = {"own": own, "measure": measure_title(measure), "point": str(here["point"].iloc[0])}
    said = []
    for index, (_, row) in enumerate(here.iterrows()):
        parts[f"name{index}"] = str(row["baseline"])
        columns, text = ["baseline_value"], f"{{name{index}}} reaches {{baseline_value{index}}}"
        if interval("against_baselines", row):
            columns += ["difference", "low", "high"]
            outcome = "exceeded (by" if float(row["low"]) > 0 else "not found to be exceeded (difference"
            text += f" and is {outcome} {{difference{index}}}, 95 % {{low{index}}} to {{high{index}}})"
        else:
            text += " (not tested)"
        parts |= {f"{column}{index}": tell("against_baselines", row, column) for column in columns}
        said.append(text)
    parts["value"] = tell("against_baselines", here.iloc[0], "value")
    start = "{own} reaches {measure} {value} between speech and text at {point}; "
    return Sentence(start + "; ".join(said) + ".", **parts)


def _chart(result: Result, rows: pd.DataFrame, own: str, width: int) -> Any:
    compared = zip(rows["baseline"], rows["measure"], strict=True)
    names = [f"{name}, {measure_title(measure)}" for name, measure in compared]
    points = ", ".join(queries.in_order(rows["point"]))
    return charts.forest(
        rows, ("difference", "low", "high"), names, width, label="comparison", title="Differences from other models",
        x_title=f"{own} less the other model (similarity, chance-corrected)",
        lines=[f"speech and text at {points}; 95 % intervals, all points together", charts.about(result)],
    )  # fmt: skip


def _notes(result: Result) -> list[Sentence]:
    return [
        Sentence("{label}: {note}", label=str(queries.get(one, "label")), note=str(note))
        for one in queries.items(result.meta.get("beside"))
        for note in queries.items(queries.get(one, "notes"))[:1]
    ]


def _curves(result: Result, table: pd.DataFrame, own: str) -> Iterator[Figure]:
    labels = queries.in_order(table["model"])
    plain = queries.rows(result.curves, control="none", group="mean")
    others = table[table["group"] == "mean"]
    for kind in queries.in_order(others["kind"]):
        for measure in queries.in_order(others[others["kind"] == kind]["measure"]):
            theirs = queries.rows(others, kind=kind, measure=measure)
            mine = queries.rows(plain, kind=kind, measure=measure, point=queries.in_order(theirs["point"]))
            if mine["value"].notna().any() and kind in KIND_TITLES:
                title = f"{KIND_TITLES[kind]}: {measure_title(measure)}"
                series = [(own, mine), *((label, theirs[theirs["model"] == label]) for label in labels)]
                ends = [f"{label} {number(float(rows['value'].iloc[-1]))}" for label, rows in series if len(rows)]
                text = f"{title}. {'; '.join(ends)}"

                def draw(width: int, series: Any = series, title: str = title) -> Any:
                    return _curve(result, series, title, width)

                yield Figure(f"models.{kind}.{slug(measure_title(measure))}", draw, theirs, text, text)


def _curve(result: Result, series: list[tuple[str, pd.DataFrame]], title: str, width: int) -> Any:
    own = series[0][1]
    x = alt.X("depth:Q", title="depth (first point to last)", scale=alt.Scale(nice=False, zero=False))
    ends = pd.concat([rows["value"] for _, rows in series])
    scale = alt.Scale(domain=[min(0.0, float(ends.min())), max(1.0, float(ends.max()))], nice=False)

    def at(column: str) -> alt.Y:
        return alt.Y(f"{column}:Q", scale=scale, title="similarity")

    key: list[Entry] = []
    entries, layers = charts.bands(own, x, at, series[0][0])
    for (label, rows), (colour, dash) in zip(series, STROKES, strict=False):
        key.append(Entry(label, colour, 2, dash))
        tooltip = tooltips(["point"], ["value", "null_q95"])
        drawn = alt.Chart(rows[list(charts.DRAWN_COLUMNS)]).encode(x=x, y=at("value"), tooltip=tooltip)
        if len(rows) > 1:
            layers.append(drawn.mark_line(color=colour, strokeWidth=2, strokeDash=list(dash) or [1, 0]))
        else:
            layers.append(drawn.mark_point(color=colour, filled=True, size=60, opacity=1))
    layers.append(key_of([*key, *entries], width))
    return finished(alt.LayerChart(layer=layers), width, 190, title, [charts.about(result)])
