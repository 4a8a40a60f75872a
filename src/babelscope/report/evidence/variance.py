"""What the variance of a layer is made of, and how far apart the means lie."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.gaps.selecting import groups
from babelscope.report import charts, queries
from babelscope.report.figure import PALETTE, Figure, finished, tooltips
from babelscope.report.section import Evidence
from babelscope.report.sentences import Sentence, percent, tell
from babelscope.report.wording import GAP_TITLES, number

#: Components in the order in which they are stacked: what a reader calls each, and its colour.
COMPONENTS: dict[str, tuple[str, str]] = {
    "sentence": ("meaning (sentence)", PALETTE["language-0"]),
    "sentence:language": ("sentence × language", PALETTE["language-5"]),
    "sentence:modality": ("sentence × modality", PALETTE["language-2"]),
    "language": ("language", PALETTE["language-4"]),
    "language:modality": ("language × modality", PALETTE["language-3"]),
    "modality": ("modality", PALETTE["language-1"]),
    "rest": ("rest", PALETTE["stage-odd"]),
}
PARTS: dict[str, str] = {"all": "speech and text together", "text": "text alone", "speech": "speech alone"}

#: More lines than this are not drawn one by one.
MOST_LINES = 120


def evidence(result: Result) -> Evidence | None:
    """Return one figure a part; None where nothing was decomposed."""
    if (table := queries.table(result, "decomposition")) is None:
        return None
    blocks: list[Any] = []
    for design, title in PARTS.items():
        rows = table[table["part"] == design]
        if rows.empty:
            continue
        last = str(rows.sort_values("depth", kind="stable")["point"].iloc[-1])
        at = rows[rows["point"] == last]
        lead = _lead(at, design, last)
        text = f"Shares of the variance along the depth, {title}. At {last}: " + "; ".join(
            f"{COMPONENTS.get(str(name), (str(name), ''))[0]} {number(100 * float(share), 0)} %"
            for name, share in zip(at["component"], at["share"], strict=True)
        )
        drawn = Figure(
            f"decomposition.{design}",
            lambda width, design=design: chart(result, design, width=width),  # type: ignore[misc]
            rows.drop(columns="convention"),
            lead[0] if lead else text,
            text,
        )
        blocks += [*lead, drawn]
    return Evidence("What the variance of a layer is made of", tuple(blocks)) if blocks else None


def chart(result: Result, design: str = "all", *, width: int = 420, height: int = 220) -> alt.Chart:
    """Draw what the variance is made of along the depth: stacked areas of bias-corrected shares."""
    table = result.tables["decomposition"]
    table = table[table["part"] == design]
    there = [name for name in COMPONENTS if name in set(table["component"])]
    rank = {name: place for place, name in enumerate(there)}
    titles = {name: COMPONENTS[name][0] for name in there}
    shown = table[table["component"].isin(there)]
    component = shown["component"].astype(str)
    data = shown[["point", "stage", "depth", "component", "share", "low", "high"]].assign(
        order=component.map(rank), name=component.map(titles)
    )
    names, colours = list(titles.values()), [COMPONENTS[name][1] for name in there]
    legend = alt.Legend(orient="bottom", columns=max(1, width // 150))
    made: alt.Chart = alt.Chart(data).mark_area(line={"strokeWidth": 0.5, "color": PALETTE["paper"]})
    made = made.encode(
        x=alt.X("depth:Q", title="depth (first point to last)", scale=alt.Scale(nice=False, zero=False)),
        y=alt.Y("share:Q", title="share of variance", stack="zero", axis=alt.Axis(format=".0%")),
        color=charts.scaled(alt.Color, "name", names, colours, title=None, sort=names, legend=legend),
        order="order:Q",
        tooltip=tooltips(["point", "name"], ["share", "low", "high"]),
    )
    title = f"What the variance is made of: {PARTS.get(design, design)}"
    return finished(made, width, height, title, [charts.about(result)])


def _lead(at: pd.DataFrame, design: str, last: str) -> list[Sentence]:
    """Say what the variance at the last point is made of; of one modality, how much of it is meaning."""
    known = at[at["share"].notna()].drop_duplicates("component").iterrows()
    shares = {str(row["component"]): percent("decomposition", row, "share") for _, row in known}
    if "sentence" not in shares:
        return []
    if design == "all" and {"language", "modality"} <= shares.keys():
        return [
            Sentence(
                "At {point} {sentence} of the variance is meaning, common to a sentence in all languages and both "
                "modalities; {language} tells languages apart, {modality} tells speech from text.",
                point=last, **{name: shares[name] for name in ("sentence", "language", "modality")},
            )
        ]  # fmt: skip
    text = "In {title}, {share} of the variance at {point} is meaning."
    return [Sentence(text, title="" if design == "all" else PARTS[design], point=last, share=shares["sentence"])]


# -- distances between means --------------------------------------------------------------------------


def centroid_evidence(result: Result) -> Evidence | None:
    """Return the distances between mean vectors along the depth; None where there are none."""
    if (table := queries.table(result, "centroids")) is None or not table["distance"].notna().any():
        return None
    lead = []
    for kind, title in GAP_TITLES.items():
        rows = table[(table["kind"] == kind) & table["distance"].notna()]
        if len(rows):
            low, high = queries.lowest(rows, "distance"), queries.highest(rows, "distance")
            lead.append(
                Sentence(
                    "{title}: the distance between the means is smallest at {point} ({low}) and largest at {other} "
                    "({high}).",
                    title=title, point=str(low["point"]), low=tell("centroids", low, "distance"),
                    other=str(high["point"]), high=tell("centroids", high, "distance"),
                )
            )  # fmt: skip
    text = " ".join(map(str, lead))
    figure = Figure("centroids", lambda width: centroid_chart(result, width=width), table, lead[0], text)
    both = "modality_gap" in set(table["kind"])
    return Evidence(f"How far apart the means{' of speech and text' if both else ''} lie", (*lead, figure))


def centroid_chart(result: Result, *, width: int = 420, height: int = 220) -> alt.LayerChart:
    """Draw the distances between mean vectors along the depth: each language or pair thin, the mean thick."""
    table = result.tables["centroids"]
    table = table[table["distance"].notna()].astype({"kind": object, "language_a": object, "language_b": object})
    table = table.assign(group=groups(table), gap=table["kind"].map(lambda kind: GAP_TITLES.get(kind, kind)))
    table = table[["gap", "group", "point", "depth", "distance", "low", "high"]]
    gaps = [name for name in GAP_TITLES.values() if name in set(table["gap"])]
    colours = [PALETTE[f"language-{index}"] for index in (1, 0, 2, 3)]
    channels = {
        "x": alt.X("depth:Q", title="depth (first point to last)", scale=alt.Scale(domain=[0, 1])),
        "y": alt.Y("distance:Q", title="distance (within-group SDs)"),
        "color": charts.scaled(alt.Color, "gap", gaps, colours, title=None, legend=alt.Legend(orient="bottom")),
    }
    layers: list[alt.Chart] = []
    if table["group"].nunique() <= MOST_LINES:
        thin = alt.Chart(table).mark_line(strokeWidth=0.6, opacity=0.4)
        tooltip = tooltips(["group", "point"], ["distance", "low", "high"])
        layers.append(thin.encode(**channels, detail="group:N", tooltip=tooltip))
    means = table.groupby(["gap", "point", "depth"], as_index=False, observed=True)["distance"].mean()
    layers.append(alt.Chart(means).mark_line(strokeWidth=2.5).encode(**channels))
    lines = ["thick: mean over languages or pairs", charts.about(result)]
    return finished(alt.LayerChart(layer=layers), width, height, "Gap: distance between means", lines)
