"""The model compared with its baselines: one table a kind of comparison, at the last point."""

from __future__ import annotations

from typing import Any

import pandas as pd

from babelscope.gaps.baselines.sentences import title_of
from babelscope.gaps.baselines.sides import BASELINES
from babelscope.gaps.result import Result
from babelscope.report import queries
from babelscope.report.section import Column, Evidence, Table
from babelscope.report.sentences import Sentence, cell, interval, tell
from babelscope.report.wording import KIND_TITLES, NOTHING, measure_title


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
    there = queries.in_order(here["baseline"])
    names = [name for name in BASELINES if name in there] + [name for name in there if name not in BASELINES]
    tables = [
        _table(here[here["kind"] == kind], kind, names) for kind in queries.kinds(result) if kind in set(here["kind"])
    ]
    return Evidence("The model and its baselines", (*tables, *_described(result, names)))


def _described(result: Result, names: list[str]) -> list[Sentence]:
    options = result.meta.get("options")
    listed = options.get("baselines") if isinstance(options, dict) else None
    sentences = []
    for baseline in listed if isinstance(listed, list) else []:
        if isinstance(baseline, dict) and (baseline.get("name") in names or baseline.get("note")):
            text = "{title}: {text}." + (" Missing: {note}." if baseline.get("note") else "")
            sentences.append(Sentence(text, **{key: str(baseline.get(key) or "") for key in ("title", "text", "note")}))
    return sentences


def _table(here: pd.DataFrame, kind: str, names: list[str]) -> Table:
    measures = queries.in_order(here["measure"])
    rows = []
    model: list[Any] = ["the model"]
    for measure in measures:
        own = here[(here["measure"] == measure) & (here["groups"] == here["of"])]
        model += [tell("against_baselines", own.iloc[0], "value") if len(own) else NOTHING, ""]
    rows.append(tuple(model))
    for name in names:
        own_rows = here[here["baseline"] == name]
        if own_rows.empty:
            continue
        cells: list[Any] = [title_of(name)]
        if own_rows.iloc[0]["groups"] < own_rows.iloc[0]["of"]:
            cells[0] += f" ({own_rows.iloc[0]['groups']:.0f} of {own_rows.iloc[0]['of']:.0f})"
        for measure in measures:
            cells += _cells(own_rows[own_rows["measure"] == measure])
        rows.append(tuple(cells))
    columns = [Column("", False)]
    for measure in measures:
        columns += [Column(measure_title(measure)), Column("model less baseline (95 % interval)")]
    points = ", ".join(queries.in_order(here["point"]))
    caption = (
        f"{KIND_TITLES[kind]}, at {points}. Differences are chance-corrected; intervals are for other sentences, "
        "all points of a kind and measure together. ◆: the strongest baseline."
    )
    return Table(caption, tuple(columns), tuple(rows))


def _cells(rows: pd.DataFrame) -> list[Any]:
    if rows.empty:
        return ["", ""]
    row, table = rows.iloc[0], "against_baselines"
    value = Sentence("◆ {value}" if bool(row["strongest"]) else "{value}", value=cell(table, row, "baseline_value"))
    difference, ends = cell(table, row, "difference"), interval(table, row)
    if ends:
        return [value, Sentence("{difference} ({low} to {high})", difference=difference, **ends)]
    return [value, difference]
