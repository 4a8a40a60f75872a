"""Other models beside the one that is studied: their curves over its own, and where each ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from babelscope.gaps.result import Result
from babelscope.report import drawing, select, words
from babelscope.report.drawing import Frame, Line
from babelscope.report.told import Sentence, Told, joined, tell

#: One colour and dash a model, the studied one first.
STROKES: tuple[tuple[str, str], ...] = (
    ("var(--language-0)", ""),
    ("var(--language-1)", "6 3"),
    ("var(--language-2)", "2 3"),
    ("var(--language-4)", "8 3 2 3"),
    ("var(--language-5)", "4 4"),
)


def section(result: Result) -> dict[str, Any] | None:
    """Return a panel a kind and measure, one for the distances of means, and the numbers; None without such models."""
    table = result.tables.get("beside")
    if table is None or table.empty:
        return None
    labels = select.in_order(table["model"])
    own = str(result.meta.get("model", {}).get("name", "the model"))
    panels = [*_curve_panels(result, table, own, labels), *_distance_panels(result, own, labels)]
    if not panels:
        return None
    told = {str(one.get("label")): one for one in result.meta.get("beside", [])}
    return {
        "models": [
            {"label": label, "notes": [str(note) for note in told.get(label, {}).get("notes", [])][:1]}
            for label in labels
        ],
        "key": [
            {"name": name, "colour": colour, "dash": dash}
            for name, (colour, dash) in zip([own, *labels], STROKES, strict=False)
        ],
        "panels": panels,
        "lead": [sentence for panel in panels for sentence in panel.pop("lead")],
    }


def _curve_panels(result: Result, table: pd.DataFrame, own: str, labels: list[str]) -> Iterator[dict[str, Any]]:
    plain = select.rows(result.curves, control="none", group="mean")
    others = table[table["group"] == "mean"]
    for kind in select.in_order(others["kind"]):
        for measure in select.in_order(others[others["kind"] == kind]["measure"]):
            theirs = others[(others["kind"] == kind) & (others["measure"] == measure)]
            mine = plain[(plain["kind"] == kind) & (plain["measure"] == measure)]
            mine = mine[mine["point"].isin(set(theirs["point"]))]
            if mine.empty or mine["value"].isna().all():
                continue
            series = [(own, "curves", mine)] + [(label, "beside", theirs[theirs["model"] == label]) for label in labels]
            title = f"{words.KIND_TITLES[kind]}: {words.measure_title(measure)}"
            lead = []
            if kind == "modality_similarity" and measure == select.retrieval_measure(result):
                lead = _ends(series, measure)
            panel = _panel(f"{kind}.{words.slug(measure)}", title, series, "value", (0.0, 1.0), lead)
            yield panel | {"chance": _chance(mine), "rows": theirs, "kind": kind}


def _distance_panels(result: Result, own: str, labels: list[str]) -> Iterator[dict[str, Any]]:
    mine, theirs = result.tables.get("centroids"), result.tables.get("beside_centroids")
    if mine is None or theirs is None:
        return
    mine, theirs = (one[one["kind"] == "modality_gap"] for one in (mine, theirs))
    if mine.empty or theirs.empty:
        return
    series = [(own, "centroids", mine)] + [
        (label, "beside_centroids", theirs[theirs["model"] == label]) for label in labels
    ]
    top = float(max(mine["distance"].max(), theirs["distance"].max())) * 1.04
    title = f"{words.GAP_TITLES['modality_gap']}: distance between the means, over the spread within"
    yield _panel("modality_gap.distance", title, series, "distance", (0.0, top), _falls(series)) | {
        "chance": None,
        "rows": theirs,
        "kind": "modality_gap",
    }


def _panel(
    name: str,
    title: str,
    series: list[tuple[str, str, pd.DataFrame]],
    column: str,
    y: tuple[float, float],
    lead: list[Sentence],
) -> dict[str, Any]:
    drawn, numbers = [], []
    points = {str(row["point"]): float(row["depth"]) for _, _, rows in series for row in rows.to_dict("records")}
    order = sorted(points, key=lambda point: points[point])
    for (label, _, rows), (colour, dash) in zip(series, STROKES, strict=False):
        means = rows.groupby("point", observed=True)[column].mean()
        at = [point for point in order if point in means.index]
        x, values = [points[point] for point in at], [float(means[point]) for point in at]
        if len(at) == 1:  # a model that has one point only is drawn as a level
            x, values = [min(points.values()), x[0]], values * 2
        drawn.append(Line(label, x, values, colour, 2.0 if not dash else 1.8, dash, label=False))
        numbers.append(
            {"label": label, "cells": [float(means[point]) if point in means.index else None for point in order]}
        )
    low, high = min(points.values()), max(points.values())
    frame = Frame(x=(low, high) if high > low else (0.0, 1.0), y=y, width=300, height=190, left=44, x_title="depth")
    text = f"{title}. " + "; ".join(
        f"{one['label']}: {words.number(next((cell for cell in reversed(one['cells']) if cell is not None), None))}"
        for one in numbers
    )
    return {
        "name": name,
        "title": title,
        "picture": drawing.lines(frame, drawn, f"beside-{name}-title", text),
        "points": [{"name": point, "depth": points[point]} for point in order],
        "numbers": numbers,
        "lead": lead,
    }


def _chance(rows: pd.DataFrame) -> float | None:
    mean = rows["null_mean"].mean()
    return float(mean) if mean == mean else None


def _ends(series: list[tuple[str, str, pd.DataFrame]], measure: str) -> list[Sentence]:
    """Say what each model reaches at the last point that all have."""
    shared = set.intersection(*(set(rows["point"]) for _, _, rows in series if len(rows)))
    mine = series[0][2]
    points = [point for point in mine.sort_values("depth", kind="stable")["point"] if point in shared]
    if not points:
        return []
    parts: dict[str, Any] = {"point": str(points[-1]), "measure": words.measure_title(measure)}
    said = []
    for index, (label, table, rows) in enumerate(series):
        found = rows[rows["point"] == points[-1]]
        parts[f"model{index}"], parts[f"value{index}"] = label, tell(table, found.iloc[0], "value")
        said.append(f"{{model{index}}} {{value{index}}}")
    return joined([Sentence("At {point}, {measure} between speech and text: " + ", ".join(said) + ".", **parts)])


def _falls(series: list[tuple[str, str, pd.DataFrame]]) -> list[Sentence]:
    """Say how far the means come together between the first and the last point that a model's two sides share."""
    found = []
    for label, table, rows in series:
        points = select.in_order(rows.sort_values("depth", kind="stable")["point"])
        if len(points) < 2:
            continue
        before, after = (_mean(table, rows[rows["point"] == point]) for point in (points[0], points[-1]))
        found.append(
            Sentence(
                "{model}: the means of speech and text lie {before} apart at {first}, {after} at {last}.",
                model=label, before=before, after=after, first=str(points[0]), last=str(points[-1]),
            )
        )  # fmt: skip
    return joined(list(found))


def _mean(table: str, rows: pd.DataFrame) -> Told:
    """The mean over languages; a reader finds the rows that it is of."""
    value = float(rows["distance"].mean())
    return Told(value, words.number(value), table, tuple(int(str(label)) for label in rows.index), "distance")
