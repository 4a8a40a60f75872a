"""The model compared with its baselines: one table a kind of comparison, at the last point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.report import select, words
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.told import Sentence, tell


def at_output(result: Result) -> pd.DataFrame | None:
    """Return the rows of ``against_baselines`` at the last point of each kind and measure; None without any."""
    table = result.tables.get("against_baselines")
    if table is None or table.empty:
        return None
    last = table.groupby(["kind", "measure"], sort=False, observed=True)["point"].transform("last")
    return table[table["point"].astype(str) == last.astype(str)]


def evidence(result: Result) -> Evidence | None:
    """Return one table a kind, and what each baseline is; None where none was computed."""
    here = at_output(result)
    if here is None:
        return None
    there = select.in_order(here["baseline"])
    names = [name for name in BASELINES if name in there] + [name for name in there if name not in BASELINES]
    tables = [
        _table(here[here["kind"] == kind], kind, names) for kind in select.kinds(result) if kind in set(here["kind"])
    ]
    return Evidence("The model and its baselines", (*tables, *_described(result, names)))


def _described(result: Result, names: list[str]) -> list[Sentence]:
    options = result.meta.get("options")
    listed = options.get("baselines") if isinstance(options, dict) else None
    told = []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and (one.get("name") in names or one.get("note")):
            text = "{title}: {text}." + (" Missing: {note}." if one.get("note") else "")
            told.append(Sentence(text, **{key: str(one.get(key) or "") for key in ("title", "text", "note")}))
    return told


def _table(here: pd.DataFrame, kind: str, names: list[str]) -> Table:
    measures = select.in_order(here["measure"])
    rows = []
    model: list[Any] = ["the model"]
    for measure in measures:
        own = here[(here["measure"] == measure) & (here["groups"] == here["of"])]
        model += [tell("against_baselines", own.iloc[0], "value") if len(own) else words.NOTHING, ""]
    rows.append(tuple(model))
    for name in names:
        part = here[here["baseline"] == name]
        if part.empty:
            continue
        cells: list[Any] = [title_of(name)]
        if part.iloc[0]["groups"] < part.iloc[0]["of"]:
            cells[0] += f" ({part.iloc[0]['groups']:.0f} of {part.iloc[0]['of']:.0f})"
        for measure in measures:
            cells += _cells(part[part["measure"] == measure])
        rows.append(tuple(cells))
    columns = [Column("", False)]
    for measure in measures:
        columns += [Column(words.measure_title(measure)), Column("model less baseline (95 % interval)")]
    points = ", ".join(select.in_order(here["point"]))
    caption = (
        f"{words.KIND_TITLES[kind]}, at {points}. Differences are chance-corrected; intervals are for other sentences, "
        "all points of a kind and measure together. ◆: the strongest baseline."
    )
    return Table(caption, tuple(columns), tuple(rows))


def _cells(rows: pd.DataFrame) -> list[Any]:
    if rows.empty:
        return ["", ""]
    row = rows.iloc[0]

    def number(column: str) -> Any:
        return tell("against_baselines", row, column) if np.isfinite(float(row[column])) else words.NOTHING

    value = Sentence("◆ {value}" if bool(row["strongest"]) else "{value}", value=number("baseline_value"))
    if np.isfinite(float(row["low"])) and np.isfinite(float(row["high"])):
        text = "{difference} ({low} to {high})"
        return [value, Sentence(text, **{name: number(name) for name in ("difference", "low", "high")})]
    return [value, number("difference")]
