"""The model set against its baselines: one table a kind of comparison, at the last point."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.report import select, words
from babelscope.report.told import tell


def section(result: Result) -> dict[str, Any] | None:
    """Return one table a kind, and what each baseline is; None where none was computed.

    A row is a baseline, with its mean score under each measure and how much higher the model is at its last point.
    """
    table = result.tables.get("against_baselines")
    if table is None or table.empty:
        return None
    there = select.in_order(table["baseline"])
    names = [name for name in BASELINES if name in there] + [name for name in there if name not in BASELINES]
    tables = [
        _table(table[table["kind"] == kind], str(kind), names)
        for kind in select.kinds(result)
        if kind in set(table["kind"])
    ]
    told = [one for one in _listed(result) if one.get("name") in names or one.get("note")]
    return {
        "tables": tables,
        "what": [{key: str(one.get(key, "")) for key in ("title", "text", "note")} for one in told],
        "untested": bool(table["low"].isna().any()),
    }


def _listed(result: Result) -> list[dict[str, Any]]:
    options = result.meta.get("options")
    listed = options.get("baselines") if isinstance(options, dict) else None
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _table(table: pd.DataFrame, kind: str, names: list[str]) -> dict[str, Any]:
    measures = select.in_order(table["measure"])
    at = {str(measure): str(rows["point"].iloc[-1]) for measure, rows in table.groupby("measure", sort=False)}
    here = table[table["point"] == table["measure"].map(at)]
    rows = []
    for name in names:
        part = here[here["baseline"] == name]
        if len(part):
            cells = [_cell(part[part["measure"] == measure]) for measure in measures]
            short = part.iloc[0]["groups"] < part.iloc[0]["of"]
            over = f"{part.iloc[0]['groups']} of {part.iloc[0]['of']}" if short else ""
            rows.append({"title": title_of(name), "over": over, "cells": cells})
    model = []
    for measure in measures:
        own = here[(here["measure"] == measure) & (here["groups"] == here["of"])]
        model.append(tell("against_baselines", own.iloc[0], "value") if len(own) else None)
    return {
        "kind": kind,
        "point": select.in_order(here["point"])[-1],
        "measures": [words.measure_title(measure) for measure in measures],
        "model": model,
        "rows": rows,
    }


def _cell(rows: pd.DataFrame) -> dict[str, Any] | None:
    if rows.empty:
        return None
    row = rows.iloc[0]

    def number(column: str) -> Any:
        return tell("against_baselines", row, column) if np.isfinite(float(row[column])) else None

    return {
        "value": number("baseline_value"),
        "difference": number("difference"),
        "low": number("low"),
        "high": number("high"),
        "strongest": bool(row["strongest"]),
    }
