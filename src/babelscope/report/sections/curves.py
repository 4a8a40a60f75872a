"""Every gap along the depth: one panel a kind and measure, with what unrelated data give; and by resource class."""

from __future__ import annotations

from typing import Any

import numpy as np

from babelscope.gaps.result import Result
from babelscope.report import charts, drawing, select, words
from babelscope.report.drawing import Frame, Line
from babelscope.report.packing import thousandths
from babelscope.report.panels import curve_panel, plot_place
from babelscope.report.told import Sentence, joined, tell

#: Numbers of the mean curves are also written as a table up to this many points.
TABLE_POINTS = 80

#: Rows of one table of resource classes; longer ones stand in their file alone.
MOST_NUMBERS = 200

#: Colour and dash of each resource class: told apart without colour too.
CLASSES: dict[str, tuple[str, str]] = {
    "high": ("var(--language-0)", ""),
    "medium": ("var(--language-2)", "7 3"),
    "low": ("var(--language-1)", "2 3"),
}


def section(result: Result) -> list[dict[str, Any]]:
    """Return one entry a measure, each with one panel a kind."""
    found = []
    kinds = select.kinds(result)
    for index, measure in enumerate(select.measures(result)):
        panels = []
        for kind in kinds:
            mean = select.mean_of(select.curve(result, kind, measure))
            panel: dict[str, Any] = {"kind": kind, "id": f"panel-{index}-{kind}", "measure": index, "svg": None}
            if mean["value"].notna().any():
                panel["svg"] = curve_panel(result, kind, measure, f"{panel['id']}-title")
                panel["saturation"] = select.saturation(result, kind, measure)
                panel["groups"] = int(mean["groups"].max())
                panel["drawn"] = panel["groups"] <= charts.MOST_LINES
                panel["null"] = bool(mean["null_mean"].notna().any())
                panel["mean"] = mean.to_dict("records") if len(mean) <= TABLE_POINTS else []
            panels.append(panel)
        conventions = (
            select.rows(result.scores, measure=measure, control="none")["convention"].drop_duplicates().dropna()
        )
        found.append(
            {
                "name": measure,
                "title": words.measure_title(measure),
                "index": index,
                "panels": panels,
                "conventions": select.in_order(conventions)[:3],
            }
        )
    return found


def lead(result: Result) -> list[Sentence]:
    """Return one sentence a kind: where the leading measure starts, where it ends, and what unrelated data give."""
    measure = select.leading_measure(result)
    return joined(_sentence(result, kind, measure) for kind in select.kinds(result) if measure)


def _sentence(result: Result, kind: str, measure: str) -> Sentence | None:
    mean = select.mean_of(select.curve(result, kind, measure))
    mean = mean[mean["value"].notna()]
    if mean.empty:
        return None
    first, last = mean.iloc[0], mean.iloc[-1]
    best = select.highest(mean, "value")
    parts: dict[str, Any] = {
        "kind": words.KIND_TITLES[kind],
        "measure": words.measure_title(measure),
        "first": str(first["point"]),
        "last": str(last["point"]),
        "a": tell("curves", first, "value"),
        "b": tell("curves", last, "value"),
    }
    text = "{kind}: the mean {measure} is {a} at {first} and {b} at {last}"
    if str(best["point"]) not in (str(first["point"]), str(last["point"])):
        parts |= {"best": str(best["point"]), "c": tell("curves", best, "value")}
        text += ", highest at {best} ({c})"
    if np.isfinite(float(last["null_q95"])):
        parts |= {"null": tell("curves", last, "null_mean"), "q95": tell("curves", last, "null_q95")}
        text += "; unrelated sentences give {null} at {last}, 95 in 100 of them less than {q95}"
    return Sentence(text + ".", **parts)


