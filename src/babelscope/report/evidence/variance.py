"""What the variance of a layer is made of, how far apart the centres lie, and sentences on its first two axes."""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from babelscope.gaps.result import Result
from babelscope.gaps.selecting import groups
from babelscope.report import charts, queries
from babelscope.report.figure import LANGUAGE_COLOURS, NARROW, PALETTE, Figure, finished, tooltips
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

#: Rows that the figure holds: as many layers as fit, evenly spread; of one that does not fit, the first rows.
MOST_ROWS = 12_000


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


# -- sentences as points --------------------------------------------------------------------------------


def points_evidence(result: Result) -> Evidence | None:
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
    layers, shown = queries.in_order(table["point"]), _drawn_layers(table, point)
    if len(shown) < len(layers):
        said = "The figure has {some} of {all} layers, evenly spread; tables/projection.parquet has every one."
        blocks.append(Sentence(said, some=len(shown), all=len(layers)))
    text = f"{here['sentence'].nunique()} sentences at {point}, each a point on the first two principal axes."
    figure = Figure("point_map", lambda width: points_chart(result, width=width), here, lead, text)
    return Evidence("Sentences as points", (*blocks, figure))


def _last_point(table: pd.DataFrame) -> str:
    """Return the last point that has as many modalities as any."""
    count = table.groupby("point", sort=False, observed=True)["modality"].nunique()
    return str(count[count == count.max()].index[-1])


def _drawn_layers(table: pd.DataFrame, last: str) -> list[str]:
    """Return the points that can be chosen: all, or as many as fit, evenly spread up to the last."""
    names = queries.in_order(table["point"])
    if len(table) <= MOST_ROWS:
        return names
    return queries.spread(names[: names.index(last) + 1], MOST_ROWS // int(table["point"].value_counts().max()))


def points_chart(result: Result, point: str | None = None, *, width: int = 420, height: int | None = None) -> alt.Chart:
    """Draw the sentences at a point on their first two principal axes, by language and modality.

    Without a point the last one is drawn, and the page lets its reader choose another.
    """
    table = result.tables["projection"]
    if point is None:
        point = _last_point(table)
        names = _drawn_layers(table, point)
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