def data(result: Result) -> dict[str, Any]:
    """Return the numbers behind the panels, for the script, in thousandths."""
    known = select.languages(result)
    kinds: dict[str, dict[str, Any]] = {}
    for kind in select.kinds(result):
        names = select.groups(result, kind)
        kinds[kind] = {
            "title": words.KIND_TITLES[kind],
            "points": [[point.name, point.stage, round(point.depth, 4)] for point in select.points(result, kind)],
            "groups": names if len(names) <= charts.MOST_LINES else [],
            "members": [select.members(name, known) for name in names] if len(names) <= charts.MOST_LINES else [],
        }
    panels: dict[str, Any] = {}
    for index, measure in enumerate(select.measures(result)):
        for kind, shape in kinds.items():
            where = [point[0] for point in shape["points"]]
            panel: dict[str, Any] = {}
            for control in ("none", "length_regressed"):
                part = select.curve(result, kind, measure, control)
                mean = select.mean_of(part)
                if mean.empty:
                    continue
                numbers = mean.astype({"point": object}).drop_duplicates("point").set_index("point").reindex(where)
                panel[control] = {
                    name: thousandths(numbers[name])
                    for name in ("value", "null_mean", "null_q95", "chance_corrected", "low", "high")
                    if name not in ("low", "high") or numbers[name].notna().any()
                }
                if control == "none" and shape["groups"]:
                    each = part[part["group"].isin(shape["groups"])].astype({"point": object, "group": object})
                    each = each.drop_duplicates(["group", "point"])
                    for name in ("value", "null_mean", "null_q95", "chance_corrected", "p"):
                        table = each.pivot(index="group", columns="point", values=name).reindex(
                            index=shape["groups"], columns=where
                        )
                        panel.setdefault("each", {})[name] = [thousandths(row) for row in table.to_numpy(dtype=float)]
            panels[f"{kind} {index}"] = panel
    return {
        "kinds": kinds,
        "measures": select.measures(result),
        "panels": panels,
        "plot": plot_place(),
        "languages": known,
    }


# -- by resource class -----------------------------------------------------------------------------


def classes(result: Result) -> dict[str, Any] | None:
    """Return the curves by resource class under the leading measure, one panel a kind; None where there are none."""
    table, measure = result.tables.get("by_class"), select.leading_measure(result)
    if table is None or table.empty or measure is None:
        return None
    table = table[(table["measure"] == measure) & (table["control"] == "none") & table["chance_corrected"].notna()]
    panels = []
    values = table["chance_corrected"].to_numpy(dtype=float)
    if not len(values):
        return None
    top, bottom = max(0.1, float(values.max())), min(0.0, float(values.min()))
    for kind in select.kinds(result):
        rows = table[table["kind"] == kind]
        faced = select.facing(result)
        if kind in select.OF_ONE_LANGUAGE:
            rows = rows[
                [faced.get(str(p), str(a)) == str(a) for p, a in zip(rows["point"], rows["against"], strict=True)]
            ]
        drawn, ends = [], []
        for name in rows["group"].drop_duplicates():
            part = rows[rows["group"] == name].sort_values("depth", kind="stable")
            colour, dash = CLASSES.get(str(name), ("var(--thin)", ""))
            own = str(name) in CLASSES
            drawn.append(
                Line(
                    str(name), part["depth"].tolist(), part["chance_corrected"].tolist(), colour, 2.2 if own else 0.9,
                    dash, label=own,
                )
            )  # fmt: skip
            if own:
                ends.append((str(name), part.iloc[-1]))
        if not ends:
            continue
        rank = list(CLASSES)
        ends.sort(key=lambda end: rank.index(end[0]))
        parts: dict[str, Any] = {"kind": words.KIND_TITLES[kind], "point": str(ends[0][1]["point"])}
        told = []
        for index, (name, row) in enumerate(ends):
            parts |= {f"n{index}": name, f"v{index}": tell("by_class", row, "chance_corrected")}
            told.append(f"{{v{index}}} ({{n{index}}})")
        sentence = Sentence(f"{{kind}}: at {{point}} the chance-corrected mean is {words.listed(told)}.", **parts)
        frame = Frame(y=(bottom, top * 1.04), width=300, height=176, left=40, right=58, x_title="depth")
        panels.append(
            {
                "kind": kind,
                "title": words.KIND_TITLES[kind],
                "line": words.KIND_LINES[kind],
                "lead": sentence,
                "picture": drawing.lines(frame, drawn, f"class-{kind}-title", str(sentence)),
                "numbers": [
                    {
                        "row": int(str(row.name)),
                        "point": str(row["point"]),
                        "group": str(row["group"]),
                        "cells": [
                            words.number(float(row[column]), 3)
                            for column in ("depth", "value", "low", "high", "null_q95", "chance_corrected")
                        ],
                        "groups": int(row["groups"]),
                    }
                    for _, row in rows.head(MOST_NUMBERS).iterrows()
                ],
            }
        )
    return {"panels": panels, "measure": words.measure_title(measure)} if panels else None
